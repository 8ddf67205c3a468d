/* Reports: views of a results database. One row a format; each reads the database and nothing else. */
#ifndef REPORTS_REPORT_H
#define REPORTS_REPORT_H

#include "base/buf.h"
#include "reports/store.h"

typedef struct {
    bool
        provenance; /* add what differs between two runs of one sweep: run id, times, host, hashes */
    int64_t run_id; /* 0: the latest generation of all cells */
    size_t *
        n_formulas; /* CSV: counts texts that a spreadsheet would run as a formula; NULL: not wanted */
} ReportOptions;

typedef struct {
    const char *name; /* "csv" */
    const char *help;
    /* Appends the report. Errors: STORE. */
    bool (*write)(Store *store, const ReportOptions *options, Buf *out, Err *err);
} ReportFormat;

/* All formats. Ends with a row whose name is NULL. */
extern const ReportFormat report_formats[];

/* The row of a name, or NULL. */
const ReportFormat *report_find(const char *name);

#endif
