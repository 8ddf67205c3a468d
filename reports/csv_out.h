/* Fields of CSV that is written: RFC 4180 with "\n". Text is always quoted, numbers never, an empty field is missing. */
#ifndef REPORTS_CSV_OUT_H
#define REPORTS_CSV_OUT_H

#include <stddef.h>

#include "base/buf.h"

/* Appends a text in quotes; bytes that are not UTF-8 become U+FFFD. A text that a spreadsheet would run as a formula is left as it is,
 * since a prefix would break joins on it, and counted in *n_formulas (NULL: not wanted), so that the caller can warn. */
void csv_out_text(const char *text, size_t *n_formulas, Buf *out);

/* Appends a column's name, quoted only where it holds what CSV reads as its own. */
void csv_out_name(const char *name, Buf *out);

#endif
