/* What the readers of the formats share. Included by models/weights*.c and the fuzz targets only. */
#ifndef MODELS_WEIGHTS_INTERNAL_H
#define MODELS_WEIGHTS_INTERNAL_H

#include "base/file.h"
#include "models/weights.h"

typedef struct {
    char *name;
    Tensor tensor;
    size_t map; /* which of the maps holds it */
} WeightEntry;

typedef struct {
    FileMap bytes;
    char *path;
    bool lent; /* the bytes are the caller's, not a map of ours */
} WeightMap;

struct WeightFile {
    const WeightFormat *format;
    char *path;
    WeightMap *maps;
    size_t n_maps;
    WeightEntry *entries; /* sorted by name once weights_sort has run */
    size_t n_entries;
    size_t cap_entries;
    char **side_files; /* files beside the weights that decide numbers too: tokenizers */
    size_t n_side_files;
    void *state; /* of the format */
    ModelConfig config;
    bool has_config;
    Err config_err; /* why not */
    Buf notes;
};

WeightFile *weights_new(const char *path);

/* Maps one more file, refusing what only looks like weights (git-lfs pointer, HTML, archives). Errors: INPUT, UNSUPPORTED. */
bool weights_map(WeightFile *file, const char *path, Err *err) MUST_USE;

/* The same with bytes in memory, which must outlive the file. */
void weights_lend(WeightFile *file, const void *bytes, size_t n);

/* Adds a tensor of the newest map; the name is copied. */
void weights_add(WeightFile *file, const char *name, const Tensor *tensor);

/* Notes a file beside the weights that goes into the hash. Takes the path. */
void weights_add_side_file(WeightFile *file, char *path);

/* Sorts the tensors by name. Errors: INPUT (a name twice). */
bool weights_sort(WeightFile *file, Err *err) MUST_USE;

/* The entry of that name, or NULL; after weights_sort. */
const WeightEntry *weights_entry(const WeightFile *file, const char *name);

/* models/weights_safetensors.c */
bool safetensors_detect(const char *path, const unsigned char *head, size_t n_head);
bool safetensors_open(WeightFile *file, Err *err) MUST_USE;
bool safetensors_index(WeightFile *file, Err *err) MUST_USE; /* the newest map */
bool safetensors_config(const WeightFile *file, ModelConfig *config, Buf *notes, Err *err) MUST_USE;
bool safetensors_tokenizer(const WeightFile *file, Tokenizer **tokenizer, char why[256],
                           Err *err) MUST_USE;

/* models/weights_gguf.c, models/gguf_tokenizer.c */
bool gguf_detect(const char *path, const unsigned char *head, size_t n_head);
bool gguf_open(WeightFile *file, Err *err) MUST_USE;
bool gguf_index(WeightFile *file, Err *err) MUST_USE; /* the newest map */
bool gguf_config(const WeightFile *file, ModelConfig *config, Buf *notes, Err *err) MUST_USE;
bool gguf_tokenizer(const WeightFile *file, Tokenizer **tokenizer, char why[256],
                    Err *err) MUST_USE;
void gguf_close(WeightFile *file);

/* models/weights_llama2c.c */
bool llama2c_detect(const char *path, const unsigned char *head, size_t n_head);
bool llama2c_open(WeightFile *file, Err *err) MUST_USE;
bool llama2c_config(const WeightFile *file, ModelConfig *config, Buf *notes, Err *err) MUST_USE;
bool llama2c_tokenizer(const WeightFile *file, Tokenizer **tokenizer, char why[256],
                       Err *err) MUST_USE;

#endif
