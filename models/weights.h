/* Weight files of every format behind one type: named tensors over mapped bytes, and what the file says of the model.
 *
 * A format is a row of the table in weights.c. Names are brought to Hugging Face's spelling
 * ("model.layers.0.self_attn.q_proj.weight") by the reader, so that arch.c has one template a tensor. */
#ifndef MODELS_WEIGHTS_H
#define MODELS_WEIGHTS_H

#include "base/buf.h"
#include "base/hash.h"
#include "models/config.h"
#include "models/tensor.h"
#include "models/tokenizer.h"

typedef struct WeightFile WeightFile;

/* What a format's row holds. */
typedef struct {
    const char *name; /* "safetensors" */
    const char *help; /* one line for `list formats` */
    /* Whether a path (file or folder) is of this format, judged by its name and first bytes; n_head is 0 for a folder. */
    bool (*detect)(const char *path, const unsigned char *head, size_t n_head);
    bool (*open)(WeightFile *file, Err *err);
    bool (*read_config)(const WeightFile *file, ModelConfig *config, Buf *notes, Err *err);
    /* *tokenizer stays NULL (and why says the reason) when the file holds no usable one. */
    bool (*read_tokenizer)(const WeightFile *file, Tokenizer **tokenizer, char why[256], Err *err);
    void (*close)(WeightFile *file);
} WeightFormat;

/* All formats. Ends with a row whose name is NULL. */
extern const WeightFormat weight_formats[];

/* Opens a model: a Hugging Face folder, a .safetensors beside its config.json, a .gguf, a llama2.c .bin. Maps, checks and
 * indexes; converts nothing.
 * Errors: INPUT (absent, damaged, hostile), UNSUPPORTED (a known thing we do not read). */
WeightFile *weights_open(const char *path, Err *err) MUST_USE;
void weights_close(WeightFile *file);

const WeightFormat *weights_format(const WeightFile *file);
const char *weights_path(const WeightFile *file);

/* What the file says of the model, checked once by weights_open; vocab_size is the number of embedding rows where the file has an
 * embedding. Errors: INPUT, UNSUPPORTED (names the key, or a tensor that the engine would have to use and does not). */
bool weights_read_config(const WeightFile *file, ModelConfig *config, Err *err) MUST_USE;

/* The tokenizer, or NULL with a reason in why: the model then runs on token ids. The caller frees it. Works on files that hold a
 * vocabulary only. Errors: INPUT when the file has a tokenizer that is damaged or hostile, or whose ids exceed the embedding. */
bool weights_read_tokenizer(const WeightFile *file, Tokenizer **tokenizer, char why[256],
                            Err *err) MUST_USE;

size_t weights_count(const WeightFile *file);

/* Name and view of tensor i, in byte order of the names. Lends. */
const char *weights_name(const WeightFile *file, size_t i);
const Tensor *weights_tensor(const WeightFile *file, size_t i);

/* The tensor of that name, or NULL. Lends. */
const Tensor *weights_find(const WeightFile *file, const char *name);

/* SHA-256 over everything that can change a number: the weight bytes of each file, the config and the tokenizer files. */
bool weights_hash(const WeightFile *file, char hex[HASH_HEX_SIZE], Err *err) MUST_USE;

/* Notes a person should read (an untied head that is equal to the embedding, unused tensors, defaults that were
 * taken), one a line; "" if none. Lends. */
const char *weights_notes(const WeightFile *file);

#endif
