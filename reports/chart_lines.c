/* Line charts. A frame maps data to pixels: x is log2 (lengths double) unless the chart says linear, y is linear, or log10 where the values span more than a
 * decade. Series are shifted by a pixel or two against each other, so that intervals at one length stand side by side. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "reports/chart_internal.h"
#include "reports/html.h"

enum {
    WIDTH = 640,
    HEIGHT = 360,
    LEFT = 62,
    RIGHT = 14,
    TOP = 28,
    BOTTOM = 46,
    MARK_LINE = 14,
    LEGEND_LINE = 18,
    LETTER_WIDTH = 7, /* of a name, at most on average */
    LETTER_HEIGHT = 13,
    MAX_X_TICKS = 10,
    MAX_Y_TICKS = 20,
};

/* An axis: data from low to high over pixels from start to end. */
typedef struct {
    double low;
    double high;
    double start;
    double end;
    bool logarithmic;
} Axis;

typedef struct {
    Axis x;
    Axis y;
    double dodge; /* pixels between the series at one x */
} Frame;

bool chart_drawable(double value)
{
    return fabs(value) < 1e100;
}

static double place(const Axis *axis, double value)
{
    double low = axis->low;
    double high = axis->high;
    if (axis->logarithmic) {
        low = log2(low);
        high = log2(high);
        value = log2(fmax(value, 1e-300));
    }
    double t = (value - low) / (high - low);
    return axis->start + fmin(fmax(t, -0.02), 1.02) * (axis->end - axis->start);
}

double chart_nice_step(double span, int n)
{
    double raw = span / n;
    double base = pow(10.0, floor(log10(raw)));
    double part = raw / base;
    return base * (part < 1.5 ? 1.0 : part < 3.5 ? 2.0 : part < 7.5 ? 5.0 : 10.0);
}

/* Whether a point has a place on both axes. */
static bool has_place(const LineChart *chart, const ChartPoint *point)
{
    return chart_drawable(point->y) &&
           (chart->x_linear ? chart_drawable(point->x) : point->x > 0.0);
}

static void grow(double value, double *low, double *high)
{
    if (!chart_drawable(value)) return;
    *low = fmin(*low, value);
    *high = fmax(*high, value);
}

/* False when there is nothing to draw. */
static bool data_range(const LineChart *chart, Frame *frame)
{
    frame->x.low = frame->y.low = (double)INFINITY;
    frame->x.high = frame->y.high = -(double)INFINITY;
    for (size_t i = 0; i < chart->n_series; i++) {
        const ChartSeries *series = &chart->series[i];
        for (size_t j = 0; j < series->n_points; j++) {
            const ChartPoint *point = &series->points[j];
            if (!has_place(chart, point)) continue;
            grow(point->x, &frame->x.low, &frame->x.high);
            grow(point->y, &frame->y.low, &frame->y.high);
            grow(point->low, &frame->y.low, &frame->y.high);
            grow(point->high, &frame->y.low, &frame->y.high);
        }
    }
    return frame->y.low <= frame->y.high;
}

static void set_y_range(const LineChart *chart, Axis *y)
{
    if (strcmp(chart->unit, "fraction") == 0) {
        y->low = 0.0;
        y->high = 1.0;
        return;
    }
    y->logarithmic = y->low > 1e-100 && y->high / y->low > 10.0;
    if (y->logarithmic) {
        y->low /= 1.1;
        y->high *= 1.1;
        return;
    }
    double span = y->high > y->low ? y->high - y->low : fmax(fabs(y->high), 1.0) * 0.1;
    double step = chart_nice_step(span, 5);
    y->low = step * floor((y->low - 0.02 * span) / step);
    y->high = step * ceil((y->high + 0.02 * span) / step);
}

static bool make_frame(const LineChart *chart, Frame *frame)
{
    *frame = (Frame){
        .x = {.start = LEFT + 16, .end = WIDTH - RIGHT - 16, .logarithmic = !chart->x_linear},
        .y = {.start = HEIGHT - BOTTOM,                  .end = TOP                   }
    };
    if (!data_range(chart, frame)) return false;
    if (frame->x.low == frame->x.high) {
        frame->x.low = chart->x_linear ? frame->x.low - 1.0 : frame->x.low / 2.0;
        frame->x.high = chart->x_linear ? frame->x.high + 1.0 : frame->x.high * 2.0;
    }
    set_y_range(chart, &frame->y);
    /* On a linear axis series are curves without intervals; a shift would only move them. */
    frame->dodge = chart->x_linear ? 0.0 : fmin(2.0, 14.0 / (double)chart->n_series);
    return true;
}

static void put_tick_y(const LineChart *chart, const Frame *frame, double value, Buf *out)
{
    double y = place(&frame->y, value);
    buf_printf(out, "<line class=\"rule\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT,
               WIDTH - RIGHT, y, y);
    buf_printf(out, "<text class=\"y\" x=\"%d\" y=\"%.1f\">", LEFT - 8, y);
    if (strcmp(chart->unit, "fraction") == 0)
        buf_printf(out, "%.0f%%</text>\n", 100.0 * value);
    else if (fabs(value) >= 1e4 && fabs(value) < 1e7)
        buf_printf(out, "%.6gk</text>\n", value / 1000.0);
    else
        buf_printf(out, "%.6g</text>\n", fabs(value) < 1e-12 ? 0.0 : value);
}

/* Ticks of a logarithmic axis: the more decades, the fewer in each. */
static void put_log_ticks(const LineChart *chart, const Frame *frame, Buf *out)
{
    static const double digits[] = {1.0, 2.0, 5.0, 3.0, 7.0, 1.5};
    const Axis *y = &frame->y;
    size_t n_digits = y->high / y->low < 40.0 ? 6 : y->high / y->low < 1e4 ? 3 : 1;
    int last = (int)floor(log10(y->high));
    for (int power = (int)floor(log10(y->low)); power <= last; power++)
        for (size_t i = 0; i < n_digits; i++) {
            double value = digits[i] * pow(10.0, power);
            if (value >= y->low && value <= y->high) put_tick_y(chart, frame, value, out);
        }
}

static void put_y_axis(const LineChart *chart, const Frame *frame, Buf *out)
{
    const Axis *y = &frame->y;
    if (y->logarithmic) {
        put_log_ticks(chart, frame, out);
        return;
    }
    double step = chart_nice_step(y->high - y->low, 5);
    double first = ceil(y->low / step - 1e-9);
    for (int i = 0; i <= MAX_Y_TICKS && (first + i) * step <= y->high + 1e-9 * step; i++)
        put_tick_y(chart, frame, (first + i) * step, out);
}

static void put_tick_x(const Frame *frame, double value, int digits, Buf *out)
{
    double x = place(&frame->x, value);
    buf_printf(out, "<line class=\"tick\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", x, x,
               HEIGHT - BOTTOM, HEIGHT - BOTTOM + 5);
    buf_printf(out, "<text class=\"x\" x=\"%.1f\" y=\"%d\">%.*f</text>\n", x, HEIGHT - BOTTOM + 18,
               digits, value);
}

static void put_linear_ticks(const LineChart *chart, const Frame *frame, Buf *out)
{
    double step = chart_nice_step(frame->x.high - frame->x.low, MAX_X_TICKS);
    if (chart->x_whole) step = fmax(1.0, step);
    int digits = (int)fmin(9.0, fmax(0.0, -floor(log10(step) + 1e-9)));
    double first = ceil(frame->x.low / step - 1e-9);
    for (int i = 0; i <= 2 * MAX_X_TICKS && (first + i) * step <= frame->x.high + 1e-9 * step; i++)
        put_tick_x(frame, (first + i) * step + 0.0, digits, out);
}

/* Ticks at powers of two, thinned until they fit; x values of sweeps are lengths. */
static void put_x_axis(const LineChart *chart, const Frame *frame, Buf *out)
{
    if (!frame->x.logarithmic) {
        put_linear_ticks(chart, frame, out);
        return;
    }
    int first = (int)ceil(log2(frame->x.low) - 1e-9);
    int last = (int)floor(log2(frame->x.high) + 1e-9);
    int every = 1 + (last - first) / MAX_X_TICKS;
    for (int power = first; power <= last; power += every)
        put_tick_x(frame, exp2(power), 0, out);
    if (first > last) {
        put_tick_x(frame, frame->x.low, 0, out);
        put_tick_x(frame, frame->x.high, 0, out);
    }
}

static bool is_within(const ChartMark *mark, const Frame *frame)
{
    return mark->at >= frame->x.low && mark->at <= frame->x.high;
}

/* Lines first: a label stands on a ground of its own, so that no line crosses it. */
static void put_marks(const LineChart *chart, const Frame *frame, Buf *out)
{
    for (size_t i = 0; i < chart->n_marks; i++) {
        double x = place(&frame->x, chart->marks[i].at);
        if (is_within(&chart->marks[i], frame))
            buf_printf(out,
                       "<line class=\"trained\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n", x,
                       x, TOP - 18, HEIGHT - BOTTOM);
    }
    for (size_t i = 0; i < chart->n_marks; i++) {
        double x = place(&frame->x, chart->marks[i].at);
        bool left = x > WIDTH * 0.7;
        if (!is_within(&chart->marks[i], frame)) continue;
        buf_printf(out, "<text class=\"mark %s\" x=\"%.1f\" y=\"%d\">", left ? "left" : "right",
                   left ? x - 6 : x + 6, TOP - 14 + (int)i * MARK_LINE);
        html_text(out, chart->marks[i].label);
        buf_puts(out, "</text>\n");
    }
}

/* Horizontal lines with their labels above them, at the right end. */
static void put_y_marks(const LineChart *chart, const Frame *frame, Buf *out)
{
    for (size_t i = 0; i < chart->n_y_marks; i++) {
        const ChartMark *mark = &chart->y_marks[i];
        if (!(mark->at >= frame->y.low && mark->at <= frame->y.high)) continue;
        double y = place(&frame->y, mark->at);
        buf_printf(out,
                   "<line class=\"trained\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/><text "
                   "class=\"mark left\" x=\"%d\" y=\"%.1f\">",
                   LEFT, WIDTH - RIGHT, y, y, WIDTH - RIGHT - 4, y - 7.0);
        html_text(out, mark->label);
        buf_puts(out, "</text>\n");
    }
}

/* The mark of a hue: its shape is a second code beside the colour. */
static void put_shape(int hue, double x, double y, Buf *out)
{
    switch (hue < 0 ? 0 : hue % 4) {
    case 0: buf_printf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.6\"/>", x, y); break;
    case 1:
        buf_printf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"6.6\" height=\"6.6\"/>", x - 3.3,
                   y - 3.3);
        break;
    case 2:
        buf_printf(out, "<path d=\"M%.1f %.1fl4.4 4.4l-4.4 4.4l-4.4 -4.4z\"/>", x, y - 4.4);
        break;
    default: buf_printf(out, "<path d=\"M%.1f %.1fl4.2 7.4h-8.4z\"/>", x, y - 4.6); break;
    }
}

void chart_look(const ChartLook *look, const char *class_name, Buf *out)
{
    buf_printf(out, " class=\"%s h%d\" style=\"--t:%.3f\"", class_name,
               look->hue < 0 ? CHART_MAX_HUES : look->hue % CHART_MAX_HUES, look->tone);
}

static void put_whisker(const Frame *frame, const ChartPoint *point, double x, Buf *out)
{
    if (!chart_drawable(point->low) || !chart_drawable(point->high)) return;
    buf_printf(out, "<path class=\"whisker\" d=\"M%.1f %.1fV%.1fm-2.5 0h5M%.1f %.1fh5\"/>", x,
               place(&frame->y, point->low), place(&frame->y, point->high), x - 2.5,
               place(&frame->y, point->low));
}

static void put_line(const Frame *frame, const ChartSeries *series, double shift, Buf *out)
{
    bool pen_down = false;
    buf_puts(out, "<path class=\"line\" d=\"");
    for (size_t i = 0; i < series->n_points; i++) {
        const ChartPoint *point = &series->points[i];
        if (chart_drawable(point->y))
            buf_printf(out, "%s%.1f %.1f", pen_down ? "L" : "M", place(&frame->x, point->x) + shift,
                       place(&frame->y, point->y));
        pen_down = chart_drawable(point->y);
    }
    buf_puts(out, "\"/>\n");
}

static void put_series(const LineChart *chart, const Frame *frame, size_t index, Buf *out)
{
    const ChartSeries *series = &chart->series[index];
    double shift = ((double)index - 0.5 * (double)(chart->n_series - 1)) * frame->dodge;
    char class_name[32];
    snprintf(class_name, sizeof class_name, "series s%zu", index);
    buf_puts(out, "<g");
    chart_look(&series->look, class_name, out);
    buf_puts(out, "><title>");
    html_text(out, series->name);
    buf_puts(out, "</title>");
    put_line(frame, series, shift, out);
    for (size_t i = 0; i < series->n_points; i++) {
        const ChartPoint *point = &series->points[i];
        if (!has_place(chart, point) || !point->note) continue;
        double x = place(&frame->x, point->x) + shift;
        put_whisker(frame, point, x, out);
        buf_puts(out, "<g><title>");
        html_text(out, point->note);
        buf_puts(out, "</title>");
        put_shape(series->look.hue, x, place(&frame->y, point->y), out);
        buf_puts(out, "</g>\n");
    }
    buf_puts(out, "</g>\n");
}

/* A rectangle that something stands in, pixels. */
typedef struct {
    double left;
    double right;
    double top;
    double bottom;
} Box;

static bool is_free(const Box *box, const Box *taken, size_t n_taken)
{
    if (box->left < LEFT || box->right > WIDTH || box->top < 0.0 || box->bottom > HEIGHT - BOTTOM)
        return false;
    for (size_t i = 0; i < n_taken; i++)
        if (box->left < taken[i].right && taken[i].left < box->right &&
            box->top < taken[i].bottom && taken[i].top < box->bottom)
            return false;
    return true;
}

/* Writes the name of a series beside its point, where it meets nothing that stands there already; *taken then counts it in. */
static void put_name(const ChartSeries *series, size_t index, const Frame *frame, Box *taken,
                     size_t *n_taken, Buf *out)
{
    static const double rises[] = {0.0, -14.0, 14.0};
    const double gap = 7.0;
    double x = place(&frame->x, series->points[0].x);
    double y = place(&frame->y, series->points[0].y);
    double width = LETTER_WIDTH * (double)min_i64((int64_t)strlen(series->name), CHART_LABEL_CHARS);
    for (size_t i = 0; i < 2 * COUNT_OF(rises); i++) {
        bool left = i % 2 == 1;
        double at = y + rises[i / 2];
        double start = left ? x - gap - width : x + gap;
        Box box = {start, start + width, at - LETTER_HEIGHT / 2.0, at + LETTER_HEIGHT / 2.0};
        if (!is_free(&box, taken, *n_taken)) continue;
        taken[(*n_taken)++] = box;
        buf_printf(out, "<text class=\"mark %s s%zu\" x=\"%.1f\" y=\"%.1f\">",
                   left ? "left" : "right", index, left ? x - gap : x + gap, at);
        chart_label(series->name, out);
        buf_puts(out, "</text>\n");
        return;
    }
}

/* Names beside the points of a scatter; one without room stands in the legend alone. */
static void put_names(const LineChart *chart, const Frame *frame, Buf *out)
{
    const double radius = 5.0;
    Box *taken = mem_alloc(2 * chart->n_series + 1, sizeof *taken);
    size_t n_taken = 0;
    for (size_t i = 0; i < chart->n_series; i++) {
        double x = place(&frame->x, chart->series[i].points[0].x);
        double y = place(&frame->y, chart->series[i].points[0].y);
        taken[n_taken++] = (Box){x - radius, x + radius, y - radius, y + radius};
    }
    for (size_t i = 0; i < chart->n_series; i++)
        if (has_place(chart, &chart->series[i].points[0]))
            put_name(&chart->series[i], i, frame, taken, &n_taken, out);
    free(taken);
}

/* The style sheet hides series N while the checkbox of class tN is off; beyond its rules there are no checkboxes. */
static void put_legend(const LineChart *chart, Buf *out)
{
    buf_puts(out, "<div class=\"legend\">\n");
    for (size_t i = 0; i < chart->n_series; i++) {
        const ChartSeries *series = &chart->series[i];
        buf_puts(out, "<label>");
        if (i < CHART_MAX_SWITCHES)
            buf_printf(out, "<input type=\"checkbox\" class=\"t%zu\" checked=\"checked\"/>", i);
        buf_puts(out, "<svg width=\"26\" height=\"12\" aria-hidden=\"true\"><g");
        chart_look(&series->look, "series", out);
        buf_puts(out, "><path class=\"line\" d=\"M1 6H25\"/>");
        put_shape(series->look.hue, 13, 6, out);
        buf_puts(out, "</g></svg>");
        html_text(out, series->name);
        buf_puts(out, "</label>\n");
    }
    buf_puts(out, "</div>\n");
}

/* The chart without its frame's element. */
static void put_body(const LineChart *chart, const Frame *frame, Buf *out)
{
    put_y_axis(chart, frame, out);
    put_x_axis(chart, frame, out);
    put_marks(chart, frame, out);
    put_y_marks(chart, frame, out);
    for (size_t i = 0; i < chart->n_series; i++)
        put_series(chart, frame, i, out);
    if (chart->is_scatter) put_names(chart, frame, out);
    buf_printf(out, "<text class=\"axis\" x=\"%d\" y=\"%d\">", (LEFT + WIDTH - RIGHT) / 2,
               HEIGHT - 8);
    html_text(out, chart->x_label);
    buf_printf(out, "</text>\n<text class=\"axis\" transform=\"translate(14 %d) rotate(-90)\">",
               (TOP + HEIGHT - BOTTOM) / 2);
    html_text(out, chart->y_label);
    buf_puts(out, "</text>\n</svg>\n");
}

static void put_sentence(const LineChart *chart, Buf *out)
{
    buf_puts(out, " aria-label=\"");
    html_text(out, chart->sentence);
    buf_puts(out, "\">\n");
}

void chart_lines(const LineChart *chart, Buf *out)
{
    Frame frame;
    if (!make_frame(chart, &frame)) {
        buf_puts(out, "<p class=\"dim\">Nothing to draw: no cell is done.</p>\n");
        return;
    }
    buf_printf(out, "<svg class=\"lines\" role=\"img\" viewBox=\"0 0 %d %d\"", WIDTH, HEIGHT);
    put_sentence(chart, out);
    put_body(chart, &frame, out);
    put_legend(chart, out);
}

/* A sample and a name a row. */
static void put_file_legend(const LineChart *chart, Buf *out)
{
    for (size_t i = 0; i < chart->n_series; i++) {
        const ChartSeries *series = &chart->series[i];
        double y = HEIGHT + LEGEND_LINE * ((double)i + 0.5);
        buf_puts(out, "<g");
        chart_look(&series->look, "series", out);
        buf_printf(out, "><path class=\"line\" d=\"M%d %.1fh24\"/>", LEFT, y);
        put_shape(series->look.hue, LEFT + 12, y, out);
        buf_printf(out, "</g><text x=\"%d\" y=\"%.1f\" style=\"text-anchor: start\">", LEFT + 34,
                   y);
        html_text(out, series->name);
        buf_puts(out, "</text>\n");
    }
}

void chart_lines_file(const LineChart *chart, Buf *out)
{
    Frame frame;
    int height = HEIGHT + LEGEND_LINE * (int)chart->n_series + 8;
    buf_printf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"lines\" role=\"img\" viewBox=\"0 0 %d %d\"",
        WIDTH, height);
    put_sentence(chart, out);
    buf_puts(out, "<style>");
    html_style(out);
    buf_printf(out, "</style>\n<rect class=\"hatch-ground\" width=\"%d\" height=\"%d\"/>\n", WIDTH,
               height);
    put_file_legend(chart, out);
    if (make_frame(chart, &frame))
        put_body(chart, &frame, out);
    else
        buf_puts(out, "</svg>\n");
}
