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

/* A Llama of one width, trained at 256 tokens, whose context length is set to 1024. */
static RopeExportTarget target_of(const char *arch, int head_dim)
{
    RopeExportTarget target = {.arch = arch_find(arch), .head_dim = head_dim, .n_ctx = 1024};
    target.own = (RopeSpec){.method = rope_method_find("none"), .n_ctx_orig = 256};
    return target;
}

static RopeSpec spec_of(const char *text)
{
    RopeSpec spec = {.n_rot = 32, .theta = 10000.0, .n_ctx_orig = 256};
    Err err;
    assert_ok(rope_spec_parse(text, &spec, &err), &err);
    assert_ok(rope_spec_resolve(&spec, 1024, &err), &err);
    return spec;
}

/* A small model's config with an exported object's keys in it. */
static ModelConfig read_back(const char *exported, const RopeExportTarget *target)
{
    char *text = str_format(
        "{\"model_type\":\"%s\",\"hidden_size\":%d,\"intermediate_size\":64,\"num_hidden_layers\":1,"
        "\"num_attention_heads\":2,\"vocab_size\":16,\"rms_norm_eps\":1e-5,%s",
        target->arch->name, 2 * target->head_dim, strchr(exported, '{') + 1);
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

static void check_round_trip(const char *text, const char *format, const RopeExportTarget *target)
{
    RopeSpec spec = spec_of(text);
    Buf exported = {0};
    Err err;
    assert_ok(format_of(format)->write(&spec, target, &exported, &err), &err);
    ModelConfig config = read_back(buf_text(&exported), target);
    static const int64_t lengths[] = {128, 256, 257, 1024};
    for (size_t k = 0; k < COUNT_OF(lengths); k++) {
        RopeTable want;
        RopeTable got;
        assert_ok(rope_table_make(&spec, lengths[k], &want, &err), &err);
        assert_ok(rope_table_make(&config.rope, lengths[k], &got, &err), &err);
        assert_int_equal(want.n_pairs, got.n_pairs);
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
    RopeExportTarget target = target_of("llama", 32);
    for (size_t i = 0; i < COUNT_OF(settings); i++) {
        check_round_trip(settings[i], "hf-v5", &target);
        check_round_trip(settings[i], "hf-v4", &target);
    }
    check_round_trip("proportional:fraction=0.3,factor=2", "hf-v5", &target);
}

/* The share of a head that turns goes along, by the names that the architecture has for it. */
static void test_a_part_of_a_head_stays_one(void **state)
{
    (void)state;
    static const int head_dims[] = {32, 36, 46, 98, 128};
    static const char *const settings[] = {"none", "ntk:lambda=4", "yarn:factor=4",
                                           "partial:fraction=0.5"};
    static const char *const archs_with_parts[] = {"phi3", "gpt_neox"};
    for (size_t i = 0; i < COUNT_OF(head_dims); i++)
        for (size_t k = 0; k < COUNT_OF(settings); k++)
            for (size_t a = 0; a < COUNT_OF(archs_with_parts); a++) {
                RopeExportTarget target = target_of(archs_with_parts[a], head_dims[i]);
                check_round_trip(settings[k], "hf-v5", &target);
                check_round_trip(settings[k], "hf-v4", &target);
            }
}

static void assert_exports_to(const RopeExportTarget *target, const char *setting,
                              const char *format, const char *want)
{
    RopeSpec spec = spec_of(setting);
    Buf text = {0};
    Err err;
    assert_ok(format_of(format)->write(&spec, target, &text, &err), &err);
    assert_string_equal(buf_text(&text), want);
    buf_free(&text);
}

static void assert_exports(const char *setting, const char *format, const char *want)
{
    RopeExportTarget target = target_of("llama", 32);
    assert_exports_to(&target, setting, format, want);
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
        "--yarn-beta-fast 32 --yarn-beta-slow 1");
    assert_exports(
        "yarn:factor=4,attention_factor=1", "llama.cpp",
        "-c 1024 --rope-scaling yarn --rope-scale 4 --yarn-orig-ctx 256 --yarn-ext-factor 1 "
        "--yarn-beta-fast 32 --yarn-beta-slow 1 --override-kv "
        "llama.rope.scaling.attn_factor=float:0.878248856");
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

/* Flags and keys leave tensors of divisors where they are; a key for the amplitude is set back. */
static void test_a_scaled_files_divisors_and_amplitude_are_thought_of(void **state)
{
    (void)state;
    static const char *const with_divisors[] = {"longrope", "llama3", "per-pair"};
    RopeSpec spec = spec_of("ntk:lambda=4");
    RopeExportTarget target = target_of("qwen2", 32);
    Err err;
    for (size_t i = 0; i < COUNT_OF(with_divisors); i++) {
        Buf text = {0};
        target.own.method = rope_method_find(with_divisors[i]);
        assert_err(format_of("gguf")->write(&spec, &target, &text, &err), &err, ERR_UNSUPPORTED,
                   "divisors in the model's own file");
        assert_err(format_of("llama.cpp")->write(&spec, &target, &text, &err), &err,
                   ERR_UNSUPPORTED, "divisors in the model's own file");
        assert_ok(format_of("hf-v5")->write(&spec, &target, &text, &err), &err);
        buf_free(&text);
    }
    target.own.method = rope_method_find("yarn");
    assert_exports_to(&target, "linear:factor=4", "llama.cpp",
                      "-c 1024 --rope-scaling linear --rope-scale 4 --override-kv "
                      "qwen2.rope.scaling.attn_factor=float:1");
    assert_exports_to(&target, "none", "gguf",
                      "qwen2.rope.scaling.type = none\nqwen2.rope.scaling.attn_factor = 1\n"
                      "qwen2.context_length = 1024\nqwen2.rope.freq_base = 10000");
    target = target_of("mistral", 32);
    target.own.n_ctx_orig = 0;
    assert_exports_to(&target, "linear:factor=4", "vllm",
                      "--max-model-len 1024 --hf-overrides '{\"max_position_embeddings\":1024,"
                      "\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":4.0,"
                      "\"rope_theta\":10000.0}}'");
    assert_exports_to(&target, "ntk:lambda=4", "gguf",
                      "llama.rope.scaling.type = none\nllama.context_length = 1024\n"
                      "llama.rope.freq_base = 40000");
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
        {"yarn:beta_fast=16",    "gguf"     },
        {"yarn:ext_factor=0.5",  "gguf"     },
        {"proportional",         "hf-v4"    },
        {"partial",              "hf-v5"    },
        {"ntk:log_n=1",          "hf-v5"    },
        {"ntk:lambda=auto-each", "llama.cpp"},
        {"yarn:ext_factor=0.5",  "hf-v5"    },
        {"yarn:attn_factor=2",   "vllm"     },
        {"yarn:truncate=0",      "llama.cpp"},
        {"dynamic-ntk",          "llama.cpp"},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        RopeExportTarget target = target_of("llama", 32);
        RopeSpec spec = spec_of(bad[i].setting);
        Buf text = {0};
        Err err;
        assert_err(format_of(bad[i].format)->write(&spec, &target, &text, &err), &err,
                   ERR_UNSUPPORTED, spec.method->name);
        assert_int_equal(text.len, 0);
        buf_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_json_reads_back_to_the_same_bits),
        cmocka_unit_test(test_a_part_of_a_head_stays_one),
        cmocka_unit_test(test_a_scaled_files_divisors_and_amplitude_are_thought_of),
        cmocka_unit_test(test_flags_and_keys_are_those_of_the_programs),
        cmocka_unit_test(test_what_a_format_cannot_hold_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
