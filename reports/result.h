/* What a result is: plain strings and numbers, all that the database and the reports know.
 *
 * A string that is NULL is absent; a double that is absent is NaN and becomes NULL in the
 * database. */
#ifndef REPORTS_RESULT_H
#define REPORTS_RESULT_H

#include "base/err.h"
#include "base/hash.h"

/* How a cell ended. The names are columns of the database; see cell_status_name. */
typedef enum {
    CELL_PENDING,
    CELL_DONE,
    CELL_INVALID,            /* the protocol cannot be run at this length */
    CELL_UNSUPPORTED,        /* the backend cannot do it */
    CELL_NONFINITE,          /* the model produced a NaN or an infinity */
    CELL_SKIPPED_MEMORY,     /* would not fit; runs again */
    CELL_SKIPPED_SHORT_TEXT, /* the corpus is shorter than the cell needs */
    CELL_OVER_LIMIT,         /* longer than the server takes */
    CELL_TRUNCATED,          /* the server cut the prompt */
    CELL_FAILED,             /* an error; runs again */
    CELL_STATUS_COUNT
} CellStatus;

const char *cell_status_name(CellStatus status);
bool cell_status_find(const char *name, CellStatus *out) MUST_USE;

/* Whether a cell of this status is run by the next sweep. */
bool cell_status_runs_again(CellStatus status);

typedef struct {
    const char *hash; /* 64 hexadecimal digits */
    const char *name; /* folder or file name */
    const char *path;
    const char *format;
    const char *arch;
    int64_t n_params;
    int64_t n_ctx_train; /* as claimed, before any scaling in the file; 0: unknown */
    int64_t n_ctx_orig;  /* as used */
    double theta;
    int n_rot;
    const char *rope_found;
    const char *tokenizer;
    const char *notes;
    int n_layers; /* 0: not known, and neither are the rest */
    int n_kv_heads;
    int head_dim;
    const char *own_method; /* of scaling, that the file asks for */
} ModelRow;

typedef struct {
    const char *hash;
    const char *name;
    const char *path;
    int64_t n_bytes;
} CorpusRow;

typedef struct {
    const char *key;   /* SHA-256 of the canonical text of what decides the tables */
    const char *label; /* "ntk:lambda=4.18" */
    const char *method;
    const char *class_; /* "theta" or "position" */
    double lambda;      /* NaN: none, or differs between lengths */
    double factor;
    double theta;
    int n_rot;
    int64_t n_ctx_orig;
    bool depends_on_n_ctx;
} SettingRow;

/* θ and θ' of one pair of a setting; n_ctx is 0 when the table does not depend on the length. */
typedef struct {
    int64_t n_ctx;
    int pair;
    double theta_i;
    double theta_scaled_i;
} SettingPairRow;

/* What the angles of a setting predict, without a model. */
typedef struct {
    const char *model_hash;
    const char *setting_key;
    int64_t n_ctx; /* 0: the same at every length */
    const char *quantity;
    const char *unit;
    double value; /* NaN: none within the positions that were searched */
    const char *source;
} PredictionRow;

/* Whether a setting is a scaled θ, over positions below n_ctx; figures in double and as the engine has them in float. */
typedef struct {
    const char *model_hash;
    const char *setting_key;
    int64_t n_ctx;
    int64_t seed;
    const char *verdict;
    double amplitude;
    double residual;  /* rad */
    double tolerance; /* rad */
    double shift_error;
    double norm_error;
    double residual_f32;
    double shift_error_f32;
    double norm_error_f32;
    int64_t worst_pair;
    int64_t worst_query;
    int64_t worst_key;
    double largest_residue; /* nats; NaN: not measured, and a stored one stays */
    double mean_residue;
} AuditRow;

/* One point of the sweep, as planned. */
typedef struct {
    const char *key;       /* SHA-256 of `canonical` */
    const char *canonical; /* every input that can change the number, a line each */
    const char *model_hash;
    const char *setting_key;
    const char *corpus_hash; /* NULL: the probe reads no corpus */
    int64_t n_ctx;
    const char *probe;    /* "passkey" */
    const char *protocol; /* "target", …; the probe's parameters as text for passkey */
    const char *params;   /* "digits=5,trials=4" */
    double depth;         /* 0 … 1; NaN: the probe has none */
    int64_t seed;
    const char *precision; /* "f32" */
    int numeric_version;
    const char *bos_policy; /* "bos" or "none" */
    bool limited;           /* run with --limit: not to be quoted */
} CellRow;

/* One number with its uncertainty. */
typedef struct {
    const char *name; /* "passkey_exact" */
    const char *unit; /* "fraction", "nats/token", "bits/byte", … */
    int direction;    /* +1: higher is better, -1: lower is better, 0: neither */
    double value;
    int64_t n;     /* what it is a mean of */
    double ci_low; /* NaN: no interval */
    double ci_high;
    const char *ci_method; /* "wilson95", "clustered-se95", or why there is none */
} Metric;

/* One trial (passkey) or window (perplexity). */
typedef struct {
    int64_t index;
    int64_t cluster; /* document or block */
    int64_t n_prompt_tokens;
    int64_t n_scored;
    double nll;              /* sum over the scored tokens, nats */
    int64_t n_bytes;         /* bytes the scored tokens spell; 0: not counted */
    int64_t needle_first;    /* -1: none */
    const char *prompt_hash; /* of the token ids; NULL for a window */
    const char *expected;
    const char *answer;
    int exact;           /* 1, 0, -1: not measured */
    int forced;          /* every token of the key is the argmax: 1, 0, -1 */
    double logp;         /* of the key */
    double logp_control; /* of the key where the needle is filler */
    const char *ranks;   /* rank of each key token, "0 0 3 0 1" */
} Trial;

/* nll by position: one bucket of one cluster. Positions first … last are indices of the predicted
 * token in its window. */
typedef struct {
    int bucket;
    int64_t first;
    int64_t last;
    int cluster;
    int64_t n;
    double sum;
    double sum_squares;
} PositionNll;

/* Replies of one system of a server that a cell was measured by. */
typedef struct {
    const char *model;
    const char *system; /* its fingerprint; "": none */
    int64_t n;
} ReplyRow;

/* Everything a finished cell holds. */
typedef struct {
    CellStatus status;
    const char *message; /* why not done; of a cell that is done, a warning; NULL: none */
    Metric *metrics;
    size_t n_metrics;
    Trial *trials;
    size_t n_trials;
    PositionNll *positions;
    size_t n_positions;
    ReplyRow *replies;
    size_t n_replies;
    double seconds;      /* wall */
    int64_t n_prefilled; /* tokens that were computed for it */
} CellResult;

/* One execution of `sweep`. */
typedef struct {
    const char *command; /* the command line, quoted */
    const char *spec;    /* the resolved sweep as YAML */
    const char *version; /* of the program: version, compiler, flags */
    const char *machine; /* host, CPU, cores */
    const char *blas;    /* configuration and core type */
    int n_threads;
    int n_jobs;
    bool limited;
} RunRow;

/* What came of running a stored cell again, and where it was run. */
typedef struct {
    int64_t cell_id;
    const char *outcome; /* a name of verify.h */
    const char *detail;
    const char *version;
    const char *machine;
    const char *blas;
} VerificationRow;

#endif
