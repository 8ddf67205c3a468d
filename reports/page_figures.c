/* Charts of the page, and the same charts as files of their own. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "reports/page.h"

enum { MAX_NAME = 60 };

static bool has_file(const ReportFiles *files, const char *name)
{
    for (size_t i = 0; i < files->n; i++)
        if (str_equal(files->items[i].name, name)) return true;
    return false;
}

/* "measurements-nll.svg", "measurements-nll-2.svg": what comes from a database is cut to what any file system takes. */
static char *file_name(const ReportFiles *files, const char *section, const char *what)
{
    char safe[MAX_NAME + 1];
    size_t n = 0;
    for (; *what && n < MAX_NAME; what++)
        if (isascii((unsigned char)*what) && (isalnum((unsigned char)*what) || *what == '_'))
            safe[n++] = *what;
    safe[n] = '\0';
    char *name = str_format("%s-%s.svg", section, safe);
    for (int i = 2; has_file(files, name); i++) {
        free(name);
        name = str_format("%s-%s-%d.svg", section, safe, i);
    }
    return name;
}

/* The file of a new figure; lent until the next one. */
static Buf *add_figure(Page *page, const char *what)
{
    ReportFiles *files = page->figures;
    char *name = file_name(files, page->section, what);
    files->items = mem_realloc(files->items, files->n + 1, sizeof *files->items);
    files->items[files->n] = (ReportFile){.name = name};
    return &files->items[files->n++].content;
}

/* Adds the chart that was appended to the page last, from `start` on. */
static void keep_figure(Page *page, const char *what, size_t start)
{
    if (page->figures) chart_file(buf_text(page->out) + start, add_figure(page, what));
}

void page_lines(Page *page, const char *what, const LineChart *chart)
{
    chart_lines(chart, page->out);
    /* The page's legend is made of boxes to tick, which a picture cannot have. */
    if (page->figures) chart_lines_file(chart, add_figure(page, what));
}

void page_heat_map(Page *page, const char *what, const HeatMap *map)
{
    size_t start = page->out->len;
    chart_heat(map, page->out);
    keep_figure(page, what, start);
}

void page_limits(Page *page, const char *what, const LimitChart *chart)
{
    size_t start = page->out->len;
    chart_limits(chart, page->out);
    keep_figure(page, what, start);
}

void page_forest(Page *page, const char *what, const ForestChart *chart)
{
    size_t start = page->out->len;
    chart_forest(chart, page->out);
    keep_figure(page, what, start);
}
