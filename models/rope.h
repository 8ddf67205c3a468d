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

/* Every parameter that some method reads. A row of param_rows in rope.c each. */
typedef enum {
    ROPE_FACTOR,           /* s = m/m_l */
    ROPE_LAMBDA,           /* multiplies the base */
    ROPE_ALPHA,            /* λ = alpha^(d/(d-2)) */
    ROPE_BASE,             /* b' itself */
    ROPE_BETA_FAST,        /* turns within m_l above which a pair is left alone */
    ROPE_BETA_SLOW,        /* turns within m_l below which a pair is interpolated fully */
    ROPE_EXT_FACTOR,       /* how much of the ramp's extrapolation is used, 0 … 1 */
    ROPE_ATTENTION_FACTOR, /* the amplitude itself */
    ROPE_ATTN_FACTOR,      /* a multiplier on top of the amplitude */
    ROPE_MSCALE,
    ROPE_MSCALE_ALL_DIM,
    ROPE_TRUNCATE, /* 1: YaRN's corners are rounded to whole pairs, 0: they are not */
    ROPE_LOW_FREQ_FACTOR,
    ROPE_HIGH_FREQ_FACTOR,
    ROPE_POWER,
    ROPE_CUT_LENGTH,
    ROPE_MIX,
    ROPE_FRACTION, /* share of the rotary width that still turns */
    ROPE_START,    /* first positions that keep the plain angles */
    ROPE_WINDOW,   /* distance up to which relative positions are exact */
    ROPE_CHUNK,    /* largest relative position of dual chunk attention */
    ROPE_GROUP,    /* positions that share one beyond it */
    ROPE_LOG_N,    /* 1: queries are scaled by max(1, ln(p + 1) / ln m_l) */
    ROPE_N_PARAMS
} RopeParam;

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

/* Per-pair divisors: n of them, 0 when there are none. */
typedef struct {
    int n;
    double factor[ROPE_MAX_PAIRS];
} RopeFactors;

/* A method with every parameter, for one model: a plain value. */
typedef struct {
    const RopeMethod *method;
    double theta;       /* b */
    int n_rot;          /* d, even, 2 … 2 * ROPE_MAX_PAIRS */
    int64_t n_ctx_orig; /* m_l */
    RopeValue param[ROPE_N_PARAMS];
    RopeFactors short_factors;
    RopeFactors long_factors; /* or those of every length, where a method reads one list */
} RopeSpec;

/* How a position p enters the angle: min((p mod modulus) / divisor, cap) + offset, where a
 * quotient is rounded down when whole. {0, 1, false, INFINITY, 0} is the identity. */
typedef struct {
    int64_t modulus; /* 0: none */
    double divisor;
    bool whole;
    double cap;
    double offset;
} RopePosition;

/* How vectors are turned: the angle of pair i at position p is position(p) * inv_freq[i]. */
typedef struct {
    RopePosition position;
    double inv_freq[ROPE_MAX_PAIRS];
} RopeVariant;

enum { ROPE_MAX_QUERY_VARIANTS = 3, ROPE_MAX_KEY_VARIANTS = 2 };

/* Which variants a query at p and a key at j <= p meet in. */
typedef enum {
    ROPE_RULE_ONE,    /* always query 0 and key 0 */
    ROPE_RULE_WINDOW, /* p - j < span: query 0 and key 0; else query 1 and key 1 */
    ROPE_RULE_CHUNK, /* chunks of span positions: same chunk query 0, next chunk query 1, further query 2; key 0 */
} RopeRule;

/* What a method makes of a spec for one length. Most methods fill query[0] and say that keys turn
 * alike. */
typedef struct {
    int n_pairs;
    int n_query_variants;
    int n_key_variants; /* 1 with the rule ONE: keys use query[0] */
    RopeVariant query[ROPE_MAX_QUERY_VARIANTS];
    RopeVariant key[ROPE_MAX_KEY_VARIANTS];
    RopeRule rule;
    int64_t span;
    double amplitude; /* multiplies cos and sin of queries and keys */
    int64_t n_start;  /* positions below it turn by start_inv_freq */
    double start_inv_freq[ROPE_MAX_PAIRS];
    double log_n_length; /* L of the query scale max(1, ln(p + 1) / ln L); 0: none */
} RopeTable;

/* Lists of divisors by the key that a user writes. */
typedef enum {
    ROPE_SHORT_LIST = 1 << 0, /* short_factor */
    ROPE_LONG_LIST = 1 << 1,  /* long_factor */
    ROPE_PAIR_LIST = 1 << 2,  /* pair_factor */
} RopeList;

/* Bit of a parameter in RopeMethod.params. */
#define ROPE_READS(param) (UINT32_C(1) << (param))

/* One way to scale: a row of the table in rope_methods.c. */
struct RopeMethod {
    const char *name;
    const char *help; /* one line */
    RopeClass class_;
    const char *equivalent; /* name of the method that this one equals up to rounding, or NULL */
    uint32_t params;        /* ROPE_READS of each parameter that it reads */
    RopeParam
        default_param; /* where params is not 0: the one that takes default_value when unset */
    RopeValue default_value;
    bool depends_on_n_ctx; /* whatever the parameters are */
    bool reads_n_ctx_orig; /* the trained length enters the table, whatever the parameters are */
    unsigned lists;        /* RopeList bits: the lists it reads, a number for each pair */
    bool training_only;    /* known, listed, and refused: a model must be trained with it */
    const char *source;    /* paper and equation */
    /* Conditions between the parameters of a resolved spec; NULL: none. Errors: USAGE, INPUT. */
    bool (*check)(const RopeSpec *spec, Err *err);
    /* Changes a table that holds the plain angles, for a resolved and checked spec. */
    void (*init)(const RopeSpec *spec, int64_t n_ctx, RopeTable *table);
};

/* Writes θ_i = base^(-2i/d) for d/2 pairs. */
void rope_plain_angles(double base, int n_rot, double *inv_freq);

/* The number that a parameter of a resolved spec has at n_ctx: as given, worked out (auto-each),
 * or its default. */
double rope_spec_value(const RopeSpec *spec, RopeParam param, int64_t n_ctx);

/* Whether the user (or a file) gave the parameter. */
bool rope_spec_has(const RopeSpec *spec, RopeParam param);

/* All methods. Ends with a row whose name is NULL; the first is "none". */
extern const RopeMethod rope_methods[];

/* The row of a name, or NULL. */
const RopeMethod *rope_method_find(const char *name);

/* Whether a method is "none". */
bool rope_method_is_plain(const RopeMethod *method);

/* "factor", "lambda", "alpha". */
const char *rope_param_name(RopeParam param);

/* Appends the names of all that a method reads, "factor, log_n, pair_factor"; "none" if there are none. */
void rope_method_params(const RopeMethod *method, Buf *out);

/* The parameter of a name, or of an alias (rope-scale, ntk-alpha); false if none. freq-scale is
 * not one of them: it is 1/factor. */
bool rope_param_find(const char *name, RopeParam *out) MUST_USE;

/* Sets one parameter from text: a number, "auto" or "auto-each"; key may be "freq-scale" (factor
 * = 1 / value), or the key of a list with "1/1.1/8".
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

/* The base that a resolved spec's angles are powers of at n_ctx: λ b, or b where the method leaves it. */
double rope_spec_base(const RopeSpec *spec, int64_t n_ctx);

/* The angle of a pair at a position under one variant, rad, not reduced. */
double rope_angle(const RopeTable *table, const RopeVariant *variant, int64_t position, int pair);

/* cos and sin of n positions from first on under one variant, as float: [n, n_pairs] each.
 * Angles, products and range reduction are double. first + n must not exceed ROPE_MAX_POSITION. */
void rope_angles(const RopeTable *table, const RopeVariant *variant, int64_t first, int64_t n,
                 float *cos_out, float *sin_out);

/* θ'_i as near keys see it: the angle that pair i turns by from one position to the next. */
double rope_scaled_angle(const RopeTable *table, int pair);

/* The variant in which a query at p meets a key at j <= p: query[i] with key[min(i,
 * n_key_variants - 1)]. */
int rope_variant_of(const RopeTable *table, int64_t p, int64_t j);

/* How the key of a variant is turned. Lends. */
const RopeVariant *rope_key_variant(const RopeTable *table, int variant);

/* How far a pair of a query at p is turned against that of a key at j <= p, rad, not reduced: what
 * attention sees of their positions. */
double rope_relative_angle(const RopeTable *table, int64_t p, int64_t j, int pair);

/* What queries at position p are multiplied with (log-n); 1 for most tables. */
float rope_query_scale(const RopeTable *table, int64_t p);

/* Rotates one head in place by one row of angles; other elements are left alone. x: [head_dim]
 * float. */
void rope_rotate(float *x, const float *cos_row, const float *sin_row, int n_pairs,
                 RopeLayout layout);

#endif
