/* The plan of a sweep: model × setting × n_ctx × probe × depth as a list of cells, in an order in which neighbours share long prefixes.
 *
 * Made from configs, tokenizers and texts; no weights are loaded. Nothing is dropped: a cell that cannot be run is in the list with its reason. */
#ifndef HARNESS_PLAN_H
#define HARNESS_PLAN_H

#include "harness/cli.h"
#include "harness/probe.h"
#include "models/weights.h"

enum {
    PLAN_MAX_CELLS_ASKED = 100000,  /* more need --yes */
    PLAN_MAX_CELLS = 10000000,      /* more are refused */
    PLAN_DEFAULT_TARGET_MAX = 8192, /* where --target-max is not given */
    PLAN_MAX_KEPT = 1 << 28,        /* bytes of scores that are kept in a timeline */
};

/* A setting to run; settings whose tables are equal at every length of the plan are one. */
typedef struct {
    RopeSpec spec;
    char label[ROPE_TEXT_SIZE];
    char key[HASH_HEX_SIZE];
    char *same; /* labels of the others that are this one, ", " between; NULL: none */
} PlanSetting;

typedef struct PlanServer PlanServer;

typedef struct {
    char *path;   /* on this machine, or a server's address */
    char *origin; /* for the record: the path, or the hub's address with the commit */
    char *name;
    char hash[HASH_HEX_SIZE]; /* "" where it was not asked for */
    char *format;
    char *tokenizer_kind;
    char *notes;
    ModelConfig config;
    RopeSpec own; /* the model's rotation with --theta and --n-ctx-orig in it */
    int64_t n_params;
    size_t owned_bytes; /* that loading the weights takes */
    Tokenizer *tokenizer;
    Backend text;       /* spells texts */
    PlanServer *server; /* that the model is behind; NULL: the engine runs it */
    Corpus *corpus;     /* NULL: none given, or no tokenizer */
    PlanSetting *settings;
    size_t n_settings;
} PlanModel;

/* Whether a probe can be run on a model at a length. */
typedef struct {
    CellStatus status; /* PENDING: it can */
    char why[PROBE_WHY_SIZE];
    int64_t n_lead; /* of ProbeInput */
    int64_t n_fixed;
    size_t
        kept_bytes; /* of scores that answer the cells of shorter lengths; 0: they do not, or are not kept */
} PlanCheck;

typedef struct {
    uint32_t model; /* indices into the plan */
    uint32_t setting;
    uint32_t probe;
    uint32_t length; /* n_ctx[length] */
    double depth;    /* NaN: the probe has none */
} PlanCell;

typedef struct {
    const Options *options;
    PlanModel *models;
    size_t n_models;
    ProbeSpec *probes;
    size_t n_probes;
    int64_t *n_ctx;
    size_t n_lengths;
    int64_t target_max;
    PlanCheck *checks; /* [n_models][n_probes][n_lengths] */
    PlanCell *cells;   /* in the order to run them */
    size_t n_cells;
} Plan;

/* An empty plan with the options' probes; the options must outlive it. Without --probe: passkey, and perplexity where there is a corpus.
 * Errors: USAGE. */
Plan *plan_new(const Options *options, Err *err) MUST_USE;
void plan_free(Plan *plan);

/* Adds a model from its files, or from what a server says of it and the files of --tokenizer: config, tokenizer, the corpus in its
 * tokens, and the hash of its weights unless dry. Errors: as weights_open, server_read_model and corpus_open. */
bool plan_add_model(Plan *plan, const char *path, bool dry, Err *err) MUST_USE;

/* Adds a model that a backend stands for; the plan takes the backend. Errors: as corpus_open. */
bool plan_add_backend(Plan *plan, const char *name, const ModelConfig *config, Backend backend,
                      Err *err) MUST_USE;

/* Makes settings and cells for the models added. Errors: USAGE (too many cells, a probe that needs a corpus), and as settings_make. */
bool plan_lay_out(Plan *plan, Err *err) MUST_USE;

/* A setting by itself, with its label and key. */
PlanSetting plan_setting_of(const RopeSpec *spec);

const PlanModel *plan_model(const Plan *plan, const PlanCell *cell);
const PlanSetting *plan_setting(const Plan *plan, const PlanCell *cell);
const PlanCheck *plan_check(const Plan *plan, const PlanCell *cell);
int64_t plan_n_ctx(const Plan *plan, const PlanCell *cell);

/* Whether the cell's texts are among those of the longest length of its setting and probe, whose kept scores answer it. */
bool plan_is_nested(const Plan *plan, const PlanCell *cell);

/* Most bytes of scores that a timeline of a model keeps for cells of n_ctx_max tokens at most. */
size_t plan_kept_bytes(const Plan *plan, size_t model, int64_t n_ctx_max);

/* What a cell's probe is given. */
ProbeInput plan_input(const Plan *plan, const PlanCell *cell);

/* What a cell computes after another one on the same timeline, under a table equal to its own (NULL: after none); zero where it cannot be
 * run. */
ProbeCost plan_cost(const Plan *plan, const PlanCell *cell, const PlanCell *before);

/* The database's row of a cell. Its strings live in text, to be freed with plan_cell_text_free, and in the plan. */
typedef struct {
    char key[HASH_HEX_SIZE];
    char *canonical;
    char *protocol;
    char *params;
} PlanCellText;
CellRow plan_cell_row(const Plan *plan, const PlanCell *cell, PlanCellText *text);
void plan_cell_text_free(PlanCellText *text);

#endif
