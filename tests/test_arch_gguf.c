/* The same weights as a Hugging Face folder and as GGUF must fill the same slots with the same bits.
 *
 * Names and the order of rows in GGUF are written here by hand (Source: llama.cpp, gguf-py/gguf/constants.py and the converter's
 * modify_tensors): matrices that the folder of phi3 fuses stay fused, and gpt_neox's rows, which come head by head in the folder,
 * come as all of q, all of k, all of v. */
#include "tests/test_util.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "models/model.h"
#include "tests/gguf_builder.h"

/* A tensor of a layer or of the model: the slots that lie in it, below each other. */
typedef struct {
    const char *name; /* %d is the layer */
    int n_slots;
    Slot slot[3];
} Piece;

typedef struct {
    const char *fixture;
    const char *prefix; /* general.architecture */
    const char *eps_key;
    uint32_t n_rot;
    uint32_t window; /* 0: no key */
    const Piece *pieces;
    size_t n_pieces;
} Case;

#define ENDS                                                                             \
 {"token_embd.weight", 1, {SLOT_EMBEDDING}}, {"output_norm.weight", 1, {SLOT_OUT_NORM}}, \
 {                                                                                       \
  "output.weight", 1,                                                                    \
  {                                                                                      \
   SLOT_HEAD                                                                             \
  }                                                                                      \
 }
#define NORMS                                      \
 {"blk.%d.attn_norm.weight", 1, {SLOT_ATTN_NORM}}, \
 {                                                 \
  "blk.%d.ffn_norm.weight", 1,                     \
  {                                                \
   SLOT_FFN_NORM                                   \
  }                                                \
 }
#define SEPARATE                                                                             \
 {"blk.%d.attn_q.weight", 1, {SLOT_WQ}}, {"blk.%d.attn_k.weight", 1, {SLOT_WK}},             \
     {"blk.%d.attn_v.weight", 1, {SLOT_WV}}, {"blk.%d.attn_output.weight", 1, {SLOT_WO}},    \
     {"blk.%d.ffn_gate.weight", 1, {SLOT_W_GATE}}, {"blk.%d.ffn_up.weight", 1, {SLOT_W_UP}}, \
 {                                                                                           \
  "blk.%d.ffn_down.weight", 1,                                                               \
  {                                                                                          \
   SLOT_W_DOWN                                                                               \
  }                                                                                          \
 }

static const Piece qwen2[] = {
    ENDS,
    NORMS,
    SEPARATE,
    {"blk.%d.attn_q.bias", 1, {SLOT_BQ}},
    {"blk.%d.attn_k.bias", 1, {SLOT_BK}},
    {"blk.%d.attn_v.bias", 1, {SLOT_BV}},
};
static const Piece qwen3[] = {
    ENDS,
    NORMS,
    SEPARATE,
    {"blk.%d.attn_q_norm.weight", 1, {SLOT_Q_NORM}},
    {"blk.%d.attn_k_norm.weight", 1, {SLOT_K_NORM}},
};
static const Piece phi3[] = {
    ENDS,
    NORMS,
    {"blk.%d.attn_qkv.weight",    3, {SLOT_WQ, SLOT_WK, SLOT_WV}},
    {"blk.%d.attn_output.weight", 1, {SLOT_WO}                  },
    {"blk.%d.ffn_up.weight",      2, {SLOT_W_GATE, SLOT_W_UP}   },
    {"blk.%d.ffn_down.weight",    1, {SLOT_W_DOWN}              },
};
static const Piece gptneox[] = {
    ENDS,
    NORMS,
    {"output_norm.bias",          1, {SLOT_OUT_NORM_BIAS}       },
    {"blk.%d.attn_norm.bias",     1, {SLOT_ATTN_NORM_BIAS}      },
    {"blk.%d.ffn_norm.bias",      1, {SLOT_FFN_NORM_BIAS}       },
    {"blk.%d.attn_qkv.weight",    3, {SLOT_WQ, SLOT_WK, SLOT_WV}},
    {"blk.%d.attn_qkv.bias",      3, {SLOT_BQ, SLOT_BK, SLOT_BV}},
    {"blk.%d.attn_output.weight", 1, {SLOT_WO}                  },
    {"blk.%d.attn_output.bias",   1, {SLOT_BO}                  },
    {"blk.%d.ffn_up.weight",      1, {SLOT_W_UP}                },
    {"blk.%d.ffn_up.bias",        1, {SLOT_B_UP}                },
    {"blk.%d.ffn_down.weight",    1, {SLOT_W_DOWN}              },
    {"blk.%d.ffn_down.bias",      1, {SLOT_B_DOWN}              },
};

static const Case cases[] = {
    {"qwen2",   "qwen2",   "attention.layer_norm_rms_epsilon", 0, 0, qwen2,   COUNT_OF(qwen2)  },
    {"qwen3",   "qwen3",   "attention.layer_norm_rms_epsilon", 0, 0, qwen3,   COUNT_OF(qwen3)  },
    {"phi3",    "phi3",    "attention.layer_norm_rms_epsilon", 6, 4, phi3,    COUNT_OF(phi3)   },
    {"gptneox", "gptneox", "attention.layer_norm_epsilon",     2, 0, gptneox, COUNT_OF(gptneox)},
};

static const float *slot_values(const Model *model, Slot slot, int layer)
{
    switch (slot) {
    case SLOT_EMBEDDING: return model->embedding;
    case SLOT_OUT_NORM: return model->out_norm;
    case SLOT_OUT_NORM_BIAS: return model->out_norm_bias;
    case SLOT_HEAD: return model->head;
    default: return model->layers[layer].slot[slot];
    }
}

/* Appends a piece to the table and its floats to the data. */
static void put_piece(const Model *model, const Piece *piece, int layer, Buf *table, Buf *data)
{
    char name[64];
    const char *gap = strstr(piece->name, "%d");
    if (gap)
        snprintf(name, sizeof name, "%.*s%d%s", (int)(gap - piece->name), piece->name, layer,
                 gap + 2);
    else
        snprintf(name, sizeof name, "%s", piece->name);
    Tensor shape = {0};
    uint64_t rows = 0;
    while (data->len % 32)
        buf_putc(data, 0);
    uint64_t offset = data->len;
    for (int i = 0; i < piece->n_slots; i++) {
        arch_slot_shape(&model->config, piece->slot[i], &shape);
        rows += (uint64_t)shape.dims[0];
        buf_append(data, slot_values(model, piece->slot[i], layer),
                   (size_t)tensor_count(&shape) * sizeof(float));
    }
    uint64_t ne[TENSOR_MAX_DIMS] = {rows, rows};
    if (shape.n_dims == 2) ne[0] = (uint64_t)shape.dims[1];
    put_tensor(table, name, (uint32_t)shape.n_dims, ne, 0, offset);
}

static void put_number(Buf *out, const Case *c, const char *key, uint32_t value, uint64_t *n)
{
    char full[96];
    snprintf(full, sizeof full, "%s.%s", c->prefix, key);
    put_u32_value(out, full, value);
    ++*n;
}

/* n_kv_heads is what the key says. */
static Buf make_gguf(const Model *model, const Case *c, int n_kv_heads)
{
    const ModelConfig *config = &model->config;
    Buf keys = {0};
    Buf table = {0};
    Buf data = {0};
    Buf out = {0};
    uint64_t n_keys = 2;
    uint64_t n_tensors = 0;
    char eps[96];
    put_text_value(&keys, "general.architecture", c->prefix);
    snprintf(eps, sizeof eps, "%s.%s", c->prefix, c->eps_key);
    put_f32_value(&keys, eps, (float)config->rms_eps);
    put_number(&keys, c, "block_count", (uint32_t)config->n_layers, &n_keys);
    put_number(&keys, c, "context_length", (uint32_t)config->n_ctx_train, &n_keys);
    put_number(&keys, c, "embedding_length", (uint32_t)config->d_model, &n_keys);
    put_number(&keys, c, "feed_forward_length", (uint32_t)config->d_ff, &n_keys);
    put_number(&keys, c, "attention.head_count", (uint32_t)config->n_heads, &n_keys);
    put_number(&keys, c, "attention.head_count_kv", (uint32_t)n_kv_heads, &n_keys);
    put_number(&keys, c, "attention.key_length", (uint32_t)config->head_dim, &n_keys);
    if (c->n_rot) put_number(&keys, c, "rope.dimension_count", c->n_rot, &n_keys);
    if (c->window) put_number(&keys, c, "attention.sliding_window", c->window, &n_keys);
    for (size_t i = 0; i < c->n_pieces; i++) {
        bool in_layers = strstr(c->pieces[i].name, "%d") != NULL;
        if (config->tied && c->pieces[i].slot[0] == SLOT_HEAD) continue;
        for (int layer = 0; layer < (in_layers ? config->n_layers : 1); layer++, n_tensors++)
            put_piece(model, &c->pieces[i], layer, &table, &data);
    }
    put_header(&out, 3, n_tensors, n_keys);
    buf_append(&out, keys.data, keys.len);
    buf_append(&out, table.data, table.len);
    put_data(&out, 32, 0);
    buf_append(&out, data.data, data.len);
    buf_free(&keys);
    buf_free(&table);
    buf_free(&data);
    return out;
}

static void copy_to(const char *folder, const char *name, const char *fixture, const char *end)
{
    char relative[128];
    Buf bytes = {0};
    Err err = {0};
    char *path = file_join(folder, name);
    snprintf(relative, sizeof relative, "data/fixtures/neural-api/tiny_%s%s", fixture, end);
    assert_ok(file_read(shared_path(relative), 1 << 24, &bytes, &err), &err);
    assert_ok(file_write_atomic(path, bytes.data, bytes.len, &err), &err);
    buf_free(&bytes);
    free(path);
}

static Model *load_folder(const char *fixture, const char *name)
{
    Err err = {0};
    shared_path("data");
    char *folder = file_join(test_folder(), name);
    assert_int_equal(mkdir(folder, 0755), 0);
    copy_to(folder, "config.json", fixture, "_config.json");
    copy_to(folder, "model.safetensors", fixture, ".safetensors");
    Model *model = model_load_for(folder, kernel_path_find("blas"), &err); /* slots as they are */
    assert_ok(model, &err);
    free(folder);
    return model;
}

static void assert_same_model(const Model *a, const Model *b)
{
    assert_string_equal(a->config.arch, b->config.arch);
    assert_int_equal(a->config.features, b->config.features);
    assert_int_equal(a->config.window, b->config.window);
    assert_int_equal(a->config.n_rot, b->config.n_rot);
    assert_int_equal(a->config.head_dim, b->config.head_dim);
    assert_int_equal(a->config.rope_layout, b->config.rope_layout);
    assert_close(a->config.rms_eps, b->config.rms_eps, 1e-7, 0.0);
    for (int slot = 0; slot < N_SLOTS; slot++) {
        Tensor shape = {0};
        if (!arch_has_slot(&a->config, (Slot)slot)) continue;
        arch_slot_shape(&a->config, (Slot)slot, &shape);
        for (int layer = 0; layer < (slot < N_LAYER_SLOTS ? a->config.n_layers : 1); layer++)
            assert_memory_equal(slot_values(a, (Slot)slot, layer),
                                slot_values(b, (Slot)slot, layer),
                                (size_t)tensor_count(&shape) * sizeof(float));
    }
}

static void test_gguf_fills_the_slots_that_the_folder_fills(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Err err = {0};
        Model *folder = load_folder(cases[i].fixture, cases[i].fixture);
        Buf bytes = make_gguf(folder, &cases[i], folder->config.n_kv_heads);
        Model *gguf =
            model_load_for(test_file("model.gguf", bytes.data, bytes.len), folder->path, &err);
        assert_ok(gguf, &err);
        assert_same_model(folder, gguf);
        buf_free(&bytes);
        model_free(gguf);
        model_free(folder);
    }
}

static void test_a_misshapen_fused_tensor_is_described_once(void **state)
{
    (void)state;
    Err err = {0};
    Model *good = load_folder("phi3", "wide");
    Buf bytes = make_gguf(good, &cases[2], 4); /* more than the fused rows hold */
    Model *model = model_load(test_file("wide.gguf", bytes.data, bytes.len), &err);
    assert_err(model, &err, ERR_INPUT,
               "2 of 14 tensors are missing or have another shape or type: "
               "model.layers.0.self_attn.qkv_proj.weight is [64, 32], wanted is [96, 32] = "
               "[num_attention_heads * head_dim + num_key_value_heads * head_dim + "
               "num_key_value_heads * head_dim, hidden_size]");
    buf_free(&bytes);
    model_free(good);
}

/* Bytes of gptneox's safetensors file with another header over the first n_data bytes of its data. */
static Buf with_header(json_t *header, const Buf *file, size_t n_old_header, size_t n_data)
{
    Buf out = {0};
    char *text = json_dumps(header, JSON_COMPACT);
    put_text(&out, text);
    buf_append(&out, file->data + 8 + n_old_header, n_data);
    free(text);
    return out;
}

/* The tensor that ends the data. */
static const char *last_tensor(json_t *header, json_int_t n_data)
{
    const char *name;
    json_t *entry;
    json_object_foreach(header, name, entry)
    {
        json_t *offsets = json_object_get(entry, "data_offsets");
        if (json_integer_value(json_array_get(offsets, 1)) == n_data) return name;
    }
    return NULL;
}

/* Loads gptneox's folder with bools in its file: as a mask that older Pythia files carry, or in the place of the last tensor. */
static Model *load_with_bools(bool as_mask, Err *err)
{
    Buf file = {0};
    uint64_t n_header;
    char *folder = file_join(test_folder(), as_mask ? "mask" : "bools");
    assert_int_equal(mkdir(folder, 0755), 0);
    copy_to(folder, "config.json", "gptneox", "_config.json");
    assert_ok(file_read(shared_path("data/fixtures/neural-api/tiny_gptneox.safetensors"), 1 << 24,
                        &file, err),
              err);
    memcpy(&n_header, file.data, sizeof n_header);
    json_t *header = json_loadb((char *)file.data + 8, n_header, 0, NULL);
    json_int_t n_data = (json_int_t)(file.len - 8 - n_header);
    const char *last = last_tensor(header, n_data);
    assert_non_null(last);
    json_t *entry = json_object_get(header, last);
    json_t *shape = json_deep_copy(json_object_get(entry, "shape"));
    json_int_t n = 1;
    for (size_t i = 0; i < json_array_size(shape); i++)
        n *= json_integer_value(json_array_get(shape, i));
    json_int_t begin = n_data - 4 * n; /* where the last tensor's floats begin */
    json_int_t end = begin + n;
    if (as_mask) { /* an empty one, behind the last tensor */
        begin = n_data;
        end = n_data;
        json_array_set_new(shape, 0, json_integer(0));
    }
    json_object_set_new(header, as_mask ? "gpt_neox.layers.0.attention.bias" : last,
                        json_pack("{s:s, s:o, s:[I,I]}", "dtype", "BOOL", "shape", shape,
                                  "data_offsets", begin, end));
    Buf out = with_header(header, &file, n_header, (size_t)end);
    char *path = file_join(folder, "model.safetensors");
    assert_ok(file_write_atomic(path, out.data, out.len, err), err);
    Model *model = model_load(folder, err);
    free(path);
    free(folder);
    json_decref(header);
    buf_free(&file);
    buf_free(&out);
    return model;
}

static void test_a_stored_mask_is_left_alone_and_bools_are_no_weights(void **state)
{
    (void)state;
    Err err = {0};
    shared_path("data");
    Model *model = load_with_bools(true, &err);
    assert_ok(model, &err);
    model_free(model);
    model = load_with_bools(false, &err);
    assert_err(model, &err, ERR_INPUT, "is of type BOOL, supported: F32 F16 BF16");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gguf_fills_the_slots_that_the_folder_fills),
        cmocka_unit_test(test_a_stored_mask_is_left_alone_and_bools_are_no_weights),
        cmocka_unit_test(test_a_misshapen_fused_tensor_is_described_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
