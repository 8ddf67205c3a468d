/* llama2.c's first format (Source: karpathy/llama2.c, export.py, legacy_export): seven little-endian ints
 *
 *   dim  hidden_dim  n_layers  n_heads  n_kv_heads  vocab_size  seq_len      (vocab_size negative: the head is not shared)
 *
 * and then floats without a gap: the embedding; for each kind of layer tensor in turn, all layers of it; the last norm; two tables
 * of seq_len x head_dim/2 angles that are recomputed here and skipped; the head, if it is not shared. There is no
 * magic, so the size is the check: the file must be exactly as long as the seven numbers say. Pairs are
 * interleaved; epsilon 1e-5 and base 10000 are fixed by that program. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "models/arch.h"
#include "models/config_rope.h"
#include "models/weights_internal.h"

enum {
    N_HEADER_INTS = 7,
    HEADER_BYTES = N_HEADER_INTS * 4,
    AK42 = 0x616b3432, /* magic of the later versions */
    MAX_SEQ_LEN = 1 << 24,
    BOS_ID = 1,
    EOS_ID = 2,
};

/* The order of the tensors in the file. */
static const Slot file_order[] = {SLOT_EMBEDDING, SLOT_ATTN_NORM, SLOT_WQ,       SLOT_WK,
                                  SLOT_WV,        SLOT_WO,        SLOT_FFN_NORM, SLOT_W_GATE,
                                  SLOT_W_DOWN,    SLOT_W_UP,      SLOT_OUT_NORM};

bool llama2c_detect(const char *path, const unsigned char *head, size_t n_head)
{
    (void)head;
    return n_head > 0 && str_ends_with(path, ".bin");
}

static bool refuse_version(const char *path, const unsigned char *bytes, Err *err)
{
    int32_t version;
    memcpy(&version, bytes + 4, sizeof version);
    return err_set(err, ERR_UNSUPPORTED,
                   "%s: is llama2.c version %d (magic ak42%s); version 0 (legacy float) is read",
                   path, version, version == 2 ? ", int8 groups" : "");
}

/* Reads the seven ints into a config that config_check has passed. */
static bool read_header(const WeightFile *file, ModelConfig *config, Err *err)
{
    const FileMap *bytes = &file->maps[0].bytes;
    int32_t header[N_HEADER_INTS] = {0};
    if (bytes->size < HEADER_BYTES)
        return err_set(err, ERR_INPUT, "%s: %zu bytes, a llama2.c header alone has %d", file->path,
                       bytes->size, HEADER_BYTES);
    memcpy(header, bytes->data, sizeof header);
    if (header[0] == AK42) return refuse_version(file->path, bytes->data, err);
    if (header[5] == INT32_MIN || header[6] > MAX_SEQ_LEN || header[3] < 1)
        return err_set(err, ERR_INPUT,
                       "%s: not a llama2.c header: n_heads %d, vocab_size %d, seq_len %d",
                       file->path, header[3], header[5], header[6]);
    *config = (ModelConfig){
        .arch = "llama",
        .d_model = header[0],
        .d_ff = header[1],
        .n_layers = header[2],
        .n_heads = header[3],
        .n_kv_heads = header[4],
        .head_dim = header[0] / header[3],
        .vocab_size = abs(header[5]),
        .n_ctx_train = header[6],
        .rms_eps = 1e-5,
        .tied = header[5] > 0,
        .rope_layout = ROPE_INTERLEAVED,
        .n_rot = header[0] / header[3],
        .bos_id = BOS_ID,
        .eos_id = EOS_ID,
    };
    config->rope = (RopeSpec){.method = rope_method_find("none"),
                              .theta = CONFIG_DEFAULT_THETA,
                              .n_rot = config->n_rot,
                              .n_ctx_orig = config->n_ctx_train};
    snprintf(config->rope_found, sizeof config->rope_found, "seq_len=%d", header[6]);
    if (header[0] % header[3])
        return err_set(err, ERR_INPUT, "%s: dim %d is not a multiple of n_heads %d", file->path,
                       header[0], header[3]);
    return config_check(config, file->path, err);
}

/* Adds one tensor at *offset and moves past it; bytes beyond the file get no view, the size check refuses them. */
static bool add_slot(WeightFile *file, const ModelConfig *config, Slot slot, int layer,
                     size_t *offset)
{
    const FileMap *bytes = &file->maps[0].bytes;
    Tensor tensor = {.dtype = DTYPE_F32};
    char name[ARCH_NAME_SIZE];
    arch_slot_shape(config, slot, &tensor);
    arch_slot_name(arch_find(config->arch), slot, layer, name);
    tensor.n_bytes = (size_t)tensor_count(&tensor) * sizeof(float);
    if (*offset > bytes->size || tensor.n_bytes > bytes->size - *offset) return false;
    tensor.data = bytes->data + *offset;
    weights_add(file, name, &tensor);
    *offset += tensor.n_bytes;
    return true;
}

static bool add_tensors(WeightFile *file, const ModelConfig *config, Err *err)
{
    size_t offset = HEADER_BYTES;
    bool fits = true;
    for (size_t i = 0; fits && i < COUNT_OF(file_order); i++) {
        int n = file_order[i] < N_LAYER_SLOTS ? config->n_layers : 1;
        for (int layer = 0; fits && layer < n; layer++)
            fits = add_slot(file, config, file_order[i], layer, &offset);
    }
    offset += (size_t)config->n_ctx_train * (size_t)config->head_dim * sizeof(float);
    if (!config->tied) fits = fits && add_slot(file, config, SLOT_HEAD, 0, &offset);
    size_t size = file->maps[0].bytes.size;
    if (fits && offset == size) return true;
    return err_set(err, ERR_INPUT,
                   "%s: %zu bytes, the header asks for %s%zu: truncated, or not a llama2.c file",
                   file->path, size, fits ? "" : "more than ", fits ? offset : size);
}

/* tokenizer.bin, or tok512.bin for a vocabulary of 512, in the same folder. */
static void find_tokenizer(WeightFile *file, int vocab_size)
{
    const char *base = file_base_name(file->path);
    char *names[] = {str_format("tok%d.bin", vocab_size), str_dup("tokenizer.bin")};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char *path = str_format("%.*s%s", (int)(base - file->path), file->path, names[i]);
        if (file->n_side_files == 0 && file_exists(path))
            weights_add_side_file(file, path);
        else
            free(path);
        free(names[i]);
    }
}

bool llama2c_open(WeightFile *file, Err *err)
{
    ModelConfig config;
    if (!weights_map(file, file->path, err) || !read_header(file, &config, err) ||
        !add_tensors(file, &config, err))
        return false;
    find_tokenizer(file, config.vocab_size);
    return true;
}

bool llama2c_config(const WeightFile *file, ModelConfig *config, Buf *notes, Err *err)
{
    if (!read_header(file, config, err)) return false;
    buf_printf(notes, "the format fixes rope_theta at %g and the epsilon of RMSNorm at %g\n",
               config->rope.theta, config->rms_eps);
    return true;
}

bool llama2c_tokenizer(const WeightFile *file, Tokenizer **tokenizer, char why[256], Err *err)
{
    ModelConfig config;
    if (!read_header(file, &config, err)) return false;
    if (file->n_side_files == 0) {
        snprintf(why, 256, "there is no tokenizer.bin or tok%d.bin beside the weights",
                 config.vocab_size);
        return true;
    }
    *tokenizer = tokenizer_open_llama2c(file->side_files[0], config.vocab_size, err);
    return *tokenizer != NULL;
}
