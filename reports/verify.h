/* Stored cells against the same cells run again. */
#ifndef REPORTS_VERIFY_H
#define REPORTS_VERIFY_H

#include "base/buf.h"
#include "reports/store.h"

/* Numbers of one cell on other binaries or BLAS cores agree to this, relative to the larger of 1 and the number. */
#define VERIFY_TOLERANCE 1e-5

/* The same of a server, which computes in half precision and in batches: of metrics, and of single trials and sums by position. */
#define VERIFY_SERVER_TOLERANCE        1e-2
#define VERIFY_SERVER_SAMPLE_TOLERANCE 5e-2

/* How a cell came out. The names are values of a column of the database. */
typedef enum {
    VERIFY_EQUAL, /* the same bits */
    VERIFY_CLOSE, /* on another binary or BLAS core, or by a server: within the tolerance of that */
    VERIFY_DIFFERENT, /* neither */
    VERIFY_CHANGED,   /* an input is not what it was, so that it is another cell now */
    VERIFY_FAILED,    /* could not be run again */
    VERIFY_N_OUTCOMES
} VerifyOutcome;

const char *verify_outcome_name(VerifyOutcome outcome);

/* A stored cell with the run that ended it. */
typedef struct {
    int64_t id;
    char *key;
    char *canonical;
    char *model;
    char *setting;
    char *probe;
    int64_t n_ctx;
    double depth;   /* NaN: none */
    bool by_server; /* measured through one */
    int64_t run_id;
    char *spec; /* of the run: the resolved sweep as YAML */
    char *version;
    char *blas;
} VerifyCell;

typedef struct {
    VerifyCell *items; /* by run, then key */
    size_t n;
    size_t n_done; /* cells to draw from */
} VerifySample;

/* Draws n of the cells that are done (their latest generation; all of them when there are fewer) by seed alone: the order in which cells
 * were entered does not matter. The caller frees the sample. Errors: STORE. */
bool verify_draw(Store *store, int64_t n, uint64_t seed, VerifySample *out, Err *err) MUST_USE;
void verify_sample_free(VerifySample *sample);

/* Two results of a cell, both done. */
typedef struct {
    Store *stored;
    int64_t cell_id;
    Store *again; /* another database */
    int64_t again_id;
    bool
        by_server; /* ranks and answers, which a near tie turns over, are not compared then; hits are */
} VerifyPair;

/* Where they differ. */
typedef struct {
    bool is_equal;     /* to the last bit */
    bool only_numbers; /* texts, counts and rows are the same; reals may differ */
    bool is_close;     /* only_numbers, and within the tolerance */
    double
        largest; /* difference between two reals, relative as VERIFY_TOLERANCE is; the furthest beyond its tolerance */
    char where
        [96]; /* the place of the largest, or of the first difference that is not one of reals */
} VerifyDifference;

/* Compares metrics, trials and nll by position. Errors: STORE. */
bool verify_compare(const VerifyPair *pair, VerifyDifference *out, Err *err) MUST_USE;

/* Whether some system of a server answered for both results, or one of them does not tell. Where not, appends who answered. Errors:
 * STORE. */
bool verify_check_system(const VerifyPair *pair, bool *is_same, Buf *who, Err *err) MUST_USE;

/* Appends the names of the lines in which two canonical texts differ, "model, corpus". Returns how many. */
size_t verify_changes(const char *stored, const char *now, Buf *out);

#endif
