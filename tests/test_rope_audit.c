/* The verdict of every method, and the fitted θ' against the angles of the form that knows them. */
#include "tests/test_util.h"

#include <math.h>
#include <string.h>

#include "models/rope_audit.h"

enum { N_ROT = 32, N_CTX_ORIG = 256, N_CTX = 1024 };

static RopeTable table_of(const char *text)
{
    RopeSpec spec = {.n_rot = N_ROT, .theta = 10000.0, .n_ctx_orig = N_CTX_ORIG};
    RopeTable table;
    Err err;
    assert_ok(rope_spec_parse(text, &spec, &err), &err);
    if (spec.method->lists) {
        spec.short_factors.n = spec.long_factors.n = N_ROT / 2;
        for (int i = 0; i < N_ROT / 2; i++) {
            spec.short_factors.factor[i] = 1.0;
            spec.long_factors.factor[i] = 1.0 + i / 4.0;
        }
    }
    assert_ok(rope_spec_resolve(&spec, N_CTX, &err), &err);
    assert_ok(rope_table_make(&spec, N_CTX, &table, &err), &err);
    return table;
}

static const struct {
    const char *text;
    RopeVerdict verdict;
} verdicts[] = {
    {"none",                          ROPE_VERDICT_EQUIVALENT},
    {"linear",                        ROPE_VERDICT_EQUIVALENT},
    {"pi",                            ROPE_VERDICT_EQUIVALENT},
    {"ntk",                           ROPE_VERDICT_EQUIVALENT},
    {"abf",                           ROPE_VERDICT_EQUIVALENT},
    {"dynamic-linear",                ROPE_VERDICT_EQUIVALENT},
    {"dynamic-ntk",                   ROPE_VERDICT_EQUIVALENT},
    {"qwen-ntk",                      ROPE_VERDICT_EQUIVALENT},
    {"by-parts",                      ROPE_VERDICT_EQUIVALENT},
    {"yarn",                          ROPE_VERDICT_AMPLITUDE },
    {"yarn:attention_factor=1",       ROPE_VERDICT_EQUIVALENT},
    {"dynamic-yarn",                  ROPE_VERDICT_AMPLITUDE },
    {"llama3",                        ROPE_VERDICT_EQUIVALENT},
    {"longrope",                      ROPE_VERDICT_AMPLITUDE },
    {"longrope:start=4",              ROPE_VERDICT_NOT       },
    {"dynamic-longrope",              ROPE_VERDICT_AMPLITUDE },
    {"per-pair",                      ROPE_VERDICT_EQUIVALENT},
    {"per-pair:attention_factor=1.2", ROPE_VERDICT_AMPLITUDE },
    {"giraffe-power",                 ROPE_VERDICT_EQUIVALENT},
    {"giraffe-truncate",              ROPE_VERDICT_EQUIVALENT},
    {"ntk-mixed",                     ROPE_VERDICT_EQUIVALENT},
    {"rerope",                        ROPE_VERDICT_NOT       },
    {"leaky-rerope",                  ROPE_VERDICT_NOT       },
    {"self-extend",                   ROPE_VERDICT_NOT       },
    {"dual-chunk",                    ROPE_VERDICT_NOT       },
    {"partial",                       ROPE_VERDICT_EQUIVALENT},
    {"proportional",                  ROPE_VERDICT_EQUIVALENT},
    {"ntk:log_n=1",                   ROPE_VERDICT_NOT       },
};

static void test_every_method_gets_its_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(verdicts); i++) {
        RopeTable table = table_of(verdicts[i].text);
        RopeAudit audit;
        rope_audit(&table, N_CTX, 1, &audit);
        if (audit.verdict != verdicts[i].verdict)
            fail_msg("%s: %s (residual %g, norm error %g)", verdicts[i].text,
                     rope_verdict_text(audit.verdict), audit.residual, audit.norm_error);
        if (audit.verdict != ROPE_VERDICT_NOT)
            assert_true(audit.shift_error <= rope_audit_tolerance(N_CTX));
    }
}

static void test_no_method_lacks_a_verdict(void **state)
{
    (void)state;
    for (const RopeMethod *method = rope_methods; method->name; method++) {
        bool found = method->training_only;
        for (size_t i = 0; i < COUNT_OF(verdicts); i++)
            found = found || strcmp(verdicts[i].text, method->name) == 0;
        if (!found) fail_msg("method %s has no verdict here", method->name);
    }
}

/* Engineer A's form, fitted from its turns alone, gives Engineer B's angles. */
static void test_the_fit_of_pi_is_linears_theta(void **state)
{
    (void)state;
    RopeTable pi = table_of("pi:factor=3.7");
    RopeTable linear = table_of("linear:factor=3.7");
    RopeAudit audit;
    rope_audit(&pi, N_CTX, 1, &audit);
    for (int i = 0; i < N_ROT / 2; i++)
        assert_close(audit.theta_fit[i], linear.query[0].inv_freq[i], 1e-13, 0.0);
}

static void test_the_amplitude_of_yarn_is_reported(void **state)
{
    (void)state;
    RopeTable yarn = table_of("yarn:factor=4");
    RopeAudit audit;
    rope_audit(&yarn, N_CTX, 1, &audit);
    assert_close(audit.amplitude, 1.0 + 0.1 * log(4.0), 1e-15, 0.0);
}

static void test_rounding_is_no_residue_at_long_contexts(void **state)
{
    (void)state;
    static const char *const methods[] = {"pi:factor=7.7", "yarn:factor=64", "ntk:lambda=100"};
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        RopeTable table = table_of(methods[i]);
        RopeAudit audit;
        for (int64_t n_ctx = 2; n_ctx <= 1 << 20; n_ctx *= 8) {
            rope_audit(&table, n_ctx, 3, &audit);
            assert_int_not_equal(audit.verdict, ROPE_VERDICT_NOT);
        }
    }
}

/* Inside the window of ReRoPE nothing is changed, beyond it the residual is what the paper's clipping does. */
static void test_rerope_leaves_theta_where_its_window_ends(void **state)
{
    (void)state;
    RopeTable rerope = table_of("rerope:window=64");
    RopeAudit inside;
    RopeAudit beyond;
    rope_audit(&rerope, 64, 1, &inside);
    rope_audit(&rerope, N_CTX, 1, &beyond);
    assert_int_equal(inside.verdict, ROPE_VERDICT_EQUIVALENT);
    assert_int_equal(beyond.verdict, ROPE_VERDICT_NOT);
    assert_true(beyond.residual > 0.1);
}

/* The engine's float path, written again: angles by the formula of linear scaling, all positions and many vectors. */
enum { TWIN_PAIRS = N_ROT / 2, TWIN_N_CTX = 16 };

typedef struct {
    float cos[TWIN_N_CTX][TWIN_PAIRS];
    float sin[TWIN_N_CTX][TWIN_PAIRS];
    double theta[TWIN_PAIRS];
} TwinTable;

static void twin_fill(TwinTable *twin, double factor)
{
    for (int i = 0; i < TWIN_PAIRS; i++)
        twin->theta[i] = exp(-2.0 * i / N_ROT * log(10000.0)) / factor;
    for (int p = 0; p < TWIN_N_CTX; p++)
        for (int i = 0; i < TWIN_PAIRS; i++) {
            twin->cos[p][i] = (float)cos(p * twin->theta[i]);
            twin->sin[p][i] = (float)sin(p * twin->theta[i]);
        }
}

static double twin_residual(const TwinTable *twin)
{
    double worst = 0.0;
    for (int p = 0; p < TWIN_N_CTX; p++)
        for (int j = 0; j <= p; j++)
            for (int i = 0; i < TWIN_PAIRS; i++) {
                double query = atan2((double)twin->sin[p][i], (double)twin->cos[p][i]);
                double key = atan2((double)twin->sin[j][i], (double)twin->cos[j][i]);
                double off = query - key - (p - j) * twin->theta[i];
                worst = fmax(worst, fabs(remainder(off, 2.0 * acos(-1.0))));
            }
    return worst;
}

/* A turned vector in float, pair i at (i, i + d/2). */
static void twin_turn(const TwinTable *twin, int p, const float *x, float *y)
{
    for (int i = 0; i < TWIN_PAIRS; i++) {
        float a = x[i];
        float b = x[i + TWIN_PAIRS];
        y[i] = a * twin->cos[p][i] - b * twin->sin[p][i];
        y[i + TWIN_PAIRS] = a * twin->sin[p][i] + b * twin->cos[p][i];
    }
}

static double twin_norm(const float *x)
{
    double sum = 0.0;
    for (int i = 0; i < N_ROT; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

static float twin_score(const TwinTable *twin, int p, int j, const float *q, const float *k)
{
    float turned_q[N_ROT];
    float turned_k[N_ROT];
    float sum = 0.0F;
    twin_turn(twin, p, q, turned_q);
    twin_turn(twin, j, k, turned_k);
    for (int i = 0; i < N_ROT; i++)
        sum += turned_q[i] * turned_k[i];
    return sum;
}

static RopeFloatAudit twin_audit(const TwinTable *twin)
{
    RopeFloatAudit worst = {.residual = twin_residual(twin)};
    float x[2][N_ROT];
    float y[N_ROT];
    uint32_t state = 1;
    for (int trial = 0; trial < 2000; trial++) {
        for (int i = 0; i < 2 * N_ROT; i++) {
            state = state * 1664525U + 1013904223U;
            x[i / N_ROT][i % N_ROT] = (float)(state >> 8) / 8388608.0F - 1.0F;
        }
        int p = trial % TWIN_N_CTX;
        int j = p * (trial / TWIN_N_CTX % 8) / 8;
        twin_turn(twin, p, x[0], y);
        worst.norm_error = fmax(worst.norm_error, fabs(twin_norm(y) / twin_norm(x[0]) - 1.0));
        double here = (double)twin_score(twin, p, j, x[0], x[1]);
        double moved = (double)twin_score(twin, TWIN_N_CTX - 1, TWIN_N_CTX - 1 - p + j, x[0], x[1]);
        worst.shift_error =
            fmax(worst.shift_error, fabs(here - moved) / (twin_norm(x[0]) * twin_norm(x[1])));
    }
    return worst;
}

static void assert_within_factor(double got, double want, double factor)
{
    if (!(got <= factor * want && got >= want / factor))
        fail_msg("%g is more than %g times off %g", got, factor, want);
}

static void test_the_float_figures_are_those_of_an_engine_written_again(void **state)
{
    (void)state;
    static const char *const forms[] = {"linear:factor=3.7", "pi:factor=3.7"};
    TwinTable twin;
    twin_fill(&twin, 3.7);
    RopeFloatAudit want = twin_audit(&twin);
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        RopeTable table = table_of(forms[i]);
        RopeAudit audit;
        rope_audit(&table, TWIN_N_CTX, 1, &audit);
        assert_close(audit.in_float.residual, want.residual, 1e-6, 0.0);
        assert_within_factor(audit.in_float.norm_error, want.norm_error, 2.0);
        assert_within_factor(audit.in_float.shift_error, want.shift_error, 2.0);
    }
}

/* A cosine and a sine that are right to half a unit of float turn by at most 2^-24.5; in float angles it would be 1e-2 here. */
static void test_float_errors_do_not_grow_with_the_length(void **state)
{
    (void)state;
    static const char *const methods[] = {"none", "pi:factor=7.7", "yarn:factor=64"};
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        RopeTable table = table_of(methods[i]);
        RopeAudit audit;
        for (int64_t n_ctx = 2; n_ctx <= 1 << 20; n_ctx *= 32) {
            rope_audit(&table, n_ctx, 3, &audit);
            assert_true(audit.in_float.residual < 2.0 * ldexp(1.0, -24));
            assert_true(audit.in_float.norm_error < ldexp(1.0, -22));
            assert_true(audit.in_float.shift_error < ldexp(1.0, -20));
        }
    }
}

/* What a method itself leaves over is far above rounding, and the same in both. */
static void test_what_a_method_leaves_over_is_the_same_in_float(void **state)
{
    (void)state;
    RopeTable rerope = table_of("rerope:window=64");
    RopeTable log_n = table_of("ntk:log_n=1");
    RopeAudit audit;
    rope_audit(&rerope, N_CTX, 1, &audit);
    assert_true(audit.in_float.residual > 0.1 && audit.in_float.residual < audit.residual + 1e-6);
    rope_audit(&log_n, N_CTX, 1, &audit);
    assert_close(audit.norm_error, log(1024.0) / log(256.0) - 1.0, 1e-6, 0.0);
    assert_close(audit.in_float.norm_error, audit.norm_error, 1e-6, 0.0);
    assert_close(audit.shift_error, audit.norm_error, 1e-6, 0.0);
    assert_true(audit.in_float.shift_error > 0.01 &&
                audit.in_float.shift_error < audit.shift_error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_method_gets_its_verdict),
        cmocka_unit_test(test_no_method_lacks_a_verdict),
        cmocka_unit_test(test_the_fit_of_pi_is_linears_theta),
        cmocka_unit_test(test_the_amplitude_of_yarn_is_reported),
        cmocka_unit_test(test_rounding_is_no_residue_at_long_contexts),
        cmocka_unit_test(test_rerope_leaves_theta_where_its_window_ends),
        cmocka_unit_test(test_the_float_figures_are_those_of_an_engine_written_again),
        cmocka_unit_test(test_float_errors_do_not_grow_with_the_length),
        cmocka_unit_test(test_what_a_method_leaves_over_is_the_same_in_float),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
