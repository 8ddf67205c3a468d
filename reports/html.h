/* Text into HTML and SVG: everything that comes from a database goes through html_text. */
#ifndef REPORTS_HTML_H
#define REPORTS_HTML_H

#include "base/buf.h"

/* Appends text so that it is inert in element content and in quoted attributes alike: < > & " ' as references, invalid UTF-8 as
 * U+FFFD; control and bidirectional control characters as [U+202E]. NULL appends nothing. */
void html_text(Buf *out, const char *text);

/* Appends printf output through html_text. */
void html_printf(Buf *out, const char *format, ...) PRINTF_LIKE(2, 3);

/* Appends the style sheet of pages and charts. */
void html_style(Buf *out);

#endif
