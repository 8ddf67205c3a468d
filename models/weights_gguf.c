/* GGUF as a model: keys to ModelConfig, tensor names to Hugging Face's.
 *
 * The converter for architecture llama permutes the rows of the query and key matrices so that rotation pairs lie side by side:
 * that is why the layout is INTERLEAVED here and HALVES for the same model as a folder, and why nothing is turned back.
 * Key names: Source: llama.cpp, gguf-py constants. A key of the architecture that is neither read nor known to be
 * harmless is noted; one that would change the numbers is refused. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "models/arch.h"
#include "models/gguf.h"
#include "models/gguf_rope.h"
#include "models/weights_internal.h"

enum { KEY_SIZE = 96 };

bool gguf_detect(const char *path, const unsigned char *head, size_t n_head)
{
    return n_head > 0 &&
           (str_ends_with(path, ".gguf") || (n_head >= 4 && !memcmp(head, "GGUF", 4)));
}

/* "…-00001-of-00003.gguf". */
static bool is_split_name(const char *path)
{
    static const char shape[] = "-ddddd-of-ddddd.gguf";
    size_t n = strlen(path);
    if (n < sizeof shape - 1) return false;
    const char *end = path + n - (sizeof shape - 1);
    for (size_t i = 0; shape[i]; i++) {
        bool digit = shape[i] == 'd';
        if (digit ? !isdigit((unsigned char)end[i]) : end[i] != shape[i]) return false;
    }
    return true;
}

static bool refuse_split(const char *path, Err *err)
{
    return err_set(
        err, ERR_UNSUPPORTED,
        "%s: is one part of a split model; join the parts first (llama-gguf-split --merge)", path);
}

/* The architecture's row, or NULL. */
static const Arch *arch_of(const Gguf *gguf, Err *err)
{
    GgufText text = {"", 0};
    char name[32];
    if (!gguf_get_text(gguf, "general.architecture", &text, err)) return NULL;
    str_escape(text.text, text.n, name, 32);
    const Arch *arch = arch_find_gguf(name);
    char known[128];
    arch_names(true, known);
    if (!arch)
        err_set(err, ERR_UNSUPPORTED, "general.architecture = %s (supported: %s)",
                name[0] ? name : "absent", known);
    return arch;
}

bool gguf_index(WeightFile *file, Err *err)
{
    const WeightMap *map = &file->maps[file->n_maps - 1];
    Gguf *gguf = mem_zalloc(1, sizeof *gguf);
    file->state = gguf;
    if (!gguf_parse(map->bytes.data, map->bytes.size, map->path, gguf, err)) return false;
    Err unknown_arch;
    const Arch *arch = arch_of(gguf, &unknown_arch);
    for (size_t i = 0; i < gguf->n_tensors; i++) {
        const GgufTensor *entry = &gguf->tensors[i];
        char *own_name = str_dup_n(entry->name.text, entry->name.n);
        char hf_name[ARCH_NAME_SIZE];
        bool known = arch && arch_name_from_gguf(arch, own_name, hf_name);
        weights_add(file, known ? hf_name : own_name, &entry->tensor);
        free(own_name);
    }
    int64_t n_parts = 1;
    if (!gguf_get_i64(gguf, "split.count", 0, UINT16_MAX, &n_parts, err))
        return err_prefix(err, "%s", map->path);
    return n_parts <= 1 || refuse_split(map->path, err);
}

bool gguf_open(WeightFile *file, Err *err)
{
    if (is_split_name(file->path)) return refuse_split(file->path, err);
    return weights_map(file, file->path, err) && gguf_index(file, err);
}

void gguf_close(WeightFile *file)
{
    if (file->state) gguf_free(file->state);
    free(file->state);
}

/* Integer keys below the architecture's prefix. */
typedef struct {
    const char *key;
    size_t offset; /* of an int in ModelConfig */
    int high;
    bool required;
} IntKey;

static const IntKey int_keys[] = {
    {"embedding_length",        offsetof(ModelConfig, d_model),    CONFIG_MAX_WIDTH,   true },
    {"feed_forward_length",     offsetof(ModelConfig, d_ff),       CONFIG_MAX_WIDTH,   true },
    {"block_count",             offsetof(ModelConfig, n_layers),   CONFIG_MAX_LAYERS,  true },
    {"attention.head_count",    offsetof(ModelConfig, n_heads),    CONFIG_MAX_HEADS,   true },
    {"attention.head_count_kv", offsetof(ModelConfig, n_kv_heads), CONFIG_MAX_HEADS,   false},
    {"attention.key_length",    offsetof(ModelConfig, head_dim),   2 * ROPE_MAX_PAIRS, false},
    {"rope.dimension_count",    offsetof(ModelConfig, n_rot),      2 * ROPE_MAX_PAIRS, false},
    {"vocab_size",              offsetof(ModelConfig, vocab_size), CONFIG_MAX_VOCAB,   false},
};

/* Other keys below the prefix that are read, and what is harmless. */
static const char *const other_keys[] = {"attention.value_length", "use_parallel_residual",
                                         "tensor_data_layout"};

/* Below these, a key that is not read would change the rotation or the attention. */
static const char *const strict_keys[] = {
    "rope.",
    "attention.sliding_window",
    "attention.clamp_kqv",
    "attention.scale",
    "attention.causal",
    "attention.max_alibi_bias",
    "expert_",
    "logit_scale",
    "residual_scale",
    "embedding_scale",
    "attn_logit_softcapping",
    "final_logit_softcapping",
};

/* Writes "llama.context_length". */
static const char *key_of(const ModelConfig *config, const char *key, char out[KEY_SIZE])
{
    snprintf(out, KEY_SIZE, "%s.%s", arch_find(config->arch)->gguf_name, key);
    return out;
}

static bool read_ints(const Gguf *gguf, ModelConfig *config, Err *err)
{
    for (size_t i = 0; i < COUNT_OF(int_keys); i++) {
        const IntKey *row = &int_keys[i];
        char key[KEY_SIZE];
        key_of(config, row->key, key);
        const GgufValue *value = gguf_find(gguf, key);
        int64_t number = 0;
        if (!value && row->required) return err_set(err, ERR_INPUT, "key %s is missing", key);
        if (value && value->is_array)
            return err_set(err, ERR_UNSUPPORTED,
                           "key %s is an array: layers that differ are not supported", key);
        if (!gguf_get_i64(gguf, key, 1, row->high, &number, err)) return false;
        *(int *)((char *)config + row->offset) = (int)number;
    }
    return true;
}

/* Widths that follow from others when the file does not state them. */
static bool default_widths(const Gguf *gguf, ModelConfig *config, Buf *notes, Err *err)
{
    if (!config->n_kv_heads) {
        config->n_kv_heads = config->n_heads;
        buf_printf(notes, "%s.attention.head_count_kv is missing: taken as head_count, %d\n",
                   config->arch, config->n_heads);
    }
    if (!config->head_dim && config->d_model % config->n_heads)
        return err_set(
            err, ERR_INPUT,
            "embedding_length %d is not a multiple of head_count %d and there is no key_length",
            config->d_model, config->n_heads);
    if (!config->head_dim) config->head_dim = config->d_model / config->n_heads;
    if (!config->n_rot) config->n_rot = config->head_dim;
    const GgufValue *tokens = gguf_find(gguf, "tokenizer.ggml.tokens");
    if (!config->vocab_size && tokens && tokens->count <= CONFIG_MAX_VOCAB)
        config->vocab_size = (int)tokens->count;
    if (config->n_rot != config->head_dim && !arch_find(config->arch)->reads_partial_rotary)
        return err_set(
            err, ERR_UNSUPPORTED,
            "%s.rope.dimension_count is %d and a head is %d wide: models of type %s rotate whole heads",
            config->arch, config->n_rot, config->head_dim, config->arch);
    char key[KEY_SIZE];
    int64_t d_value = config->head_dim;
    if (!gguf_get_i64(gguf, key_of(config, "attention.value_length", key), 1, CONFIG_MAX_WIDTH,
                      &d_value, err))
        return false;
    return d_value == config->head_dim ||
           err_set(err, ERR_UNSUPPORTED, "%s is %lld, key_length is %d: they must be equal", key,
                   (long long)d_value, config->head_dim);
}

/* A real with a default that is noted. */
static bool read_real(const Gguf *gguf, ModelConfig *config, const char *name, double *out,
                      Buf *notes, Err *err)
{
    char key[KEY_SIZE];
    key_of(config, name, key);
    if (!gguf_find(gguf, key)) buf_printf(notes, "%s is missing: taken as %g\n", key, *out);
    return gguf_get_double(gguf, key, out, err);
}

static bool is_read_key(const Arch *arch, const char *key)
{
    if (str_equal(arch->gguf_eps_key, key)) return true;
    if (str_equal("attention.sliding_window", key)) return arch->reads_window;
    for (size_t i = 0; i < COUNT_OF(int_keys); i++)
        if (str_equal(int_keys[i].key, key)) return true;
    for (size_t i = 0; i < COUNT_OF(other_keys); i++)
        if (str_equal(other_keys[i], key)) return true;
    return gguf_rope_reads_key(key);
}

/* Keys of the architecture that nothing above reads. */
static bool check_other_keys(const Gguf *gguf, const ModelConfig *config, Buf *notes, Err *err)
{
    const Arch *arch = arch_find(config->arch);
    size_t n_prefix = strlen(arch->gguf_name);
    for (size_t i = 0; i < gguf->n_values; i++) {
        GgufText text = gguf->values[i].key;
        if (text.n <= n_prefix || strncmp(text.text, arch->gguf_name, n_prefix) != 0 ||
            text.text[n_prefix] != '.')
            continue;
        char key[KEY_SIZE];
        str_escape(text.text + n_prefix + 1, text.n - n_prefix - 1, key, sizeof key);
        if (is_read_key(arch, key)) continue;
        for (size_t k = 0; k < COUNT_OF(strict_keys); k++)
            if (str_starts_with(key, strict_keys[k]))
                return err_set(err, ERR_UNSUPPORTED, "key %s.%s is not supported", arch->gguf_name,
                               key);
        buf_printf(notes, "key %s.%s is not read\n", arch->gguf_name, key);
    }
    return true;
}

/* A special token's id; 0xffffffff means none. */
static bool read_id(const Gguf *gguf, const char *key, int *out, Err *err)
{
    int64_t id = -1;
    if (!gguf_get_i64(gguf, key, -1, UINT32_MAX, &id, err)) return false;
    *out = id >= 0 && id < CONFIG_MAX_VOCAB ? (int)id : -1;
    return true;
}

/* A file has no key for biases: what the tensors are decides. */
static bool read_features(const WeightFile *file, const Arch *arch, ModelConfig *config, Err *err)
{
    static const struct {
        Slot slot;
        unsigned bit;
    } biases[] = {
        {SLOT_BQ,   MODEL_QKV_BIAS},
        {SLOT_BO,   MODEL_OUT_BIAS},
        {SLOT_B_UP, MODEL_FFN_BIAS}
    };
    char key[KEY_SIZE];
    bool parallel = arch->parallel_residual == KEY_DEFAULT_TRUE;
    config->features = arch->features;
    for (size_t i = 0; i < COUNT_OF(biases); i++) {
        char name[ARCH_NAME_SIZE];
        if (!arch->gguf_slot_name[biases[i].slot]) continue;
        arch_slot_name(arch, biases[i].slot, 0, name);
        if (weights_find(file, name)) config->features |= biases[i].bit;
    }
    if (!gguf_get_bool(file->state, key_of(config, "use_parallel_residual", key), &parallel, err))
        return false;
    if (parallel) config->features |= MODEL_PARALLEL;
    return !arch->reads_window ||
           gguf_get_i64(file->state, key_of(config, "attention.sliding_window", key), 1,
                        ROPE_MAX_POSITION, &config->window, err);
}

static bool read_config(const WeightFile *file, ModelConfig *config, Buf *notes, Err *err)
{
    const Gguf *gguf = file->state;
    const Arch *arch = arch_of(gguf, err);
    if (!arch) return false;
    snprintf(config->arch, sizeof config->arch, "%s", arch->name);
    config->rope_layout = arch->gguf_layout;
    config->rms_eps = 1e-5;
    return check_other_keys(gguf, config, notes, err) && read_ints(gguf, config, err) &&
           default_widths(gguf, config, notes, err) && read_features(file, arch, config, err) &&
           read_real(gguf, config, arch->gguf_eps_key, &config->rms_eps, notes, err) &&
           gguf_rope_read(file, arch->gguf_name, config, notes, err) &&
           read_id(gguf, "tokenizer.ggml.bos_token_id", &config->bos_id, err) &&
           read_id(gguf, "tokenizer.ggml.eos_token_id", &config->eos_id, err);
}

bool gguf_config(const WeightFile *file, ModelConfig *config, Buf *notes, Err *err)
{
    *config = (ModelConfig){0};
    if (!read_config(file, config, notes, err)) return err_prefix(err, "%s", file->path);
    const Arch *arch = arch_find(config->arch);
    config->tied = !weights_find(file, arch->slot_name[SLOT_HEAD]);
    /* A file without a stated vocabulary and without tokens is measured by its embedding. */
    const Tensor *table = weights_find(file, arch->slot_name[SLOT_EMBEDDING]);
    if (!config->vocab_size && table && table->dims[0] <= CONFIG_MAX_VOCAB)
        config->vocab_size = (int)table->dims[0];
    return config_check(config, file->path, err);
}
