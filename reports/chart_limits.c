/* Limits: a row a setting over a logarithmic axis of lengths. What was measured is filled, what was predicted is hollow. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "reports/chart_internal.h"
#include "reports/html.h"

enum {
    PLOT_WIDTH = 420,
    ROW_HEIGHT = 24,
    HEAD = 22,
    FOOT = 40,
    EDGE = 16, /* between the ends of the axis and those of the plot */
    MAX_TICKS = 9,
    ARROW = 26,
};

typedef struct {
    const LimitChart *chart;
    double left; /* of the plot, pixels */
    double bottom;
} Frame;

static Frame frame_of(const LimitChart *chart)
{
    size_t longest = 0;
    for (size_t i = 0; i < chart->n_rows; i++)
        longest = (size_t)max_i64((int64_t)longest, (int64_t)strlen(chart->rows[i].label));
    longest = (size_t)min_i64((int64_t)longest, CHART_LABEL_CHARS);
    return (Frame){chart, (double)longest * 7.0 + 12.0,
                   (double)HEAD + (double)chart->n_rows * ROW_HEIGHT};
}

/* Pixels of a length; beyond the ends of the axis, its ends. */
static double place(const Frame *frame, double x)
{
    double low = log2(frame->chart->x_low);
    double high = log2(frame->chart->x_high);
    double t = (log2(fmax(x, 1e-300)) - low) / (high - low);
    return frame->left + EDGE + fmin(fmax(t, 0.0), 1.0) * (PLOT_WIDTH - 2.0 * EDGE);
}

static void put_axis(const Frame *frame, Buf *out)
{
    const LimitChart *chart = frame->chart;
    int first = (int)ceil(log2(chart->x_low) - 1e-9);
    int last = (int)floor(log2(chart->x_high) + 1e-9);
    int every = 1 + (last - first) / MAX_TICKS;
    for (int power = first; power <= last; power += every) {
        double x = place(frame, exp2(power));
        buf_printf(out,
                   "<line class=\"rule\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%.1f\"/><text "
                   "class=\"x\" x=\"%.1f\" y=\"%.1f\">%.0f</text>\n",
                   x, x, HEAD, frame->bottom, x, frame->bottom + 12.0, exp2(power));
    }
    buf_printf(out, "<text class=\"axis\" x=\"%.1f\" y=\"%.1f\">", frame->left + PLOT_WIDTH / 2.0,
               frame->bottom + 30.0);
    html_text(out, chart->x_label);
    buf_puts(out, "</text>\n");
}

static void put_mark(const Frame *frame, Buf *out)
{
    const ChartMark *mark = &frame->chart->mark;
    if (!(mark->at >= frame->chart->x_low && mark->at <= frame->chart->x_high)) return;
    double x = place(frame, mark->at);
    /* The label stands where there is room for it. */
    bool is_left = x > frame->left + PLOT_WIDTH / 2.0;
    buf_printf(out,
               "<line class=\"trained\" x1=\"%.1f\" x2=\"%.1f\" y1=\"4\" y2=\"%.1f\"/><text "
               "class=\"mark %s\" x=\"%.1f\" y=\"10\">",
               x, x, frame->bottom, is_left ? "left" : "right", is_left ? x - 5.0 : x + 5.0);
    html_text(out, mark->label);
    buf_puts(out, "</text>\n");
}

/* Shapes of the predictions: a diamond, a triangle; an arrow where one lies beyond the axis. */
static void put_shape(int kind, bool beyond, double x, double y, Buf *out)
{
    if (beyond)
        buf_printf(out, "<path d=\"M%.1f %.1fh7v-3l6 5l-6 5v-3h-7z\"/>", x - 5.0, y - 2.0);
    else if (kind == 0)
        buf_printf(out, "<path d=\"M%.1f %.1fl5 5l-5 5l-5 -5z\"/>", x, y - 5.0);
    else
        buf_printf(out, "<path d=\"M%.1f %.1fl5 9h-10z\"/>", x, y - 5.0);
}

/* The stretch that the limit lies in with a dot at the limit, or an arrow where it lies beyond all that was measured. */
static void put_measured(const Frame *frame, const LimitRow *row, double y, Buf *out)
{
    if (isnan(row->low)) return;
    double from = place(frame, row->low);
    buf_puts(out, "<g class=\"measured\"><title>");
    html_text(out, row->note);
    if (isnan(row->limit))
        buf_printf(out, "</title><path class=\"span\" d=\"M%.1f %.1fh%dm-5 -4l5 4l-5 4\"/></g>\n",
                   from, y, ARROW);
    else
        buf_printf(out,
                   "</title><path class=\"span\" d=\"M%.1f %.1fH%.1fm0 -4v8M%.1f %.1fv8\"/><circle "
                   "cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/></g>\n",
                   from, y, place(frame, row->high), from, y - 4.0, place(frame, row->limit), y);
}

static void put_row(const Frame *frame, const LimitRow *row, double y, Buf *out)
{
    buf_printf(out, "<text class=\"row\" x=\"%.1f\" y=\"%.1f\">", frame->left - 8.0, y);
    chart_label(row->label, out);
    buf_puts(out, "</text>\n");
    put_measured(frame, row, y, out);
    for (int kind = 0; kind < CHART_PREDICTIONS; kind++) {
        double x = row->predicted[kind];
        if (isnan(x)) continue;
        bool beyond = x > frame->chart->x_high;
        /* Two arrows stand side by side. */
        double shift = beyond ? -14.0 * kind : 0.0;
        buf_printf(out, "<g class=\"predicted p%d\"><title>", kind);
        html_text(out, row->predicted_notes[kind]);
        buf_puts(out, "</title>");
        put_shape(kind, beyond, place(frame, x) + shift, y, out);
        buf_puts(out, "</g>\n");
    }
}

/* One sign and what it means, kept together where lines break. */
static void begin_key(int width, Buf *out)
{
    buf_printf(out,
               "<span class=\"item\"><svg class=\"limits\" width=\"%d\" height=\"12\" "
               "aria-hidden=\"true\">",
               width);
}

static void end_key(const char *name, Buf *out)
{
    buf_puts(out, "</g></svg>");
    html_text(out, name);
    buf_puts(out, "</span>");
}

static void put_key(const LimitChart *chart, Buf *out)
{
    buf_puts(out, "<p class=\"key\">");
    begin_key(24, out);
    buf_puts(out, "<g class=\"measured\"><path class=\"span\" d=\"M1 6H23M1 2v8M23 2v8\"/><circle "
                  "cx=\"12\" cy=\"6\" r=\"4\"/>");
    end_key(chart->measured_name, out);
    for (int kind = 0; kind < CHART_PREDICTIONS; kind++) {
        begin_key(14, out);
        buf_printf(out, "<g class=\"predicted p%d\">", kind);
        put_shape(kind, false, 7.0, 6.0, out);
        end_key(chart->predicted_names[kind], out);
    }
    buf_puts(out, "</p>\n");
}

void chart_limits(const LimitChart *chart, Buf *out)
{
    Frame frame = frame_of(chart);
    double width = frame.left + PLOT_WIDTH;
    double height = frame.bottom + FOOT;
    buf_printf(out,
               "<svg class=\"limits\" role=\"img\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
               "height=\"%.0f\" aria-label=\"",
               width, height, width, height);
    html_text(out, chart->sentence);
    buf_puts(out, "\">\n");
    put_axis(&frame, out);
    put_mark(&frame, out);
    for (size_t i = 0; i < chart->n_rows; i++)
        put_row(&frame, &chart->rows[i], HEAD + ((double)i + 0.5) * ROW_HEIGHT, out);
    buf_puts(out, "</svg>\n");
    put_key(chart, out);
}
