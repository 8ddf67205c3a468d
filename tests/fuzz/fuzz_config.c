/* A config.json: no input may crash, and a config that is accepted gives a rotation table. */
#include <stdlib.h>

#include "base/json.h"
#include "models/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    JsonLimits limits = {
        .origin = "fuzz.json", .max_bytes = CONFIG_MAX_BYTES, .ints_as_reals = true};
    Err err = {0};
    ModelConfig config;
    Buf notes = {0};
    Buf key = {0};
    RopeTable table;
    json_t *root = json_parse((const char *)data, size, &limits, &err);
    if (root && config_from_json(root, "fuzz.json", &config, &notes, &err)) {
        RopeSpec spec = config.rope;
        config_key(&config, &key);
        if (!rope_spec_resolve(&spec, config.n_ctx_train, &err) ||
            !rope_table_make(&spec, config.n_ctx_train, &table, &err))
            abort();
    }
    json_decref(root);
    buf_free(&notes);
    buf_free(&key);
    return 0;
}
