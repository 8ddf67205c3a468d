#include "tests/test_util.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "harness/probe.h"

/* The fake model retrieves up to 256 * λ tokens; see models/backend_fake.c. */
enum { N_CTX_ORIG = 256 };

typedef struct {
    Backend backend; /* what the probe sees: passes calls on to `fake` */
    Backend fake;
    int n_generated;    /* calls of generate */
    int64_t nan_row;    /* row counted from the end of a score call that becomes NaN; 0: none */
    bool longer_number; /* a digit follows the key */
    bool other_tokens;  /* the likeliest first token is a space, and the key comes by generate */
} Spy;

static bool spy_encode(const void *self, const char *text, size_t n, TokenList *out, Err *err)
{
    const Spy *spy = self;
    return backend_encode(&spy->fake, text, n, out, err);
}

static void spy_decode(const void *self, const int32_t *ids, size_t n, bool at_start, Buf *out)
{
    const Spy *spy = self;
    backend_decode(&spy->fake, ids, n, at_start, out);
}

static bool spy_score(void *self, const int32_t *tokens, int64_t n, const uint8_t *want,
                      TokenScore *out, Err *err)
{
    Spy *spy = self;
    if (!backend_score(&spy->fake, tokens, n, want, out, err)) return false;
    if (spy->longer_number) out[n - 2].argmax = '7';
    if (spy->other_tokens) out[n - 7].argmax = ' ';
    if (spy->nan_row) out[n - 1 - spy->nan_row].nll = (double)NAN;
    return true;
}

static bool spy_generate(void *self, const int32_t *tokens, int64_t n, int64_t n_new,
                         TokenList *out, Err *err)
{
    Spy *spy = self;
    spy->n_generated++;
    return backend_generate(&spy->fake, tokens, n, n_new, out, err);
}

static const BackendOps spy_ops = {
    .name = "spy",
    .encode = spy_encode,
    .decode = spy_decode,
    .score = spy_score,
    .generate = spy_generate,
};

static void open_spy(Spy *spy, const char *method, int64_t n_ctx)
{
    Err err = {0};
    RopeSpec spec = {.theta = 10000.0, .n_rot = 32, .n_ctx_orig = N_CTX_ORIG};
    *spy = (Spy){0};
    assert_ok(rope_spec_parse(method, &spec, &err), &err);
    assert_ok(rope_spec_resolve(&spec, n_ctx, &err), &err);
    backend_open_fake(&spy->fake, 4096);
    assert_ok(backend_set_rope(&spy->fake, &spec, n_ctx, &err), &err);
    spy->backend = spy->fake;
    spy->backend.ops = &spy_ops;
    spy->backend.self = spy;
}

typedef struct {
    ProbeSpec spec;
    ProbeInput input;
    ProbeResult result;
} Run;

static void run_probe(Run *run, const char *text, int64_t n_ctx, double depth, Spy *spy)
{
    Err err = {0};
    *run = (Run){0};
    assert_ok(probe_spec_parse(text, &run->spec, &err), &err);
    run->input = (ProbeInput){.spec = &run->spec, .text = &spy->backend, .seed = 3};
    assert_ok(probe_passkey.run(&run->input, n_ctx, depth, &spy->backend, &run->result, &err),
              &err);
}

static const Metric *metric(const Run *run, const char *name)
{
    for (size_t i = 0; i < run->result.cell.n_metrics; i++)
        if (str_equal(run->result.cell.metrics[i].name, name)) return &run->result.cell.metrics[i];
    fail_msg("no metric %s", name);
    return NULL;
}

static void test_passkey_within_reach_is_exact_without_generating(void **state)
{
    (void)state;
    Spy spy;
    Run run;
    open_spy(&spy, "none", 256);
    run_probe(&run, "passkey:trials=8", 256, 0.3, &spy);
    assert_int_equal(run.result.cell.status, CELL_DONE);
    assert_int_equal(spy.n_generated, 0);
    assert_close(metric(&run, "passkey_exact")->value, 1.0, 0, 0);
    assert_close(metric(&run, "passkey_forced")->value, 1.0, 0, 0);
    assert_close(metric(&run, "passkey_rank")->value, 0.0, 0, 0);
    assert_close(metric(&run, "passkey_logp")->value, -0.25, 1e-12, 0);
    assert_true(metric(&run, "passkey_logp_gain")->value > 0.0);
    assert_int_equal(metric(&run, "passkey_exact")->n, 8);
    /* Wilson's bound for 8 of 8. */
    assert_close(metric(&run, "passkey_exact")->ci_low, 0.6756, 1e-3, 0);
    probe_result_free(&run.result);
    backend_close(&spy.fake);
}

static void test_passkey_trials_record_what_was_asked_and_answered(void **state)
{
    (void)state;
    Spy spy;
    Run run;
    open_spy(&spy, "none", 256);
    run_probe(&run, "passkey:trials=3,digits=4", 256, 1.0, &spy);
    assert_int_equal(run.result.cell.n_trials, 3);
    for (int i = 0; i < 3; i++) {
        const Trial *trial = &run.result.cell.trials[i];
        assert_int_equal(trial->index, i);
        assert_int_equal(trial->n_prompt_tokens, 256 - 5);
        assert_int_equal(trial->n_scored, 4);
        assert_int_equal(strlen(trial->expected), 4);
        assert_memory_equal(trial->answer, trial->expected, 4);
        assert_string_equal(trial->answer + 4, ".");
        assert_string_equal(trial->ranks, "0 0 0 0");
        assert_int_equal(strlen(trial->prompt_hash), 64);
        assert_true(trial->needle_first > 100);
        assert_true(trial->logp_control < trial->logp);
    }
    probe_result_free(&run.result);
    backend_close(&spy.fake);
}

static void test_passkey_beyond_reach_is_generated_and_missed(void **state)
{
    (void)state;
    Spy spy;
    Run run;
    open_spy(&spy, "none", 512);
    run_probe(&run, "passkey", 512, 0.3, &spy);
    assert_close(metric(&run, "passkey_exact")->value, 0.0, 0, 0);
    assert_close(metric(&run, "passkey_forced")->value, 0.0, 0, 0);
    assert_int_equal(spy.n_generated, 4);
    probe_result_free(&run.result);
    backend_close(&spy.fake);
    open_spy(&spy, "ntk:lambda=2", 512);
    run_probe(&run, "passkey", 512, 0.3, &spy);
    assert_close(metric(&run, "passkey_exact")->value, 1.0, 0, 0);
    probe_result_free(&run.result);
    backend_close(&spy.fake);
}

static void test_passkey_longer_number_is_forced_but_not_exact(void **state)
{
    (void)state;
    Spy spy;
    Run run;
    open_spy(&spy, "none", 256);
    spy.longer_number = true;
    run_probe(&run, "passkey", 256, 0.3, &spy);
    assert_close(metric(&run, "passkey_forced")->value, 1.0, 0, 0);
    assert_close(metric(&run, "passkey_exact")->value, 0.0, 0, 0);
    assert_int_equal(spy.n_generated, 0);
    probe_result_free(&run.result);
    backend_close(&spy.fake);
}

static void test_passkey_spelt_with_other_tokens_is_exact_but_not_forced(void **state)
{
    (void)state;
    Spy spy;
    Run run;
    open_spy(&spy, "none", 256);
    spy.other_tokens = true;
    run_probe(&run, "passkey", 256, 0.3, &spy);
    assert_close(metric(&run, "passkey_forced")->value, 0.0, 0, 0);
    assert_close(metric(&run, "passkey_exact")->value, 1.0, 0, 0);
    assert_int_equal(spy.n_generated, 4);
    probe_result_free(&run.result);
    backend_close(&spy.fake);
}

static void test_passkey_nan_ends_the_cell_without_metrics(void **state)
{
    (void)state;
    Spy spy;
    Run run;
    open_spy(&spy, "none", 256);
    spy.nan_row = 3;
    run_probe(&run, "passkey", 256, 0.3, &spy);
    assert_int_equal(run.result.cell.status, CELL_NONFINITE);
    assert_int_equal(run.result.cell.n_metrics, 0);
    assert_non_null(strstr(run.result.cell.message, "position 253"));
    probe_result_free(&run.result);
    backend_close(&spy.fake);
}

static void test_passkey_that_does_not_fit_is_invalid_and_never_zero(void **state)
{
    (void)state;
    Spy spy;
    Run run;
    open_spy(&spy, "none", 64);
    run_probe(&run, "passkey", 64, 0.5, &spy);
    assert_int_equal(run.result.cell.status, CELL_INVALID);
    assert_int_equal(run.result.cell.n_metrics, 0);
    assert_non_null(strstr(run.result.cell.message, "n_ctx 64"));
    probe_result_free(&run.result);
    backend_close(&spy.fake);
}

static void test_passkey_keys_are_common_to_all_settings(void **state)
{
    (void)state;
    Spy spy;
    Run a, b;
    open_spy(&spy, "none", 300);
    run_probe(&a, "passkey", 300, 0.5, &spy);
    backend_close(&spy.fake);
    open_spy(&spy, "ntk:lambda=4", 300);
    run_probe(&b, "passkey", 300, 0.5, &spy);
    for (int i = 0; i < 4; i++)
        assert_string_equal(a.result.cell.trials[i].prompt_hash,
                            b.result.cell.trials[i].prompt_hash);
    probe_result_free(&a.result);
    probe_result_free(&b.result);
    backend_close(&spy.fake);
}

static void test_passkey_without_a_tokenizer_is_unsupported(void **state)
{
    (void)state;
    Spy spy;
    Run run;
    open_spy(&spy, "none", 300);
    spy.backend.has_text = false;
    run_probe(&run, "passkey", 300, 0.5, &spy);
    assert_int_equal(run.result.cell.status, CELL_UNSUPPORTED);
    probe_result_free(&run.result);
    backend_close(&spy.fake);
}

static void test_probe_registry_is_sound(void **state)
{
    (void)state;
    for (const Probe *const *probe = probes; *probe; probe++) {
        Err err = {0};
        ProbeSpec spec;
        assert_ptr_equal(probe_find((*probe)->name), *probe);
        assert_ok(probe_spec_parse((*probe)->name, &spec, &err), &err);
        assert_null(strchr((*probe)->help, '\n'));
        for (const ProbeParam *param = (*probe)->params; param->key; param++)
            assert_true(param->help && !strchr(param->help, '\n'));
        for (const ProbeMetric *row = (*probe)->metrics; row->name; row++)
            assert_true(row->unit && row->help && row->direction >= -1 && row->direction <= 1);
        assert_true(probe_value(&spec, "bos") == PROBE_BOS_AUTO);
    }
}

static void test_probe_spec_reads_what_it_prints(void **state)
{
    (void)state;
    Err err = {0};
    ProbeSpec spec, again;
    Buf text = {0};
    assert_ok(probe_spec_parse("perplexity:protocol=sliding,stride=1k", &spec, &err), &err);
    buf_puts(&text, "perplexity:");
    probe_spec_text(&spec, &text);
    assert_string_equal(buf_text(&text),
                        "perplexity:protocol=sliding,stride=1024,max_tokens=16384,bos=auto");
    assert_ok(probe_spec_parse(buf_text(&text), &again, &err), &err);
    assert_memory_equal(spec.value, again.value, sizeof spec.value);
    buf_free(&text);
}

static void test_probe_spec_refuses_what_it_would_ignore(void **state)
{
    (void)state;
    Err err = {0};
    ProbeSpec spec;
    assert_err(probe_spec_parse("passkeys", &spec, &err), &err, ERR_USAGE, "passkey, perplexity");
    assert_err(probe_spec_parse("passkey:width=5", &spec, &err), &err, ERR_USAGE, "digits");
    assert_err(probe_spec_parse("passkey:digits=10", &spec, &err), &err, ERR_USAGE, "1 to 9");
    assert_err(probe_spec_parse("passkey:filler=essay", &spec, &err), &err, ERR_USAGE, "line text");
    assert_err(probe_spec_parse("passkey:digits", &spec, &err), &err, ERR_USAGE, "key=value");
    assert_err(probe_spec_parse("perplexity:stride=5", &spec, &err), &err, ERR_USAGE, "sliding");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passkey_within_reach_is_exact_without_generating),
        cmocka_unit_test(test_passkey_trials_record_what_was_asked_and_answered),
        cmocka_unit_test(test_passkey_beyond_reach_is_generated_and_missed),
        cmocka_unit_test(test_passkey_longer_number_is_forced_but_not_exact),
        cmocka_unit_test(test_passkey_spelt_with_other_tokens_is_exact_but_not_forced),
        cmocka_unit_test(test_passkey_nan_ends_the_cell_without_metrics),
        cmocka_unit_test(test_passkey_that_does_not_fit_is_invalid_and_never_zero),
        cmocka_unit_test(test_passkey_keys_are_common_to_all_settings),
        cmocka_unit_test(test_passkey_without_a_tokenizer_is_unsupported),
        cmocka_unit_test(test_probe_registry_is_sound),
        cmocka_unit_test(test_probe_spec_reads_what_it_prints),
        cmocka_unit_test(test_probe_spec_refuses_what_it_would_ignore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
