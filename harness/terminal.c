#include "harness/terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

void bytes_text(double bytes, char out[BYTES_TEXT_SIZE])
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    size_t unit = 0;
    while (bytes >= 1000 && unit + 1 < COUNT_OF(units)) {
        bytes /= 1000;
        unit++;
    }
    snprintf(out, BYTES_TEXT_SIZE, unit ? "%.2f %s" : "%.0f %s", bytes, units[unit]);
}

static void print_escaped(const char *line, size_t n)
{
    size_t cap = 4 * n + 1;
    char *shown = mem_alloc(cap, 1);
    str_escape(line, n, shown, cap);
    fputs(shown, stdout);
    free(shown);
}

void terminal_print(const char *text, size_t n)
{
    if (!isatty(STDOUT_FILENO)) {
        fwrite(text, 1, n, stdout);
        return;
    }
    for (const char *line = text, *end = text + n; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((stop ? stop : end) - line);
        print_escaped(line, length);
        if (stop) putchar('\n');
        line += length + 1;
    }
}

void terminal_warn_of_formulas(size_t n)
{
    if (n > 0)
        fprintf(stderr,
                "ropewalk: %zu texts start with = + - or @, which a spreadsheet runs as a formula; "
                "import the CSV as text\n",
                n);
}
