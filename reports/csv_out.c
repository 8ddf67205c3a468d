#include "reports/csv_out.h"

#include <string.h>

#include "base/str.h"

static bool is_formula(const char *text)
{
    return *text && strchr("=+-@\t\r", *text);
}

static void put_quoted(const char *text, Buf *out)
{
    size_t left = strlen(text);
    buf_putc(out, '"');
    while (left > 0) {
        int n = str_utf8_char(text, left, NULL);
        if (*text == '"') buf_putc(out, '"');
        if (n)
            buf_append(out, text, (size_t)n);
        else
            buf_puts(out, "\xef\xbf\xbd");
        text += n ? n : 1;
        left -= n ? (size_t)n : 1;
    }
    buf_putc(out, '"');
}

void csv_out_text(const char *text, size_t *n_formulas, Buf *out)
{
    if (n_formulas && is_formula(text)) ++*n_formulas;
    put_quoted(text, out);
}

void csv_out_name(const char *name, Buf *out)
{
    if (name[strcspn(name, "\",\r\n")])
        put_quoted(name, out);
    else
        buf_puts(out, name);
}
