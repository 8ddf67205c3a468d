/* Scaling through a GGUF file: an export read back, and the same model as a file and as a folder. */
#include "tests/test_util.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/str.h"
#include "models/rope_export.h"
#include "models/session.h"
#include "tests/engine_setup.h"
#include "tests/gguf_builder.h"
#include "tests/gguf_extra.h"

/* Puts one line of an export, "llama.KEY = VALUE", into a file to be. */
static void take_line(char *line, GgufExtra *extra)
{
    static char types[8][16];
    static int n_types;
    char *gap = strstr(line, " = ");
    assert_non_null(gap);
    assert_true(str_starts_with(line, "llama."));
    *gap = '\0';
    const char *name = line + strlen("llama.");
    double value = strtod(gap + 3, NULL);
    if (str_equal(name, "context_length")) {
        extra->n_ctx_train = (uint32_t)value;
        return;
    }
    if (str_equal(name, "rope.freq_base")) {
        extra->theta = value;
        return;
    }
    GgufExtraKey key = {name, value, NULL};
    if (str_equal(name, "rope.scaling.type")) {
        n_types = (n_types + 1) % 8;
        snprintf(types[n_types], sizeof types[0], "%s", gap + 3);
        key.text = types[n_types];
    }
    extra->keys[gguf_extra_count_keys(extra)] = key;
}

/* Through a GGUF file and back: the same angles, but for the floats that the file holds. */
static void test_exported_keys_read_back_with_floats_only_rounded(void **state)
{
    (void)state;
    static const struct {
        const char *setting;
        const char *said; /* about rounding; NULL: nothing is rounded */
    } rows[] = {
        {"none",                                      NULL                                        },
        {"ntk:lambda=4",                              NULL                                        },
        {"ntk:lambda=4.387299918778504",              "(rounded to float from 219364.99593892519)"},
        {"linear:factor=4",                           NULL                                        },
        {"linear:factor=3.3",                         "(rounded to float from 3.2999999999999998)"},
        {"yarn:factor=4",                             NULL                                        },
        {"yarn:factor=4,attention_factor=1",          "(rounded to float from 0.87824885628694"   },
        {"yarn:factor=4,mscale=1,mscale_all_dim=0.5", "rounded"                                   },
    };
    const RopeExport *format = rope_exports;
    while (!str_equal(format->name, "gguf"))
        format++;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        RopeSpec spec = {.theta = GGUF_EXTRA_BASE, .n_rot = GGUF_EXTRA_N_ROT, .n_ctx_orig = 1024};
        RopeExportTarget target = {
            .arch = arch_find("llama"), .head_dim = GGUF_EXTRA_N_ROT, .n_ctx = 4096};
        RopeTable want;
        GgufExtra extra = {.n_ctx_train = 0};
        Buf text = {0};
        Err err;
        char *state_of_lines = NULL;
        target.own = (RopeSpec){.method = rope_method_find("none"), .n_ctx_orig = 1024};
        assert_ok(rope_spec_parse(rows[i].setting, &spec, &err), &err);
        assert_ok(rope_spec_resolve(&spec, 4096, &err), &err);
        assert_ok(rope_table_make(&spec, 4096, &want, &err), &err);
        assert_ok(format->write(&spec, &target, &text, &err), &err);
        const char *said = rows[i].said ? rows[i].said : "rounded";
        assert_int_equal(strstr(buf_text(&text), said) != NULL, rows[i].said != NULL);
        for (char *line = strtok_r(text.data, "\n", &state_of_lines); line;
             line = strtok_r(NULL, "\n", &state_of_lines))
            take_line(line, &extra);
        ModelConfig config = gguf_extra_read_good(&extra, "");
        RopeTable got = gguf_extra_table(&config, 4096);
        double bound = rows[i].said ? 1e-6 : 0.0;
        for (int pair = 0; pair < GGUF_EXTRA_N_PAIRS; pair++)
            assert_close(rope_scaled_angle(&got, pair), rope_scaled_angle(&want, pair), bound, 0.0);
        assert_close(got.amplitude, want.amplitude, bound, 0.0);
        buf_free(&text);
    }
}

/* A published file with keys and tensors put into it. */
static void put_into(const char *published, const GgufExtra *extra, Buf *out)
{
    Buf from = {0};
    Gguf gguf;
    Err err;
    assert_ok(file_read(published, 1 << 20, &from, &err), &err);
    assert_ok(gguf_parse(from.data, from.len, published, &gguf, &err), &err);
    const char *end_of_values = from.data;
    size_t table_bytes = 0;
    for (size_t i = 0; i < gguf.n_values; i++) {
        const char *end = (const char *)gguf.values[i].bytes + gguf.values[i].n_bytes;
        if (end > end_of_values) end_of_values = end;
    }
    for (size_t i = 0; i < gguf.n_tensors; i++)
        table_bytes +=
            8 + gguf.tensors[i].name.n + 4 + 8 * (size_t)gguf.tensors[i].tensor.n_dims + 12;
    size_t values_end = (size_t)(end_of_values - from.data);
    size_t data_start = (values_end + table_bytes + 31) / 32 * 32;
    size_t data_bytes = (from.len - data_start + 31) / 32 * 32;
    size_t n_tensors = gguf_extra_count_tensors(extra);
    put_header(out, 3, gguf.n_tensors + n_tensors, gguf.n_values + gguf_extra_count_keys(extra));
    buf_append(out, from.data + 24, values_end - 24);
    for (size_t i = 0; i < gguf_extra_count_keys(extra); i++)
        gguf_extra_put_key(out, &extra->keys[i]);
    buf_append(out, from.data + values_end, table_bytes);
    gguf_extra_put_tensors(out, extra, data_bytes, 32);
    put_data(out, 32, 0);
    buf_append(out, from.data + data_start, from.len - data_start);
    for (size_t i = 0; i < n_tensors; i++) {
        put_data(out, 32, 0);
        for (int pair = 0; pair < extra->tensors[i].n; pair++)
            put_f32(out, extra->tensors[i].value[pair]);
    }
    put_data(out, 32, 0);
    gguf_free(&gguf);
    buf_free(&from);
}

enum { N_TOKENS = 13, VOCAB = 11 };

/* Logits after N_TOKENS tokens under the model's own scaling. */
static void logits_of(const char *path, float *logits)
{
    static const int32_t tokens[N_TOKENS] = {1, 5, 3, 9, 2, 2, 7, 10, 4, 6, 8, 1, 3};
    SessionOptions options = {.n_threads = 1};
    Err err;
    Model *model = model_load(path, &err);
    assert_ok(model, &err);
    RopeTable table = gguf_extra_table(&model->config, N_TOKENS);
    Session *session = session_open(model, N_TOKENS, &options, &err);
    assert_ok(session, &err);
    assert_ok(session_set_rope(session, &table, &err), &err);
    assert_ok(session_logits(session, tokens, N_TOKENS, logits, &err), &err);
    session_close(session);
    model_free(model);
}

/* The published folder with rope_scaling in its config. */
static const char *folder_with(const char *scaling)
{
    static char *folder;
    Buf config = {0};
    Buf weights = {0};
    Err err;
    free(folder);
    folder = file_join(test_folder(), "folder");
    mkdir(folder, 0755);
    char *config_path = file_join(folder, "config.json");
    char *weights_path = file_join(folder, "model.safetensors");
    const char *published = shared_path("data/fixtures/neural-api/tiny_llama_config.json");
    assert_ok(file_read(published, 1 << 20, &config, &err), &err);
    char *gap = strstr(buf_text(&config), "\"rope_scaling\": null");
    assert_non_null(gap);
    char *text =
        str_format("%.*s\"rope_scaling\":%s}", (int)(gap - config.data), config.data, scaling);
    assert_ok(file_write_atomic(config_path, text, strlen(text), &err), &err);
    assert_ok(file_read(shared_path("data/fixtures/neural-api/tiny_llama.safetensors"), 1 << 20,
                        &weights, &err),
              &err);
    assert_ok(file_write_atomic(weights_path, weights.data, weights.len, &err), &err);
    free(text);
    free(config_path);
    free(weights_path);
    buf_free(&config);
    buf_free(&weights);
    return folder;
}

static void test_a_scaled_model_gives_the_same_logits_from_both_formats(void **state)
{
    (void)state;
    static const struct {
        const char *scaling;
        GgufExtra extra;
    } rows[] = {
        {"null",                                                                                                          {.n_ctx_train = 0}                                                               },
        {"{\"type\":\"yarn\",\"factor\":4,\"original_max_position_embeddings\":4}",
         {.keys = {GGUF_EXTRA_YARN(4), GGUF_EXTRA_ORIGINAL(4)}}                                                                                                                                            },
        {"{\"type\":\"yarn\",\"factor\":4,\"original_max_position_embeddings\":4,\"attention_factor\":1.5}",
         {.keys = {GGUF_EXTRA_YARN(4),
                   GGUF_EXTRA_ORIGINAL(4),
                   {"rope.scaling.attn_factor", 1.5 / 1.1386294361119891, NULL}}}                                                                                                                          },
        {"{\"type\":\"longrope\",\"short_factor\":[1,1],\"long_factor\":[1.5,4],\"original_max_position_embeddings\":4}",
         {.keys = {GGUF_EXTRA_ORIGINAL(4), {"rope.scaling.attn_factor", 1.4142135623730951, NULL}},
          .tensors = {{"rope_factors_short.weight", 2, {1, 1}},
                      {"rope_factors_long.weight", 2, {1.5F, 4}}}}                                                                                                                                         },
        {"{\"rope_type\":\"llama3\",\"factor\":4,\"low_freq_factor\":1,\"high_freq_factor\":4,"
         "\"original_max_position_embeddings\":4}",                                                              {.keys = {GGUF_EXTRA_ORIGINAL(4)}, .tensors = {{"rope_freqs.weight", 2, {4, 4}}}}},
    };
    char *published = str_dup(shared_path("data/fixtures/neural-api/tiny_llama_f32.gguf"));
    float plain[VOCAB];
    logits_of(folder_with("null"), plain);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        float want[VOCAB];
        float got[VOCAB];
        double moved = 0.0;
        Buf b = {0};
        put_into(published, &rows[i].extra, &b);
        logits_of(folder_with(rows[i].scaling), want);
        logits_of(test_file("both.gguf", b.data, b.len), got);
        for (int id = 0; id < VOCAB; id++) {
            assert_close((double)got[id], (double)want[id], 0.0, 1e-5);
            moved = fmax(moved, fabs((double)got[id] - (double)plain[id]));
        }
        assert_true(i == 0 ? moved < 1e-5 : moved > 1e-3);
        buf_free(&b);
    }
    free(published);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exported_keys_read_back_with_floats_only_rounded),
        cmocka_unit_test(test_a_scaled_model_gives_the_same_logits_from_both_formats),
    };
    return cmocka_run_group_tests(tests, engine_setup, NULL);
}
