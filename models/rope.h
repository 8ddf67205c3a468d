/* Rotary position embedding: what a scaling method is, what it makes of a model and a length, and
 * how the angles are built.
 *
 * Notation, here and everywhere: rotary width d (n_rot), pair i = 0 … d/2-1, base b (theta),
 * trained length m_l (n_ctx_orig), target m (n_ctx), θ_i = b^(-2i/d). λ multiplies the base and
 * nothing else is called λ; factor is m/m_l.
 * Source: RoFormer, Su et al., arXiv 2104.09864, equation 15. */
#ifndef MODELS_ROPE_H
#define MODELS_ROPE_H

#include "base/buf.h"
#include "base/err.h"

enum {
    ROPE_MAX_PAIRS = 512, /* rotary width up to 1024 */
    ROPE_TEXT_SIZE = 256, /* of a spec's text */
};

/* Highest position that a float table of exact double angles is built for. */
#define ROPE_MAX_POSITION (INT64_C(1) << 40)

/* Which elements of a head form pair i: (i, i + d/2) or (2i, 2i + 1). */
typedef enum { ROPE_HALVES, ROPE_INTERLEAVED } RopeLayout;

/* Which engineer's form a method takes. */
typedef enum {
    ROPE_CLASS_THETA,    /* Engineer B: the original Ro on scaled angles θ' */
    ROPE_CLASS_POSITION, /* Engineer A: a changed Ro' with the original θ */
} RopeClass;

/* Every parameter that some method reads. */
typedef enum { ROPE_FACTOR, ROPE_LAMBDA, ROPE_ALPHA, ROPE_N_PARAMS } RopeParam;

typedef enum {
    ROPE_UNSET,     /* the method's default */
    ROPE_NUMBER,    /* as given */
    ROPE_AUTO,      /* from the sweep's target length; resolved to a number by rope_spec_resolve */
    ROPE_AUTO_EACH, /* from each cell's n_ctx; stays, and makes the table depend on the length */
} RopeValueKind;

typedef struct {
    RopeValueKind kind;
    double number;
} RopeValue;

typedef struct RopeMethod RopeMethod;

/* A method with every parameter, for one model: a plain value. */
typedef struct {
    const RopeMethod *method;
    double theta;       /* b */
    int n_rot;          /* d, even, 2 … 2 * ROPE_MAX_PAIRS */
    int64_t n_ctx_orig; /* m_l */
    RopeValue param[ROPE_N_PARAMS];
} RopeSpec;

/* How a position enters the angle. */
typedef enum {
    ROPE_POSITION_IDENTITY,
    ROPE_POSITION_DIVIDE, /* p / divisor */
} RopePositionKind;

/* What a method makes of a spec for one length: the angle of pair i at position p is position(p)
 * * inv_freq[i], and cos and sin are multiplied by amplitude. */
typedef struct {
    int n_pairs;
    double inv_freq[ROPE_MAX_PAIRS];
    RopePositionKind position;
    double divisor;
    double amplitude;
} RopeTable;

/* One way to scale: a row of the table in rope_methods.c. */
struct RopeMethod {
    const char *name;
    const char *help; /* one line */
    RopeClass class_;
    const char *equivalent;  /* name of the method that this one equals up to rounding, or NULL */
    unsigned params;         /* bit (1 << RopeParam) for each parameter that it reads */
    RopeParam default_param; /* the one that is `auto` when the user sets none */
    const char *source;      /* paper and equation */
    /* Whether a resolved spec's parameters are legal. Errors: USAGE. */
    bool (*check)(const RopeSpec *spec, Err *err);
    /* Fills table, which holds the plain angles and no changes, for a resolved and checked spec. */
    void (*init)(const RopeSpec *spec, int64_t n_ctx, RopeTable *table);
};

/* Writes θ_i = base^(-2i/d) for d/2 pairs. */
void rope_plain_angles(double base, int n_rot, double *inv_freq);

/* The number that a parameter of a resolved spec has at n_ctx (auto-each is worked out). */
double rope_spec_value(const RopeSpec *spec, RopeParam param, int64_t n_ctx);

/* All methods. Ends with a row whose name is NULL; the first is "none". */
extern const RopeMethod rope_methods[];

/* The row of a name, or NULL. */
const RopeMethod *rope_method_find(const char *name);

/* "factor", "lambda", "alpha". */
const char *rope_param_name(RopeParam param);

/* The parameter of a name, or of an alias (rope-scale, ntk-alpha); false if none. freq-scale is
 * not one of them: it is 1/factor. */
bool rope_param_find(const char *name, RopeParam *out) MUST_USE;

/* Sets one parameter from text: a number, "auto" or "auto-each"; key may be "freq-scale" (factor
 * = 1 / value).
 * Errors: USAGE (a parameter that the method does not read, a value out of range). */
bool rope_spec_set(RopeSpec *spec, const char *key, const char *value, Err *err) MUST_USE;

/* Reads "NAME[:key=value,…]" into method and parameters; theta, n_rot and n_ctx_orig are left
 * alone. Errors: USAGE. */
bool rope_spec_parse(const char *text, RopeSpec *spec, Err *err) MUST_USE;

/* Turns defaults and `auto` into numbers, for a target length (m of λ(m) and factor), then checks
 * the parameters and theta, n_rot and n_ctx_orig. The result gives the same table whatever the
 * sweep's other lengths are. Errors: USAGE, INPUT. */
bool rope_spec_resolve(RopeSpec *spec, int64_t target, Err *err) MUST_USE;

/* Whether the table of a resolved spec depends on n_ctx. */
bool rope_spec_depends_on_n_ctx(const RopeSpec *spec);

/* The table of a resolved spec at one length: a pure function. Errors: USAGE (a length out of
 * range). */
bool rope_table_make(const RopeSpec *spec, int64_t n_ctx, RopeTable *table, Err *err) MUST_USE;

/* Whether two tables rotate every position alike, bit for bit. */
bool rope_table_equal(const RopeTable *a, const RopeTable *b);

/* "ntk:lambda=4.18" as a user would type it: method and the parameters that are set. */
void rope_spec_text(const RopeSpec *spec, char out[ROPE_TEXT_SIZE]);

/* Appends a canonical text of everything that decides the table: equal texts, equal tables. A
 * spec whose tables are those of "none" at every length has none's text. */
void rope_spec_key(const RopeSpec *spec, Buf *out);

/* λ(m) = s^(d/(d-2)) with s = m/m_l: the base's multiplier that stretches the slowest pair by s.
 * d > 2.
 * Source: NTK-aware scaling, bloc97 2023; golden values in tests/test_rope.c. */
double rope_lambda_of(double factor, int n_rot);

/* The effective λ, factor of a resolved spec at n_ctx, NaN where the method has none (1 for
 * "none"): columns of the results. */
void rope_spec_axes(const RopeSpec *spec, int64_t n_ctx, double *lambda, double *factor);

/* cos and sin of n positions from first on, as float: [n, n_pairs] each. Angles, products and
 * range reduction are double. first + n must not exceed ROPE_MAX_POSITION. */
void rope_angles(const RopeTable *table, int64_t first, int64_t n, float *cos_out, float *sin_out);

/* Rotates one head in place by one row of angles; elements from n_rot on are left alone. x:
 * [head_dim] float. */
void rope_rotate(float *x, const float *cos_row, const float *sin_row, int n_pairs,
                 RopeLayout layout);

#endif
