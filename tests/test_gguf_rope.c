/* The rotation of GGUF files, against llama.cpp's kernel written out once more. */
#include "tests/test_util.h"

#include <math.h>

#include "tests/gguf_extra.h"

/* What llama.cpp is told for one model: the arguments of its RoPE operator. */
typedef struct {
    double freq_scale;
    double ext_factor;
    double attn_factor; /* outside the kernel */
    double beta_fast;
    double beta_slow;
    int64_t n_ctx_orig;
    const float *divisors;
} Kernel;

static double corner(const Kernel *k, double turns)
{
    return GGUF_EXTRA_N_ROT * log((double)k->n_ctx_orig / (turns * 2.0 * acos(-1.0))) /
           (2.0 * log(GGUF_EXTRA_BASE));
}

/* The kernel, line by line: the angle of one pair at position 1, and the amplitude. */
static double kernel_angle(const Kernel *k, int pair, double *amplitude)
{
    double extrapolated = pow(GGUF_EXTRA_BASE, -2.0 * pair / GGUF_EXTRA_N_ROT) /
                          (k->divisors ? (double)k->divisors[pair] : 1.0);
    double interpolated = k->freq_scale * extrapolated;
    double low = fmax(0.0, floor(corner(k, k->beta_fast)));
    double high = fmin(GGUF_EXTRA_N_ROT - 1.0, ceil(corner(k, k->beta_slow)));
    double y = (pair - low) / fmax(0.001, high - low);
    double mix = (1.0 - fmin(1.0, fmax(0.0, y))) * k->ext_factor;
    *amplitude = k->attn_factor;
    if (k->ext_factor == 0.0) return interpolated;
    *amplitude *= 1.0 + 0.1 * log(1.0 / k->freq_scale);
    return interpolated * (1.0 - mix) + extrapolated * mix;
}

static void check_against_kernel(const ModelConfig *config, const Kernel *kernel, int64_t n_ctx)
{
    RopeTable table = gguf_extra_table(config, n_ctx);
    assert_int_equal(table.n_pairs, GGUF_EXTRA_N_PAIRS);
    for (int pair = 0; pair < GGUF_EXTRA_N_PAIRS; pair++) {
        double amplitude;
        double want = kernel_angle(kernel, pair, &amplitude);
        assert_close(rope_scaled_angle(&table, pair), want, 1e-7, 0.0); /* keys are floats */
        assert_close(table.amplitude, amplitude, 1e-7, 0.0);
    }
}

static void test_yarn_keys_mean_what_llama_cpp_makes_of_them(void **state)
{
    (void)state;
    static const struct {
        GgufExtra extra;
        Kernel kernel;
    } rows[] = {
        {{.keys = {GGUF_EXTRA_YARN(4), GGUF_EXTRA_ORIGINAL(1024)}},
         {0.25, 1, 1, 32, 1, 1024, NULL}                                                                   },
        {{.keys = {GGUF_EXTRA_YARN(4)}},                                    {0.25, 1, 1, 32, 1, 4096, NULL}},
        {{.keys = {GGUF_EXTRA_YARN(4),
                   GGUF_EXTRA_ORIGINAL(1024),
                   {"rope.scaling.yarn_beta_fast", 8, NULL},
                   {"rope.scaling.yarn_beta_slow", 2, NULL}}},
         {0.25, 1, 1, 8, 2, 1024, NULL}                                                                    },
        {{.keys = {GGUF_EXTRA_YARN(4),
                   GGUF_EXTRA_ORIGINAL(1024),
                   {"rope.scaling.yarn_ext_factor", 0.5, NULL}}},
         {0.25, 0.5, 1, 32, 1, 1024, NULL}                                                                 },
        {{.keys = {GGUF_EXTRA_YARN(4),
                   GGUF_EXTRA_ORIGINAL(1024),
                   {"rope.scaling.yarn_ext_factor", -1, NULL}}},
         {0.25, 1, 1, 32, 1, 1024, NULL}                                                                   },
 /* on top of YaRN's own amplitude */
        {{.keys = {GGUF_EXTRA_YARN(4),
                   GGUF_EXTRA_ORIGINAL(1024),
                   {"rope.scaling.attn_factor", 0.75, NULL}}},
         {0.25, 1, 0.75, 32, 1, 1024, NULL}                                                                },
        {{.keys = {GGUF_EXTRA_YARN(4),
                   GGUF_EXTRA_ORIGINAL(1024),
                   {"rope.scaling.attn_factor", 0.75, NULL},
                   {"rope.scaling.yarn_attn_factor", 0.5, NULL}}},
         {0.25, 1, 0.375, 32, 1, 1024, NULL}                                                               },
 /* no ramp: the amplitude is what the file says, and nothing else */
        {{.keys = {GGUF_EXTRA_YARN(4),
                   GGUF_EXTRA_ORIGINAL(1024),
                   {"rope.scaling.yarn_ext_factor", 0, NULL},
                   {"rope.scaling.attn_factor", 1.25, NULL}}},
         {0.25, 0, 1.25, 32, 1, 1024, NULL}                                                                },
        {{.keys = {{"rope.scaling.type", 0, "linear"},
                   {"rope.scaling.factor", 4, NULL},
                   {"rope.scaling.attn_factor", 1.25, NULL}}},
         {0.25, 0, 1.25, 32, 1, 4096, NULL}                                                                },
        {{.keys = {{"rope.scaling.attn_factor", 1.25, NULL}}},              {1, 0, 1.25, 32, 1, 4096, NULL}},
 /* the ramp is asked for by its factor, whatever the type is */
        {{.keys = {{"rope.scaling.type", 0, "linear"},
                   {"rope.scaling.factor", 4, NULL},
                   {"rope.scaling.yarn_ext_factor", 1, NULL},
                   GGUF_EXTRA_ORIGINAL(1024)}},
         {0.25, 1, 1, 32, 1, 1024, NULL}                                                                   },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        ModelConfig config = gguf_extra_read_good(&rows[i].extra, "");
        check_against_kernel(&config, &rows[i].kernel, GGUF_EXTRA_N_CTX_TRAIN);
        assert_int_equal(config.rope.n_ctx_orig, rows[i].kernel.n_ctx_orig);
    }
}

static void test_yarns_log_multiplier_divides_its_amplitude(void **state)
{
    (void)state;
    const GgufExtra whole = {
        .keys = {GGUF_EXTRA_YARN(16),
                 GGUF_EXTRA_ORIGINAL(256),
                 {"rope.scaling.yarn_log_multiplier", 1, NULL}}
    };
    const GgufExtra half = {
        .keys = {GGUF_EXTRA_YARN(16),
                 GGUF_EXTRA_ORIGINAL(256),
                 {"rope.scaling.yarn_log_multiplier", 0.5, NULL}}
    };
    const GgufExtra zero = {
        .keys = {GGUF_EXTRA_YARN(16),
                 GGUF_EXTRA_ORIGINAL(256),
                 {"rope.scaling.yarn_log_multiplier", 0, NULL}}
    };
    double own = 1.0 + 0.1 * log(16.0);
    ModelConfig config = gguf_extra_read_good(&whole, "");
    assert_close(gguf_extra_table(&config, 4096).amplitude, 1.0, 1e-12, 0.0);
    config = gguf_extra_read_good(&half, "");
    assert_close(gguf_extra_table(&config, 4096).amplitude, own / (1.0 + 0.05 * log(16.0)), 1e-12,
                 0.0);
    config = gguf_extra_read_good(&zero, "");
    assert_close(gguf_extra_table(&config, 4096).amplitude, own, 1e-12, 0.0);
}

static void test_what_was_assumed_of_yarn_is_noted(void **state)
{
    (void)state;
    const GgufExtra bare = {.keys = {GGUF_EXTRA_YARN(4)}};
    const GgufExtra multiplied = {
        .keys = {GGUF_EXTRA_YARN(4),
                 GGUF_EXTRA_ORIGINAL(1024),
                 {"rope.scaling.yarn_attn_factor", 0.5, NULL}}
    };
    const GgufExtra odd = {
        .keys = {GGUF_EXTRA_YARN(4), GGUF_EXTRA_ORIGINAL(2048)}
    };
    gguf_extra_read_good(&bare,
                         "the length before scaling is not stated; n_ctx_orig is the claimed 4096");
    gguf_extra_read_good(&multiplied, "yarn_attn_factor 0.5 multiplies YaRN's own amplitude");
    gguf_extra_read_good(&odd, "factor 4 x original length 2048 is not the claimed length 4096");
    const GgufExtra full = {
        .keys = {GGUF_EXTRA_YARN(4), GGUF_EXTRA_ORIGINAL(1024)}
    };
    ModelConfig config = gguf_extra_read_good(&full, "");
    assert_string_equal(
        config.rope_found,
        "llama.rope.freq_base=50000 llama.rope.scaling.factor=4 "
        "llama.rope.scaling.type=yarn "
        "llama.rope.scaling.original_context_length=1024 llama.context_length=4096");
}

static void test_a_factor_without_a_type_is_linear(void **state)
{
    (void)state;
    const GgufExtra new = {.keys = {{"rope.scaling.factor", 4, NULL}}};
    const GgufExtra old = {.keys = {{"rope.scale_linear", 4, NULL}}};
    const GgufExtra both = {
        .keys = {{"rope.scale_linear", 4, NULL}, {"rope.scaling.factor", 4, NULL}}
    };
    const GgufExtra differ = {
        .keys = {{"rope.scale_linear", 2, NULL}, {"rope.scaling.factor", 4, NULL}}
    };
    const GgufExtra *const good[] = {&new, &old, &both};
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        ModelConfig config = gguf_extra_read_good(good[i], "not stated");
        assert_string_equal(config.rope.method->name, "linear");
        assert_close(config.rope.param[ROPE_FACTOR].number, 4.0, 0.0, 0.0);
    }
    gguf_extra_assert_refused(&differ, ERR_INPUT, "rope.scaling.factor is 4 but its old name");
}

static void test_lists_of_divisors_are_longrope(void **state)
{
    (void)state;
    static const GgufExtraTensor brief = {
        "rope_factors_short.weight", 8, {1, 1, 1.1F, 1.2F, 1.5F, 1, 1, 2}
    };
    static const GgufExtraTensor far = {
        "rope_factors_long.weight", 8, {1, 1.5F, 2, 4, 8, 16, 24, 32}
    };
    const GgufExtra rows[] = {
        {.keys = {GGUF_EXTRA_ORIGINAL(1024), {"rope.scaling.attn_factor", 1.19, NULL}},
         .tensors = {brief, far}},
        {.keys = {GGUF_EXTRA_ORIGINAL(1024), {"rope.scaling.type", 0, "longrope"}},
         .tensors = {far, brief}},
        {.keys = {GGUF_EXTRA_ORIGINAL(1024),
                  {"rope.scaling.type", 0, "linear"},
                  {"rope.scaling.factor", 1, NULL}},
         .tensors = {brief, far}},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        ModelConfig config = gguf_extra_read_good(&rows[i], "");
        double amplitude = i == 0 ? 1.19 : 1.0; /* the whole amplitude, none of LongRoPE's own */
        Kernel kernel = {1, 0, amplitude, 32, 1, 1024, brief.value};
        assert_string_equal(config.rope.method->name, "longrope");
        assert_close(config.rope.param[ROPE_FACTOR].number, 4.0, 0.0, 0.0);
        check_against_kernel(&config, &kernel, 1024);
        kernel.divisors = far.value;
        check_against_kernel(&config, &kernel, 1025);
    }
}

static void test_one_list_of_divisors_holds_at_every_length(void **state)
{
    (void)state;
    static const GgufExtraTensor freqs = {
        "rope_freqs.weight", 8, {1, 1.5F, 2, 4, 8, 16, 24, 32}
    };
    const GgufExtra rows[] = {
        {.tensors = {freqs}                                                            },
        { .tensors = {freqs},                             .keys = {{"rope.scaling.attn_factor", 1.5, NULL}}},
        { .tensors = {freqs},
         .keys = {{"rope.scaling.type", 0, "linear"}, {"rope.scaling.factor", 2, NULL}}},
    };
    static const Kernel kernels[] = {
        {1,   0, 1,   32, 1, 4096, freqs.value},
        {1,   0, 1.5, 32, 1, 4096, freqs.value},
        {0.5, 0, 1,   32, 1, 4096, freqs.value},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        ModelConfig config =
            gguf_extra_read_good(&rows[i], "the length before scaling is not stated");
        assert_string_equal(config.rope.method->name, "per-pair");
        check_against_kernel(&config, &kernels[i], 100);
        check_against_kernel(&config, &kernels[i], 100000);
    }
}

/* The bands as Meta published them: by wavelength. */
static double llama3_divisor(int pair, double factor, double length)
{
    double wavelength = 2.0 * acos(-1.0) * pow(GGUF_EXTRA_BASE, 2.0 * pair / GGUF_EXTRA_N_ROT);
    if (wavelength < length / 4.0) return 1.0;
    if (wavelength > length) return factor;
    double smooth = (length / wavelength - 1.0) / 3.0;
    return 1.0 / ((1.0 - smooth) / factor + smooth);
}

static GgufExtra llama3_file(double length, uint32_t n_ctx_train)
{
    GgufExtra extra = {.n_ctx_train = n_ctx_train,
                       .tensors = {{.name = "rope_freqs.weight", .n = GGUF_EXTRA_N_PAIRS}}};
    for (int pair = 0; pair < GGUF_EXTRA_N_PAIRS; pair++)
        extra.tensors[0].value[pair] = (float)llama3_divisor(pair, 8, length);
    return extra;
}

static void check_llama3(const GgufExtra *extra, double length, const char *note)
{
    ModelConfig config = gguf_extra_read_good(extra, note);
    assert_string_equal(config.rope.method->name, "llama3");
    assert_int_equal(config.rope.n_ctx_orig, (int64_t)length);
    RopeTable table = gguf_extra_table(&config, 4096);
    for (int pair = 0; pair < GGUF_EXTRA_N_PAIRS; pair++)
        assert_close(pow(GGUF_EXTRA_BASE, -2.0 * pair / GGUF_EXTRA_N_ROT) /
                         rope_scaled_angle(&table, pair),
                     llama3_divisor(pair, 8, length), 1e-12, 0.0);
}

/* The converter computes the divisors in float and keeps no other trace of llama3. */
static void test_llama3s_divisors_are_recognised(void **state)
{
    (void)state;
    GgufExtra usual = llama3_file(8192, 65536);
    GgufExtra stated = llama3_file(1024, 8192);
    GgufExtra unlikely = llama3_file(8192, 4096); /* longer than the model claims to be */
    GgufExtra changed = usual;
    stated.keys[0] = (GgufExtraKey)GGUF_EXTRA_ORIGINAL(1024);
    changed.tensors[0].value[3] *= 1.001F;
    check_llama3(&usual, 8192, "holds llama3's divisors for factor 8 and original length 8192");
    check_llama3(&stated, 1024, "holds llama3's divisors for factor 8 and original length 1024");
    ModelConfig config = gguf_extra_read_good(&unlikely, "not stated");
    assert_string_equal(config.rope.method->name, "per-pair");
    config = gguf_extra_read_good(&changed, "not stated");
    assert_string_equal(config.rope.method->name, "per-pair");
}

static void test_divisors_that_cannot_be_used_are_refused_by_name(void **state)
{
    (void)state;
#define ONES             \
 {                       \
  1, 1, 1, 1, 1, 1, 1, 1 \
 }
    const GgufExtraTensor freqs = {"rope_freqs.weight", 8, ONES};
    const GgufExtraTensor brief = {"rope_factors_short.weight", 8, ONES};
    const GgufExtraTensor far = {"rope_factors_long.weight", 8, ONES};
    const struct {
        GgufExtra extra;
        ErrCode code;
        const char *part;
    } rows[] = {
        {{.tensors = {far}},                                                       ERR_INPUT, "longrope needs both tensors"                },
        {{.keys = {{"rope.scaling.type", 0, "longrope"}}},
         ERR_INPUT,                                                                           "longrope needs both tensors"                },
        {{.tensors = {brief, far, freqs}},                                         ERR_INPUT, "are both there"                             },
        {{.tensors = {{"rope_freqs.weight", 7, ONES}}},
         ERR_INPUT,                                                                           "rope_freqs.weight is [7], wanted is [8]"    },
        {{.tensors = {{"rope_freqs.weight", 8, {1, 1, 1, 0, 1, 1, 1, 1}}}},
         ERR_INPUT,                                                                           "pair factor 3 is 0"                         },
        {{.tensors = {{"rope_freqs.weight", 8, {1, 1, -1, 1, 1, 1, 1, 1}}}},
         ERR_INPUT,                                                                           "pair factor 2 is -1"                        },
        {{.tensors = {{"rope_freqs.weight", 8, {1, NAN, 1, 1, 1, 1, 1, 1}}}},
         ERR_INPUT,                                                                           "pair factor 1 is"                           },
        {{.tensors = {{"rope_freqs.weight", 8, {1, INFINITY, 1, 1, 1, 1, 1, 1}}}},
         ERR_INPUT,                                                                           "pair factor 1 is inf"                       },
        {{.keys = {GGUF_EXTRA_YARN(4)}, .tensors = {freqs}},
         ERR_UNSUPPORTED,                                                                     "rope_freqs.weight beside YaRN's ramp"       },
        {{.keys = {GGUF_EXTRA_YARN(4)}, .tensors = {brief, far}},
         ERR_UNSUPPORTED,                                                                     "rope_factors_long.weight beside YaRN's ramp"},
        {{.keys = {{"rope.scaling.factor", 4, NULL}}, .tensors = {brief, far}},
         ERR_UNSUPPORTED,                                                                     "beside rope.scaling.factor 4"               },
        {{.tensors = {{"blk.0.rope_freqs.weight", 8, ONES}}},
         ERR_UNSUPPORTED,                                                                     "tensor blk.0.rope_freqs.weight"             },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        gguf_extra_assert_refused(&rows[i].extra, rows[i].code, rows[i].part);
#undef ONES
}

static void test_keys_that_make_no_rotation_are_refused(void **state)
{
    (void)state;
    static const struct {
        GgufExtra extra;
        const char *part;
    } rows[] = {
        {{.keys = {GGUF_EXTRA_YARN(0.5)}},                                               "factor 0.5 is not allowed"                },
        {{.keys = {GGUF_EXTRA_YARN(4), {"rope.scaling.attn_factor", 0, NULL}}},
         "attn_factor 0 is not allowed"                                                                                             },
        {{.keys = {GGUF_EXTRA_YARN(4), {"rope.scaling.yarn_ext_factor", 2, NULL}}},
         "ext_factor 2 is not allowed"                                                                                              },
        {{.keys = {GGUF_EXTRA_YARN(4), {"rope.scaling.yarn_beta_fast", 0.5, NULL}}},
         "beta_fast 0.5 must not be below"                                                                                          },
        {{.keys = {GGUF_EXTRA_YARN(4), {"rope.scaling.attn_factor", INFINITY, NULL}}},
         "attn_factor is not finite"                                                                                                },
        {{.keys = {{"rope.scaling.type", 0, "linear"}}},
         "factor is missing though the type is linear"                                                                              },
        {{.keys = {{"rope.scaling.type", 0, "yarn"}}},                                   "factor is missing though the type is yarn"},
        {{.keys = {{"rope.scaling.type", 0, "none"}, {"rope.scaling.factor", 4, NULL}}},
         "is 4 though the type is none"                                                                                             },
        {{.keys = {{"rope.scaling.type", 0, "dynamic"}}},                                "unknown type \"dynamic\""                 },
        {{.keys = {{"rope.scaling.finetuned", 1, NULL}}},                                "one bool is needed"                       },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        gguf_extra_assert_refused(&rows[i].extra, ERR_INPUT, rows[i].part);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yarn_keys_mean_what_llama_cpp_makes_of_them),
        cmocka_unit_test(test_yarns_log_multiplier_divides_its_amplitude),
        cmocka_unit_test(test_what_was_assumed_of_yarn_is_noted),
        cmocka_unit_test(test_a_factor_without_a_type_is_linear),
        cmocka_unit_test(test_lists_of_divisors_are_longrope),
        cmocka_unit_test(test_one_list_of_divisors_holds_at_every_length),
        cmocka_unit_test(test_llama3s_divisors_are_recognised),
        cmocka_unit_test(test_divisors_that_cannot_be_used_are_refused_by_name),
        cmocka_unit_test(test_keys_that_make_no_rotation_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
