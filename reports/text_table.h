/* Tables of finished strings in columns as wide as they need, for terminals and for Markdown. */
#ifndef REPORTS_TEXT_TABLE_H
#define REPORTS_TEXT_TABLE_H

#include "base/buf.h"

typedef struct {
    char **texts; /* [n_rows][n_cols]; NULL: empty */
    size_t n_rows;
    size_t n_cols;
    size_t *widths; /* in characters */
} TextTable;

/* An empty table; free with text_table_free. */
TextTable text_table_new(size_t n_rows, size_t n_cols);
void text_table_free(TextTable *table);

/* Fills a cell and takes the text, which is shown as it is: escape what may be hostile first. */
void text_table_set(TextTable *table, size_t row, size_t col, char *text);

/* Appends the table, the first column left-aligned and the others right; the first row is the head of a Markdown table. A column without
 * a text is left out, in Markdown it stays. */
void text_table_put(const TextTable *table, bool is_markdown, Buf *out);

#endif
