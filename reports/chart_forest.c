/* Forest plots. The axis holds 0 and most of the rows: one that lies many times farther than the rest would press all others to a
 * point, so it becomes an arrow and its text says the number. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "reports/chart_internal.h"
#include "reports/html.h"

enum {
    PLOT_WIDTH = 230,
    ROW_HEIGHT = 22,
    HEAD = 8,
    FOOT = 40,
    EDGE = 12, /* between the ends of the axis and those of the plot */
    TICKS = 3,
    CHAR_WIDTH = 7,
    TEXT_CHARS = 16,
};

/* The axis shows at most so many times the median reach of its rows. */
static const double most_reach = 4.0;

typedef struct {
    double low; /* of the axis */
    double high;
    double left; /* of the plot, pixels */
    double bottom;
} Frame;

static int compare_numbers(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* How far from 0 a row reaches; NaN where it has no value. */
static double reach_of(const ForestRow *row)
{
    if (!chart_drawable(row->value)) return (double)NAN;
    double ends = fmax(fabs(row->low), fabs(row->high));
    return chart_drawable(ends) ? fmax(ends, fabs(row->value)) : fabs(row->value);
}

/* The farthest that the axis shows. */
static double cap_of(const ForestChart *chart)
{
    double *reaches = mem_alloc(chart->n_rows + 1, sizeof *reaches);
    size_t n = 0;
    for (size_t i = 0; i < chart->n_rows; i++) {
        double reach = reach_of(&chart->rows[i]);
        if (reach > 0.0) reaches[n++] = reach;
    }
    if (n > 0) qsort(reaches, n, sizeof *reaches, compare_numbers);
    double cap = n > 0 ? most_reach * reaches[n / 2] : 1.0;
    free(reaches);
    return cap;
}

static Frame frame_of(const ForestChart *chart)
{
    double cap = cap_of(chart);
    size_t longest = 0;
    Frame frame = {.bottom = HEAD + (double)chart->n_rows * ROW_HEIGHT};
    for (size_t i = 0; i < chart->n_rows; i++) {
        const ForestRow *row = &chart->rows[i];
        longest = (size_t)max_i64((int64_t)longest, (int64_t)strlen(row->label));
        if (!chart_drawable(row->value)) continue;
        /* fmin and fmax pass a NaN over. */
        frame.low = fmax(-cap, fmin(frame.low, fmin(row->low, row->value)));
        frame.high = fmin(cap, fmax(frame.high, fmax(row->high, row->value)));
    }
    if (!(frame.high > frame.low)) frame.high = frame.low + 1.0;
    longest = (size_t)min_i64((int64_t)longest, CHART_LABEL_CHARS);
    frame.left = (double)longest * CHAR_WIDTH + 12.0;
    return frame;
}

/* Pixels of a difference; beyond the ends of the axis, its ends. */
static double place(const Frame *frame, double x)
{
    double t = (x - frame->low) / (frame->high - frame->low);
    return frame->left + EDGE + fmin(fmax(t, 0.0), 1.0) * (PLOT_WIDTH - 2.0 * EDGE);
}

static void put_axis(const Frame *frame, const ForestChart *chart, Buf *out)
{
    double step = chart_nice_step(frame->high - frame->low, TICKS);
    int first = (int)ceil(frame->low / step - 1e-9);
    int last = (int)floor(frame->high / step + 1e-9);
    for (int i = first; i <= last; i++) {
        double tick = i * step;
        double x = place(frame, tick);
        buf_printf(out,
                   "<line class=\"%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%.1f\"/><text "
                   "class=\"x\" x=\"%.1f\" y=\"%.1f\">%.4g</text>\n",
                   i == 0 ? "zero" : "rule", x, x, HEAD, frame->bottom, x, frame->bottom + 12.0,
                   tick);
    }
    buf_printf(out, "<text class=\"axis\" x=\"%.1f\" y=\"%.1f\">", frame->left + PLOT_WIDTH / 2.0,
               frame->bottom + 30.0);
    html_text(out, chart->x_label);
    buf_puts(out, "</text>\n");
}

/* The mark of a row: a square with whiskers, or an arrow to what lies beyond the axis. */
static void put_mark(const Frame *frame, const ForestRow *row, double y, Buf *out)
{
    double x = place(frame, row->value);
    double side = row->value > frame->high ? 1.0 : row->value < frame->low ? -1.0 : 0.0;
    buf_printf(out, "<g class=\"difference%s\"><title>", row->is_told ? "" : " open");
    html_text(out, row->note);
    buf_puts(out, "</title>");
    if (chart_drawable(row->low) && chart_drawable(row->high) && side == 0.0)
        buf_printf(out, "<path class=\"span\" d=\"M%.1f %.1fH%.1f\"/>", place(frame, row->low), y,
                   place(frame, row->high));
    if (side != 0.0)
        buf_printf(out, "<path d=\"M%.1f %.1fl%.0f 5l%.0f 5z\"/>", x, y - 5.0, 8.0 * side,
                   -8.0 * side);
    else
        buf_printf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"7\" height=\"7\"/>", x - 3.5, y - 3.5);
    buf_puts(out, "</g>\n");
}

static void put_row(const Frame *frame, const ForestRow *row, double y, Buf *out)
{
    buf_printf(out, "<text class=\"row\" x=\"%.1f\" y=\"%.1f\">", frame->left - 8.0, y);
    chart_label(row->label, out);
    buf_printf(out, "</text><text class=\"end\" x=\"%.1f\" y=\"%.1f\">",
               frame->left + PLOT_WIDTH + 6.0, y);
    html_text(out, row->text);
    buf_puts(out, "</text>\n");
    if (chart_drawable(row->value)) put_mark(frame, row, y, out);
}

void chart_forest(const ForestChart *chart, Buf *out)
{
    Frame frame = frame_of(chart);
    double width = frame.left + PLOT_WIDTH + 6.0 + TEXT_CHARS * CHAR_WIDTH;
    double height = frame.bottom + FOOT;
    buf_printf(out,
               "<div class=\"scroll\"><svg class=\"forest\" role=\"img\" viewBox=\"0 0 %.0f %.0f\" "
               "width=\"%.0f\" height=\"%.0f\" aria-label=\"",
               width, height, width, height);
    html_text(out, chart->sentence);
    buf_puts(out, "\">\n");
    put_axis(&frame, chart, out);
    for (size_t i = 0; i < chart->n_rows; i++)
        put_row(&frame, &chart->rows[i], HEAD + ((double)i + 0.5) * ROW_HEIGHT, out);
    buf_puts(out, "</svg></div>\n");
}
