/* Reports: views of a results database. One row a format; each reads the database and nothing else. */
#ifndef REPORTS_REPORT_H
#define REPORTS_REPORT_H

#include "base/buf.h"
#include "reports/store.h"

typedef struct {
    bool
        provenance; /* add what differs between two runs of one sweep: run id, times, host, hashes */
    bool wide;      /* CSV: a row a cell and a column a metric, not a row a metric */
    int64_t run_id; /* 0: the latest generation of all cells */
    size_t *
        n_formulas; /* CSV: counts texts that a spreadsheet would run as a formula; NULL: not wanted */
} ReportOptions;

/* One file of a report of several. */
typedef struct {
    char *
        name; /* letters, digits, "-" and "_", with an ending; no other file of the report has it */
    Buf content;
} ReportFile;

/* Zeroed is empty; freed with report_free_files. */
typedef struct {
    ReportFile *items;
    size_t n;
} ReportFiles;

typedef struct {
    const char *name; /* "csv" */
    const char *help;
    /* Appends the report; NULL for a format of several files. Errors: STORE. */
    bool (*write)(Store *store, const ReportOptions *options, Buf *out, Err *err);
    /* Adds the files of the report; NULL for a format of one text. Errors: STORE. */
    bool (*write_files)(Store *store, const ReportOptions *options, ReportFiles *out, Err *err);
} ReportFormat;

void report_free_files(ReportFiles *files);

/* Whether the database has a run of this id; 0 is every run. Errors: USAGE (those that it has are named), STORE. */
bool report_check_run(Store *store, int64_t run_id, Err *err) MUST_USE;

/* All formats. Ends with a row whose name is NULL. */
extern const ReportFormat report_formats[];

/* The row of a name, or NULL. */
const ReportFormat *report_find(const char *name);

#endif
