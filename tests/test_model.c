#include "tests/test_util.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "models/dequant.h"
#include "models/model.h"

/* A Llama of one layer: d_model 8, d_ff 12, 2 heads of 4, 1 key head, 11 ids. */
typedef struct {
    const char *name;
    int rows;
    int columns; /* 0: a vector */
} Piece;

static const Piece pieces[] = {
    {"lm_head.weight",                                 11, 8 },
    {"model.embed_tokens.weight",                      11, 8 },
    {"model.layers.0.input_layernorm.weight",          8,  0 },
    {"model.layers.0.mlp.down_proj.weight",            8,  12},
    {"model.layers.0.mlp.gate_proj.weight",            12, 8 },
    {"model.layers.0.mlp.up_proj.weight",              12, 8 },
    {"model.layers.0.post_attention_layernorm.weight", 8,  0 },
    {"model.layers.0.self_attn.k_proj.weight",         4,  8 },
    {"model.layers.0.self_attn.o_proj.weight",         8,  8 },
    {"model.layers.0.self_attn.q_proj.weight",         8,  8 },
    {"model.layers.0.self_attn.v_proj.weight",         4,  8 },
    {"model.norm.weight",                              8,  0 },
};

static const char config_text[] =
    "{\"model_type\":\"llama\",\"hidden_size\":8,\"intermediate_size\":12,\"num_hidden_layers\":1,"
    "\"num_attention_heads\":2,\"num_key_value_heads\":1,\"vocab_size\":11,\"max_position_embeddings\":16,"
    "\"rms_norm_eps\":1e-5,\"rope_theta\":10000%s}";

/* How a folder differs from the plain one. */
typedef struct {
    const char *name;        /* of the folder */
    const char *config_more; /* ",\"key\":value" */
    const char *left_out;    /* a tensor */
    const char *also_left_out;
    const char *reshaped;   /* a tensor that gets one row more */
    const char *extra;      /* a vector of 8 more */
    const char *poisoned;   /* a tensor whose second value is NaN */
    bool head_is_embedding; /* same values in both */
    bool half;              /* store BF16 */
} Variant;

static void put_values(Buf *data, const Piece *piece, int n, const Variant *v)
{
    /* The embedding's name seeds a shared head, so that both hold the same. */
    const char *seed = v->head_is_embedding && str_equal(piece->name, pieces[0].name)
                           ? pieces[1].name
                           : piece->name;
    bool poison = v->poisoned && str_equal(v->poisoned, piece->name);
    for (int i = 0; i < n; i++) {
        float value = (float)(seed[i % (int)strlen(seed)] % 16) / 8.0F + (float)(i % 8) - 4.0F +
                      (float)strlen(seed) / 64.0F;
        if (poison && i == 1) value = NAN;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        uint16_t upper = (uint16_t)(bits >> 16);
        if (v->half)
            buf_append(data, &upper, sizeof upper);
        else
            buf_append(data, &value, sizeof value);
    }
}

static void put_piece(Buf *header, Buf *data, const Piece *piece, const Variant *v)
{
    int rows = piece->rows + (v->reshaped && str_equal(v->reshaped, piece->name));
    size_t begin = data->len;
    put_values(data, piece, rows * (piece->columns ? piece->columns : 1), v);
    buf_printf(header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%d", header->len > 1 ? "," : "",
               piece->name, v->half ? "BF16" : "F32", rows);
    if (piece->columns) buf_printf(header, ",%d", piece->columns);
    buf_printf(header, "],\"data_offsets\":[%zu,%zu]}", begin, data->len);
}

/* Writes the folder and lends its path until the next call but three. */
static const char *write_model(const Variant *v)
{
    Buf header = {0};
    Buf data = {0};
    char path[300];
    static char folders[4][300];
    static int next;
    char *folder = folders[next++ % 4];
    snprintf(folder, 300, "%s/%s", test_folder(), v->name);
    mkdir(folder, 0700);
    buf_puts(&header, "{");
    for (size_t i = 0; i < COUNT_OF(pieces); i++)
        if (!(v->left_out && str_equal(v->left_out, pieces[i].name)) &&
            !(v->also_left_out && str_equal(v->also_left_out, pieces[i].name)))
            put_piece(&header, &data, &pieces[i], v);
    const Piece extra = {v->extra, 8, 0};
    if (v->extra) put_piece(&header, &data, &extra, v);
    buf_puts(&header, "}");
    while (header.len % 8)
        buf_putc(&header, ' ');
    uint64_t length = header.len;
    Buf file = {0};
    buf_append(&file, &length, sizeof length);
    buf_append(&file, header.data, header.len);
    buf_append(&file, data.data, data.len);
    snprintf(path, sizeof path, "%s/model.safetensors", v->name);
    test_file(path, file.data, file.len);
    char *config = str_format(config_text, v->config_more ? v->config_more : "");
    snprintf(path, sizeof path, "%s/config.json", v->name);
    test_file(path, config, strlen(config));
    free(config);
    buf_free(&header);
    buf_free(&data);
    buf_free(&file);
    return folder;
}

/* For the path that takes matrices as they are. */
static Model *load_plain(const char *path)
{
    Err err = {0};
    Model *model = model_load_for(path, kernel_path_find("blas"), &err);
    assert_ok(model, &err);
    return model;
}

static Model *load_or_fail(const char *path)
{
    Err err = {0};
    Model *model = model_load(path, &err);
    assert_ok(model, &err);
    return model;
}

static void assert_note(Model *model, const char *part, bool there)
{
    if ((strstr(buf_text(&model->notes), part) != NULL) != there)
        fail_msg("notes %s \"%s\": %s", there ? "lack" : "hold", part, buf_text(&model->notes));
}

static void test_f32_weights_are_used_where_they_are_mapped(void **state)
{
    (void)state;
    const char *path = write_model(&(Variant){.name = "plain"});
    Model *model = load_plain(path);
    assert_null(model->owned);
    assert_int_equal(model_owned_bytes(model->file, model->path), 0);
    assert_ptr_equal(model->layers[0].slot[SLOT_WQ],
                     weights_find(model->file, "model.layers.0.self_attn.q_proj.weight")->data);
    assert_ptr_equal(model->head, weights_find(model->file, "lm_head.weight")->data);
    assert_null(model->tokenizer);
    assert_note(model, "no tokenizer: there is no tokenizer.json", true);
    model_free(model);
}

static void test_half_weights_are_converted_once(void **state)
{
    (void)state;
    Model *half = load_plain(write_model(&(Variant){.name = "half", .half = true}));
    Model *full = load_plain(write_model(&(Variant){.name = "full"}));
    size_t n = 0;
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        size_t count = (size_t)pieces[i].rows * (size_t)(pieces[i].columns ? pieces[i].columns : 1);
        n += (count + 15) / 16 * 16;
    }
    assert_int_equal(model_owned_bytes(half->file, half->path), n * sizeof(float));
    for (int slot = 0; slot < N_LAYER_SLOTS; slot++) {
        const float *values = half->layers[0].slot[slot];
        if (!arch_has_slot(&half->config, (Slot)slot)) continue;
        assert_int_equal((uintptr_t)values % 64, 0);
        for (int i = 0; i < 8; i++)
            assert_close((double)values[i], (double)full->layers[0].slot[slot][i], 0x1p-7, 0);
    }
    model_free(half);
    model_free(full);
}

/* Every slot of every path, unpacked, holds the same floats; those of a matrix rounded where the path rounds them. */
static void test_packed_weights_are_the_plain_ones(void **state)
{
    (void)state;
    Model *plain = load_plain(write_model(&(Variant){.name = "unpacked"}));
    for (int i = 0; kernel_paths[i]; i++) {
        Err err = {0};
        if (!kernel_paths[i]->is_supported()) continue;
        Model *model = model_load_for(weights_path(plain->file), kernel_paths[i], &err);
        assert_ok(model, &err);
        for (int slot = 0; slot < N_SLOTS; slot++) {
            Tensor shape = {0};
            if (!arch_has_slot(&plain->config, (Slot)slot)) continue;
            arch_slot_shape(&plain->config, (Slot)slot, &shape);
            size_t n = (size_t)tensor_count(&shape);
            float *want = mem_zalloc(n, sizeof *want);
            float *got = mem_zalloc(n, sizeof *got);
            model_plain_weights(plain, (Slot)slot, 0, want);
            model_plain_weights(model, (Slot)slot, 0, got);
            if (str_equal(model->path->precision, "bf16") && shape.n_dims == 2 &&
                slot != SLOT_EMBEDDING)
                round_to_bf16(want, n);
            assert_memory_equal(got, want, n * sizeof *got);
            free(want);
            free(got);
        }
        model_free(model);
    }
    model_free(plain);
}

static void test_each_missing_or_misshapen_tensor_is_named(void **state)
{
    (void)state;
    for (size_t i = 1; i < COUNT_OF(pieces); i++) {
        Err err = {0};
        char name[32];
        snprintf(name, sizeof name, "drop%zu", i);
        Model *model =
            model_load(write_model(&(Variant){.name = name, .left_out = pieces[i].name}), &err);
        assert_err(model, &err, ERR_INPUT, pieces[i].name);
        assert_non_null(strstr(err.text, "is missing, wanted is ["));
        assert_non_null(strstr(err.text, "hidden_size"));
    }
    for (size_t i = 2; i < COUNT_OF(pieces); i++) {
        Err err = {0};
        Tensor found = {
            .n_dims = pieces[i].columns ? 2 : 1, .dims = {pieces[i].rows + 1, pieces[i].columns}
        };
        char name[32];
        char shape[96];
        snprintf(name, sizeof name, "shape%zu", i);
        tensor_shape_text(&found, shape);
        Model *model =
            model_load(write_model(&(Variant){.name = name, .reshaped = pieces[i].name}), &err);
        assert_err(model, &err, ERR_INPUT, pieces[i].name);
        assert_non_null(strstr(err.text, shape));
    }
}

static void test_the_file_decides_whether_the_head_is_shared(void **state)
{
    (void)state;
    static const char *const flags[] = {NULL, ",\"tie_word_embeddings\":true",
                                        ",\"tie_word_embeddings\":false"};
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        Model *own = load_plain(write_model(&(Variant){.name = "own", .config_more = flags[i]}));
        assert_ptr_not_equal(own->head, own->embedding);
        assert_note(own, "the file has a different head", i == 1);
        model_free(own);
        Model *none = load_plain(write_model(
            &(Variant){.name = "none", .config_more = flags[i], .left_out = pieces[0].name}));
        assert_ptr_equal(none->head, none->embedding);
        assert_note(none, "it shares the embedding", true);
        assert_note(none, "although the config says otherwise", i != 1);
        model_free(none);
    }
    Model *same = load_plain(write_model(
        &(Variant){.name = "same", .config_more = flags[1], .head_is_embedding = true}));
    assert_note(same, "different head", false);
    model_free(same);
}

static void test_an_embedding_stored_as_the_head_is_found(void **state)
{
    (void)state;
    Model *model = load_plain(write_model(&(Variant){.name = "head",
                                                     .config_more = ",\"tie_word_embeddings\":true",
                                                     .left_out = pieces[1].name}));
    assert_ptr_equal(model->head, model->embedding);
    assert_note(model, "stored under the head's name only", true);
    model_free(model);
    Err err = {0};
    model = model_load(write_model(&(Variant){.name = "untied", .left_out = pieces[1].name}), &err);
    assert_err(model, &err, ERR_INPUT, "model.embed_tokens.weight is missing");
}

static void test_nan_weights_are_counted_and_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        Model *model =
            load_or_fail(write_model(&(Variant){.name = "nan", .poisoned = pieces[i].name}));
        assert_int_equal(model->n_nonfinite, 1);
        assert_string_equal(model->nonfinite_tensor, pieces[i].name);
        assert_note(model, "1 weights are NaN or infinite", true);
        model_free(model);
    }
}

static void test_unused_tensors_are_noted_unless_they_would_matter(void **state)
{
    (void)state;
    Model *model = load_or_fail(write_model(
        &(Variant){.name = "inv", .extra = "model.layers.0.self_attn.rotary_emb.inv_freq"}));
    assert_note(model, "not used", false);
    model_free(model);
    model = load_or_fail(write_model(&(Variant){.name = "extra", .extra = "model.spare.weight"}));
    assert_note(model, "1 tensors are not used: model.spare.weight", true);
    model_free(model);
    static const char *const names[] = {"model.layers.0.self_attn.q_proj.bias",
                                        "model.layers.0.self_attn.q_norm.weight",
                                        "model.layers.0.mlp.experts.0.w1.weight"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        Err err = {0};
        model = model_load(write_model(&(Variant){.name = "matter", .extra = names[i]}), &err);
        assert_err(model, &err, ERR_UNSUPPORTED, names[i]);
    }
}

static void test_the_rows_of_the_embedding_are_the_vocabulary(void **state)
{
    (void)state;
    Err err = {0};
    Model *model = load_or_fail(write_model(
        &(Variant){.name = "rows", .left_out = pieces[0].name, .reshaped = pieces[1].name}));
    assert_int_equal(model->config.vocab_size, 12);
    assert_note(model, "vocab_size is 11 but model.embed_tokens.weight has 12 rows", true);
    model_free(model);
    model = model_load(write_model(&(Variant){.name = "rows2", .reshaped = pieces[1].name}), &err);
    assert_err(model, &err, ERR_INPUT, "lm_head.weight is [11, 8], wanted is [12, 8]");
}

static void test_the_hash_is_of_what_decides_numbers(void **state)
{
    (void)state;
    Model *a = load_or_fail(write_model(&(Variant){.name = "hash-a"}));
    Model *moved = load_or_fail(write_model(&(Variant){.name = "hash-b"}));
    Model *spelt = load_or_fail(
        write_model(&(Variant){.name = "hash-c", .config_more = ",\"use_cache\":true"}));
    Model *rope = load_or_fail(write_model(&(Variant){
        .name = "hash-d", .config_more = ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}"}));
    Model *weights =
        load_or_fail(write_model(&(Variant){.name = "hash-e", .head_is_embedding = true}));
    assert_string_not_equal(a->hash, "");
    assert_string_equal(a->hash, moved->hash);
    assert_string_equal(a->hash, spelt->hash);
    assert_string_not_equal(a->hash, rope->hash);
    assert_string_not_equal(a->hash, weights->hash);
    model_free(a);
    model_free(moved);
    model_free(spelt);
    model_free(rope);
    model_free(weights);
}

static void test_parameters_are_counted(void **state)
{
    (void)state;
    Model *model = load_or_fail(write_model(&(Variant){.name = "count"}));
    /* 2x88 + 3x8 + 3x96 + 2x64 + 2x32 */
    assert_int_equal(model_n_params(&model->config, false), 680);
    assert_int_equal(model_n_params(&model->config, true), 592);
    model_free(model);
}

/* Opens a model of a folder made of links, as the published fixtures have other names. */
static Model *load_linked(const char *name, const char *weights, const char *config)
{
    char folder[300];
    char from[1024];
    char to[400];
    snprintf(folder, sizeof folder, "%s/%s", test_folder(), name);
    mkdir(folder, 0700);
    assert_non_null(realpath(shared_path(weights), from));
    snprintf(to, sizeof to, "%s/model.safetensors", folder);
    assert_int_equal(symlink(from, to), 0);
    assert_non_null(realpath(shared_path(config), from));
    snprintf(to, sizeof to, "%s/config.json", folder);
    assert_int_equal(symlink(from, to), 0);
    return load_or_fail(folder);
}

static void test_f16_gguf_is_the_folder_to_half_precision(void **state)
{
    (void)state;
    Model *hf = load_linked("tiny", "data/fixtures/neural-api/tiny_llama.safetensors",
                            "data/fixtures/neural-api/tiny_llama_config.json");
    Model *f16 = load_or_fail(shared_path("data/fixtures/neural-api/tiny_llama_f16.gguf"));
    Model *f32 = load_or_fail(shared_path("data/fixtures/neural-api/tiny_llama_f32.gguf"));
    assert_int_equal(hf->config.rope_layout, ROPE_HALVES);
    assert_int_equal(f16->config.rope_layout, ROPE_INTERLEAVED);
    assert_true(model_owned_bytes(f16->file, f16->path) > 0);
    for (int layer = 0; layer < 2; layer++)
        for (int i = 0; i < 96; i++) {
            double want = (double)f32->layers[layer].slot[SLOT_W_DOWN][i];
            assert_close((double)hf->layers[layer].slot[SLOT_W_DOWN][i], want, 0, 0);
            assert_close((double)f16->layers[layer].slot[SLOT_W_DOWN][i], want, 0x1p-11, 0x1p-25);
        }
    for (int i = 0; i < 88; i++)
        assert_close((double)f16->head[i], (double)hf->head[i], 0x1p-11, 0x1p-25);
    model_free(hf);
    model_free(f16);
    model_free(f32);
}

static void test_bf16_and_f32_folders_of_one_model_are_equal(void **state)
{
    (void)state;
    Model *a = load_or_fail(shared_path("data/models/TinyStories-656K"));
    Model *b = load_or_fail(shared_path("data/models/TinyStories-656K-f32"));
    size_t n = (size_t)a->config.vocab_size * (size_t)a->config.d_model;
    assert_memory_equal(a->embedding, b->embedding, n * sizeof(float));
    assert_memory_equal(a->head, b->head, n * sizeof(float));
    for (int layer = 0; layer < a->config.n_layers; layer++)
        for (int slot = 0; slot < N_LAYER_SLOTS; slot++) {
            Tensor shape = {0};
            if (!arch_has_slot(&a->config, (Slot)slot)) continue;
            arch_slot_shape(&a->config, (Slot)slot, &shape);
            assert_memory_equal(a->layers[layer].slot[slot], b->layers[layer].slot[slot],
                                (size_t)tensor_count(&shape) * sizeof(float));
        }
    assert_non_null(a->tokenizer);
    model_free(a);
    model_free(b);
}

static void test_unsupported_fixtures_are_refused_by_name(void **state)
{
    (void)state;
    Err err = {0};
    Model *model = model_load(shared_path("data/fixtures/neural-api/tiny_llama_q8.gguf"), &err);
    assert_err(model, &err, ERR_UNSUPPORTED, "Q8_0 (8)");
    model = model_load(shared_path("data/fixtures/neural-api/tiny_kquant.gguf"), &err);
    assert_err(model, &err, ERR_UNSUPPORTED, "Q4_K (12)");
}

static void test_a_random_model_has_the_stated_variance_and_repeats(void **state)
{
    (void)state;
    ModelConfig config = {.arch = "llama",
                          .d_model = 128,
                          .n_layers = 2,
                          .n_heads = 4,
                          .n_kv_heads = 2,
                          .head_dim = 32,
                          .d_ff = 256,
                          .vocab_size = 500,
                          .n_ctx_train = 64,
                          .rms_eps = 1e-5,
                          .tied = true,
                          .rope_layout = ROPE_INTERLEAVED,
                          .n_rot = 32,
                          .bos_id = -1,
                          .eos_id = -1};
    config.rope =
        (RopeSpec){.method = rope_method_find("none"), .theta = 1e4, .n_rot = 32, .n_ctx_orig = 64};
    Err err = {0};
    Model *a = model_random(&config, 7, &err);
    assert_ok(a, &err);
    Model *b = model_random(&config, 7, &err);
    Model *c = model_random(&config, 8, &err);
    assert_int_equal(a->config.rope_layout, ROPE_INTERLEAVED);
    assert_int_equal(model_n_params(&config, true), model_n_params(&config, false) - 128 * 500);
    assert_string_equal(a->hash, b->hash);
    assert_string_not_equal(a->hash, c->hash);
    size_t n = (size_t)128 * 256;
    float *down = mem_alloc(n, sizeof *down);
    model_plain_weights(a, SLOT_W_DOWN, 1, down);
    const float *packed = a->layers[1].slot[SLOT_W_DOWN];
    assert_memory_equal(packed, b->layers[1].slot[SLOT_W_DOWN], n * sizeof(float));
    assert_memory_not_equal(packed, c->layers[1].slot[SLOT_W_DOWN], n * sizeof(float));
    assert_memory_not_equal(packed, a->layers[0].slot[SLOT_W_DOWN], n * sizeof(float));
    double sum = 0;
    double squares = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)down[i];
        squares += (double)down[i] * (double)down[i];
    }
    assert_close(sum / (double)n, 0, 0, 5 / sqrt(256.0 * (double)n));
    assert_close(squares / (double)n * 256, 1, 5 * sqrt(2 / (double)n), 0);
    assert_close((double)a->out_norm[127], 1, 0, 0);
    free(down);
    model_free(a);
    model_free(b);
    model_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f32_weights_are_used_where_they_are_mapped),
        cmocka_unit_test(test_half_weights_are_converted_once),
        cmocka_unit_test(test_packed_weights_are_the_plain_ones),
        cmocka_unit_test(test_each_missing_or_misshapen_tensor_is_named),
        cmocka_unit_test(test_the_file_decides_whether_the_head_is_shared),
        cmocka_unit_test(test_an_embedding_stored_as_the_head_is_found),
        cmocka_unit_test(test_nan_weights_are_counted_and_named),
        cmocka_unit_test(test_unused_tensors_are_noted_unless_they_would_matter),
        cmocka_unit_test(test_the_rows_of_the_embedding_are_the_vocabulary),
        cmocka_unit_test(test_the_hash_is_of_what_decides_numbers),
        cmocka_unit_test(test_parameters_are_counted),
        cmocka_unit_test(test_f16_gguf_is_the_folder_to_half_precision),
        cmocka_unit_test(test_bf16_and_f32_folders_of_one_model_are_equal),
        cmocka_unit_test(test_unsupported_fixtures_are_refused_by_name),
        cmocka_unit_test(test_a_random_model_has_the_stated_variance_and_repeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
