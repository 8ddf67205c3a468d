/* What the charts share. */
#ifndef REPORTS_CHART_INTERNAL_H
#define REPORTS_CHART_INTERNAL_H

#include "reports/chart.h"

/* Most characters of a row's label that are shown. */
enum { CHART_LABEL_CHARS = 34 };

/* Appends a label, cut to CHART_LABEL_CHARS characters. */
void chart_label(const char *label, Buf *out);

#endif
