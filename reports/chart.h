/* Charts: plain series in, inline SVG out. Colours, dark mode, print and hover are the style sheet's (page.css); every mark has a
 * <title> and every chart a sentence for those who do not see it. All texts are escaped here. */
#ifndef REPORTS_CHART_H
#define REPORTS_CHART_H

#include "base/buf.h"

/* Look of a series: the hue and the shape of the mark tell the method, the tone tells how far it stretches. */
typedef struct {
    int hue;     /* index of a hue and a shape; -1: neutral */
    double tone; /* 0 … 1 */
} ChartLook;

enum {
    CHART_MAX_HUES = 8,
    CHART_MAX_SWITCHES =
        32, /* series that a legend can switch off; the style sheet has a rule for each */
};

typedef struct {
    double x;
    double y;         /* NaN: a gap */
    double low;       /* NaN: no interval */
    double high;      /* NaN: no interval */
    const char *note; /* the mark's title; NULL: the line alone */
} ChartPoint;

typedef struct {
    const char *name;
    ChartLook look;
    const ChartPoint *points; /* rising in x */
    size_t n_points;
} ChartSeries;

/* A line across the chart at a value of one axis. */
typedef struct {
    double at; /* NaN: none */
    const char *label;
} ChartMark;

typedef struct {
    const char *sentence; /* aria-label */
    const char *x_label;
    const char *y_label;
    const char *unit;       /* "fraction": the y axis runs from 0 to 100 % */
    bool x_linear;          /* else it is logarithmic */
    bool is_scatter;        /* a series has one point, and its name beside it where there is room */
    bool x_whole;           /* ticks of a linear axis stand at whole numbers */
    const ChartMark *marks; /* of x; their labels stand one under the other */
    size_t n_marks;
    const ChartMark *y_marks;
    size_t n_y_marks;
    const ChartSeries *series;
    size_t n_series;
} LineChart;

/* Appends a line chart and, under it, a legend that switches series off and on. Charts without a finite point
 * append a sentence instead. */
void chart_lines(const LineChart *chart, Buf *out);

/* Appends a line chart as an SVG file of its own: with the style sheet in it, a ground, and the legend drawn under the axes. */
void chart_lines_file(const LineChart *chart, Buf *out);

typedef struct {
    double value;     /* NaN: nothing to colour */
    const char *text; /* printed in the cell */
    const char *note; /* the cell's title; NULL: an empty place without a mark */
    bool hatched;     /* not done */
    bool ringed;      /* the best */
} HeatCell;

typedef struct {
    const char *label;
    const char *sub; /* second line under a column's label; NULL */
} HeatLabel;

/* A mark beside the cells of a column. */
typedef struct {
    size_t col;
    double row; /* 1: beside the second row, 1.5: between it and the third */
    const char *note;
} HeatMark;

typedef struct {
    const char *sentence; /* aria-label */
    const char *sub_name; /* what the second line of the columns is; NULL: none */
    const HeatLabel *rows;
    const HeatLabel *cols;
    size_t n_rows;
    size_t n_cols;
    const HeatCell *cells; /* [n_rows][n_cols] */
    double low;            /* range of the colours */
    double high;
    int direction; /* -1: lower is better and gets the bright end */
    size_t
        n_inside; /* columns left of the dashed line (within the trained length); 0 or n_cols: no line */
    bool compact; /* small multiples */
    const HeatMark *marks;
    size_t n_marks;
    const char *mark_name; /* what they are, for the key */
} HeatMap;

/* Appends what the charts of a page share; stands once, in its <defs>. */
void chart_defs(Buf *out);

/* Appends a heat map; the colours' range is logarithmic when it spans more than a decade above 0. */
void chart_heat(const HeatMap *map, Buf *out);

/* Appends the key to the colours: a bar with the ends of the range as text. */
void chart_heat_key(const HeatMap *map, const char *low_text, const char *high_text, Buf *out);

enum { CHART_PREDICTIONS = 2 };

/* A limit that was measured, beside what predicted it. */
typedef struct {
    const char *label;
    double low;                          /* measured: the limit lies above it; NaN: not measured */
    double high;                         /* and below it; NaN: not found */
    double limit;                        /* between the two; NaN: not found */
    const char *note;                    /* the title of what was measured */
    double predicted[CHART_PREDICTIONS]; /* NaN: none; infinite: farther than was looked */
    const char *predicted_notes[CHART_PREDICTIONS];
} LimitRow;

typedef struct {
    const char *sentence; /* aria-label */
    const char *x_label;
    double x_low;  /* > 0; the axis is logarithmic */
    double x_high; /* what lies beyond is an arrow at the edge */
    const char *measured_name;
    const char *predicted_names[CHART_PREDICTIONS];
    ChartMark mark; /* a vertical line */
    const LimitRow *rows;
    size_t n_rows;
} LimitChart;

/* Appends a row a setting with its measured limit, and hollow marks for what was predicted. */
void chart_limits(const LimitChart *chart, Buf *out);

/* A difference, with its interval. */
typedef struct {
    const char *label;
    const char *text; /* the numbers, at the end of the row */
    const char *note; /* the title of the mark */
    double value;     /* NaN: nothing is drawn */
    double low;       /* NaN: no interval */
    double high;
    bool is_told; /* from 0: filled, else hollow */
} ForestRow;

typedef struct {
    const char *sentence; /* aria-label */
    const char *x_label;
    const ForestRow *rows;
    size_t n_rows;
} ForestChart;

/* Appends a forest plot: a row a difference around a line at 0, from which whiskers that cross it are not told. Rows far beyond most
 * others end in an arrow at the edge. */
void chart_forest(const ForestChart *chart, Buf *out);

/* Appends a chart of a page, the <svg> that a text begins with, as an SVG file of its own: with the style sheet and a ground. */
void chart_file(const char *text, Buf *out);

/* Appends class and style attributes that give an element the look of a series. */
void chart_look(const ChartLook *look, const char *class_name, Buf *out);

#endif
