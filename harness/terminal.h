/* Standard output, safe where it is a terminal. */
#ifndef HARNESS_TERMINAL_H
#define HARNESS_TERMINAL_H

#include "base/base.h"

enum { BYTES_TEXT_SIZE = 32 };

/* "1.31 MB". */
void bytes_text(double bytes, char out[BYTES_TEXT_SIZE]);

/* Writes n bytes to standard output: as they are to a file or a pipe; to a terminal, which would obey what stands in a model's
 * name or its answer, with all control characters but line ends escaped. */
void terminal_print(const char *text, size_t n);

/* Says on standard error how many texts of a CSV a spreadsheet would run, where there are any. */
void terminal_warn_of_formulas(size_t n);

#endif
