/* A GGUF file in memory, with its config and its tokenizer: no input may crash, every tensor lies inside the input, and a config that
 * is accepted gives a rotation. */
#include <stdlib.h>
#include <string.h>

#include "models/weights_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const WeightFormat *gguf_format(void)
{
    const WeightFormat *format = weight_formats;
    while (strcmp(format->name, "gguf") != 0)
        format++;
    return format;
}

static void check_tensors(const WeightFile *file, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < weights_count(file); i++) {
        const Tensor *tensor = weights_tensor(file, i);
        const uint8_t *bytes = tensor->data;
        if (bytes < data || tensor->n_bytes > (size_t)(data + size - bytes)) abort();
    }
}

static void check_rotation(const ModelConfig *config)
{
    RopeSpec spec = config->rope;
    RopeTable table;
    Err err;
    if (!rope_spec_resolve(&spec, config->n_ctx_train, &err) ||
        !rope_table_make(&spec, config->n_ctx_train, &table, &err))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Err err = {0};
    WeightFile *file = weights_new("fuzz.gguf");
    file->format = gguf_format();
    weights_lend(file, data, size);
    if (gguf_index(file, &err) && weights_sort(file, &err)) {
        ModelConfig config;
        Tokenizer *tokenizer;
        char why[256];
        check_tensors(file, data, size);
        if (gguf_config(file, &config, &file->notes, &err))
            check_rotation(&config);
        else if (err.code == ERR_NONE)
            abort();
        if (weights_read_tokenizer(file, &tokenizer, why, &err)) tokenizer_free(tokenizer);
    }
    weights_close(file);
    return 0;
}
