/* Two settings, A and B, on the same prompts and windows: which is better, by how much, and whether that can be told. */
#ifndef REPORTS_COMPARE_H
#define REPORTS_COMPARE_H

#include <jansson.h>

#include "base/buf.h"
#include "reports/series.h"
#include "reports/stats_bootstrap.h"

typedef enum {
    COMPARE_CANNOT_TELL, /* p above 0.05, or fewer than STATS_MIN_CLUSTERS clusters of text */
    COMPARE_A_BETTER,
    COMPARE_B_BETTER,
    COMPARE_NOT_DONE, /* a cell of A or of B is not done */
} CompareVerdict;

/* One probe at one length. Values are nll in nats a token, or the share of hits; NaN where they are not measured. */
typedef struct {
    const Series *series;
    int64_t n_ctx;
    CellStatus status_a;
    CellStatus status_b;
    const char *why_a; /* it is not done; NULL: not said */
    const char *why_b;
    double a;
    double b;
    Bootstrapped difference; /* b - a over the same samples; p of hits is McNemar's, exact */
    PairedHits hits;         /* A's first; of nll all 0 */
    int64_t n;               /* tokens or trials that both have */
    CompareVerdict verdict;
    double margin; /* by which B may be worse; NaN: any */
    bool tripped;  /* B is worse by more */
} Comparison;

typedef struct {
    const SeriesList *list;
    const char *a; /* labels */
    const char *b;
    Comparison *items; /* by series, then rising n_ctx */
    size_t n;
} CompareTable;

/* The settings to compare; all is lent and must outlive the table. */
typedef struct {
    const char *key_a; /* of the settings */
    const char *key_b;
    const char *label_a;
    const char *label_b;
} ComparePair;

/* Compares two settings of a list, which must outlive the table, wherever it has cells of either. The caller frees it with compare_free. */
CompareTable compare_make(const SeriesList *list, const ComparePair *pair);
void compare_free(CompareTable *table);

/* Sets the margin of a probe, or of every probe when probe is NULL; a row trips when B is worse by more than it. margin >= 0. */
void compare_set_margin(CompareTable *table, const char *probe, double margin);

/* Whether every cell is done, and whether some row trips. */
bool compare_all_done(const CompareTable *table);
bool compare_trips(const CompareTable *table);

/* How the interval and the p-value of a series are made, in a line; the series must have been measured. */
const char *compare_method(const Series *series);

/* Appends a table for each probe, and what became of the margins, for people to read. */
void compare_text(const CompareTable *table, Buf *out);

/* The same as JSON; the caller owns the reference. Numbers that are absent are null. */
json_t *compare_json(const CompareTable *table);

/* Appends the rows, each with the model and the settings: an object a line, or CSV with every bit of the numbers and a head, which returns how
 * many texts a spreadsheet would run as a formula. */
void compare_jsonl(const CompareTable *table, Buf *out);
size_t compare_csv(const CompareTable *table, Buf *out);

#endif
