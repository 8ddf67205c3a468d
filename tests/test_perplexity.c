#include "tests/test_util.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "harness/probe.h"

/* A backend that writes down what it is asked and answers with numbers that a test chooses. */
enum { MAX_CALLS = 64, MAX_WINDOW = 512, BOS = 256 };

typedef struct {
    int64_t n;
    int32_t tokens[MAX_WINDOW];
    uint8_t want[MAX_WINDOW];
} Call;

typedef struct {
    Call calls[MAX_CALLS];
    int n_calls;
    double (*nll)(int call, int32_t token, int64_t position);
} Recorder;

static bool recorder_score(void *self, const int32_t *tokens, int64_t n, const uint8_t *want,
                           TokenScore *out, Err *err)
{
    (void)err;
    Recorder *recorder = self;
    assert_true(recorder->n_calls < MAX_CALLS && n <= MAX_WINDOW);
    Call *call = &recorder->calls[recorder->n_calls];
    call->n = n;
    memcpy(call->tokens, tokens, (size_t)n * sizeof *tokens);
    memset(call->want, 0, sizeof call->want);
    memcpy(call->want, want, (size_t)n - 1);
    for (int64_t i = 0; i + 1 < n; i++) {
        if (want[i]) out[i].nll = recorder->nll(recorder->n_calls, tokens[i + 1], i + 1);
    }
    recorder->n_calls++;
    return true;
}

static void recorder_decode(const void *self, const int32_t *ids, size_t n, bool at_start, Buf *out)
{
    (void)self, (void)at_start;
    for (size_t i = 0; i < n; i++)
        buf_putc(out, (char)ids[i]);
}

static bool recorder_encode(const void *self, const char *text, size_t n, TokenList *out, Err *err)
{
    (void)self, (void)err;
    for (size_t i = 0; i < n; i++)
        token_list_add(out, (unsigned char)text[i]);
    return true;
}

static const BackendOps recorder_ops = {
    .name = "recorder",
    .encode = recorder_encode,
    .decode = recorder_decode,
    .score = recorder_score,
};

static Recorder recorder;

static Backend open_recorder(bool adds_bos, double (*nll)(int, int32_t, int64_t))
{
    memset(&recorder, 0, sizeof recorder);
    recorder.nll = nll;
    return (Backend){.ops = &recorder_ops,
                     .self = &recorder,
                     .bos_id = BOS,
                     .adds_bos = adds_bos,
                     .has_text = true,
                     .vocab_size = 257,
                     .n_ctx_max = MAX_WINDOW};
}

static double nll_of_token(int call, int32_t token, int64_t position)
{
    (void)call;
    return 0.01 * (double)token + 0.001 * (double)position;
}

/* n bytes, parted into documents of n_document tokens. */
static Corpus *make_corpus(size_t n, int64_t n_document, const Backend *backend)
{
    Err err = {0};
    char *text = mem_alloc(n, 1);
    for (size_t i = 0; i < n; i++)
        text[i] = (char)('A' + (i * 7 + i / 11) % 50);
    DocumentSplit split = {.rule = DOCUMENTS_TOKENS, .n_tokens = n_document};
    Corpus *corpus = corpus_open(test_file("corpus.txt", text, n), &split, backend, &err);
    assert_ok(corpus, &err);
    free(text);
    return corpus;
}

typedef struct {
    ProbeSpec spec;
    ProbeInput input;
    ProbeResult result;
} Run;

static void run_probe(Run *run, const char *text, const Corpus *corpus, int64_t n_ctx,
                      Backend *backend)
{
    Err err = {0};
    assert_ok(probe_spec_parse(text, &run->spec, &err), &err);
    run->input.spec = &run->spec;
    run->input.text = backend;
    run->input.corpus = corpus;
    run->result = (ProbeResult){0};
    assert_ok(probe_perplexity.run(&run->input, n_ctx, (double)NAN, backend, &run->result, &err),
              &err);
}

static double metric(const Run *run, const char *name)
{
    for (size_t i = 0; i < run->result.cell.n_metrics; i++)
        if (str_equal(run->result.cell.metrics[i].name, name))
            return run->result.cell.metrics[i].value;
    fail_msg("no metric %s", name);
    return 0;
}

/* Twins: each protocol once more, from its definition, one predicted token at a time. */

/* Checks that call c had these tokens and scored the predictions of positions from … n-1. */
static void expect_call(int c, const int32_t *tokens, int64_t n, int64_t from, double *sum,
                        int64_t *n_scored)
{
    const Call *call = &recorder.calls[c];
    assert_int_equal(call->n, n);
    assert_memory_equal(call->tokens, tokens, (size_t)n * sizeof *tokens);
    for (int64_t position = 1; position < n; position++) {
        assert_int_equal(call->want[position - 1], position >= from);
        if (position < from) continue;
        *sum += nll_of_token(c, tokens[position], position);
        ++*n_scored;
    }
}

static void check_sums(Run *run, int n_calls, double sum, int64_t n_scored)
{
    assert_int_equal(recorder.n_calls, n_calls);
    assert_int_equal(run->result.cell.status, CELL_DONE);
    assert_int_equal(run->result.cell.metrics[0].n, n_scored);
    assert_close(metric(run, "nll"), sum / (double)n_scored, 1e-12, 0);
    assert_close(metric(run, "perplexity"), exp(sum / (double)n_scored), 1e-12, 0);
    assert_close(metric(run, "bits_per_byte"), sum / (double)n_scored / log(2.0), 1e-12, 0);
    double by_position = 0.0;
    int64_t n = 0;
    for (size_t i = 0; i < run->result.cell.n_positions; i++) {
        by_position += run->result.cell.positions[i].sum;
        n += run->result.cell.positions[i].n;
    }
    assert_close(by_position, sum, 1e-12, 0);
    assert_int_equal(n, n_scored);
    probe_result_free(&run->result);
}

static void test_perplexity_disjoint_equals_its_definition(void **state)
{
    (void)state;
    Backend backend = open_recorder(true, nll_of_token);
    Corpus *corpus = make_corpus(1000, 1000, &backend);
    Run run = {0};
    run_probe(&run, "perplexity:protocol=disjoint,max_tokens=512", corpus, 100, &backend);
    double sum = 0.0;
    int64_t n_scored = 0;
    for (int w = 0; w < 5; w++) {
        int32_t tokens[100] = {BOS};
        for (int i = 1; i < 100; i++)
            tokens[i] = corpus->tokens[w * 99 + i - 1];
        expect_call(w, tokens, 100, 1, &sum, &n_scored);
    }
    check_sums(&run, 5, sum, n_scored);
    corpus_free(corpus);
}

/* A ragged end: 1000 tokens, window 256, stride 100. */
static void test_perplexity_sliding_scores_every_token_once(void **state)
{
    (void)state;
    for (int bos = 0; bos < 2; bos++) {
        Backend backend = open_recorder(bos, nll_of_token);
        Corpus *corpus = make_corpus(1000, 1000, &backend);
        Run run = {0};
        run_probe(&run, "perplexity:protocol=sliding,stride=100", corpus, 256, &backend);
        double sum = 0.0;
        int64_t n_scored = 0, scored_to = 1 - bos;
        int c = 0;
        for (int64_t end = 256 - bos; scored_to < 1000; end = end + 100 < 1000 ? end + 100 : 1000) {
            int32_t tokens[256] = {BOS};
            for (int64_t i = bos; i < 256; i++)
                tokens[i] = corpus->tokens[end - 256 + i];
            expect_call(c++, tokens, 256, 256 - (end - scored_to), &sum, &n_scored);
            scored_to = end;
        }
        assert_int_equal(n_scored, 999 + bos);
        check_sums(&run, c, sum, n_scored);
        corpus_free(corpus);
    }
}

static void test_perplexity_sliding_of_20_tokens_scores_20_with_bos_and_19_without(void **state)
{
    (void)state;
    for (int bos = 0; bos < 2; bos++) {
        Backend backend = open_recorder(bos, nll_of_token);
        Corpus *corpus = make_corpus(20, 20, &backend);
        Run run = {0};
        run_probe(&run, "perplexity:protocol=sliding,stride=5", corpus, 10, &backend);
        assert_int_equal(run.result.cell.metrics[0].n, 19 + bos);
        for (int c = 0; c < recorder.n_calls; c++)
            for (int64_t i = 0; i < recorder.calls[c].n; i++)
                assert_int_equal(recorder.calls[c].tokens[i] == BOS, bos && i == 0);
        probe_result_free(&run.result);
        corpus_free(corpus);
    }
}

static void test_perplexity_half_chunk_equals_its_definition(void **state)
{
    (void)state;
    for (int bos = 0; bos < 2; bos++) {
        Backend backend = open_recorder(bos, nll_of_token);
        Corpus *corpus = make_corpus(1000, 1000, &backend);
        Run run = {0};
        run_probe(&run, "perplexity:protocol=half-chunk,max_tokens=0", corpus, 128, &backend);
        int32_t stream[1001] = {BOS};
        memcpy(stream + bos, corpus->tokens, 1000 * sizeof *stream);
        double sum = 0.0;
        int64_t n_scored = 0;
        for (int c = 0; c < 7; c++) {
            if (bos) stream[c * 128] = BOS;
            expect_call(c, stream + c * 128, 128, 65, &sum, &n_scored);
        }
        assert_int_equal(n_scored, 7 * 63);
        check_sums(&run, 7, sum, n_scored);
        corpus_free(corpus);
    }
}

static void test_perplexity_truncated_scores_the_head_of_each_long_document(void **state)
{
    (void)state;
    Backend backend = open_recorder(true, nll_of_token);
    Corpus *corpus = make_corpus(1050, 200, &backend); /* five of 200 and one of 50 */
    Run run = {.input.target_max = 128};
    run_probe(&run, "perplexity:protocol=truncated,documents=4", corpus, 64, &backend);
    double sum = 0.0;
    int64_t n_scored = 0;
    for (int d = 0; d < 4; d++) {
        int32_t tokens[64] = {BOS};
        memcpy(tokens + 1, corpus->tokens + d * 200, 63 * sizeof *tokens);
        expect_call(d, tokens, 64, 1, &sum, &n_scored);
    }
    check_sums(&run, 4, sum, n_scored);
    corpus_free(corpus);
}

static void test_perplexity_target_scores_the_same_tokens_at_every_length(void **state)
{
    (void)state;
    Backend backend = open_recorder(true, nll_of_token);
    Corpus *corpus = make_corpus(2000, 2000, &backend);
    for (int64_t n_ctx = 64; n_ctx <= 256; n_ctx *= 2) {
        recorder.n_calls = 0;
        Run run = {.input.target_max = 256};
        run_probe(&run, "perplexity:k=32,windows=8", corpus, n_ctx, &backend);
        double sum = 0.0;
        int64_t n_scored = 0;
        for (int w = 0; w < 8; w++) {
            int64_t end = 255 + (int64_t)floor(w * (2000.0 - 255.0) / 7.0);
            int32_t tokens[256] = {BOS};
            memcpy(tokens + 1, corpus->tokens + end - (n_ctx - 1), (size_t)(n_ctx - 1) * 4);
            expect_call(w, tokens, n_ctx, n_ctx - 32, &sum, &n_scored);
        }
        assert_int_equal(n_scored, 8 * 32);
        check_sums(&run, 8, sum, n_scored);
    }
    corpus_free(corpus);
}

static double nll_one_then_three(int call, int32_t token, int64_t position)
{
    (void)token, (void)position;
    return call == 0 ? 1.0 : 3.0;
}

static void test_perplexity_weighs_tokens_and_not_windows(void **state)
{
    (void)state;
    Backend backend = open_recorder(false, nll_one_then_three);
    Corpus *corpus = make_corpus(111, 111, &backend);
    Run run = {0};
    run_probe(&run, "perplexity:protocol=sliding,stride=100", corpus, 101, &backend);
    assert_int_equal(run.result.cell.trials[0].n_scored, 100);
    assert_int_equal(run.result.cell.trials[1].n_scored, 10);
    assert_close(metric(&run, "perplexity"), 3.2602966, 1e-7, 0);
    probe_result_free(&run.result);
    corpus_free(corpus);
}

static double nll_nan_once(int call, int32_t token, int64_t position)
{
    (void)token;
    return call == 2 && position == 17 ? (double)NAN : 1.0;
}

static void test_perplexity_nan_ends_the_cell_with_its_position(void **state)
{
    (void)state;
    Backend backend = open_recorder(true, nll_nan_once);
    Corpus *corpus = make_corpus(1000, 1000, &backend);
    Run run = {0};
    run_probe(&run, "perplexity:protocol=disjoint", corpus, 64, &backend);
    assert_int_equal(run.result.cell.status, CELL_NONFINITE);
    assert_int_equal(run.result.cell.n_metrics, 0);
    assert_string_equal(run.result.cell.message, "window 2: the prediction of position 17 (token "
                                                 "142 of the text) is not finite");
    probe_result_free(&run.result);
    corpus_free(corpus);
}

static void test_perplexity_interval_needs_ten_clusters_and_says_so(void **state)
{
    (void)state;
    Backend backend = open_recorder(true, nll_of_token);
    Corpus *corpus = make_corpus(2000, 2000, &backend);
    Run run = {.input.target_max = 300};
    run_probe(&run, "perplexity:k=16,windows=16", corpus, 64, &backend);
    assert_true(isnan(run.result.cell.metrics[0].ci_low));
    assert_string_equal(run.result.cell.metrics[0].ci_method, "none: fewer than 10 clusters");
    probe_result_free(&run.result);
    run.input.target_max = 100;
    recorder.n_calls = 0;
    run_probe(&run, "perplexity:k=16,windows=16", corpus, 64, &backend);
    assert_string_equal(run.result.cell.metrics[0].ci_method, "clustered-t95");
    const Metric *nll = &run.result.cell.metrics[0], *perplexity = &run.result.cell.metrics[1];
    assert_true(nll->ci_low < nll->value && nll->value < nll->ci_high);
    assert_close(perplexity->ci_high, exp(nll->ci_high), 1e-14, 0);
    probe_result_free(&run.result);
    corpus_free(corpus);
}

static void test_perplexity_clusters_are_documents_from_twenty_on(void **state)
{
    (void)state;
    static const struct {
        int64_t n_documents;
        int64_t n_clusters;
    } cases[] = {
        {19, 3 }, /* 950 tokens in blocks of 400 */
        {20, 20},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Backend backend = open_recorder(true, nll_of_token);
        Corpus *corpus = make_corpus((size_t)cases[i].n_documents * 50, 50, &backend);
        Run run = {.input.target_max = 400};
        run_probe(&run, "perplexity:protocol=disjoint", corpus, 51, &backend);
        int64_t last = run.result.cell.trials[run.result.cell.n_trials - 1].cluster;
        assert_int_equal(last + 1, cases[i].n_clusters);
        probe_result_free(&run.result);
        corpus_free(corpus);
    }
}

static void test_perplexity_cells_that_cannot_be_run_say_why(void **state)
{
    (void)state;
    static const struct {
        const char *probe;
        int64_t n_ctx;
        int64_t target_max;
        CellStatus status;
        const char *part;
    } cases[] = {
        {"perplexity:k=64",                            100,  256,  CELL_INVALID,            "2k = 128"  },
        {"perplexity:k=64",                            300,  256,  CELL_INVALID,            "above"     },
        {"perplexity:k=64,windows=8",                  128,  1000, CELL_SKIPPED_SHORT_TEXT,
         "1000 tokens, the cell needs 1447"                                                             },
        {"perplexity:protocol=truncated",              64,   2000, CELL_SKIPPED_SHORT_TEXT,
         "has 1000 tokens, --target-max needs 1999"                                                     },
        {"perplexity:protocol=disjoint",               2000, 0,    CELL_SKIPPED_SHORT_TEXT,
         "1000 tokens, the cell needs 2000"                                                             },
        {"perplexity:protocol=disjoint,max_tokens=50", 64,   0,    CELL_INVALID,            "max_tokens"},
        {"perplexity:protocol=sliding,stride=100",     64,   0,    CELL_INVALID,            "stride 100"},
        {"perplexity:protocol=half-chunk",             600,  0,    CELL_SKIPPED_SHORT_TEXT, "needs 1199"},
        {"perplexity:protocol=disjoint",               1,    0,    CELL_INVALID,            "no token"  },
    };
    Backend backend = open_recorder(true, nll_of_token);
    Corpus *corpus = make_corpus(1000, 1000, &backend);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Run run = {.input.target_max = cases[i].target_max};
        run_probe(&run, cases[i].probe, corpus, cases[i].n_ctx, &backend);
        assert_int_equal(run.result.cell.status, cases[i].status);
        if (!strstr(run.result.cell.message, cases[i].part))
            fail_msg("%s: \"%s\"", cases[i].probe, run.result.cell.message);
        probe_result_free(&run.result);
    }
    assert_int_equal(recorder.n_calls, 0);
    corpus_free(corpus);
}

static void test_perplexity_limit_cuts_windows(void **state)
{
    (void)state;
    Backend backend = open_recorder(true, nll_of_token);
    Corpus *corpus = make_corpus(1000, 1000, &backend);
    Run run = {.input.limit = 3};
    run_probe(&run, "perplexity:protocol=disjoint", corpus, 64, &backend);
    assert_int_equal(run.result.cell.n_trials, 3);
    probe_result_free(&run.result);
    corpus_free(corpus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_perplexity_disjoint_equals_its_definition),
        cmocka_unit_test(test_perplexity_sliding_scores_every_token_once),
        cmocka_unit_test(test_perplexity_sliding_of_20_tokens_scores_20_with_bos_and_19_without),
        cmocka_unit_test(test_perplexity_half_chunk_equals_its_definition),
        cmocka_unit_test(test_perplexity_truncated_scores_the_head_of_each_long_document),
        cmocka_unit_test(test_perplexity_target_scores_the_same_tokens_at_every_length),
        cmocka_unit_test(test_perplexity_weighs_tokens_and_not_windows),
        cmocka_unit_test(test_perplexity_nan_ends_the_cell_with_its_position),
        cmocka_unit_test(test_perplexity_interval_needs_ten_clusters_and_says_so),
        cmocka_unit_test(test_perplexity_clusters_are_documents_from_twenty_on),
        cmocka_unit_test(test_perplexity_cells_that_cannot_be_run_say_why),
        cmocka_unit_test(test_perplexity_limit_cuts_windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
