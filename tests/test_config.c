#include "tests/test_util.h"

#include <math.h>

#include "base/json.h"
#include "base/str.h"
#include "tests/config_fixture.h"

static void test_a_plain_config_is_read_without_notes(void **state)
{
    (void)state;
    ModelConfig c = config_read_good(CONFIG_GOOD, "");
    assert_string_equal(c.arch, "llama");
    assert_int_equal(c.d_model, 64);
    assert_int_equal(c.d_ff, 128);
    assert_int_equal(c.n_layers, 2);
    assert_int_equal(c.n_heads, 4);
    assert_int_equal(c.n_kv_heads, 2);
    assert_int_equal(c.head_dim, 16);
    assert_int_equal(c.n_rot, 16);
    assert_int_equal(c.vocab_size, 100);
    assert_int_equal(c.n_ctx_train, 4096);
    assert_int_equal(c.rope_layout, ROPE_HALVES);
    assert_close(c.rope.theta, 500000, 0, 0);
    assert_int_equal(c.rope.n_ctx_orig, 4096);
    assert_string_equal(c.rope.method->name, "none");
    assert_int_equal(c.bos_id, -1);
    assert_false(c.tied);
}

static void test_defaults_are_those_of_transformers_and_are_noted(void **state)
{
    (void)state;
    ModelConfig c = config_read_good(
        CONFIG_WIDTHS, "num_key_value_heads is missing: taken as num_attention_heads");
    assert_int_equal(c.n_kv_heads, 4);
    c = config_read_good(CONFIG_WIDTHS, "rope_theta is missing: taken as 10000");
    assert_close(c.rope.theta, 10000, 0, 0);
    c = config_read_good(CONFIG_WIDTHS, "rms_norm_eps is missing: taken as 1e-06");
    assert_close(c.rms_eps, 1e-6, 0, 0);
    c = config_read_good(CONFIG_WIDTHS, "max_position_embeddings is missing: taken as 2048");
    assert_int_equal(c.n_ctx_train, 2048);
}

static void test_an_explicit_head_dim_wins(void **state)
{
    (void)state;
    ModelConfig c = config_read_good("\"head_dim\":32," CONFIG_GOOD, "");
    assert_int_equal(c.head_dim, 32);
    assert_int_equal(c.n_rot, 32);
    c = config_read_good(
        "\"model_type\":\"llama\",\"hidden_size\":50,\"intermediate_size\":8,\"num_hidden_layers\":1,"
        "\"num_attention_heads\":4,\"vocab_size\":9,\"head_dim\":8",
        "rope_theta");
    assert_int_equal(c.head_dim, 8);
    config_assert_refused(
        "\"model_type\":\"llama\",\"hidden_size\":50,\"intermediate_size\":8,\"num_hidden_layers\":1,"
        "\"num_attention_heads\":4,\"vocab_size\":9",
        ERR_INPUT, "hidden_size 50 is not a multiple of num_attention_heads 4");
}

static void test_numbers_may_be_spelt_as_reals_but_not_as_strings(void **state)
{
    (void)state;
    config_read_good(CONFIG_GOOD ",\"head_dim\":16.0,\"bos_token_id\":1.0", "");
    config_read_good(CONFIG_GOOD ",\"model_max_length\":1000000000000000019884624838656", "");
    config_assert_refused(CONFIG_GOOD ",\"head_dim\":\"16\"", ERR_INPUT,
                          "\"head_dim\" is a string");
    config_assert_refused(CONFIG_GOOD ",\"head_dim\":16.5", ERR_INPUT, "\"head_dim\" is 16.5");
    config_assert_refused(CONFIG_WIDTHS ",\"rope_theta\":\"1e6\"", ERR_INPUT,
                          "\"rope_theta\" is a string");
    config_assert_refused(CONFIG_WIDTHS ",\"max_position_embeddings\":1e30", ERR_INPUT,
                          "max_position_embeddings");
    config_assert_refused(CONFIG_GOOD ",\"tie_word_embeddings\":1", ERR_INPUT,
                          "tie_word_embeddings");
}

static void test_missing_and_absurd_widths_are_refused_by_key(void **state)
{
    (void)state;
    config_assert_refused("\"model_type\":\"llama\"", ERR_INPUT, "\"hidden_size\" is missing");
    static const char *const keys[] = {"head_dim", "num_key_value_heads",
                                       "max_position_embeddings"};
    static const char *const values[] = {"0", "-1", "1e18"};
    for (size_t k = 0; k < COUNT_OF(keys); k++)
        for (size_t v = 0; v < COUNT_OF(values); v++) {
            char *text = str_format(CONFIG_WIDTHS ",\"%s\":%s", keys[k], values[v]);
            config_assert_refused(text, ERR_INPUT, keys[k]);
            free(text);
        }
    config_assert_refused(CONFIG_WIDTHS ",\"num_key_value_heads\":3", ERR_INPUT,
                          "4 heads cannot share 3");
}

static void test_odd_and_tiny_rotary_widths_are_refused(void **state)
{
    (void)state;
    config_assert_refused(CONFIG_GOOD ",\"head_dim\":1", ERR_INPUT, "an even number from 2");
    config_assert_refused(CONFIG_GOOD ",\"head_dim\":3", ERR_INPUT, "an even number from 2");
    config_read_good(CONFIG_GOOD ",\"head_dim\":2", "");
}

static void test_a_base_that_gives_no_angles_is_refused(void **state)
{
    (void)state;
    config_assert_refused(CONFIG_WIDTHS ",\"rope_theta\":0", ERR_INPUT, "RoPE");
    config_assert_refused(CONFIG_WIDTHS ",\"rope_theta\":-10000", ERR_INPUT, "RoPE");
}

static void test_what_the_engine_does_not_compute_is_refused_by_key(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"\"use_parallel_residual\":true",                             "use_parallel_residual = true"},
        {"\"use_sliding_window\":true",                                "use_sliding_window = true"   },
        {"\"hidden_act\":\"gelu\"",                                    "hidden_act = \"gelu\""       },
        {"\"sliding_window\":4096",                                    "sliding_window = 4096"       },
        {"\"partial_rotary_factor\":0.5",                              "partial_rotary_factor = 0.5" },
        {"\"quantization_config\":{\"bits\":4}",                       "quantization_config"         },
        {"\"num_local_experts\":8",                                    "num_local_experts = 8"       },
        {"\"final_logit_softcapping\":30.0",                           "final_logit_softcapping = 30"},
        {"\"use_qk_norm\":true",                                       "use_qk_norm = true"          },
        {"\"layer_types\":[\"full_attention\",\"sliding_attention\"]",
         "layer_types = sliding_attention"                                                           },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *text = str_format("%s,%s", CONFIG_GOOD, rows[i][0]);
        config_assert_refused(text, ERR_UNSUPPORTED, rows[i][1]);
        free(text);
    }
    config_assert_refused("\"model_type\":\"gpt2\",\"n_embd\":8", ERR_UNSUPPORTED,
                          "model_type = gpt2 (supported: llama, mistral, qwen2");
    config_assert_refused("\"hidden_size\":8", ERR_UNSUPPORTED, "model_type = absent");
    config_assert_refused(CONFIG_GOOD ",\"alibi\":true,\"sliding_window\":7", ERR_UNSUPPORTED,
                          "sliding_window = 7");
}

static void test_harmless_values_of_those_keys_pass(void **state)
{
    (void)state;
    config_read_good(
        CONFIG_GOOD
        ",\"attention_bias\":false,\"mlp_bias\":false,\"hidden_act\":\"silu\",\"sliding_window\":null,"
        "\"partial_rotary_factor\":1,\"quantization_config\":null,\"pretraining_tp\":2,\"use_cache\":true,"
        "\"layer_types\":[\"full_attention\"]",
        "");
}

/* CONFIG_GOOD as another model_type. */
static ModelConfig read_as(const char *model_type, const char *more, const char *note)
{
    char *keys = str_format(
        "\"model_type\":\"%s\",\"hidden_size\":64,\"intermediate_size\":128,\"num_hidden_layers\":2,"
        "\"num_attention_heads\":4,\"vocab_size\":100,\"max_position_embeddings\":4096%s",
        model_type, more);
    ModelConfig config = config_read_good(keys, note);
    free(keys);
    return config;
}

static void test_keys_of_an_architecture_become_features(void **state)
{
    (void)state;
    ModelConfig c = config_read_good(CONFIG_GOOD ",\"attention_bias\":true,\"mlp_bias\":true", "");
    assert_int_equal(c.features, MODEL_QKV_BIAS | MODEL_OUT_BIAS | MODEL_FFN_BIAS);
    c = read_as("qwen2",
                "," CONFIG_RMS ",\"num_key_value_heads\":2,\"rope_theta\":1e6"
                ",\"use_sliding_window\":false,\"sliding_window\":32768",
                "");
    assert_int_equal(c.features, MODEL_QKV_BIAS);
    assert_int_equal(c.window, 0);
    c = read_as("gpt_neox",
                ",\"layer_norm_eps\":1e-5,\"rotary_pct\":0.25,\"rotary_emb_base\":10000,"
                "\"hidden_act\":\"gelu\"",
                "");
    assert_int_equal(c.features, MODEL_LAYER_NORM | MODEL_UNGATED | MODEL_FFN_BIAS |
                                     MODEL_QKV_BIAS | MODEL_OUT_BIAS | MODEL_PARALLEL);
    assert_int_equal(c.n_rot, 4);
    assert_true(c.qkv_by_head);
    c = read_as("gpt_neox",
                ",\"layer_norm_eps\":1e-5,\"rotary_pct\":0.5,\"rope_theta\":10000,"
                "\"use_parallel_residual\":false,\"attention_bias\":false",
                "");
    assert_int_equal(c.features, MODEL_LAYER_NORM | MODEL_UNGATED | MODEL_FFN_BIAS);
    c = read_as(
        "mistral",
        "," CONFIG_RMS ",\"num_key_value_heads\":2,\"rope_theta\":1e4,\"sliding_window\":null", "");
    assert_int_equal(c.window, 0);
}

static void test_absent_keys_are_taken_as_transformers_takes_them(void **state)
{
    (void)state;
    ModelConfig c = read_as("mistral", ",\"head_dim\":16,\"num_key_value_heads\":2",
                            "sliding_window is missing: taken as 4096");
    assert_int_equal(c.window, 4096);
    c = read_as("qwen3", ",\"num_key_value_heads\":4", "head_dim is missing: taken as 128");
    assert_int_equal(c.head_dim, 128);
    c = read_as("gpt_neox", "", "rotary_pct is missing: taken as 0.25");
    assert_int_equal(c.n_rot, 4);
    c = read_as("phi3", "", "rms_norm_eps is missing: taken as 1e-05");
    assert_int_equal(c.n_rot, 16);
}

static void test_shares_of_a_head_that_contradict_are_refused(void **state)
{
    (void)state;
    static const char phi3[] =
        "\"model_type\":\"phi3\",\"hidden_size\":64,\"intermediate_size\":128,"
        "\"num_hidden_layers\":2,\"num_attention_heads\":4,\"vocab_size\":100";
    static const struct {
        const char *keys;
        ErrCode code;
        const char *part;
    } rows[] = {
        {"\"partial_rotary_factor\":0.5,\"rotary_pct\":0.25",                                  ERR_INPUT, "rotary_pct is 0.25"                           },
        {"\"partial_rotary_factor\":0.5,\"rope_parameters\":{\"partial_rotary_factor\":0.75}",
         ERR_INPUT,                                                                                       "rope_parameters.partial_rotary_factor is 0.75"},
        {"\"partial_rotary_factor\":1.5",                                                      ERR_INPUT, "above 0 to 1"                                 },
        {"\"partial_rotary_factor\":0",                                                        ERR_INPUT, "above 0 to 1"                                 },
        {"\"partial_rotary_factor\":0.2",                                                      ERR_INPUT, "rotated width of a head is 3"                 },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *text = str_format("%s,%s", phi3, rows[i].keys);
        config_assert_refused(text, rows[i].code, rows[i].part);
        free(text);
    }
    config_assert_refused(CONFIG_GOOD ",\"rope_parameters\":{\"partial_rotary_factor\":0.5}",
                          ERR_UNSUPPORTED, "models of type llama rotate whole heads");
}

static ModelConfig read_real(const char *path)
{
    JsonLimits limits = {.max_bytes = CONFIG_MAX_BYTES, .ints_as_reals = true};
    Err err = {0};
    Buf notes = {0};
    ModelConfig config;
    json_t *root = json_parse_file(shared_path(path), &limits, &err);
    assert_ok(root, &err);
    assert_ok(config_from_json(root, path, &config, &notes, &err), &err);
    json_decref(root);
    buf_free(&notes);
    return config;
}

static void test_real_configs_of_every_architecture_are_read(void **state)
{
    (void)state;
    ModelConfig c = read_real("data/fixtures/hf-configs/pythia-410m.config.json");
    assert_int_equal(c.n_rot, 16); /* a quarter of 64 */
    assert_close(c.rope.theta, 10000, 0, 0);
    c = read_real("data/fixtures/hf-configs/phi-3-mini-128k.config.json");
    assert_string_equal(c.rope.method->name, "longrope");
    assert_int_equal(c.rope.long_factors.n, 48);
    assert_int_equal(c.rope.n_ctx_orig, 4096);
    assert_int_equal(c.window, 262144);
    c = read_real("data/fixtures/neural-api/tiny_mistral_config.json");
    assert_int_equal(c.window, 4);
    c = read_real("data/fixtures/neural-api/tiny_qwen3_config.json");
    assert_int_equal(c.head_dim, 6);
}

static void test_ids_may_be_lists(void **state)
{
    (void)state;
    ModelConfig c = config_read_good(CONFIG_GOOD ",\"bos_token_id\":7,\"eos_token_id\":[9,8]",
                                     "eos_token_id is a list");
    assert_int_equal(c.bos_id, 7);
    assert_int_equal(c.eos_id, 9);
    config_assert_refused(CONFIG_GOOD ",\"eos_token_id\":[]", ERR_INPUT, "eos_token_id");
    config_assert_refused(CONFIG_GOOD ",\"eos_token_id\":[\"9\"]", ERR_INPUT, "eos_token_id");
    config_assert_refused(CONFIG_GOOD ",\"bos_token_id\":\"1\"", ERR_INPUT, "bos_token_id");
}

static void test_deep_and_long_configs_are_refused(void **state)
{
    (void)state;
    ModelConfig config;
    Err err = {0};
    Buf text = {0};
    Buf notes = {0};
    buf_puts(&text, "{\"a\":");
    for (int i = 0; i < 65; i++)
        buf_putc(&text, '[');
    assert_err(config_read_text(buf_text(&text), &config, &notes, &err), &err, ERR_INPUT,
               "nested deeper");
    buf_clear(&text);
    for (int i = 0; i <= CONFIG_MAX_BYTES; i++)
        buf_putc(&text, ' ');
    assert_err(config_read_text(buf_text(&text), &config, &notes, &err), &err, ERR_INPUT,
               "at most");
    assert_err(config_read_text("[]", &config, &notes, &err), &err, ERR_INPUT, "not a JSON object");
    assert_err(config_read_text("{\"a\":1,\"a\":2}", &config, &notes, &err), &err, ERR_INPUT,
               "duplicate");
    buf_free(&text);
    buf_free(&notes);
}

static void test_real_configs_of_other_kinds_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"data/fixtures/hf-configs/gpt-oss-20b.config.json",           "model_type = gpt_oss"    },
        {"data/fixtures/neural-api/tiny_granite_config.json",          "embedding_multiplier"    },
        {"data/fixtures/neural-api/tiny_deepseek_v2_yarn_config.json", "model_type = deepseek_v2"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        JsonLimits limits = {.max_bytes = CONFIG_MAX_BYTES, .ints_as_reals = true};
        Err err = {0};
        Buf notes = {0};
        ModelConfig config;
        json_t *root = json_parse_file(shared_path(rows[i][0]), &limits, &err);
        assert_ok(root, &err);
        assert_err(config_from_json(root, rows[i][0], &config, &notes, &err), &err, ERR_UNSUPPORTED,
                   rows[i][1]);
        json_decref(root);
        buf_free(&notes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_plain_config_is_read_without_notes),
        cmocka_unit_test(test_defaults_are_those_of_transformers_and_are_noted),
        cmocka_unit_test(test_an_explicit_head_dim_wins),
        cmocka_unit_test(test_numbers_may_be_spelt_as_reals_but_not_as_strings),
        cmocka_unit_test(test_missing_and_absurd_widths_are_refused_by_key),
        cmocka_unit_test(test_odd_and_tiny_rotary_widths_are_refused),
        cmocka_unit_test(test_a_base_that_gives_no_angles_is_refused),
        cmocka_unit_test(test_what_the_engine_does_not_compute_is_refused_by_key),
        cmocka_unit_test(test_harmless_values_of_those_keys_pass),
        cmocka_unit_test(test_keys_of_an_architecture_become_features),
        cmocka_unit_test(test_absent_keys_are_taken_as_transformers_takes_them),
        cmocka_unit_test(test_shares_of_a_head_that_contradict_are_refused),
        cmocka_unit_test(test_real_configs_of_every_architecture_are_read),
        cmocka_unit_test(test_ids_may_be_lists),
        cmocka_unit_test(test_deep_and_long_configs_are_refused),
        cmocka_unit_test(test_real_configs_of_other_kinds_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
