/* Configs of Hugging Face models as texts, for the tests that read them. */
#ifndef TESTS_CONFIG_FIXTURE_H
#define TESTS_CONFIG_FIXTURE_H

#include "models/config.h"

/* A good config; a test puts keys behind it or takes keys out of it. */
#define CONFIG_WIDTHS \
 "\"model_type\":\"llama\",\"hidden_size\":64,\"intermediate_size\":128,\"num_hidden_layers\":2,\"num_attention_heads\":4,\"vocab_size\":100"
#define CONFIG_RMS "\"rms_norm_eps\":1e-5"
#define CONFIG_GOOD           \
 CONFIG_WIDTHS "," CONFIG_RMS \
               ",\"num_key_value_heads\":2,\"rope_theta\":500000,\"max_position_embeddings\":4096"

/* Reads a config; its file is called c.json in messages. Errors: as config_from_json. */
bool config_read_text(const char *text, ModelConfig *config, Buf *notes, Err *err) MUST_USE;

/* Reads {keys}; the config is good and its notes hold `note` ("" if there must be none). */
ModelConfig config_read_good(const char *keys, const char *note);

/* {keys} are refused with this code by a message that holds `part` and names the file. */
void config_assert_refused(const char *keys, ErrCode code, const char *part);

#endif
