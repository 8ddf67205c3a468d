/* Heat maps: viridis, which is even in lightness and safe for the colour-blind, with the value printed in every cell in black or
 * white, whichever stands out more (relative luminance of WCAG 2.1). The bright end is always the better one. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "reports/chart_internal.h"
#include "reports/html.h"

typedef struct {
    int red;
    int green;
    int blue;
} Colour;

/* Eleven steps of viridis. Source: matplotlib's _cm_listed.py, released into the public domain (CC0). */
static const Colour viridis[] = {
    {68,  1,   84 },
    {72,  36,  117},
    {65,  68,  135},
    {53,  95,  141},
    {42,  120, 142},
    {33,  145, 140},
    {34,  168, 132},
    {68,  191, 112},
    {122, 209, 81 },
    {189, 223, 38 },
    {253, 231, 37 }
};

enum { HEAD_HEIGHT = 38, GAP = 2 };

typedef struct {
    int label_width;
    int width;
    int height;
    int head;
} Layout;

/* Pixels of a column and of a row. */
static int column_width(bool compact)
{
    return compact ? 38 : 62;
}

static int row_height(bool compact)
{
    return compact ? 18 : 27;
}

static const char *ground_id(bool compact)
{
    return compact ? "small" : "large";
}

void chart_heat_defs(Buf *out)
{
    for (int compact = 0; compact <= 1; compact++) {
        int w = column_width(compact) - GAP;
        int h = row_height(compact) - GAP;
        buf_printf(out, "<rect id=\"%s\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"3\"/>",
                   ground_id(compact), -h / 2, w, h);
    }
}

static Layout layout_of(const HeatMap *map)
{
    size_t longest = map->sub_name ? strlen(map->sub_name) : 0;
    for (size_t i = 0; i < map->n_rows; i++)
        longest = (size_t)max_i64((int64_t)longest, (int64_t)strlen(map->rows[i].label));
    longest = (size_t)min_i64((int64_t)longest, CHART_LABEL_CHARS);
    return (Layout){.label_width = (int)longest * (map->compact ? 6 : 7) + 12,
                    .width = column_width(map->compact),
                    .height = row_height(map->compact),
                    .head = map->sub_name ? HEAD_HEIGHT : 20};
}

/* Place in the range, 0 (worst) to 1 (best). */
static double scaled(const HeatMap *map, double value)
{
    double low = map->low;
    double high = map->high;
    if (low > 0.0 && high / low > 10.0) {
        low = log(low);
        high = log(high);
        value = log(fmax(value, map->low));
    }
    double t = high > low ? (value - low) / (high - low) : 1.0;
    t = fmin(fmax(t, 0.0), 1.0);
    return map->direction < 0 && high > low ? 1.0 - t : t;
}

static Colour colour_at(double t)
{
    const size_t n_steps = COUNT_OF(viridis) - 1;
    double at = t * (double)n_steps;
    size_t i = (size_t)min_i64((int64_t)at, (int64_t)n_steps - 1);
    double part = at - (double)i;
    const Colour *a = &viridis[i];
    const Colour *b = &viridis[i + 1];
    return (Colour){.red = a->red + (int)lround(part * (b->red - a->red)),
                    .green = a->green + (int)lround(part * (b->green - a->green)),
                    .blue = a->blue + (int)lround(part * (b->blue - a->blue))};
}

static double linear(int channel)
{
    double c = channel / 255.0;
    return c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4);
}

/* Whether white has the higher contrast on this colour: 1.05 / (L + 0.05) > (L + 0.05) / 0.05. */
static bool wants_white(Colour colour)
{
    double luminance =
        0.2126 * linear(colour.red) + 0.7152 * linear(colour.green) + 0.0722 * linear(colour.blue);
    return 1.05 * 0.05 > (luminance + 0.05) * (luminance + 0.05);
}

void chart_label(const char *label, Buf *out)
{
    char cut[CHART_LABEL_CHARS * 4 + 8];
    size_t n = 0;
    size_t left = strlen(label);
    for (int i = 0; i < CHART_LABEL_CHARS && n < left; i++) {
        int bytes = str_utf8_char(label + n, left - n, NULL);
        n += bytes ? (size_t)bytes : 1;
    }
    snprintf(cut, sizeof cut, "%.*s%s", (int)n, label, n < left ? "\xe2\x80\xa6" : "");
    html_text(out, cut);
}

/* A cell at x of its row, whose middle is at y = 0. The ground is defined once a page: there are thousands of them. */
static void put_cell(const HeatMap *map, const HeatCell *cell, int x, const Layout *at, Buf *out)
{
    if (!cell->note) return;
    bool filled = !cell->hatched && !isnan(cell->value);
    Colour colour = filled ? colour_at(scaled(map, cell->value)) : (Colour){0};
    int w = at->width - GAP;
    int h = at->height - GAP;
    const char *ink = !filled ? " plain" : wants_white(colour) ? " white" : "";
    buf_printf(out, "<g class=\"cell%s%s\"><title>", ink, cell->ringed ? " best" : "");
    html_text(out, cell->note);
    buf_printf(out, "</title><use href=\"#%s\" x=\"%d\"", ground_id(map->compact), x);
    if (filled)
        buf_printf(out, " fill=\"#%02x%02x%02x\"/>", colour.red, colour.green, colour.blue);
    else
        buf_puts(out, " class=\"hatched\"/>");
    if (cell->ringed)
        buf_printf(out,
                   "<rect class=\"ring\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"4\"/>",
                   x - 1, -h / 2 - 1, w + 2, h + 2);
    buf_printf(out, "<text x=\"%d\">", x + w / 2);
    html_text(out, cell->text);
    buf_puts(out, "</text></g>\n");
}

/* A triangle at the left edge, so that no value is covered. */
static void put_mark(const HeatMark *mark, const Layout *at, Buf *out)
{
    double x = at->label_width + (double)mark->col * at->width - 1.0;
    double y = at->head + (mark->row + 0.5) * at->height - 0.5 * GAP;
    buf_puts(out, "<g class=\"formula\"><title>");
    html_text(out, mark->note);
    buf_printf(out, "</title><path d=\"M%.1f %.1fl8 5l-8 5z\"/></g>\n", x, y - 5.0);
}

static void put_head(const HeatMap *map, const Layout *at, Buf *out)
{
    for (size_t col = 0; col < map->n_cols; col++) {
        int x = at->label_width + (int)col * at->width + at->width / 2 - GAP / 2;
        buf_printf(out, "<text class=\"col\" x=\"%d\" y=\"12\">", x);
        html_text(out, map->cols[col].label);
        buf_puts(out, "</text>");
        if (!map->sub_name || !map->cols[col].sub) continue;
        buf_printf(out, "<text class=\"sub\" x=\"%d\" y=\"28\">", x);
        html_text(out, map->cols[col].sub);
        buf_puts(out, "</text>");
    }
    if (!map->sub_name) return;
    buf_printf(out, "<text class=\"sub row\" x=\"%d\" y=\"28\">", at->label_width - 8);
    html_text(out, map->sub_name);
    buf_puts(out, "</text>\n");
}

static void put_trained_line(const HeatMap *map, const Layout *at, int height, Buf *out)
{
    if (map->n_inside == 0 || map->n_inside >= map->n_cols) return;
    int x = at->label_width + (int)map->n_inside * at->width - GAP / 2;
    buf_printf(out,
               "<line class=\"trained\" x1=\"%d\" x2=\"%d\" y1=\"0\" y2=\"%d\"><title>left of it: "
               "within the trained length</title></line>\n",
               x, x, height);
}

void chart_heat(const HeatMap *map, Buf *out)
{
    Layout at = layout_of(map);
    int width = at.label_width + (int)map->n_cols * at.width + 2;
    int height = at.head + (int)map->n_rows * at.height + 2;
    buf_printf(
        out,
        "<svg class=\"heat%s\" role=\"img\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" aria-label=\"",
        map->compact ? " compact" : "", width, height, width, height);
    html_text(out, map->sentence);
    buf_puts(out, "\">\n");
    put_head(map, &at, out);
    for (size_t row = 0; row < map->n_rows; row++) {
        int y = at.head + (int)row * at.height + (at.height - GAP) / 2;
        buf_printf(out, "<g transform=\"translate(0 %d)\"><text class=\"row\" x=\"%d\">", y,
                   at.label_width - 8);
        chart_label(map->rows[row].label, out);
        buf_puts(out, "</text>\n");
        for (size_t col = 0; col < map->n_cols; col++)
            put_cell(map, &map->cells[row * map->n_cols + col],
                     at.label_width + (int)col * at.width, &at, out);
        buf_puts(out, "</g>\n");
    }
    put_trained_line(map, &at, height, out);
    for (size_t i = 0; i < map->n_marks; i++)
        put_mark(&map->marks[i], &at, out);
    buf_puts(out, "</svg>\n");
}

void chart_heat_key(const HeatMap *map, const char *low_text, const char *high_text, Buf *out)
{
    enum { STEPS = 40, STEP_WIDTH = 4 };
    bool reversed = map->direction < 0;
    buf_puts(out, "<p class=\"key\"><span>");
    html_text(out, reversed ? high_text : low_text);
    buf_printf(out, "</span><svg width=\"%d\" height=\"12\" aria-hidden=\"true\">",
               STEPS * STEP_WIDTH);
    for (int i = 0; i < STEPS; i++) {
        Colour colour = colour_at((double)i / (STEPS - 1));
        buf_printf(out, "<rect x=\"%d\" width=\"%d\" height=\"12\" fill=\"#%02x%02x%02x\"/>",
                   i * STEP_WIDTH, STEP_WIDTH + 1, colour.red, colour.green, colour.blue);
    }
    buf_puts(out, "</svg><span>");
    html_text(out, reversed ? low_text : high_text);
    buf_puts(out, "</span>");
    if (map->direction) buf_puts(out, "<span class=\"dim\">brighter is better</span>");
    if (map->n_marks) {
        buf_puts(out,
                 "<svg class=\"heat\" width=\"10\" height=\"12\" aria-hidden=\"true\"><g "
                 "class=\"formula\"><path d=\"M1 1l8 5l-8 5z\"/></g></svg><span class=\"dim\">");
        html_text(out, map->mark_name);
        buf_puts(out, "</span>");
    }
    buf_puts(out, "</p>\n");
}
