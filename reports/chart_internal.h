/* What the charts share. */
#ifndef REPORTS_CHART_INTERNAL_H
#define REPORTS_CHART_INTERNAL_H

#include "reports/chart.h"

/* Most characters of a row's label that are shown. */
enum { CHART_LABEL_CHARS = 34 };

/* Appends a label, cut to CHART_LABEL_CHARS characters. */
void chart_label(const char *label, Buf *out);

/* Appends the grounds of a heat map's cells, which stand once in the <defs>. */
void chart_heat_defs(Buf *out);

/* Larger numbers come from no measurement, and their differences may overflow. NaN is not drawable. */
bool chart_drawable(double value);

/* The step 1, 2 or 5 × 10^k that gives about `n` steps over `span` > 0. */
double chart_nice_step(double span, int n);

#endif
