#include "tests/test_util.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "models/config.h"

/* A good config; a test puts keys behind it or takes keys out of it. */
#define WIDTHS \
 "\"model_type\":\"llama\",\"hidden_size\":64,\"intermediate_size\":128,\"num_hidden_layers\":2,\"num_attention_heads\":4,\"vocab_size\":100"
#define RMS "\"rms_norm_eps\":1e-5"
#define GOOD \
 WIDTHS "," RMS ",\"num_key_value_heads\":2,\"rope_theta\":500000,\"max_position_embeddings\":4096"

static bool read_text(const char *text, ModelConfig *config, Buf *notes, Err *err)
{
    JsonLimits limits = {.origin = "c.json", .max_bytes = CONFIG_MAX_BYTES, .ints_as_reals = true};
    json_t *root = json_parse(text, strlen(text), &limits, err);
    if (!root) return false;
    bool ok = config_from_json(root, "c.json", config, notes, err);
    json_decref(root);
    return ok;
}

/* Reads {keys}; the config is good and its notes hold `note` ("" if there must be none). */
static ModelConfig read_good(const char *keys, const char *note)
{
    ModelConfig config;
    Err err = {0};
    Buf notes = {0};
    char *text = str_format("{%s}", keys);
    assert_ok(read_text(text, &config, &notes, &err), &err);
    if (*note ? !strstr(buf_text(&notes), note) : notes.len > 0)
        fail_msg("notes are \"%s\", wanted is \"%s\"", buf_text(&notes), note);
    buf_free(&notes);
    free(text);
    return config;
}

static void assert_refused(const char *keys, ErrCode code, const char *part)
{
    ModelConfig config;
    Err err = {0};
    Buf notes = {0};
    char *text = str_format("{%s}", keys);
    assert_err(read_text(text, &config, &notes, &err), &err, code, part);
    if (!str_starts_with(err.text, "c.json: ")) fail_msg("no file name in: %s", err.text);
    buf_free(&notes);
    free(text);
}

static void test_a_plain_config_is_read_without_notes(void **state)
{
    (void)state;
    ModelConfig c = read_good(GOOD, "");
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
    ModelConfig c =
        read_good(WIDTHS, "num_key_value_heads is missing: taken as num_attention_heads");
    assert_int_equal(c.n_kv_heads, 4);
    c = read_good(WIDTHS, "rope_theta is missing: taken as 10000");
    assert_close(c.rope.theta, 10000, 0, 0);
    c = read_good(WIDTHS, "rms_norm_eps is missing: taken as 1e-06");
    assert_close(c.rms_eps, 1e-6, 0, 0);
    c = read_good(WIDTHS, "max_position_embeddings is missing: taken as 2048");
    assert_int_equal(c.n_ctx_train, 2048);
}

static void test_an_explicit_head_dim_wins(void **state)
{
    (void)state;
    ModelConfig c = read_good("\"head_dim\":32," GOOD, "");
    assert_int_equal(c.head_dim, 32);
    assert_int_equal(c.n_rot, 32);
    c = read_good(
        "\"model_type\":\"llama\",\"hidden_size\":50,\"intermediate_size\":8,\"num_hidden_layers\":1,"
        "\"num_attention_heads\":4,\"vocab_size\":9,\"head_dim\":8",
        "rope_theta");
    assert_int_equal(c.head_dim, 8);
    assert_refused(
        "\"model_type\":\"llama\",\"hidden_size\":50,\"intermediate_size\":8,\"num_hidden_layers\":1,"
        "\"num_attention_heads\":4,\"vocab_size\":9",
        ERR_INPUT, "hidden_size 50 is not a multiple of num_attention_heads 4");
}

static void test_numbers_may_be_spelt_as_reals_but_not_as_strings(void **state)
{
    (void)state;
    read_good(GOOD ",\"head_dim\":16.0,\"bos_token_id\":1.0", "");
    read_good(GOOD ",\"model_max_length\":1000000000000000019884624838656", "");
    assert_refused(GOOD ",\"head_dim\":\"16\"", ERR_INPUT, "\"head_dim\" is a string");
    assert_refused(GOOD ",\"head_dim\":16.5", ERR_INPUT, "\"head_dim\" is 16.5");
    assert_refused(WIDTHS ",\"rope_theta\":\"1e6\"", ERR_INPUT, "\"rope_theta\" is a string");
    assert_refused(WIDTHS ",\"max_position_embeddings\":1e30", ERR_INPUT,
                   "max_position_embeddings");
    assert_refused(GOOD ",\"tie_word_embeddings\":1", ERR_INPUT, "tie_word_embeddings");
}

static void test_missing_and_absurd_widths_are_refused_by_key(void **state)
{
    (void)state;
    assert_refused("\"model_type\":\"llama\"", ERR_INPUT, "\"hidden_size\" is missing");
    static const char *const keys[] = {"head_dim", "num_key_value_heads",
                                       "max_position_embeddings"};
    static const char *const values[] = {"0", "-1", "1e18"};
    for (size_t k = 0; k < COUNT_OF(keys); k++)
        for (size_t v = 0; v < COUNT_OF(values); v++) {
            char *text = str_format(WIDTHS ",\"%s\":%s", keys[k], values[v]);
            assert_refused(text, ERR_INPUT, keys[k]);
            free(text);
        }
    assert_refused(WIDTHS ",\"num_key_value_heads\":3", ERR_INPUT, "4 heads cannot share 3");
}

static void test_odd_and_tiny_rotary_widths_are_refused(void **state)
{
    (void)state;
    assert_refused(GOOD ",\"head_dim\":1", ERR_INPUT, "an even number from 2");
    assert_refused(GOOD ",\"head_dim\":3", ERR_INPUT, "an even number from 2");
    read_good(GOOD ",\"head_dim\":2", "");
}

static void test_a_base_that_gives_no_angles_is_refused(void **state)
{
    (void)state;
    assert_refused(WIDTHS ",\"rope_theta\":0", ERR_INPUT, "RoPE");
    assert_refused(WIDTHS ",\"rope_theta\":-10000", ERR_INPUT, "RoPE");
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
        char *text = str_format("%s,%s", GOOD, rows[i][0]);
        assert_refused(text, ERR_UNSUPPORTED, rows[i][1]);
        free(text);
    }
    assert_refused("\"model_type\":\"gpt2\",\"n_embd\":8", ERR_UNSUPPORTED,
                   "model_type = gpt2 (supported: llama, mistral, qwen2");
    assert_refused("\"hidden_size\":8", ERR_UNSUPPORTED, "model_type = absent");
    assert_refused(GOOD ",\"alibi\":true,\"sliding_window\":7", ERR_UNSUPPORTED,
                   "sliding_window = 7");
}

static void test_harmless_values_of_those_keys_pass(void **state)
{
    (void)state;
    read_good(
        GOOD
        ",\"attention_bias\":false,\"mlp_bias\":false,\"hidden_act\":\"silu\",\"sliding_window\":null,"
        "\"partial_rotary_factor\":1,\"quantization_config\":null,\"pretraining_tp\":2,\"use_cache\":true,"
        "\"layer_types\":[\"full_attention\"]",
        "");
}

/* GOOD as another model_type. */
static ModelConfig read_as(const char *model_type, const char *more, const char *note)
{
    char *keys = str_format(
        "\"model_type\":\"%s\",\"hidden_size\":64,\"intermediate_size\":128,\"num_hidden_layers\":2,"
        "\"num_attention_heads\":4,\"vocab_size\":100,\"max_position_embeddings\":4096%s",
        model_type, more);
    ModelConfig config = read_good(keys, note);
    free(keys);
    return config;
}

static void test_keys_of_an_architecture_become_features(void **state)
{
    (void)state;
    ModelConfig c = read_good(GOOD ",\"attention_bias\":true,\"mlp_bias\":true", "");
    assert_int_equal(c.features, MODEL_QKV_BIAS | MODEL_OUT_BIAS | MODEL_FFN_BIAS);
    c = read_as("qwen2",
                "," RMS ",\"num_key_value_heads\":2,\"rope_theta\":1e6"
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
    c = read_as("mistral",
                "," RMS ",\"num_key_value_heads\":2,\"rope_theta\":1e4,\"sliding_window\":null",
                "");
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
        assert_refused(text, rows[i].code, rows[i].part);
        free(text);
    }
    assert_refused(GOOD ",\"rope_parameters\":{\"partial_rotary_factor\":0.5}", ERR_UNSUPPORTED,
                   "models of type llama rotate whole heads");
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

static void test_plain_rope_is_plain_in_every_spelling(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "\"rope_scaling\":null",
        "\"rope_scaling\":{\"type\":\"default\"}",
        "\"rope_scaling\":{\"rope_type\":\"default\"}",
        "\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":500000}",
        "\"rope_parameters\":{\"rope_theta\":500000.0}",
        "\"rope_parameters\":{\"rope_theta\":5e5,\"partial_rotary_factor\":1.0}",
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *text = str_format("%s,%s", GOOD, rows[i]);
        ModelConfig c = read_good(text, "");
        assert_string_equal(c.rope.method->name, "none");
        assert_close(c.rope.theta, 500000, 0, 0);
        free(text);
    }
}

static void test_theta_in_rope_parameters_alone_is_found(void **state)
{
    (void)state;
    static const char keys[] =
        WIDTHS "," RMS ",\"num_key_value_heads\":2,\"max_position_embeddings\":4096,"
               "\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":500000}";
    ModelConfig c = read_good(keys, "");
    assert_close(c.rope.theta, 500000, 0, 0);
    ModelConfig top = read_good(GOOD, "");
    Buf a = {0};
    Buf b = {0};
    config_key(&c, &a);
    config_key(&top, &b);
    assert_string_equal(buf_text(&a), buf_text(&b));
    buf_free(&a);
    buf_free(&b);
}

static void test_two_thetas_that_differ_are_both_named(void **state)
{
    (void)state;
    assert_refused(GOOD ",\"rope_parameters\":{\"rope_theta\":10000,\"rope_type\":\"default\"}",
                   ERR_INPUT, "rope_theta is 500000 but rope_parameters.rope_theta is 10000");
}

static void test_linear_scaling_is_the_trained_method(void **state)
{
    (void)state;
    ModelConfig c = read_good(
        GOOD
        ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":4,\"original_max_position_embeddings\":1024}",
        "");
    assert_string_equal(c.rope.method->name, "linear");
    assert_int_equal(c.rope.param[ROPE_FACTOR].kind, ROPE_NUMBER);
    assert_close(c.rope.param[ROPE_FACTOR].number, 4, 0, 0);
    assert_int_equal(c.rope.n_ctx_orig, 1024);
    assert_int_equal(c.n_ctx_train, 4096);
    assert_non_null(strstr(c.rope_found, "\"factor\":4.0"));
    c = read_good(
        GOOD ",\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":2.0,\"rope_theta\":500000}",
        "the length before scaling is not stated");
    assert_int_equal(c.rope.n_ctx_orig, 4096);
}

static void test_lengths_that_contradict_are_noted(void **state)
{
    (void)state;
    ModelConfig c = read_good(
        GOOD
        ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":4,\"original_max_position_embeddings\":2048}",
        "factor 4 x original length 2048 is not the claimed length 4096");
    assert_int_equal(c.rope.n_ctx_orig, 2048);
    c = read_good(
        GOOD
        ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":4,\"original_max_position_embeddings\":8192}",
        "the length before scaling is out of range");
    assert_int_equal(c.rope.n_ctx_orig, 4096);
    read_good(
        GOOD
        ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":4,\"original_max_position_embeddings\":0}",
        "not stated");
}

static void test_bad_scaling_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *scaling;
        ErrCode code;
        const char *part;
    } rows[] = {
        {"{\"type\":\"linear\",\"rope_type\":\"yarn\",\"factor\":2}",      ERR_INPUT,
         "type is \"linear\" and rope_type is \"yarn\""                                                                      },
        {"{\"factor\":2}",                                                 ERR_INPUT,       "has a factor but no rope_type"  },
        {"{\"type\":\"linear\"}",                                          ERR_INPUT,       "needs a factor"                 },
        {"{\"type\":\"linear\",\"factor\":0.5}",                           ERR_INPUT,       "factor"                         },
        {"{\"type\":\"linear\",\"factor\":\"2\"}",                         ERR_INPUT,       "\"factor\" is a string"         },
        {"{\"type\":\"linear\",\"factor\":2,\"attn_factor\":0.8}",         ERR_INPUT,
         "key \"attn_factor\""                                                                                               },
        {"{\"type\":\"default\",\"factor\":2}",                            ERR_INPUT,       "key \"factor\""                 },
        {"{\"type\":\"wobbly\",\"factor\":2}",                             ERR_INPUT,       "unknown type \"wobbly\""        },
        {"{\"type\":\"yarn\"}",                                            ERR_INPUT,       "needs a factor"                 },
        {"{\"type\":\"yarn\",\"factor\":4,\"attn_factor\":0.878}",         ERR_INPUT,
         "key \"attn_factor\""                                                                                               },
        {"{\"type\":\"ntk\",\"factor\":2}",                                ERR_UNSUPPORTED, "type \"ntk\""                   },
        {"{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4}",  ERR_INPUT,
         "high_freq_factor"                                                                                                  },
        {"{\"rope_type\":\"llama3\",\"factor\":8,\"beta_fast\":4}",        ERR_INPUT,       "key \"beta_fast\""              },
        {"{\"type\":\"longrope\",\"factor\":2}",                           ERR_INPUT,       "short factor list has 0 entries"},
        {"{\"type\":\"longrope\",\"factor\":2,\"long_factor\":[1,\"x\"]}", ERR_INPUT,
         "entry 1 is not a number"                                                                                           },
        {"{\"type\":\"su\"}",                                              ERR_INPUT,       "needs a factor"                 },
        {"{\"type\":\"default\",\"partial_rotary_factor\":0.5}",           ERR_UNSUPPORTED,
         "partial_rotary_factor"                                                                                             },
        {"\"linear\"",                                                     ERR_INPUT,       "must be null or an object"      },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *text = str_format(GOOD ",\"rope_scaling\":%s", rows[i].scaling);
        assert_refused(text, rows[i].code, rows[i].part);
        free(text);
    }
    assert_refused(
        GOOD ",\"original_max_position_embeddings\":1024,\"rope_scaling\":{\"type\":\"linear\","
             "\"factor\":2,\"original_max_position_embeddings\":2048}",
        ERR_INPUT,
        "original_max_position_embeddings is 1024 but "
        "rope_scaling.original_max_position_embeddings is 2048");
    assert_refused(GOOD ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2},"
                        "\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":4}",
                   ERR_INPUT, "both there and differ");
}

/* The rotation that a scaling dictionary stands for, at n_ctx. */
static RopeTable imported(const char *scaling, const char *method, int64_t n_ctx)
{
    char *text = str_format("{" GOOD ",\"rope_scaling\":%s}", scaling);
    ModelConfig c = {0};
    RopeTable table;
    Buf notes = {0};
    Err err = {0};
    assert_ok(read_text(text, &c, &notes, &err), &err);
    buf_free(&notes);
    assert_ptr_equal(c.rope.method, rope_method_find(method));
    assert_ok(rope_spec_resolve(&c.rope, n_ctx, &err), &err);
    assert_ok(rope_table_make(&c.rope, n_ctx, &table, &err), &err);
    free(text);
    return table;
}

static void test_every_scaling_that_configs_hold_becomes_its_method(void **state)
{
    (void)state;
    RopeTable table =
        imported("{\"rope_type\":\"yarn\",\"factor\":16,\"mscale\":1,\"mscale_all_dim\":1,"
                 "\"beta_fast\":4,\"truncate\":false,\"original_max_position_embeddings\":256}",
                 "yarn", 4096);
    assert_close(table.amplitude, 1.0, 1e-12, 0.0);
    table = imported("{\"type\":\"yarn\",\"factor\":16}", "yarn", 4096);
    assert_close(table.amplitude, 1.2772588722239781, 1e-12, 0.0);
    table = imported(
        "{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,\"high_freq_factor\":4,"
        "\"original_max_position_embeddings\":256}",
        "llama3", 4096);
    assert_close(rope_scaled_angle(&table, table.n_pairs - 1) * 8.0,
                 pow(500000.0, -2.0 * (table.n_pairs - 1) / (2.0 * table.n_pairs)), 1e-12, 0.0);
    table = imported("{\"type\":\"dynamic\",\"factor\":2}", "dynamic-ntk", 4096);
    assert_close(rope_scaled_angle(&table, 0), 1.0, 0.0, 0.0);
}

/* Exponents over the whole head; the first ⌊share d/2⌋ pairs turn, the others stand still. */
static void test_proportional_rope_becomes_its_method(void **state)
{
    (void)state;
    static const char scaling[] =
        ",\"rope_parameters\":{\"rope_type\":\"proportional\",\"rope_theta\":500000,"
        "\"partial_rotary_factor\":0.3,\"factor\":2}";
    ModelConfig c = read_good(GOOD ",\"rope_parameters\":{\"rope_type\":\"proportional\"}", "");
    assert_string_equal(c.rope.method->name, "proportional");
    assert_int_equal(c.n_rot, 16);
    assert_close(c.rope.param[ROPE_FRACTION].number, 1, 0, 0);
    assert_close(c.rope.param[ROPE_FACTOR].number, 1, 0, 0);
    char *text = str_format("%s%s", GOOD, scaling);
    c = read_good(text, "the length before scaling is not stated");
    free(text);
    RopeTable table;
    Err err;
    assert_ok(rope_spec_resolve(&c.rope, 4096, &err), &err);
    assert_ok(rope_table_make(&c.rope, 4096, &table, &err), &err);
    assert_int_equal(table.n_pairs, 8);
    for (int i = 0; i < 8; i++)
        assert_close(rope_scaled_angle(&table, i), i < 2 ? pow(500000, -2.0 * i / 16) / 2 : 0.0,
                     1e-12, 0);
    assert_refused(
        GOOD ",\"rope_parameters\":{\"rope_type\":\"proportional\",\"partial_rotary_factor\":1.5}",
        ERR_INPUT, "partial_rotary_factor is 1.5");
}

static void test_dictionaries_of_layer_types_import_where_all_layers_use_one(void **state)
{
    (void)state;
#define YARN4 \
 "{\"rope_type\":\"yarn\",\"factor\":4,\"rope_theta\":1e6,\"original_max_position_embeddings\":1024}"
#define PLAIN "{\"rope_type\":\"default\",\"rope_theta\":10000}"
    static const char v5[] =
        WIDTHS "," RMS ",\"num_key_value_heads\":2,\"max_position_embeddings\":4096,";
    static const char *const good[] = {
        "\"rope_parameters\":{\"full_attention\":" YARN4 "}",
        "\"rope_parameters\":{\"full_attention\":" YARN4 ",\"sliding_attention\":null}",
        "\"rope_parameters\":{\"full_attention\":" YARN4 ",\"sliding_attention\":" YARN4 "}",
        "\"layer_types\":[\"full_attention\",\"full_attention\"],"
        "\"rope_parameters\":{\"full_attention\":" YARN4 ",\"sliding_attention\":" PLAIN "}",
    };
    static const char *const bad[][2] = {
        {"\"layer_types\":[\"full_attention\"],\"rope_parameters\":{\"sliding_attention\":" PLAIN
         "}",                                                              "layers of type sliding_attention: layer_types names one that has none"},
        {"\"rope_parameters\":{\"full_attention\":" PLAIN ",\"rope_theta\":10000}",
         "key \"rope_theta\" beside them"                                                                                                                  },
        {"\"rope_parameters\":{\"full_attention\":{\"inner\":{}}}",                 "\"inner\""                                                            },
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        char *text = str_format("%s%s", v5, good[i]);
        ModelConfig c = read_good(text, "");
        assert_string_equal(c.rope.method->name, "yarn");
        assert_close(c.rope.theta, 1e6, 0, 0);
        assert_int_equal(c.rope.n_ctx_orig, 1024);
        free(text);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char *text = str_format("%s%s", v5, bad[i][0]);
        assert_refused(text, ERR_INPUT, bad[i][1]);
        free(text);
    }
    char *differ = str_format(
        "%s\"rope_parameters\":{\"full_attention\":" YARN4 ",\"sliding_attention\":" PLAIN "}", v5);
    assert_refused(differ, ERR_UNSUPPORTED,
                   "layers of type full_attention, sliding_attention: they differ");
    free(differ);
    assert_refused(GOOD ",\"rope_parameters\":{\"full_attention\":" PLAIN "}", ERR_INPUT,
                   "rope_theta is 500000 but rope_parameters.rope_theta is 10000");
#undef YARN4
#undef PLAIN
}

static void test_ids_may_be_lists(void **state)
{
    (void)state;
    ModelConfig c =
        read_good(GOOD ",\"bos_token_id\":7,\"eos_token_id\":[9,8]", "eos_token_id is a list");
    assert_int_equal(c.bos_id, 7);
    assert_int_equal(c.eos_id, 9);
    assert_refused(GOOD ",\"eos_token_id\":[]", ERR_INPUT, "eos_token_id");
    assert_refused(GOOD ",\"eos_token_id\":[\"9\"]", ERR_INPUT, "eos_token_id");
    assert_refused(GOOD ",\"bos_token_id\":\"1\"", ERR_INPUT, "bos_token_id");
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
    assert_err(read_text(buf_text(&text), &config, &notes, &err), &err, ERR_INPUT, "nested deeper");
    buf_clear(&text);
    for (int i = 0; i <= CONFIG_MAX_BYTES; i++)
        buf_putc(&text, ' ');
    assert_err(read_text(buf_text(&text), &config, &notes, &err), &err, ERR_INPUT, "at most");
    assert_err(read_text("[]", &config, &notes, &err), &err, ERR_INPUT, "not a JSON object");
    assert_err(read_text("{\"a\":1,\"a\":2}", &config, &notes, &err), &err, ERR_INPUT, "duplicate");
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
        cmocka_unit_test(test_plain_rope_is_plain_in_every_spelling),
        cmocka_unit_test(test_theta_in_rope_parameters_alone_is_found),
        cmocka_unit_test(test_two_thetas_that_differ_are_both_named),
        cmocka_unit_test(test_linear_scaling_is_the_trained_method),
        cmocka_unit_test(test_lengths_that_contradict_are_noted),
        cmocka_unit_test(test_bad_scaling_is_refused),
        cmocka_unit_test(test_every_scaling_that_configs_hold_becomes_its_method),
        cmocka_unit_test(test_proportional_rope_becomes_its_method),
        cmocka_unit_test(test_dictionaries_of_layer_types_import_where_all_layers_use_one),
        cmocka_unit_test(test_ids_may_be_lists),
        cmocka_unit_test(test_deep_and_long_configs_are_refused),
        cmocka_unit_test(test_real_configs_of_other_kinds_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
