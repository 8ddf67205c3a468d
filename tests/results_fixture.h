/* A results database in memory for the tests of grids and reports. */
#ifndef TESTS_RESULTS_FIXTURE_H
#define TESTS_RESULTS_FIXTURE_H

#include "reports/report.h"
#include "reports/store.h"

/* Markup, a formula, a bidirectional control, invalid UTF-8 and a terminal escape. */
extern const char results_hostile_text[];

/* Of the one model that the results are of. */
extern const char results_model_hash[];

typedef struct {
    Store *store;
    int64_t run_id;
    int n_cells;
    const char *text; /* in every string field, when not NULL */
} Fixture;

/* What the cells of a test differ in. */
typedef struct {
    int setting;
    int64_t n_ctx;
    double depth; /* NaN: perplexity, else passkey */
    bool limited;
    const char *key; /* NULL: a new one */
    bool fresh;
} Place;

/* A database with a model (trained at 256, d = 32), a corpus, a run and an event. */
Fixture results_open(const char *text);

/* A database with every kind of cell: hits at two depths, perplexities, each status that is not done. */
Fixture results_open_full(const char *text);

/* The key of the i-th thing of a kind; lent until the next call but three. */
const char *results_key(int kind, int i);

/* pi and rerope are of class position, all others of class theta. */
void results_add_setting(Fixture *fixture, int index, const char *method, double lambda,
                         double factor);
int64_t results_add_cell(Fixture *fixture, const Place *place);

/* Ends a cell: passkey hits, a perplexity with nll by position, or a status that is not done. */
void results_finish_hits(Fixture *fixture, int64_t cell_id, int64_t hits, int64_t n);
void results_finish_value(Fixture *fixture, int64_t cell_id, double value);
void results_finish_as(Fixture *fixture, int64_t cell_id, CellStatus status);

/* Ends a cell with n trials that hit (1) or miss (0), or n windows with the nll of n_tokens tokens each, every one its own cluster. */
void results_finish_trials(Fixture *fixture, int64_t cell_id, const int *hits, size_t n);
void results_finish_windows(Fixture *fixture, int64_t cell_id, const double *nll, size_t n,
                            int64_t n_tokens);

/* Stores a verdict and the markers of a setting: first_negative_sum and seen_reach (NaN: none), of every length. */
void results_add_verdict(Fixture *fixture, int setting, const char *verdict, double residual);
void results_add_markers(Fixture *fixture, int setting, double first_negative, double reach);

/* The whole report as text; free with free(). */
char *results_report(Store *store, const char *format, const ReportOptions *options);

#endif
