/* Probes: ways to measure what a setting does at a length. One file and one row of probe.c each; a probe sees models through Backend alone.
 *
 * A probe plans cells (one, or one a depth, for each setting and length), tells what a cell costs, says at once when a cell cannot
 * be run, and runs it into trials and metrics, each with n and an interval. */
#ifndef HARNESS_PROBE_H
#define HARNESS_PROBE_H

#include "datasets/corpus.h"
#include "models/backend.h"
#include "reports/result.h"
#include "reports/stats.h"

enum {
    PROBE_MAX_PARAMS = 8,
    PROBE_MAX_DEPTHS = 101,
    PROBE_WHY_SIZE = 256,
};

/* A parameter: "key=value" after the probe's name. Values are integers; a choice is the index of its word. */
typedef struct {
    const char *key;
    const char *default_text;
    int64_t low; /* of a number */
    int64_t high;
    const char *choices;  /* "line text": the words allowed; NULL: a number */
    const char *only_for; /* words of the first parameter that read this one; NULL: always read */
    const char *help;
} ProbeParam;

typedef struct {
    const char *name; /* "passkey_exact" */
    const char *unit; /* "fraction", "nats/token", … */
    int direction;    /* +1: higher is better, -1: lower is better, 0: neither */
    bool headline;    /* shown in the terminal after a sweep */
    const char *help;
} ProbeMetric;

typedef struct Probe Probe;

/* A probe with every parameter: a plain value. */
typedef struct {
    const Probe *probe;
    int64_t value[PROBE_MAX_PARAMS]; /* in the order of probe->params */
} ProbeSpec;

/* What all cells of a model share. */
typedef struct {
    const ProbeSpec *spec;
    const Backend *text;  /* only encode, decode and its constants are used */
    const Corpus *corpus; /* NULL: none was given */
    uint64_t seed;
    int64_t target_max; /* longest length that grids of windows are laid out for */
    int64_t limit;      /* most trials or windows a cell; 0: no limit */
    int64_t
        n_lead; /* tokens of a prompt before its filler, and around it in all; 0: not measured */
    int64_t n_fixed;
    bool no_reuse; /* asks for every token of an answer by a pass of its own */
    bool
        is_kept; /* scores of this cell's texts are kept, or of longer texts that begin with them */
} ProbeInput;

/* Work of a cell, without what its prompts share. */
typedef struct {
    int64_t n_tokens; /* tokens to compute */
    double n_pairs;   /* (token, earlier token) pairs to attend */
    int64_t n_scored; /* rows of logits */
    int64_t n_passes; /* prompts and windows to compute any of */
} ProbeCost;

/* A result that owns its arrays and strings. Zero-initialise; free with probe_result_free. */
typedef struct {
    CellResult cell;
    char **strings;
    size_t n_strings;
} ProbeResult;

struct Probe {
    const char *name;
    const char *help;
    const ProbeParam *params;   /* ends with a row whose key is NULL */
    const ProbeMetric *metrics; /* ends with a row whose name is NULL */
    bool uses_target_max;       /* target_max can change its numbers */
    int version; /* of its prompts: raised when they change, so that old cells stand for themselves */
    /* Whether a spec reads a corpus. */
    bool (*uses_corpus)(const ProbeSpec *spec);
    /* Writes the depths of the cells of one setting and length and returns how many; one NaN where depth has no meaning. */
    size_t (*plan)(const ProbeSpec *spec, double depths[PROBE_MAX_DEPTHS]);
    /* PENDING when a cell of this length can be run, else the status it gets and why. */
    CellStatus (*check)(const ProbeInput *input, int64_t n_ctx, char why[PROBE_WHY_SIZE]);
    /* Fills in n_lead and n_fixed, the same for all lengths; NULL: cost does not read them. */
    void (*measure)(ProbeInput *input);
    /* Work of a cell that check lets through, after one of n_ctx_before under the same table on the same timeline; 0: after none. */
    ProbeCost (*cost)(const ProbeInput *input, int64_t n_ctx, double depth, int64_t n_ctx_before);
    /* Bytes of the scores of a cell's texts, where the texts of the cells of shorter lengths are their beginnings, scored alike: kept,
     * they answer those cells. NULL: they never are. */
    size_t (*kept_bytes)(const ProbeInput *input, int64_t n_ctx);
    /* Runs a cell; the backend's rotation is set. A cell that cannot be run, or whose numbers are not finite, is a result and
     * not an error. Errors: CANCELLED, and whatever the backend reports. */
    bool (*run)(const ProbeInput *input, int64_t n_ctx, double depth, Backend *backend,
                ProbeResult *result, Err *err);
};

/* One row a file, named here and in `probes`. */
extern const Probe probe_passkey;
extern const Probe probe_perplexity;

/* All probes; ends with NULL. */
extern const Probe *const probes[];

/* Whether a metric is a headline of its probe; unknown names are not. */
bool probe_is_headline(const char *probe, const char *metric);

/* The probe of a name, or NULL. */
const Probe *probe_find(const char *name);

/* Reads "NAME[:key=value,…]"; what is not given takes its default. Errors: USAGE (names what is allowed). */
bool probe_spec_parse(const char *text, ProbeSpec *spec, Err *err) MUST_USE;

/* The value of a parameter of the probe; key must be one of its rows. */
int64_t probe_value(const ProbeSpec *spec, const char *key);

/* Appends "protocol=target,k=256,windows=16,bos=auto": every parameter that this spec reads. */
void probe_spec_text(const ProbeSpec *spec, Buf *out);

/* The protocol's name: the value of the parameter "protocol", or the probe's name when it has only one. Free with free(). */
char *probe_protocol(const ProbeSpec *spec);

/* Every probe has the parameter "bos" with these words in this order. */
#define PROBE_BOS_CHOICES "auto always never"
enum { PROBE_BOS_AUTO, PROBE_BOS_ALWAYS, PROBE_BOS_NEVER };

/* Whether prompts and windows start with BOS (auto: as the model was trained). */
bool probe_with_bos(const ProbeSpec *spec, const Backend *text);

/* n, cut to the input's limit. */
int64_t probe_limited(const ProbeInput *input, int64_t n);

/* Keeps a string for as long as the result lives and lends it. */
const char *probe_keep(ProbeResult *result, char *owned);

/* Ends a cell with this status and a message. Always returns true: it is a result. */
bool probe_end(ProbeResult *result, CellStatus status, const char *format, ...) PRINTF_LIKE(3, 4);

/* Appends a metric; name must be one of the probe's rows, which give unit and direction. */
void probe_add_metric(ProbeResult *result, const Probe *probe, const Metric *metric);

/* The fraction of k hits in n with Wilson's interval. */
Metric probe_fraction(const char *name, int64_t k, int64_t n);

/* Σ sum / Σ n over clusters with Student's 95 % interval; none below STATS_MIN_CLUSTERS clusters, and ci_method says so. */
Metric probe_mean(const char *name, const ClusterSum *clusters, size_t n_clusters);

void probe_add_trial(ProbeResult *result, const Trial *trial);
void probe_add_position(ProbeResult *result, const PositionNll *position);
/* Adds replies of one system; its strings are kept for as long as the result lives. */
void probe_add_reply(ProbeResult *result, const ReplyRow *reply);
void probe_result_free(ProbeResult *result);

#endif
