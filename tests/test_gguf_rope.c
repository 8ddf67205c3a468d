/* The rotation of GGUF files: against llama.cpp's kernel written out once more, and against the same model as a folder. */
#include "tests/test_util.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/str.h"
#include "models/rope_export.h"
#include "models/session.h"
#include "tests/engine_setup.h"
#include "tests/gguf_builder.h"

enum { N_PAIRS = 8, N_ROT = 2 * N_PAIRS, N_CTX_TRAIN = 4096, TYPE_F32 = 0 };

static const double base = 50000;

/* A key below "llama."; text NULL: a number. */
typedef struct {
    const char *name;
    double value;
    const char *text;
} Key;

/* A tensor of divisors: n numbers, or none when the name is NULL. */
typedef struct {
    const char *name;
    int n;
    float value[N_PAIRS + 1];
} Divisors;

/* What a test file has on top of the keys of a small Llama. */
typedef struct {
    uint32_t n_ctx_train; /* 0: N_CTX_TRAIN */
    double theta;         /* 0: base */
    Key keys[8];
    Divisors tensors[3];
} Extra;

static void put_extra_key(Buf *b, const Key *key)
{
    char name[96];
    snprintf(name, sizeof name, "llama.%s", key->name);
    if (key->text)
        put_text_value(b, name, key->text);
    else if (strstr(name, "context_length"))
        put_u32_value(b, name, (uint32_t)key->value);
    else
        put_f32_value(b, name, (float)key->value);
}

enum { N_GOOD_KEYS = 8 };

static void put_good_keys(Buf *b, uint32_t n_ctx_train, double theta)
{
    const struct {
        const char *key;
        uint32_t value;
    } widths[] = {
        {"llama.block_count",          1                                      },
        {"llama.context_length",       n_ctx_train ? n_ctx_train : N_CTX_TRAIN},
        {"llama.embedding_length",     64                                     },
        {"llama.feed_forward_length",  64                                     },
        {"llama.attention.head_count", 4                                      },
        {"llama.vocab_size",           11                                     },
    };
    for (size_t i = 0; i < COUNT_OF(widths); i++)
        put_u32_value(b, widths[i].key, widths[i].value);
    put_text_value(b, "general.architecture", "llama");
    put_f32_value(b, "llama.rope.freq_base", (float)(theta != 0.0 ? theta : base));
}

static size_t count_keys(const Extra *extra)
{
    size_t n = 0;
    while (n < COUNT_OF(extra->keys) && extra->keys[n].name)
        n++;
    return n;
}

static size_t count_tensors(const Extra *extra)
{
    size_t n = 0;
    while (n < COUNT_OF(extra->tensors) && extra->tensors[n].name)
        n++;
    return n;
}

/* Opens a file with the extras in it; close it. */
static WeightFile *open_with(const Extra *extra)
{
    Buf b = {0};
    Err err;
    size_t n_tensors = count_tensors(extra);
    put_header(&b, 3, n_tensors, count_keys(extra) + N_GOOD_KEYS);
    put_good_keys(&b, extra->n_ctx_train, extra->theta);
    for (size_t i = 0; i < count_keys(extra); i++)
        put_extra_key(&b, &extra->keys[i]);
    for (size_t i = 0; i < n_tensors; i++) {
        const uint64_t ne[] = {(uint64_t)extra->tensors[i].n};
        put_tensor(&b, extra->tensors[i].name, 1, ne, TYPE_F32, 64 * i);
    }
    put_data(&b, 32, 0);
    size_t start = b.len;
    for (size_t i = 0; i < n_tensors; i++) {
        put_data(&b, 1, start + 64 * i - b.len);
        for (int pair = 0; pair < extra->tensors[i].n; pair++)
            put_f32(&b, extra->tensors[i].value[pair]);
    }
    put_data(&b, 32, 0);
    WeightFile *file = weights_open(test_file("rope.gguf", b.data, b.len), &err);
    buf_free(&b);
    assert_ok(file, &err);
    return file;
}

/* Reads a good file whose notes hold `note`. */
static ModelConfig read_good(const Extra *extra, const char *note)
{
    WeightFile *file = open_with(extra);
    ModelConfig config;
    Err err;
    assert_ok(weights_read_config(file, &config, &err), &err);
    if (!strstr(weights_notes(file), note))
        fail_msg("notes are \"%s\", wanted is \"%s\"", weights_notes(file), note);
    weights_close(file);
    return config;
}

static void assert_refused(const Extra *extra, ErrCode code, const char *part)
{
    WeightFile *file = open_with(extra);
    ModelConfig config;
    Err err;
    assert_err(weights_read_config(file, &config, &err), &err, code, part);
    weights_close(file);
}

static RopeTable table_of(const ModelConfig *config, int64_t n_ctx)
{
    RopeSpec spec = config->rope;
    RopeTable table;
    Err err;
    assert_ok(rope_spec_resolve(&spec, n_ctx, &err), &err);
    assert_ok(rope_table_make(&spec, n_ctx, &table, &err), &err);
    return table;
}

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
    return N_ROT * log((double)k->n_ctx_orig / (turns * 2.0 * acos(-1.0))) / (2.0 * log(base));
}

/* The kernel, line by line: the angle of one pair at position 1, and the amplitude. */
static double kernel_angle(const Kernel *k, int pair, double *amplitude)
{
    double extrapolated =
        pow(base, -2.0 * pair / N_ROT) / (k->divisors ? (double)k->divisors[pair] : 1.0);
    double interpolated = k->freq_scale * extrapolated;
    double low = fmax(0.0, floor(corner(k, k->beta_fast)));
    double high = fmin(N_ROT - 1.0, ceil(corner(k, k->beta_slow)));
    double y = (pair - low) / fmax(0.001, high - low);
    double mix = (1.0 - fmin(1.0, fmax(0.0, y))) * k->ext_factor;
    *amplitude = k->attn_factor;
    if (k->ext_factor == 0.0) return interpolated;
    *amplitude *= 1.0 + 0.1 * log(1.0 / k->freq_scale);
    return interpolated * (1.0 - mix) + extrapolated * mix;
}

static void check_against_kernel(const ModelConfig *config, const Kernel *kernel, int64_t n_ctx)
{
    RopeTable table = table_of(config, n_ctx);
    assert_int_equal(table.n_pairs, N_PAIRS);
    for (int pair = 0; pair < N_PAIRS; pair++) {
        double amplitude;
        double want = kernel_angle(kernel, pair, &amplitude);
        assert_close(rope_scaled_angle(&table, pair), want, 1e-7, 0.0); /* keys are floats */
        assert_close(table.amplitude, amplitude, 1e-7, 0.0);
    }
}

#define YARN(s)                    \
 {"rope.scaling.type", 0, "yarn"}, \
 {                                 \
  "rope.scaling.factor", (s), NULL \
 }
#define ORIGINAL(l)                                 \
 {                                                  \
  "rope.scaling.original_context_length", (l), NULL \
 }

static void test_yarn_keys_mean_what_llama_cpp_makes_of_them(void **state)
{
    (void)state;
    static const struct {
        Extra extra;
        Kernel kernel;
    } rows[] = {
        {{.keys = {YARN(4), ORIGINAL(1024)}},                                              {0.25, 1, 1, 32, 1, 1024, NULL}},
        {{.keys = {YARN(4)}},                                                              {0.25, 1, 1, 32, 1, 4096, NULL}},
        {{.keys = {YARN(4),
                   ORIGINAL(1024),
                   {"rope.scaling.yarn_beta_fast", 8, NULL},
                   {"rope.scaling.yarn_beta_slow", 2, NULL}}},
         {0.25, 1, 1, 8, 2, 1024, NULL}                                                                                   },
        {{.keys = {YARN(4), ORIGINAL(1024), {"rope.scaling.yarn_ext_factor", 0.5, NULL}}},
         {0.25, 0.5, 1, 32, 1, 1024, NULL}                                                                                },
        {{.keys = {YARN(4), ORIGINAL(1024), {"rope.scaling.yarn_ext_factor", -1, NULL}}},
         {0.25, 1, 1, 32, 1, 1024, NULL}                                                                                  },
 /* on top of YaRN's own amplitude */
        {{.keys = {YARN(4), ORIGINAL(1024), {"rope.scaling.attn_factor", 0.75, NULL}}},
         {0.25, 1, 0.75, 32, 1, 1024, NULL}                                                                               },
        {{.keys = {YARN(4),
                   ORIGINAL(1024),
                   {"rope.scaling.attn_factor", 0.75, NULL},
                   {"rope.scaling.yarn_attn_factor", 0.5, NULL}}},
         {0.25, 1, 0.375, 32, 1, 1024, NULL}                                                                              },
 /* no ramp: the amplitude is what the file says, and nothing else */
        {{.keys = {YARN(4),
                   ORIGINAL(1024),
                   {"rope.scaling.yarn_ext_factor", 0, NULL},
                   {"rope.scaling.attn_factor", 1.25, NULL}}},
         {0.25, 0, 1.25, 32, 1, 1024, NULL}                                                                               },
        {{.keys = {{"rope.scaling.type", 0, "linear"},
                   {"rope.scaling.factor", 4, NULL},
                   {"rope.scaling.attn_factor", 1.25, NULL}}},
         {0.25, 0, 1.25, 32, 1, 4096, NULL}                                                                               },
        {{.keys = {{"rope.scaling.attn_factor", 1.25, NULL}}},                             {1, 0, 1.25, 32, 1, 4096, NULL}},
 /* the ramp is asked for by its factor, whatever the type is */
        {{.keys = {{"rope.scaling.type", 0, "linear"},
                   {"rope.scaling.factor", 4, NULL},
                   {"rope.scaling.yarn_ext_factor", 1, NULL},
                   ORIGINAL(1024)}},
         {0.25, 1, 1, 32, 1, 1024, NULL}                                                                                  },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        ModelConfig config = read_good(&rows[i].extra, "");
        check_against_kernel(&config, &rows[i].kernel, N_CTX_TRAIN);
        assert_int_equal(config.rope.n_ctx_orig, rows[i].kernel.n_ctx_orig);
    }
}

static void test_yarns_log_multiplier_divides_its_amplitude(void **state)
{
    (void)state;
    const Extra whole = {
        .keys = {YARN(16), ORIGINAL(256), {"rope.scaling.yarn_log_multiplier", 1, NULL}}
    };
    const Extra half = {
        .keys = {YARN(16), ORIGINAL(256), {"rope.scaling.yarn_log_multiplier", 0.5, NULL}}
    };
    const Extra zero = {
        .keys = {YARN(16), ORIGINAL(256), {"rope.scaling.yarn_log_multiplier", 0, NULL}}
    };
    double own = 1.0 + 0.1 * log(16.0);
    ModelConfig config = read_good(&whole, "");
    assert_close(table_of(&config, 4096).amplitude, 1.0, 1e-12, 0.0);
    config = read_good(&half, "");
    assert_close(table_of(&config, 4096).amplitude, own / (1.0 + 0.05 * log(16.0)), 1e-12, 0.0);
    config = read_good(&zero, "");
    assert_close(table_of(&config, 4096).amplitude, own, 1e-12, 0.0);
}

static void test_what_was_assumed_of_yarn_is_noted(void **state)
{
    (void)state;
    const Extra bare = {.keys = {YARN(4)}};
    const Extra multiplied = {
        .keys = {YARN(4), ORIGINAL(1024), {"rope.scaling.yarn_attn_factor", 0.5, NULL}}
    };
    const Extra odd = {
        .keys = {YARN(4), ORIGINAL(2048)}
    };
    read_good(&bare, "the length before scaling is not stated; n_ctx_orig is the claimed 4096");
    read_good(&multiplied, "yarn_attn_factor 0.5 multiplies YaRN's own amplitude");
    read_good(&odd, "factor 4 x original length 2048 is not the claimed length 4096");
    const Extra full = {
        .keys = {YARN(4), ORIGINAL(1024)}
    };
    ModelConfig config = read_good(&full, "");
    assert_string_equal(
        config.rope_found,
        "llama.rope.freq_base=50000 llama.rope.scaling.factor=4 "
        "llama.rope.scaling.type=yarn "
        "llama.rope.scaling.original_context_length=1024 llama.context_length=4096");
}

static void test_a_factor_without_a_type_is_linear(void **state)
{
    (void)state;
    const Extra new = {.keys = {{"rope.scaling.factor", 4, NULL}}};
    const Extra old = {.keys = {{"rope.scale_linear", 4, NULL}}};
    const Extra both = {
        .keys = {{"rope.scale_linear", 4, NULL}, {"rope.scaling.factor", 4, NULL}}
    };
    const Extra differ = {
        .keys = {{"rope.scale_linear", 2, NULL}, {"rope.scaling.factor", 4, NULL}}
    };
    const Extra *const good[] = {&new, &old, &both};
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        ModelConfig config = read_good(good[i], "not stated");
        assert_string_equal(config.rope.method->name, "linear");
        assert_close(config.rope.param[ROPE_FACTOR].number, 4.0, 0.0, 0.0);
    }
    assert_refused(&differ, ERR_INPUT, "rope.scaling.factor is 4 but its old name");
}

static void test_lists_of_divisors_are_longrope(void **state)
{
    (void)state;
    static const Divisors brief = {
        "rope_factors_short.weight", 8, {1, 1, 1.1F, 1.2F, 1.5F, 1, 1, 2}
    };
    static const Divisors far = {
        "rope_factors_long.weight", 8, {1, 1.5F, 2, 4, 8, 16, 24, 32}
    };
    const Extra rows[] = {
        {.keys = {ORIGINAL(1024), {"rope.scaling.attn_factor", 1.19, NULL}},
         .tensors = {brief, far}                                                                    },
        {.keys = {ORIGINAL(1024), {"rope.scaling.type", 0, "longrope"}},     .tensors = {far, brief}},
        {.keys = {ORIGINAL(1024),
                  {"rope.scaling.type", 0, "linear"},
                  {"rope.scaling.factor", 1, NULL}},
         .tensors = {brief, far}                                                                    },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        ModelConfig config = read_good(&rows[i], "");
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
    static const Divisors freqs = {
        "rope_freqs.weight", 8, {1, 1.5F, 2, 4, 8, 16, 24, 32}
    };
    const Extra rows[] = {
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
        ModelConfig config = read_good(&rows[i], "the length before scaling is not stated");
        assert_string_equal(config.rope.method->name, "per-pair");
        check_against_kernel(&config, &kernels[i], 100);
        check_against_kernel(&config, &kernels[i], 100000);
    }
}

/* The bands as Meta published them: by wavelength. */
static double llama3_divisor(int pair, double factor, double length)
{
    double wavelength = 2.0 * acos(-1.0) * pow(base, 2.0 * pair / N_ROT);
    if (wavelength < length / 4.0) return 1.0;
    if (wavelength > length) return factor;
    double smooth = (length / wavelength - 1.0) / 3.0;
    return 1.0 / ((1.0 - smooth) / factor + smooth);
}

static Extra llama3_file(double length, uint32_t n_ctx_train)
{
    Extra extra = {.n_ctx_train = n_ctx_train,
                   .tensors = {{.name = "rope_freqs.weight", .n = N_PAIRS}}};
    for (int pair = 0; pair < N_PAIRS; pair++)
        extra.tensors[0].value[pair] = (float)llama3_divisor(pair, 8, length);
    return extra;
}

static void check_llama3(const Extra *extra, double length, const char *note)
{
    ModelConfig config = read_good(extra, note);
    assert_string_equal(config.rope.method->name, "llama3");
    assert_int_equal(config.rope.n_ctx_orig, (int64_t)length);
    RopeTable table = table_of(&config, 4096);
    for (int pair = 0; pair < N_PAIRS; pair++)
        assert_close(pow(base, -2.0 * pair / N_ROT) / rope_scaled_angle(&table, pair),
                     llama3_divisor(pair, 8, length), 1e-12, 0.0);
}

/* The converter computes the divisors in float and keeps no other trace of llama3. */
static void test_llama3s_divisors_are_recognised(void **state)
{
    (void)state;
    Extra usual = llama3_file(8192, 65536);
    Extra stated = llama3_file(1024, 8192);
    Extra unlikely = llama3_file(8192, 4096); /* longer than the model claims to be */
    Extra changed = usual;
    stated.keys[0] = (Key)ORIGINAL(1024);
    changed.tensors[0].value[3] *= 1.001F;
    check_llama3(&usual, 8192, "holds llama3's divisors for factor 8 and original length 8192");
    check_llama3(&stated, 1024, "holds llama3's divisors for factor 8 and original length 1024");
    ModelConfig config = read_good(&unlikely, "not stated");
    assert_string_equal(config.rope.method->name, "per-pair");
    config = read_good(&changed, "not stated");
    assert_string_equal(config.rope.method->name, "per-pair");
}

static void test_divisors_that_cannot_be_used_are_refused_by_name(void **state)
{
    (void)state;
#define ONES             \
 {                       \
  1, 1, 1, 1, 1, 1, 1, 1 \
 }
    const Divisors freqs = {"rope_freqs.weight", 8, ONES};
    const Divisors brief = {"rope_factors_short.weight", 8, ONES};
    const Divisors far = {"rope_factors_long.weight", 8, ONES};
    const struct {
        Extra extra;
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
        {{.keys = {YARN(4)}, .tensors = {freqs}},
         ERR_UNSUPPORTED,                                                                     "rope_freqs.weight beside YaRN's ramp"       },
        {{.keys = {YARN(4)}, .tensors = {brief, far}},
         ERR_UNSUPPORTED,                                                                     "rope_factors_long.weight beside YaRN's ramp"},
        {{.keys = {{"rope.scaling.factor", 4, NULL}}, .tensors = {brief, far}},
         ERR_UNSUPPORTED,                                                                     "beside rope.scaling.factor 4"               },
        {{.tensors = {{"blk.0.rope_freqs.weight", 8, ONES}}},
         ERR_UNSUPPORTED,                                                                     "tensor blk.0.rope_freqs.weight"             },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_refused(&rows[i].extra, rows[i].code, rows[i].part);
#undef ONES
}

static void test_keys_that_make_no_rotation_are_refused(void **state)
{
    (void)state;
    static const struct {
        Extra extra;
        const char *part;
    } rows[] = {
        {{.keys = {YARN(0.5)}},                                                          "factor 0.5 is not allowed"                },
        {{.keys = {YARN(4), {"rope.scaling.attn_factor", 0, NULL}}},
         "attn_factor 0 is not allowed"                                                                                             },
        {{.keys = {YARN(4), {"rope.scaling.yarn_ext_factor", 2, NULL}}},
         "ext_factor 2 is not allowed"                                                                                              },
        {{.keys = {YARN(4), {"rope.scaling.yarn_beta_fast", 0.5, NULL}}},
         "beta_fast 0.5 must not be below"                                                                                          },
        {{.keys = {YARN(4), {"rope.scaling.attn_factor", INFINITY, NULL}}},
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
        assert_refused(&rows[i].extra, ERR_INPUT, rows[i].part);
}

/* Puts one line of an export, "llama.KEY = VALUE", into a file to be. */
static void take_line(char *line, Extra *extra)
{
    static char types[8][16];
    static int n_types;
    char *gap = strstr(line, " = ");
    assert_non_null(gap);
    assert_true(str_starts_with(line, "llama."));
    *gap = '\0';
    const char *name = line + strlen("llama.");
    double value = strtod(gap + 3, NULL);
    if (str_equal(name, "context_length")) {
        extra->n_ctx_train = (uint32_t)value;
        return;
    }
    if (str_equal(name, "rope.freq_base")) {
        extra->theta = value;
        return;
    }
    Key key = {name, value, NULL};
    if (str_equal(name, "rope.scaling.type")) {
        n_types = (n_types + 1) % 8;
        snprintf(types[n_types], sizeof types[0], "%s", gap + 3);
        key.text = types[n_types];
    }
    extra->keys[count_keys(extra)] = key;
}

/* Through a GGUF file and back: the same angles, but for the floats that the file holds. */
static void test_exported_keys_read_back_with_floats_only_rounded(void **state)
{
    (void)state;
    static const struct {
        const char *setting;
        const char *said; /* about rounding; NULL: nothing is rounded */
    } rows[] = {
        {"none",                                      NULL                                        },
        {"ntk:lambda=4",                              NULL                                        },
        {"ntk:lambda=4.387299918778504",              "(rounded to float from 219364.99593892519)"},
        {"linear:factor=4",                           NULL                                        },
        {"linear:factor=3.3",                         "(rounded to float from 3.2999999999999998)"},
        {"yarn:factor=4",                             NULL                                        },
        {"yarn:factor=4,attention_factor=1",          "(rounded to float from 0.87824885628694"   },
        {"yarn:factor=4,mscale=1,mscale_all_dim=0.5", "rounded"                                   },
    };
    const RopeExport *format = rope_exports;
    while (!str_equal(format->name, "gguf"))
        format++;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        RopeSpec spec = {.theta = base, .n_rot = N_ROT, .n_ctx_orig = 1024};
        RopeExportTarget target = {.arch = arch_find("llama"), .head_dim = N_ROT, .n_ctx = 4096};
        RopeTable want;
        Extra extra = {.n_ctx_train = 0};
        Buf text = {0};
        Err err;
        char *state_of_lines = NULL;
        target.own = (RopeSpec){.method = rope_method_find("none"), .n_ctx_orig = 1024};
        assert_ok(rope_spec_parse(rows[i].setting, &spec, &err), &err);
        assert_ok(rope_spec_resolve(&spec, 4096, &err), &err);
        assert_ok(rope_table_make(&spec, 4096, &want, &err), &err);
        assert_ok(format->write(&spec, &target, &text, &err), &err);
        const char *said = rows[i].said ? rows[i].said : "rounded";
        assert_int_equal(strstr(buf_text(&text), said) != NULL, rows[i].said != NULL);
        for (char *line = strtok_r(text.data, "\n", &state_of_lines); line;
             line = strtok_r(NULL, "\n", &state_of_lines))
            take_line(line, &extra);
        ModelConfig config = read_good(&extra, "");
        RopeTable got = table_of(&config, 4096);
        double bound = rows[i].said ? 1e-6 : 0.0;
        for (int pair = 0; pair < N_PAIRS; pair++)
            assert_close(rope_scaled_angle(&got, pair), rope_scaled_angle(&want, pair), bound, 0.0);
        assert_close(got.amplitude, want.amplitude, bound, 0.0);
        buf_free(&text);
    }
}

/* A published file with keys and tensors put into it. */
static void put_into(const char *published, const Extra *extra, Buf *out)
{
    Buf from = {0};
    Gguf gguf;
    Err err;
    assert_ok(file_read(published, 1 << 20, &from, &err), &err);
    assert_ok(gguf_parse(from.data, from.len, published, &gguf, &err), &err);
    const char *end_of_values = from.data;
    size_t table_bytes = 0;
    for (size_t i = 0; i < gguf.n_values; i++) {
        const char *end = (const char *)gguf.values[i].bytes + gguf.values[i].n_bytes;
        if (end > end_of_values) end_of_values = end;
    }
    for (size_t i = 0; i < gguf.n_tensors; i++)
        table_bytes +=
            8 + gguf.tensors[i].name.n + 4 + 8 * (size_t)gguf.tensors[i].tensor.n_dims + 12;
    size_t values_end = (size_t)(end_of_values - from.data);
    size_t data_start = (values_end + table_bytes + 31) / 32 * 32;
    size_t data_bytes = (from.len - data_start + 31) / 32 * 32;
    size_t n_tensors = count_tensors(extra);
    put_header(out, 3, gguf.n_tensors + n_tensors, gguf.n_values + count_keys(extra));
    buf_append(out, from.data + 24, values_end - 24);
    for (size_t i = 0; i < count_keys(extra); i++)
        put_extra_key(out, &extra->keys[i]);
    buf_append(out, from.data + values_end, table_bytes);
    for (size_t i = 0; i < n_tensors; i++) {
        const uint64_t ne[] = {(uint64_t)extra->tensors[i].n};
        put_tensor(out, extra->tensors[i].name, 1, ne, TYPE_F32, data_bytes + 32 * i);
    }
    put_data(out, 32, 0);
    buf_append(out, from.data + data_start, from.len - data_start);
    for (size_t i = 0; i < n_tensors; i++) {
        put_data(out, 32, 0);
        for (int pair = 0; pair < extra->tensors[i].n; pair++)
            put_f32(out, extra->tensors[i].value[pair]);
    }
    put_data(out, 32, 0);
    gguf_free(&gguf);
    buf_free(&from);
}

enum { N_TOKENS = 13, VOCAB = 11 };

/* Logits after N_TOKENS tokens under the model's own scaling. */
static void logits_of(const char *path, float *logits)
{
    static const int32_t tokens[N_TOKENS] = {1, 5, 3, 9, 2, 2, 7, 10, 4, 6, 8, 1, 3};
    SessionOptions options = {.n_threads = 1};
    Err err;
    Model *model = model_load(path, &err);
    assert_ok(model, &err);
    RopeTable table = table_of(&model->config, N_TOKENS);
    Session *session = session_open(model, N_TOKENS, &options, &err);
    assert_ok(session, &err);
    assert_ok(session_set_rope(session, &table, &err), &err);
    assert_ok(session_logits(session, tokens, N_TOKENS, logits, &err), &err);
    session_close(session);
    model_free(model);
}

/* The published folder with rope_scaling in its config. */
static const char *folder_with(const char *scaling)
{
    static char *folder;
    Buf config = {0};
    Buf weights = {0};
    Err err;
    free(folder);
    folder = file_join(test_folder(), "folder");
    mkdir(folder, 0755);
    char *config_path = file_join(folder, "config.json");
    char *weights_path = file_join(folder, "model.safetensors");
    const char *published = shared_path("data/fixtures/neural-api/tiny_llama_config.json");
    assert_ok(file_read(published, 1 << 20, &config, &err), &err);
    char *gap = strstr(buf_text(&config), "\"rope_scaling\": null");
    assert_non_null(gap);
    char *text =
        str_format("%.*s\"rope_scaling\":%s}", (int)(gap - config.data), config.data, scaling);
    assert_ok(file_write_atomic(config_path, text, strlen(text), &err), &err);
    assert_ok(file_read(shared_path("data/fixtures/neural-api/tiny_llama.safetensors"), 1 << 20,
                        &weights, &err),
              &err);
    assert_ok(file_write_atomic(weights_path, weights.data, weights.len, &err), &err);
    free(text);
    free(config_path);
    free(weights_path);
    buf_free(&config);
    buf_free(&weights);
    return folder;
}

static void test_a_scaled_model_gives_the_same_logits_from_both_formats(void **state)
{
    (void)state;
    static const struct {
        const char *scaling;
        Extra extra;
    } rows[] = {
        {"null",                                                                                                          {.n_ctx_train = 0}                                                    },
        {"{\"type\":\"yarn\",\"factor\":4,\"original_max_position_embeddings\":4}",
         {.keys = {YARN(4), ORIGINAL(4)}}                                                                                                                                                       },
        {"{\"type\":\"yarn\",\"factor\":4,\"original_max_position_embeddings\":4,\"attention_factor\":1.5}",
         {.keys = {YARN(4),
                   ORIGINAL(4),
                   {"rope.scaling.attn_factor", 1.5 / 1.1386294361119891, NULL}}}                                                                                                               },
        {"{\"type\":\"longrope\",\"short_factor\":[1,1],\"long_factor\":[1.5,4],\"original_max_position_embeddings\":4}",
         {.keys = {ORIGINAL(4), {"rope.scaling.attn_factor", 1.4142135623730951, NULL}},
          .tensors = {{"rope_factors_short.weight", 2, {1, 1}},
                      {"rope_factors_long.weight", 2, {1.5F, 4}}}}                                                                                                                              },
        {"{\"rope_type\":\"llama3\",\"factor\":4,\"low_freq_factor\":1,\"high_freq_factor\":4,"
         "\"original_max_position_embeddings\":4}",                                                              {.keys = {ORIGINAL(4)}, .tensors = {{"rope_freqs.weight", 2, {4, 4}}}}},
    };
    char *published = str_dup(shared_path("data/fixtures/neural-api/tiny_llama_f32.gguf"));
    float plain[VOCAB];
    logits_of(folder_with("null"), plain);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        float want[VOCAB];
        float got[VOCAB];
        double moved = 0.0;
        Buf b = {0};
        put_into(published, &rows[i].extra, &b);
        logits_of(folder_with(rows[i].scaling), want);
        logits_of(test_file("both.gguf", b.data, b.len), got);
        for (int id = 0; id < VOCAB; id++) {
            assert_close((double)got[id], (double)want[id], 0.0, 1e-5);
            moved = fmax(moved, fabs((double)got[id] - (double)plain[id]));
        }
        assert_true(i == 0 ? moved < 1e-5 : moved > 1e-3);
        buf_free(&b);
    }
    free(published);
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
        cmocka_unit_test(test_exported_keys_read_back_with_floats_only_rounded),
        cmocka_unit_test(test_a_scaled_model_gives_the_same_logits_from_both_formats),
    };
    return cmocka_run_group_tests(tests, engine_setup, NULL);
}
