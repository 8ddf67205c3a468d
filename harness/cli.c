/* Three passes over the table of rows: words become assignments, the sweep file fills the options, assignments go over it, and
 * defaults go where neither said anything. */
#include "harness/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "harness/cli_axis.h"
#include "harness/source.h"
#include "harness/sweep_file.h"

typedef struct {
    const OptionRow *row;
    const char *text;
} Assignment;

typedef struct {
    const Command *command;
    char **words;
    int n_words;
    int at; /* the current word */
    Assignment *items;
    size_t n;
    bool given[OPTION_MAX_ROWS];
    StringList *arguments;
} CommandLine;

const Command *cli_find_command(const char *name)
{
    for (const Command *command = commands; command->name; command++)
        if (str_equal(command->name, name)) return command;
    return NULL;
}

static bool takes(const Command *command, const OptionRow *row)
{
    return row->commands & command->bit;
}

static bool other_commands(const Command *command, const OptionRow *row, Err *err)
{
    Buf names = {0};
    for (const Command *other = commands; other->name; other++)
        if (takes(other, row)) buf_printf(&names, "%s%s", names.len ? ", " : "", other->name);
    err_set(err, ERR_USAGE, "--%s is not an option of %s; it belongs to: %s", row->name,
            command->name, buf_text(&names));
    buf_free(&names);
    return false;
}

/* Names that `text` may be short for, as "--target or --target-max"; false when there are none. */
static bool abbreviated(const Command *command, const char *text, Buf *names)
{
    for (const OptionRow *row = option_rows; row->name; row++)
        if (takes(command, row) && *text && str_starts_with(row->name, text))
            buf_printf(names, "%s--%s", names->len ? " or " : "", row->name);
    return names->len > 0;
}

/* name: without dashes and value. */
static bool unknown_option(const Command *command, const char *word, const char *name, Err *err)
{
    Buf names = {0};
    const OptionRow *nearest = option_nearest(name, command->bit);
    const OptionRow *exact = option_find(name, strlen(name));
    if (exact) nearest = exact;
    if (!exact && abbreviated(command, name, &names))
        err_set(err, ERR_USAGE, "unknown option %s; names are not abbreviated: write %s", word,
                buf_text(&names));
    else if (nearest)
        err_set(err, ERR_USAGE, "unknown option %s; did you mean --%s?", word, nearest->name);
    else
        err_set(err, ERR_USAGE, "unknown option %s; `ropewalk %s --help` lists those there are",
                word, command->name);
    buf_free(&names);
    return false;
}

static bool assign(CommandLine *line, const OptionRow *row, const char *text, Err *err)
{
    bool *given = &line->given[row - option_rows];
    if (*given && !option_is_list(row->type))
        return err_set(err, ERR_USAGE, "--%s is given twice and takes one value", row->name);
    *given = true;
    line->items = mem_realloc(line->items, line->n + 1, sizeof line->items[0]);
    line->items[line->n++] = (Assignment){row, text};
    return true;
}

/* Assigns the value after "=", or the next word. */
static bool assign_value(CommandLine *line, const OptionRow *row, const char *attached, Err *err)
{
    if (row->type == OPTION_FLAG) {
        if (attached) return err_set(err, ERR_USAGE, "--%s takes no value", row->name);
        return assign(line, row, "true", err);
    }
    if (attached) return assign(line, row, attached, err);
    if (line->at + 1 >= line->n_words || str_starts_with(line->words[line->at + 1], "--"))
        return err_set(err, ERR_USAGE, "--%s needs a value: --%s %s", row->name, row->name,
                       row->argument);
    return assign(line, row, line->words[++line->at], err);
}

static bool read_long(CommandLine *line, const char *word, Err *err)
{
    const char *name = word + 2;
    size_t n = strcspn(name, "=");
    const OptionRow *row = option_find(name, n);
    if (!row) {
        char *bare = str_dup_n(name, n);
        unknown_option(line->command, word, bare, err);
        free(bare);
        return false;
    }
    if (!takes(line->command, row)) return other_commands(line->command, row, err);
    return assign_value(line, row, name[n] == '=' ? name + n + 1 : NULL, err);
}

static bool read_short(CommandLine *line, const char *word, Err *err)
{
    for (const OptionRow *row = option_rows; row->name; row++) {
        if (row->short_name != word[1] || !takes(line->command, row)) continue;
        if (row->type == OPTION_FLAG && word[2]) break;
        return assign_value(line, row, word[2] ? word + 2 : NULL, err);
    }
    return unknown_option(line->command, word, word + 1, err);
}

/* Length of the dash of a word processor (U+2010 … U+2015, U+2212) that a word starts with, 0 if it does not. */
static size_t typographic_dash(const char *word)
{
    uint32_t c;
    int n = str_utf8_char(word, strlen(word), &c);
    return n > 1 && ((c >= 0x2010 && c <= 0x2015) || c == 0x2212) ? (size_t)n : 0;
}

static bool add_argument(CommandLine *line, const char *word, Err *err)
{
    if (line->arguments->n >= (size_t)line->command->n_arguments)
        return err_set(err, ERR_USAGE, "%s: \"%s\" is one word too many; usage: ropewalk %s",
                       line->command->name, word, line->command->usage);
    string_list_add(line->arguments, str_dup(word));
    return true;
}

static bool read_word(CommandLine *line, bool *only_arguments, Err *err)
{
    const char *word = line->words[line->at];
    size_t dash = typographic_dash(word);
    if (*only_arguments) return add_argument(line, word, err);
    if (dash)
        return err_set(err, ERR_USAGE,
                       "\"%s\" starts with a typographic dash, not with \"-\"; did you mean --%s?",
                       word, word + dash + strspn(word + dash, "-"));
    *only_arguments = str_equal(word, "--");
    if (*only_arguments) return true;
    if (str_starts_with(word, "--")) return read_long(line, word, err);
    if (word[0] == '-' && word[1]) return read_short(line, word, err);
    return add_argument(line, word, err);
}

static bool read_words(CommandLine *line, Err *err)
{
    bool only_arguments = false;
    for (; line->at < line->n_words; line->at++)
        if (!read_word(line, &only_arguments, err)) return false;
    return true;
}

static const char *config_path(const CommandLine *line)
{
    for (size_t i = 0; i < line->n; i++)
        if (option_names_file(line->items[i].row)) return line->items[i].text;
    return NULL;
}

static bool set_flags(const CommandLine *line, const SweepFile *file, Options *options, Err *err)
{
    for (const OptionRow *row = option_rows; row->name; row++)
        if (line->given[row - option_rows] && file->given[row - option_rows])
            option_clear(row, options);
    for (size_t i = 0; i < line->n; i++)
        if (!option_set(line->items[i].row, line->items[i].text, options, err))
            return err_prefix(err, "--%s", line->items[i].row->name);
    return true;
}

static bool set_defaults(const CommandLine *line, const SweepFile *file, Options *options, Err *err)
{
    for (const OptionRow *row = option_rows; row->name; row++) {
        size_t i = (size_t)(row - option_rows);
        if (!row->default_text || line->given[i] || file->given[i]) continue;
        if (!option_set(row, row->default_text, options, err))
            return err_prefix(err, "default of --%s", row->name);
    }
    return true;
}

static char *command_line(const Command *command, int argc, char **argv)
{
    char *words = cli_quote(argc, argv);
    char *line = str_format("ropewalk %s%s%s", command->name, argc ? " " : "", words);
    free(words);
    return line;
}

bool cli_parse(const Command *command, int argc, char **argv, Options *options, Err *err)
{
    *options = (Options){.command_line = command_line(command, argc, argv)};
    CommandLine line = {
        .command = command, .words = argv, .n_words = argc, .arguments = &options->arguments};
    SweepFile file = {.command = command->bit, .options = options};
    bool ok = read_words(&line, err);
    const char *path = config_path(&line);
    ok = ok && (!path || sweep_file_read(path, &file, err)) &&
         set_flags(&line, &file, options, err) && set_defaults(&line, &file, options, err);
    free(line.items);
    if (!ok) cli_free(options);
    return ok;
}

bool cli_read_spec(const Command *command, const char *spec, const char *origin, Options *options,
                   Err *err)
{
    *options = (Options){.command_line = str_dup("")};
    CommandLine line = {.command = command};
    SweepFile file = {.origin = origin, .command = command->bit, .options = options};
    bool ok = sweep_file_parse(spec, strlen(spec), &file, err) &&
              set_defaults(&line, &file, options, err);
    if (ok) return true;
    cli_free(options);
    *options = (Options){0};
    return false;
}

void cli_free(Options *options)
{
    for (const OptionRow *row = option_rows; row->name; row++)
        option_clear(row, options);
    string_list_free(&options->arguments);
    sources_free(options);
    free(options->command_line);
}

void cli_write_spec(const Command *command, const Options *options, Buf *out)
{
    Options pinned = sources_pin(options);
    for (const OptionRow *row = option_rows; row->name; row++) {
        Buf value = {0};
        if (takes(command, row) && option_is_key(row) && option_write(row, &pinned, &value))
            buf_printf(out, "%s: %s\n", row->name, buf_text(&value));
        buf_free(&value);
    }
    sources_unpin(&pinned);
}

int cli_exit_status(ErrCode code)
{
    static const int status[] = {
        [ERR_NONE] = EXIT_OK,
        [ERR_USAGE] = EXIT_USAGE,
        [ERR_INPUT] = EXIT_INPUT,
        [ERR_OUTPUT] = EXIT_STORE,
        [ERR_UNSUPPORTED] = EXIT_UNSUPPORTED,
        [ERR_NOMEM] = EXIT_INPUT,
        [ERR_NET] = EXIT_NET,
        [ERR_STORE] = EXIT_STORE,
        [ERR_CANCELLED] = EXIT_NOT_DONE,
        [ERR_NONFINITE] = EXIT_NOT_DONE,
        [ERR_TOO_LONG] = EXIT_NOT_DONE,
        [ERR_TRUNCATED] = EXIT_NOT_DONE,
    };
    return (size_t)code < COUNT_OF(status) ? status[code] : EXIT_BUG;
}

static void quote_word(const char *word, Buf *out)
{
    static const char safe[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%";
    if (*word && !word[strspn(word, safe)]) {
        buf_puts(out, word);
        return;
    }
    buf_putc(out, '\'');
    for (const char *c = word; *c; c++) {
        if (*c == '\'')
            buf_puts(out, "'\\''");
        else
            buf_putc(out, *c);
    }
    buf_putc(out, '\'');
}

char *cli_quote(int argc, char **argv)
{
    Buf out = {0};
    for (int i = 0; i < argc; i++) {
        if (i) buf_putc(&out, ' ');
        quote_word(argv[i], &out);
    }
    return buf_steal(&out);
}
