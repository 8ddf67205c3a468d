/* Series: every trial and window that a probe has of a model, so that settings can be compared sample by sample.
 *
 * A series holds cells that differ in setting, n_ctx and depth alone. Only the latest generation of a cell counts. */
#ifndef REPORTS_SERIES_H
#define REPORTS_SERIES_H

#include "reports/stats_hits.h"
#include "reports/store.h"

/* One trial (sum = 1 for a hit, n = 1) or window (sum of nll over n tokens). */
typedef struct {
    double depth; /* -1: the probe has none */
    int64_t index;
    int64_t cluster; /* of its cell */
    double sum;
    int64_t n;        /* > 0 */
    int64_t position; /* of the needle in the prompt, tokens; -1: not known */
    int64_t distance; /* from there to the end of the prompt; -1: not known */
} SeriesSample;

/* One setting at one length, over all depths. */
typedef struct {
    size_t setting; /* index into the list's settings */
    int64_t n_ctx;
    CellStatus status;     /* DONE when all cells under it are, else the first that is not */
    char *why;             /* the message of that cell; NULL */
    SeriesSample *samples; /* by depth, then index; none unless done */
    size_t n;
    size_t cap;
} SeriesCell;

typedef struct {
    char *probe;
    char *protocol;
    char *params;
    char *corpus; /* name; NULL: the probe reads none */
    char *corpus_hash;
    char *bos_policy;
    char *precision;
    int64_t seed;
    int64_t numeric_version;
    bool limited;      /* made with --limit: not to be quoted */
    bool is_hits;      /* samples are hits, more is better; else nll, less is better */
    bool same_targets; /* every length scores the same tokens */
    SeriesCell *cells; /* by setting key, then n_ctx */
    size_t n_cells;
} Series;

typedef struct {
    char *key;
    char *label; /* as it was planned: "ntk:lambda=4.387299918778504" */
    char *method;
    bool is_position; /* of Engineer A: it changes the rotation; else it scales theta */
    double lambda;    /* NaN: none, or it differs between lengths */
    double factor;
    double theta;
    int64_t n_rot;
    int64_t n_ctx_orig;
} SeriesSetting;

typedef struct {
    char *model_hash;
    char *model;
    char *model_path; /* where it was last seen; NULL */
    char *arch;       /* NULL */
    int64_t n_ctx_orig;
    int64_t n_rot;
    int64_t n_layers; /* 0: not known, and neither are the next three */
    int64_t n_kv_heads;
    int64_t head_dim;
    char *own_method;        /* of scaling, that the model's file asks for */
    SeriesSetting *settings; /* "none" first, then by method, lambda, factor */
    size_t n_settings;
    Series *items; /* by probe, protocol, parameters, … */
    size_t n;
} SeriesList;

/* Loads the series of one model: the only one of the database when name is NULL, else the one of this name, of a path that ends in it, or
 * of a hash that starts with it. run_id: the cells that this run asked for alone; 0: all. The caller frees the list with series_free.
 * Errors: STORE, USAGE (no such model; several, which are named; nothing measured). */
bool series_load(Store *store, const char *name, int64_t run_id, SeriesList *out,
                 Err *err) MUST_USE;
void series_free(SeriesList *list);

/* The cell of a setting at a length, or NULL; lends. */
const SeriesCell *series_cell(const Series *series, size_t setting, int64_t n_ctx);

/* Σ sum / Σ n of a cell that is done; NaN of any other, and of NULL. */
double series_mean(const SeriesCell *cell);

/* Most clusters that a comparison keeps; neighbours are merged where there are more. */
enum { SERIES_MAX_CLUSTERS = 200 };

/* Differences a - b over the samples that both cells have with as many tokens, by cluster (a cluster of another depth is another one).
 * out: room for SERIES_MAX_CLUSTERS. Returns how many there are; 0 when a or b is NULL or not done. */
size_t series_pair(const SeriesCell *a, const SeriesCell *b, ClusterSum *out);

/* The pairs of series_pair by which of the two hit; the cells must be of a series of hits. None when a or b is NULL or not done. */
PairedHits series_paired_hits(const SeriesCell *a, const SeriesCell *b);

/* Whether a series has a sample at all: only then it is known whether they are hits. */
bool series_is_measured(const Series *series);

/* The sums of one cell by cluster, as series_pair with nothing taken off. */
size_t series_clusters(const SeriesCell *cell, ClusterSum *out);

#endif
