#include "reports/html.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static const char *reference_of(uint32_t codepoint)
{
    switch (codepoint) {
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '&': return "&amp;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return NULL;
    }
}

/* Characters that a reader cannot see but that change what is seen. Source: UAX #9 for the bidirectional ones. */
static bool is_invisible_control(uint32_t c)
{
    if (c == '\n' || c == '\t') return false;
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff ||
           (c & 0xfffe) == 0xfffe;
}

void html_text(Buf *out, const char *text)
{
    size_t left = text ? strlen(text) : 0;
    while (left > 0) {
        uint32_t codepoint;
        int n = str_utf8_char(text, left, &codepoint);
        const char *reference = n ? reference_of(codepoint) : "\xef\xbf\xbd";
        if (reference)
            buf_puts(out, reference);
        else if (is_invisible_control(codepoint))
            buf_printf(out, "[U+%04X]", (unsigned)codepoint);
        else
            buf_append(out, text, (size_t)n);
        text += n ? n : 1;
        left -= n ? (size_t)n : 1;
    }
}

void html_printf(Buf *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(n >= 0);
    char *text = mem_alloc((size_t)n + 1, 1);
    vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    html_text(out, text);
    free(text);
}

/* reports/page.css, put into the program by the linker. */
extern const char page_css_start[] __asm__("_binary_reports_page_css_start");
extern const char page_css_end[] __asm__("_binary_reports_page_css_end");

void html_style(Buf *out)
{
    buf_append(out, page_css_start, (size_t)(page_css_end - page_css_start));
}
