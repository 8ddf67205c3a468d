#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "harness/cli_options.h"

enum { HELP_COLUMN = 34, NAME_COLUMN = 12 };

/* Columns that a text takes on a terminal: one a character. */
static int columns(const char *text)
{
    int n = 0;
    for (const char *c = text; *c; c++)
        n += ((unsigned char)*c & 0xC0) != 0x80;
    return n;
}

static void pad_to(Buf *out, int column, int at)
{
    do
        buf_putc(out, ' ');
    while (++at < column);
}

/* "  -o, --output FILE" */
static char *option_label(const OptionRow *row)
{
    Buf label = {0};
    if (row->short_name)
        buf_printf(&label, "  -%c, ", row->short_name);
    else
        buf_puts(&label, "      ");
    buf_printf(&label, "--%s", row->name);
    if (row->argument) buf_printf(&label, " %s", row->argument);
    return buf_steal(&label);
}

static void option_help(const OptionRow *row, Buf *out)
{
    char *label = option_label(row);
    buf_puts(out, label);
    pad_to(out, HELP_COLUMN, columns(label));
    buf_puts(out, row->help);
    if (row->default_text && !str_equal(row->default_text, "0"))
        buf_printf(out, " [%s]", row->default_text);
    if (row->aliases) {
        buf_puts(out, " (also");
        char *aliases = str_dup(row->aliases);
        char *state = NULL;
        for (char *alias = strtok_r(aliases, " ", &state); alias;
             alias = strtok_r(NULL, " ", &state))
            buf_printf(out, " --%s", alias);
        buf_putc(out, ')');
        free(aliases);
    }
    buf_putc(out, '\n');
    free(label);
}

static void command_help(const Command *command, Buf *out)
{
    buf_printf(out, "usage: ropewalk %s\n\n%s\n", command->usage, command->help);
    if (command->about) buf_printf(out, "%s", command->about);
    buf_puts(out, "\nOptions:\n");
    for (const OptionRow *row = option_rows; row->name; row++)
        if (row->commands & command->bit) option_help(row, out);
    buf_printf(out, "\nExamples:\n%s", command->examples);
}

static void program_help(Buf *out)
{
    buf_puts(
        out,
        "usage: ropewalk COMMAND [options]\n\n"
        "Measures how rotary position embedding should be scaled for a model and a context length.\n\n"
        "Commands:\n");
    for (const Command *command = commands; command->name; command++) {
        buf_printf(out, "  %s", command->name);
        pad_to(out, NAME_COLUMN, 2 + columns(command->name));
        buf_printf(out, "%s\n", command->help);
    }
    buf_puts(
        out,
        "\n`ropewalk COMMAND --help` shows options and examples; `ropewalk --version` the build.\n"
        "Axes take comma lists, repeats and ranges: --lambda 1,2,4 --n-ctx 256:4k:*2\n\n"
        "Examples:\n");
    for (const Command *command = commands; command->name; command++)
        buf_printf(out, "%.*s\n", (int)strcspn(command->examples, "\n"), command->examples);
    buf_puts(out, "\nExit status: 0 all done, 1 some cells not done or a gate tripped, 2 usage,\n"
                  "3 bad input, 4 network, 5 output or database cannot be written, 6 unsupported,\n"
                  "70 a bug, 128 + signal.\n");
}

void cli_help(const Command *command, Buf *out)
{
    if (command)
        command_help(command, out);
    else
        program_help(out);
}
