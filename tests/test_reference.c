/* Real models against numbers that others computed. */
#include "tests/test_util.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/session.h"
#include "tests/engine_setup.h"

static json_t *load_json(const char *path)
{
    json_error_t where;
    json_t *root = json_load_file(path, 0, &where);
    if (!root) fail_msg("%s: %s", path, where.text);
    return root;
}

static double number_at(const json_t *list, size_t i)
{
    return json_number_value(json_array_get(list, i));
}

static Model *load(const char *path)
{
    Err err;
    Model *model = model_load(path, &err);
    assert_ok(model, &err);
    return model;
}

/* A session under one method, for a model trained at n_ctx_orig tokens (0: as the file claims). */
static Session *session_with(const Model *model, const char *method, int64_t n_ctx_orig,
                             int64_t n_ctx)
{
    RopeSpec spec = model->config.rope;
    RopeTable table;
    SessionOptions options = {.n_threads = 1};
    Err err;
    if (n_ctx_orig) spec.n_ctx_orig = n_ctx_orig;
    assert_ok(rope_spec_parse(method, &spec, &err), &err);
    assert_ok(rope_spec_resolve(&spec, n_ctx, &err), &err);
    assert_ok(rope_table_make(&spec, n_ctx, &table, &err), &err);
    Session *session = session_open(model, n_ctx, &options, &err);
    assert_ok(session, &err);
    assert_ok(session_set_rope(session, &table, &err), &err);
    return session;
}

static void score_all(Session *session, const int32_t *tokens, int64_t n, TokenScore *out)
{
    uint8_t *want = mem_alloc((size_t)n, 1);
    Err err;
    memset(want, 1, (size_t)n);
    assert_ok(session_score(session, tokens, n, want, out, &err), &err);
    free(want);
}

/* Ids in a text file, apart by blanks. */
static int64_t read_ids(const char *path, int32_t *ids, int64_t cap)
{
    Buf text = {0};
    Err err;
    assert_ok(file_read(path, 1 << 20, &text, &err), &err);
    int64_t n = 0;
    char *state = NULL;
    char *copy = buf_steal(&text);
    for (char *word = strtok_r(copy, " \n", &state); word; word = strtok_r(NULL, " \n", &state)) {
        int64_t id;
        assert_true(str_to_i64(word, &id) && n < cap);
        ids[n++] = (int32_t)id;
    }
    free(copy);
    return n;
}

static void check_logit_file(const Model *model, const char *name, const char *variant,
                             const char *method, int64_t n_ctx_orig)
{
    int32_t ids[512];
    char relative[128];
    TokenScore scores[512];
    float logits[512];
    Err err;
    snprintf(relative, sizeof relative, "reference-logits/%s.ids", name);
    int64_t n = read_ids(shared_path(relative), ids, 512);
    snprintf(relative, sizeof relative, "reference-logits/%s.%s.json", name, variant);
    json_t *root = load_json(shared_path(relative));
    const json_t *nll = json_object_get(root, "nll_next");
    const json_t *top = json_object_get(root, "top");
    const json_t *last = json_object_get(root, "last_logits");
    Session *session = session_with(model, method, n_ctx_orig, n);
    score_all(session, ids, n, scores);
    assert_int_equal(json_array_size(nll), n - 1);
    for (int64_t i = 0; i < n - 1; i++) {
        assert_close(scores[i].nll, number_at(nll, (size_t)i), 0.0, 1e-4);
        const json_t *best = json_array_get(json_array_get(top, (size_t)i), 0);
        assert_int_equal(scores[i].argmax, json_integer_value(json_array_get(best, 0)));
    }
    assert_ok(session_logits(session, ids, n, logits, &err), &err);
    assert_int_equal(json_array_size(last), model->config.vocab_size);
    for (int v = 0; v < model->config.vocab_size; v++)
        assert_close((double)logits[v], number_at(last, (size_t)v), 0.0, 1e-4);
    session_close(session);
    json_decref(root);
}

static void test_stories260k_equals_llama_cpp_under_every_setting(void **state)
{
    (void)state;
    static const char *const names[] = {"story64", "lcg64", "story300"};
    Model *model = load(shared_path("data/models/stories260K/stories260K.bin"));
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        check_logit_file(model, names[i], "plain", "none", 512);
        check_logit_file(model, names[i], "base-x4", "ntk:lambda=4", 512);
        check_logit_file(model, names[i], "linear-0.5", "linear:factor=2", 512);
        check_logit_file(model, names[i], "linear-0.5", "pi:factor=2", 512);
        check_logit_file(model, names[i], "yarn-x4-orig128", "yarn:factor=4", 128);
    }
    model_free(model);
}

static void test_stories260k_gives_the_same_bits_from_both_formats(void **state)
{
    (void)state;
    int32_t ids[512];
    TokenScore of_bin[512];
    TokenScore of_gguf[512];
    int64_t n = read_ids(shared_path("reference-logits/story300.ids"), ids, 512);
    Model *bin = load(shared_path("data/models/stories260K/stories260K.bin"));
    Model *gguf = load(shared_path("data/models/stories260K/stories260K.gguf"));
    assert_int_equal(gguf->config.n_ctx_train,
                     2048); /* what the file claims; it was trained at 512 */
    Session *a = session_with(bin, "none", 512, n);
    Session *b = session_with(gguf, "none", 512, n);
    score_all(a, ids, n, of_bin);
    score_all(b, ids, n, of_gguf);
    for (int64_t i = 0; i < n - 1; i++)
        assert_memory_equal(&of_bin[i].nll, &of_gguf[i].nll, sizeof(double));
    session_close(a);
    session_close(b);
    model_free(bin);
    model_free(gguf);
}

/* A session under the rotation that the file states, for texts of n_ctx tokens. */
static Session *session_of_file(const Model *model, int64_t n_ctx)
{
    RopeSpec spec = model->config.rope;
    RopeTable table;
    SessionOptions options = {.n_threads = 1};
    Err err;
    assert_ok(rope_spec_resolve(&spec, model->config.n_ctx_train, &err), &err);
    assert_ok(rope_table_make(&spec, n_ctx, &table, &err), &err);
    Session *session = session_open(model, n_ctx, &options, &err);
    assert_ok(session, &err);
    assert_ok(session_set_rope(session, &table, &err), &err);
    return session;
}

/* Logits of every position against transformers' in float64. */
static void check_fixture(const char *path, const char *logits_of, double tolerance)
{
    char relative[128];
    snprintf(relative, sizeof relative, "data/fixtures/neural-api/tiny_%s_logits.json", logits_of);
    Model *model = load(path);
    json_t *root = load_json(shared_path(relative));
    const json_t *sequences = json_object_get(root, "sequences");
    const json_t *logits = json_object_get(root, "logits");
    assert_int_equal(json_array_size(sequences), 3);
    for (size_t s = 0; s < 3; s++) {
        const json_t *sequence = json_array_get(sequences, s);
        size_t n = json_array_size(sequence);
        int32_t ids[64];
        for (size_t i = 0; i < n; i++)
            ids[i] = (int32_t)json_integer_value(json_array_get(sequence, i));
        Session *session = session_of_file(model, (int64_t)n);
        for (size_t i = 0; i < n; i++) {
            float got[16];
            Err err;
            const json_t *row = json_array_get(json_array_get(logits, s), i);
            assert_ok(session_logits(session, ids, (int64_t)i + 1, got, &err), &err);
            assert_int_equal(json_array_size(row), model->config.vocab_size);
            for (int v = 0; v < model->config.vocab_size; v++)
                assert_close((double)got[v], number_at(row, (size_t)v), 0.0, tolerance);
        }
        session_close(session);
    }
    json_decref(root);
    model_free(model);
}

/* Copies shared files into a folder with the names that a checkpoint has. */
static void copy_to(const char *folder, const char *name, const char *relative)
{
    Buf bytes = {0};
    Err err;
    char *path = file_join(folder, name);
    assert_ok(file_read(shared_path(relative), 1 << 24, &bytes, &err), &err);
    assert_ok(file_write_atomic(path, bytes.data, bytes.len, &err), &err);
    buf_free(&bytes);
    free(path);
}

static void test_tiny_llama_equals_transformers_from_every_format(void **state)
{
    (void)state;
    char *single = file_join(test_folder(), "single");
    char *sharded = file_join(test_folder(), "sharded");
    shared_path("data");
    assert_int_equal(mkdir(single, 0755), 0);
    assert_int_equal(mkdir(sharded, 0755), 0);
    copy_to(single, "config.json", "data/fixtures/neural-api/tiny_llama_config.json");
    copy_to(single, "model.safetensors", "data/fixtures/neural-api/tiny_llama.safetensors");
    copy_to(sharded, "config.json", "data/fixtures/neural-api/tiny_llama_config.json");
    copy_to(sharded, "model.safetensors.index.json",
            "data/fixtures/neural-api/tiny_llama.safetensors.index.json");
    copy_to(sharded, "tiny_llama-00001-of-00002.safetensors",
            "data/fixtures/neural-api/tiny_llama-00001-of-00002.safetensors");
    copy_to(sharded, "tiny_llama-00002-of-00002.safetensors",
            "data/fixtures/neural-api/tiny_llama-00002-of-00002.safetensors");
    check_fixture(single, "llama", 1e-4);
    check_fixture(sharded, "llama", 1e-4);
    check_fixture(shared_path("data/fixtures/neural-api/tiny_llama_f32.gguf"), "llama", 1e-4);
    check_fixture(shared_path("data/fixtures/neural-api/tiny_llama_f16.gguf"), "llama",
                  1e-2); /* weights rounded to half */
    free(single);
    free(sharded);
}

/* A checkpoint folder of one fixture. */
static char *fixture_folder(const char *name, const char *weights)
{
    char relative[128];
    char *folder = file_join(test_folder(), name);
    assert_int_equal(mkdir(folder, 0755), 0);
    snprintf(relative, sizeof relative, "data/fixtures/neural-api/tiny_%s_config.json", name);
    copy_to(folder, "config.json", relative);
    snprintf(relative, sizeof relative, "data/fixtures/neural-api/tiny_%s.safetensors", weights);
    copy_to(folder, "model.safetensors", relative);
    return folder;
}

static void test_every_architecture_equals_transformers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *weights;
    } fixtures[] = {
        {"qwen2",         "qwen2"        }, /* biases of q, k and v */
        {"qwen3",         "qwen3"        }, /* norms of q and k, heads of 6 in a width of 8 */
        {"mistral",       "mistral"      }, /* window of 4 in a text of 16 */
        {"phi3",          "phi3"         }, /* fused matrices, 6 of 8 elements rotated, window */
        {"phi3_longrope", "phi3_longrope"}, /* 16 tokens, trained at 8: the long factors */
        {"gptneox",       "gptneox"      }, /* LayerNorm, parallel residual, 2 of 8 rotated */
        {"gptneox_seq",   "gptneox"      }, /* the same weights, one block after the other */
    };
    shared_path("data");
    for (size_t i = 0; i < COUNT_OF(fixtures); i++) {
        char *folder = fixture_folder(fixtures[i].name, fixtures[i].weights);
        check_fixture(folder, fixtures[i].name, 1e-4);
        free(folder);
    }
}

static void test_the_two_copies_of_tinystories_656k_agree(void **state)
{
    (void)state;
    Model *bf16 = load(shared_path("data/models/TinyStories-656K"));
    Model *f32 = load(shared_path("data/models/TinyStories-656K-f32"));
    Session *a = session_with(bf16, "none", 0, 300);
    Session *b = session_with(f32, "none", 0, 300);
    int32_t ids[300];
    TokenScore of_a[300];
    TokenScore of_b[300];
    for (int i = 0; i < 300; i++)
        ids[i] = (i * 37 + 5) % 2048;
    score_all(a, ids, 300, of_a);
    score_all(b, ids, 300, of_b);
    for (int i = 0; i < 299; i++)
        assert_memory_equal(&of_a[i].nll, &of_b[i].nll, sizeof(double));
    session_close(a);
    session_close(b);
    model_free(bf16);
    model_free(f32);
}

static void test_walker_equals_an_independent_float64_forward(void **state)
{
    (void)state;
    json_t *root = load_json(shared_path("walker-prototype/first64.json"));
    const json_t *ids_json = json_object_get(root, "ids");
    const json_t *nll = json_object_get(root, "nll");
    int64_t n = (int64_t)json_array_size(ids_json);
    int32_t ids[128];
    TokenScore scores[128];
    for (int64_t i = 0; i < n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(ids_json, (size_t)i));
    Model *model = load(shared_path("walker-prototype"));
    Session *session = session_with(model, "none", 0, n);
    score_all(session, ids, n, scores);
    for (int64_t i = 0; i < n - 1; i++)
        assert_close(scores[i].nll, number_at(nll, (size_t)i), 0.0, 1e-5);
    session_close(session);
    model_free(model);
    json_decref(root);
}

/* Mean nll of disjoint windows, each headed by BOS: the protocol of the shared table. */
static double mean_nll(const Model *model, const char *method, const TokenList *text, int64_t n_ctx,
                       int64_t n_windows)
{
    Session *session = session_with(model, method, 512, n_ctx);
    int32_t *window = mem_alloc((size_t)n_ctx, sizeof *window);
    TokenScore *scores = mem_alloc((size_t)n_ctx, sizeof *scores);
    double sum = 0.0;
    for (int64_t w = 0; w < n_windows; w++) {
        assert_true((size_t)((w + 1) * (n_ctx - 1)) <= text->n);
        window[0] = 1;
        memcpy(window + 1, text->ids + w * (n_ctx - 1), (size_t)(n_ctx - 1) * sizeof *window);
        score_all(session, window, n_ctx, scores);
        for (int64_t i = 0; i < n_ctx - 1; i++)
            sum += scores[i].nll;
    }
    session_close(session);
    free(window);
    free(scores);
    return sum / (double)(n_windows * (n_ctx - 1));
}

enum { N_COLUMNS = 9 };
static const char *const columns[N_COLUMNS] = {
    "linear:factor=1", "linear:factor=1.25", "linear:factor=1.5",
    "linear:factor=2", "linear:factor=3",    "linear:factor=4",
    "ntk:alpha=2",     "ntk:alpha=4",        "ntk:alpha=8",
};

typedef struct {
    int64_t n_ctx;
    int64_t n_windows;
    size_t n_chars; /* of the text */
    double nll[N_COLUMNS];
} TableRow;

static void check_table(const char *model_path, const TableRow *rows, size_t n_rows)
{
    Model *model = load(shared_path(model_path));
    Buf text = {0};
    Err err;
    assert_ok(file_read(shared_path("data/texts/tinystories-val.txt"), 1 << 24, &text, &err), &err);
    for (size_t r = 0; r < n_rows; r++) {
        TokenList ids = {0};
        assert_ok(tokenizer_encode(model->tokenizer, text.data, rows[r].n_chars, false, &ids, &err),
                  &err);
        for (int c = 0; c < N_COLUMNS; c++)
            if (!isnan(rows[r].nll[c]))
                assert_close(mean_nll(model, columns[c], &ids, rows[r].n_ctx, rows[r].n_windows),
                             rows[r].nll[c], 0.0, 2e-3);
        token_list_free(&ids);
    }
    buf_free(&text);
    model_free(model);
}

static void test_stories260k_gives_the_published_nll_table(void **state)
{
    (void)state;
    static const TableRow rows[] = {
        {256,  64, 200000, {1.5456, 1.6208, 1.9500, 2.6158, 3.2801, 3.6493, 1.5933, 1.7034, 1.9383}},
        {512,  32, 200000, {1.4531, 1.5222, 1.8442, 2.5149, 3.2029, 3.5832, 1.4949, 1.6139, 1.9009}},
        {1024,
         16,       200000,
         {1.4730, 1.5170, 1.8167, 2.4756, 3.1757, 3.5567, 1.4599, 1.5783, 1.8897}                  },
        {2048, 8,  200000, {1.5850, 1.5862, 1.8852, 2.5151, 3.1770, 3.5491, 1.4992, 1.6170, 1.9339}},
        {4096, 4,  100000, {3.4691, 2.7137, 2.4549, 2.6669, NAN, 3.5707, 1.6445, 1.6709, 2.1965}   },
    };
    check_table("data/models/stories260K/stories260K.bin", rows, COUNT_OF(rows));
}

static void test_tinystories_656k_gives_the_published_nll_table(void **state)
{
    (void)state;
    static const TableRow rows[] = {
        {256,  64, 200000, {3.4437, 3.4756, 3.5709, 3.7895, 4.1323, 4.3457, 3.4584, 3.5007, 3.5728}},
        {512,  32, 200000, {3.5551, 3.5663, 3.6561, 3.8686, 4.1905, 4.3958, 3.5487, 3.5917, 3.6580}},
        {1024,
         16,       200000,
         {4.1944, 4.0154, 3.9516, 3.9862, 4.2632, 4.4535, 3.9025, 3.6948, 3.7552}                  },
        {2048, 8,  200000, {5.0719, 4.8259, 4.6844, 4.5357, 4.5308, 4.5708, 4.5955, 4.1966, 4.0395}},
    };
    check_table("data/models/TinyStories-656K", rows, COUNT_OF(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stories260k_equals_llama_cpp_under_every_setting),
        cmocka_unit_test(test_stories260k_gives_the_same_bits_from_both_formats),
        cmocka_unit_test(test_tiny_llama_equals_transformers_from_every_format),
        cmocka_unit_test(test_every_architecture_equals_transformers),
        cmocka_unit_test(test_the_two_copies_of_tinystories_656k_agree),
        cmocka_unit_test(test_walker_equals_an_independent_float64_forward),
        cmocka_unit_test(test_stories260k_gives_the_published_nll_table),
        cmocka_unit_test(test_tinystories_656k_gives_the_published_nll_table),
    };
    return cmocka_run_group_tests(tests, engine_setup, NULL);
}
