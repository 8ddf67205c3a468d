/* A chart as a file: the same <svg>, with a namespace, the style sheet, what charts share, and a ground. */
#include <string.h>

#include "reports/chart_internal.h"
#include "reports/html.h"

static const char start_tag[] = "<svg";
static const char end_tag[] = "</svg>";

void chart_defs(Buf *out)
{
    buf_puts(
        out,
        "<defs><pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" "
        "patternTransform=\"rotate(45)\"><rect class=\"hatch-ground\" width=\"6\" height=\"6\"/>"
        "<rect class=\"hatch-line\" width=\"2\" height=\"6\"/></pattern>");
    chart_heat_defs(out);
    buf_puts(out, "</defs>");
}

void chart_file(const char *text, Buf *out)
{
    const char *start = strstr(text, start_tag);
    const char *tag_end = start ? strchr(start, '>') : NULL;
    const char *end = tag_end ? strstr(tag_end, end_tag) : NULL;
    if (!end) return;
    buf_puts(out, "<svg xmlns=\"http://www.w3.org/2000/svg\"");
    start += strlen(start_tag);
    buf_append(out, start, (size_t)(tag_end + 1 - start));
    buf_puts(out, "\n<style>");
    html_style(out);
    buf_puts(out, "</style>");
    chart_defs(out);
    buf_puts(out, "<rect class=\"ground\" width=\"100%\" height=\"100%\"/>");
    buf_append(out, tag_end + 1, (size_t)(end + strlen(end_tag) - tag_end - 1));
    buf_putc(out, '\n');
}
