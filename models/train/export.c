#include "models/train/export.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/dequant.h"
#include "models/rope_export.h"
#include "models/weights_write.h"

/* The keys that say how the model turns, as the export for transformers 4 writes them. */
static json_t *rope_keys(const TrainedModel *model, Err *err)
{
    RopeExportTarget target = {.arch = arch_find("llama"),
                               .head_dim = model->config->head_dim,
                               .own = model->config->rope,
                               .n_ctx = model->n_ctx};
    const RopeExport *format = rope_exports;
    while (!str_equal(format->name, "hf-v4"))
        format++;
    target.own.method = rope_method_find("none");
    target.own.n_ctx_orig = model->rope->n_ctx_orig;
    Buf text = {0};
    json_t *keys = NULL;
    JsonLimits limits = {.origin = "config.json", .max_bytes = CONFIG_MAX_BYTES};
    if (format->write(model->rope, &target, &text, err))
        keys = json_parse(text.data, text.len, &limits, err);
    buf_free(&text);
    return keys;
}

static json_t *id_or_null(int id)
{
    return id >= 0 ? json_integer(id) : json_null();
}

static json_t *shape_keys(const TrainedModel *model)
{
    const ModelConfig *c = model->config;
    const char *dtype = model->dtype == DTYPE_BF16  ? "bfloat16"
                        : model->dtype == DTYPE_F16 ? "float16"
                                                    : "float32";
    return json_pack(
        "{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:s, s:b, s:b, s:b, s:o, "
        "s:o, s:s}",
        "architectures", "LlamaForCausalLM", "model_type", "llama", "hidden_size", c->d_model,
        "intermediate_size", c->d_ff, "num_hidden_layers", c->n_layers, "num_attention_heads",
        c->n_heads, "num_key_value_heads", c->n_kv_heads, "head_dim", c->head_dim, "vocab_size",
        c->vocab_size, "rms_norm_eps", c->rms_eps, "hidden_act", "silu", "attention_bias", 0,
        "mlp_bias", 0, "tie_word_embeddings", (int)c->tied, "bos_token_id", id_or_null(c->bos_id),
        "eos_token_id", id_or_null(c->eos_id), "torch_dtype", dtype);
}

/* With the fewest digits that read back as the same numbers; free with free(). */
static char *shortest_text(const json_t *root)
{
    enum { FEWEST_DIGITS = 6, MOST_DIGITS = 17 };
    for (size_t digits = FEWEST_DIGITS;; digits++) {
        char *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(digits));
        json_t *back = json_loads(text, 0, NULL);
        bool is_equal = json_equal(back, root);
        json_decref(back);
        if (is_equal || digits == MOST_DIGITS) return text;
        free(text);
    }
}

bool train_export_config(const TrainedModel *model, Buf *out, Err *err)
{
    if (model->config->rope_layout != ROPE_HALVES)
        return err_set(
            err, ERR_UNSUPPORTED,
            "Hugging Face's Llama turns pairs (i, i + d/2) of a head, this model pairs (2i, 2i + 1); train from "
            "a model in Hugging Face's format");
    json_t *rope = rope_keys(model, err);
    if (!rope) return false;
    json_t *root = shape_keys(model);
    json_object_update(root, rope);
    char *text = shortest_text(root);
    buf_printf(out, "%s\n", text);
    free(text);
    json_decref(root);
    json_decref(rope);
    return true;
}

/* Names and shapes of all tensors into out, their rounded values into bytes one after another. Returns how many. */
static size_t convert(const TrainedModel *model, unsigned char *bytes, NamedTensor *out,
                      char (*names)[ARCH_NAME_SIZE])
{
    const DtypeInfo *info = dtype_info(model->dtype);
    size_t n = 0;
    for (int slot = 0; slot < N_SLOTS; slot++) {
        int n_layers = slot < N_LAYER_SLOTS ? model->config->n_layers : 1;
        size_t floats = model->layout->floats[slot];
        for (int layer = 0; floats && layer < n_layers; layer++, n++) {
            arch_slot_name(arch_find("llama"), (Slot)slot, layer, names[n]);
            out[n] = (NamedTensor){.name = names[n]};
            arch_slot_shape(model->config, (Slot)slot, &out[n].tensor);
            out[n].tensor.dtype = model->dtype;
            out[n].tensor.data = bytes;
            out[n].tensor.n_bytes = floats * (size_t)info->block_bytes;
            info->from_f32(model->weights + train_layout_at(model->layout, (Slot)slot, layer),
                           bytes, floats);
            bytes += out[n].tensor.n_bytes;
        }
    }
    return n;
}

static bool write_weights(const TrainedModel *model, const char *folder, Err *err)
{
    size_t most = (size_t)N_LAYER_SLOTS * (size_t)model->config->n_layers + N_SLOTS;
    unsigned char *bytes = mem_alloc_large(
        model->layout->n, (size_t)dtype_info(model->dtype)->block_bytes, "rounded weights", err);
    if (!bytes) return false;
    NamedTensor *tensors = mem_alloc(most, sizeof *tensors);
    char(*names)[ARCH_NAME_SIZE] = mem_alloc(most, sizeof *names);
    char *path = file_join(folder, "model.safetensors");
    size_t n = convert(model, bytes, tensors, names);
    bool ok = weights_write_safetensors(path, tensors, n, err);
    free(path);
    free(names);
    free(tensors);
    free(bytes);
    return ok;
}

bool train_export(const TrainedModel *model, const char *folder, Err *err)
{
    Buf config = {0};
    bool ok = train_export_config(model, &config, err) && write_weights(model, folder, err);
    if (ok) {
        char *path = file_join(folder, "config.json");
        ok = file_write_atomic(path, config.data, config.len, err);
        free(path);
    }
    buf_free(&config);
    return ok;
}
