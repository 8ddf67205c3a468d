#include "harness/terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

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
