#include "reports/text_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

TextTable text_table_new(size_t n_rows, size_t n_cols)
{
    TextTable table = {.n_rows = n_rows, .n_cols = n_cols};
    table.texts = mem_zalloc(n_rows * n_cols, sizeof *table.texts);
    table.widths = mem_zalloc(n_cols, sizeof *table.widths);
    return table;
}

void text_table_free(TextTable *table)
{
    for (size_t i = 0; i < table->n_rows * table->n_cols; i++)
        free(table->texts[i]);
    free(table->texts);
    free(table->widths);
    *table = (TextTable){0};
}

static size_t width_of(const char *text)
{
    size_t width = 0;
    size_t left = strlen(text);
    while (left > 0) {
        int n = str_utf8_char(text, left, NULL);
        text += n ? n : 1;
        left -= n ? (size_t)n : 1;
        width++;
    }
    return width;
}

void text_table_set(TextTable *table, size_t row, size_t col, char *text)
{
    char **cell = &table->texts[row * table->n_cols + col];
    free(*cell);
    *cell = text;
    table->widths[col] = (size_t)max_i64((int64_t)table->widths[col], (int64_t)width_of(text));
}

static void pad(Buf *out, char with, size_t n)
{
    while (n-- > 0)
        buf_putc(out, with);
}

static void put_row(const TextTable *table, size_t row, bool is_markdown, Buf *out)
{
    if (is_markdown) buf_puts(out, "| ");
    for (size_t col = 0; col < table->n_cols; col++) {
        const char *text = table->texts[row * table->n_cols + col];
        if (!text) text = "";
        if (!is_markdown && table->widths[col] == 0) continue;
        size_t gap = table->widths[col] - width_of(text);
        if (col > 0) buf_puts(out, is_markdown ? " | " : "  ");
        if (col > 0) pad(out, ' ', gap);
        buf_puts(out, text);
        if (col == 0) pad(out, ' ', gap);
    }
    if (is_markdown) buf_puts(out, " |");
    while (!is_markdown && out->len > 0 && out->data[out->len - 1] == ' ')
        out->len--;
    buf_putc(out, '\n');
}

static void put_rule(const TextTable *table, Buf *out)
{
    for (size_t col = 0; col < table->n_cols; col++) {
        buf_puts(out, col == 0 ? "|:" : "|");
        pad(out, '-', table->widths[col] + 1);
        if (col > 0) buf_putc(out, ':');
    }
    buf_puts(out, "|\n");
}

void text_table_put(const TextTable *table, bool is_markdown, Buf *out)
{
    for (size_t row = 0; row < table->n_rows; row++) {
        put_row(table, row, is_markdown, out);
        if (row == 0 && is_markdown) put_rule(table, out);
    }
}
