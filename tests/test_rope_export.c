/* What export writes, read back by the reader of configs: the same angles to the bit. */
#include "tests/test_util.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "models/config.h"
#include "models/rope_export.h"

static const RopeExport *format_of(const char *name)
{
    for (const RopeExport *format = rope_exports; format->name; format++)
        if (str_equal(format->name, name)) return format;
    fail_msg("no format %s", name);
    return NULL;
}

static RopeSpec spec_of(const char *text)
{
    RopeSpec spec = {.n_rot = 32, .theta = 10000.0, .n_ctx_orig = 256};
    Err err;
    assert_ok(rope_spec_parse(text, &spec, &err), &err);
    assert_ok(rope_spec_resolve(&spec, 1024, &err), &err);
    return spec;
}

/* A small Llama's config with an exported object's keys in it. */
static ModelConfig read_back(const char *exported)
{
    char *text = str_format(
        "{\"model_type\":\"llama\",\"hidden_size\":64,\"intermediate_size\":64,\"num_hidden_layers\":1,"
        "\"num_attention_heads\":2,\"vocab_size\":16,\"rms_norm_eps\":1e-5,%s",
        strchr(exported, '{') + 1);
    JsonLimits limits = {.origin = "c.json", .max_bytes = CONFIG_MAX_BYTES, .ints_as_reals = true};
    ModelConfig config;
    Buf notes = {0};
    Err err = {0};
    json_t *root = json_parse(text, strlen(text), &limits, &err);
    assert_ok(root, &err);
    assert_ok(config_from_json(root, "c.json", &config, &notes, &err), &err);
    assert_ok(rope_spec_resolve(&config.rope, 1024, &err), &err);
    json_decref(root);
    buf_free(&notes);
    free(text);
    return config;
}

static void check_round_trip(const char *text, const char *format)
{
    RopeSpec spec = spec_of(text);
    Buf exported = {0};
    Err err;
    assert_ok(format_of(format)->write(&spec, 1024, &exported, &err), &err);
    ModelConfig config = read_back(buf_text(&exported));
    static const int64_t lengths[] = {128, 256, 257, 1024};
    for (size_t k = 0; k < COUNT_OF(lengths); k++) {
        RopeTable want;
        RopeTable got;
        assert_ok(rope_table_make(&spec, lengths[k], &want, &err), &err);
        assert_ok(rope_table_make(&config.rope, lengths[k], &got, &err), &err);
        assert_memory_equal(want.query[0].inv_freq, got.query[0].inv_freq,
                            (size_t)want.n_pairs * sizeof(double));
        assert_true(want.amplitude == got.amplitude);
    }
    buf_free(&exported);
}

static const char long_rope[] = "longrope:factor=4,short_factor=1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1,"
                                "long_factor=1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16.25";

static void test_config_json_reads_back_to_the_same_bits(void **state)
{
    (void)state;
    static const char *const settings[] = {
        "none",
        "ntk:lambda=4.387299918778504",
        "ntk:alpha=3",
        "abf:base=54321.123456789",
        "linear:factor=3.3",
        "dynamic-ntk:factor=2",
        "yarn:factor=4,beta_fast=4",
        "yarn:factor=4,mscale=1,mscale_all_dim=0.7,truncate=0",
        "yarn:factor=4,attention_factor=1.01",
        "llama3:factor=4,low_freq_factor=1,high_freq_factor=4",
        long_rope,
    };
    for (size_t i = 0; i < COUNT_OF(settings); i++) {
        check_round_trip(settings[i], "hf-v5");
        check_round_trip(settings[i], "hf-v4");
    }
}

static void assert_exports(const char *setting, const char *format, const char *want)
{
    RopeSpec spec = spec_of(setting);
    Buf text = {0};
    Err err;
    assert_ok(format_of(format)->write(&spec, 1024, &text, &err), &err);
    assert_string_equal(buf_text(&text), want);
    buf_free(&text);
}

static void test_flags_and_keys_are_those_of_the_programs(void **state)
{
    (void)state;
    assert_exports("ntk:lambda=4", "llama.cpp",
                   "-c 1024 --rope-scaling none --rope-freq-base 40000");
    assert_exports("linear:factor=4", "llama.cpp", "-c 1024 --rope-scaling linear --rope-scale 4");
    assert_exports(
        "yarn:factor=4", "llama.cpp",
        "-c 1024 --rope-scaling yarn --rope-scale 4 --yarn-orig-ctx 256 --yarn-ext-factor 1 "
        "--yarn-attn-factor 1 --yarn-beta-fast 32 --yarn-beta-slow 1");
    assert_exports(
        "yarn:factor=4,attention_factor=1", "llama.cpp",
        "-c 1024 --rope-scaling yarn --rope-scale 4 --yarn-orig-ctx 256 --yarn-ext-factor 1 "
        "--yarn-attn-factor 0.878248856 --yarn-beta-fast 32 --yarn-beta-slow 1");
    assert_exports("self-extend:group=8,window=64", "llama.cpp",
                   "-c 1024 --rope-scaling none --grp-attn-n 8 --grp-attn-w 64");
    assert_exports("linear:factor=4", "gguf",
                   "llama.rope.scaling.type = linear\nllama.rope.scaling.factor = 4\n"
                   "llama.context_length = 1024\nllama.rope.freq_base = 10000");
    assert_exports("ntk:lambda=4.387299918778504", "gguf",
                   "llama.rope.scaling.type = none\nllama.context_length = 1024\n"
                   "llama.rope.freq_base = 43873 (rounded to float from 43872.999187785033)");
    assert_exports(
        "linear:factor=4", "vllm",
        "--max-model-len 1024 --hf-overrides '{\"max_position_embeddings\":1024,\"rope_parameters\":"
        "{\"rope_type\":\"linear\",\"factor\":4.0,\"original_max_position_embeddings\":256,"
        "\"rope_theta\":10000.0}}'");
}

static void test_what_a_format_cannot_hold_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *setting;
        const char *format;
    } bad[] = {
        {"rerope",               "hf-v5"    },
        {"self-extend",          "hf-v4"    },
        {"by-parts",             "llama.cpp"},
        {"yarn",                 "gguf"     },
        {"ntk:log_n=1",          "hf-v5"    },
        {"ntk:lambda=auto-each", "llama.cpp"},
        {"yarn:ext_factor=0.5",  "hf-v5"    },
        {"yarn:attn_factor=2",   "vllm"     },
        {"yarn:truncate=0",      "llama.cpp"},
        {"dynamic-ntk",          "llama.cpp"},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        RopeSpec spec = spec_of(bad[i].setting);
        Buf text = {0};
        Err err;
        assert_err(format_of(bad[i].format)->write(&spec, 1024, &text, &err), &err, ERR_UNSUPPORTED,
                   spec.method->name);
        assert_int_equal(text.len, 0);
        buf_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_json_reads_back_to_the_same_bits),
        cmocka_unit_test(test_flags_and_keys_are_those_of_the_programs),
        cmocka_unit_test(test_what_a_format_cannot_hold_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
