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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_method_gets_its_verdict),
        cmocka_unit_test(test_no_method_lacks_a_verdict),
        cmocka_unit_test(test_the_fit_of_pi_is_linears_theta),
        cmocka_unit_test(test_the_amplitude_of_yarn_is_reported),
        cmocka_unit_test(test_rounding_is_no_residue_at_long_contexts),
        cmocka_unit_test(test_rerope_leaves_theta_where_its_window_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
