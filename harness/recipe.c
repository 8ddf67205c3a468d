#include "harness/recipe.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "harness/load.h"
#include "harness/settings.h"
#include "harness/source.h"
#include "models/config_rope.h"
#include "models/dequant.h"
#include "models/train/export.h"

enum { TOKENS_A_STEP = 2048, MAX_STEPS = 1 << 30 };

/* Numbers of --shape; 0 heads or width: what follows from the others. */
typedef struct {
    double d_model, n_layers, n_heads, n_kv_heads, head_dim, d_ff, vocab_size, tied;
} Shape;

#define SHAPE(field, low, high, value) #field, offsetof(Shape, field), low, high, true, value

static const Param shape_rows[] = {
    {SHAPE(d_model,    1, CONFIG_MAX_WIDTH,  128), "width of the residual stream"           },
    {SHAPE(n_layers,   1, CONFIG_MAX_LAYERS, 4),   "layers"                                 },
    {SHAPE(n_heads,    1, CONFIG_MAX_HEADS,  4),   "query heads"                            },
    {SHAPE(n_kv_heads, 0, CONFIG_MAX_HEADS,  0),   "key heads; 0: as many as query heads"   },
    {SHAPE(head_dim,   0, CONFIG_MAX_WIDTH,  0),   "width of a head; 0: d_model / n_heads"  },
    {SHAPE(d_ff,       1, CONFIG_MAX_WIDTH,  256), "width of the feed-forward layer"        },
    {SHAPE(vocab_size, 1, CONFIG_MAX_VOCAB,  512), "entries of the tokenizer that is learnt"},
    {SHAPE(tied,       0, 1,                 1),   "1: the head is the embedding"           },
};

/* Numbers of --optimizer: a schedule's and AdamW's. */
typedef struct {
    double rate, warm_up, decay, final, beta1, beta2, eps, weight_decay, clip;
} Optimizer;

#define NUMBER(field, low, high) #field, offsetof(Optimizer, field), low, high, false

static const Param optimizer_rows[] = {
    {NUMBER(rate, 0,                                             10),      3e-3,                                 "learning rate"},
    {"warm_up",   offsetof(Optimizer,                            warm_up), 0,                                    MAX_STEPS,true, 50,
     "steps over which the rate rises"},
    {NUMBER(decay,         0,                          1),                                  0.3,                                                           "last share of the steps, over which the rate falls"},
    {NUMBER(final,        0, 1),0.02,"share of the rate below which it does not fall"},
    {NUMBER(beta1,       0,    0.999999),                                     0.9,                                                                                                                        "of the mean of gradients"                                                                                },
    {NUMBER(beta2,        0,                           0.999999),0.98,"of the mean of their squares"},
    {NUMBER(eps,       0,                      1),                                1e-9,                                                                                                                                                           "added to the root of the mean of squares"                                                                                                                                                                                                                                                                                                                                           },
    {NUMBER(weight_decay,       0,          10),0.05,"of matrices, times the rate"},
    {NUMBER(clip,       0,                       1e9),                                             1,                                                                                                                                                                                                                             "largest norm of a step's gradient; 0: any"                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                             },
};

const ParamTable *recipe_shape_params(void)
{
    static const ParamTable table = {"the shape", shape_rows, COUNT_OF(shape_rows)};
    return &table;
}

const ParamTable *recipe_optimizer_params(void)
{
    static const ParamTable table = {"the optimizer", optimizer_rows, COUNT_OF(optimizer_rows)};
    return &table;
}

/* Defaults, then every "name=value,…" of an option. */
static bool read_params(const ParamTable *table, const char *option, const StringList *texts,
                        void *values, Err *err)
{
    params_default(table, values);
    for (size_t i = 0; i < texts->n; i++)
        if (!params_read(table, values, texts->items[i], err))
            return err_prefix(err, "--%s", option);
    return true;
}

static bool config_of_shape(const Options *options, ModelConfig *config, Err *err)
{
    Shape shape;
    if (!read_params(recipe_shape_params(), "shape", &options->shape, &shape, err)) return false;
    int d_model = (int)shape.d_model;
    int n_heads = (int)shape.n_heads;
    if (shape.head_dim == 0.0 && d_model % n_heads != 0)
        return err_set(err, ERR_USAGE,
                       "--shape: d_model %d is no multiple of n_heads %d; give head_dim", d_model,
                       n_heads);
    *config = (ModelConfig){
        .arch = "llama",
        .d_model = d_model,
        .n_layers = (int)shape.n_layers,
        .n_heads = n_heads,
        .n_kv_heads = shape.n_kv_heads > 0.0 ? (int)shape.n_kv_heads : n_heads,
        .head_dim = shape.head_dim > 0.0 ? (int)shape.head_dim : d_model / n_heads,
        .d_ff = (int)shape.d_ff,
        .vocab_size = (int)shape.vocab_size,
        .rms_eps = 1e-5,
        .tied = shape.tied == 1.0,
        .rope_layout = ROPE_HALVES,
        .bos_id = -1,
        .eos_id = -1,
    };
    config->n_rot = config->head_dim;
    config->rope = (RopeSpec){
        .method = rope_method_find("none"), .theta = CONFIG_DEFAULT_THETA, .n_rot = config->n_rot};
    return true;
}

static bool config_of_model(const Options *options, ModelConfig *config, Err *err)
{
    WeightFile *file = weights_open(source_path(options, options->init), err);
    bool ok = file && weights_read_config(file, config, err);
    if (ok) config->tied = !weights_find(file, "lm_head.weight");
    weights_close(file);
    return ok;
}

/* "STEPS:ROWS:LENGTH" */
static bool read_phase(const char *text, TrainPhase *out, Err *err)
{
    int64_t numbers[3] = {0};
    int64_t highest[3] = {MAX_STEPS, TRAIN_MAX_ROWS, TRAIN_MAX_LENGTH};
    char *copy = str_dup(text);
    char *state = NULL;
    int n = 0;
    bool ok = true;
    for (char *word = strtok_r(copy, ":", &state); word; word = strtok_r(NULL, ":", &state), n++)
        ok = ok && n < 3 && str_to_size(word, &numbers[n]) && numbers[n] >= 1 &&
             numbers[n] <= highest[n];
    free(copy);
    *out = (TrainPhase){numbers[0], (int)numbers[1], (int)numbers[2]};
    if (ok && n == 3) return true;
    return err_set(
        err, ERR_USAGE,
        "--phase: \"%s\": STEPS:ROWS:LENGTH is expected, such as 400:32:64, with up to %d rows of %d tokens",
        text, TRAIN_MAX_ROWS, TRAIN_MAX_LENGTH);
}

static bool read_phases(const Options *options, TrainSchedule *schedule, Err *err)
{
    for (size_t i = 0; i < options->phase.n; i++) {
        char *copy = str_dup(options->phase.items[i]);
        char *state = NULL;
        bool ok = true;
        for (char *word = strtok_r(copy, ",", &state); word && ok;
             word = strtok_r(NULL, ",", &state)) {
            TrainPhase phase;
            ok = read_phase(word, &phase, err) &&
                 (schedule->n_phases < TRAIN_MAX_PHASES ||
                  err_set(err, ERR_USAGE, "--phase: more than %d phases", TRAIN_MAX_PHASES));
            if (ok) schedule->phase[schedule->n_phases++] = phase;
        }
        free(copy);
        if (!ok) return false;
    }
    return true;
}

static int longest(const TrainSchedule *schedule)
{
    int length = 0;
    for (int i = 0; i < schedule->n_phases; i++)
        if (schedule->phase[i].length > length) length = schedule->phase[i].length;
    return length;
}

/* The phases and the length that the model is trained for. own: the length of the model of --init, else 0. */
static bool make_phases(const Options *options, int64_t own, Recipe *recipe, Err *err)
{
    TrainSchedule *schedule = &recipe->schedule;
    if (options->n_ctx.n > 1)
        return err_set(err, ERR_USAGE, "one --n-ctx is allowed here, %zu are given",
                       options->n_ctx.n);
    int64_t n_ctx = options->n_ctx.n ? options->n_ctx.items[0] : own;
    if (n_ctx > TRAIN_MAX_LENGTH)
        return err_set(err, ERR_USAGE, "--n-ctx %lld: rows of up to %d tokens can be trained on",
                       (long long)n_ctx, TRAIN_MAX_LENGTH);
    if (options->n_steps) {
        int rows = n_ctx > 0 ? (int)max_i64(1, TOKENS_A_STEP / n_ctx) : 0;
        if (n_ctx == 0)
            return err_set(err, ERR_USAGE, "--steps needs the length of the rows: --n-ctx N");
        schedule->phase[schedule->n_phases++] = (TrainPhase){options->n_steps, rows, (int)n_ctx};
    } else if (!read_phases(options, schedule, err)) {
        return false;
    }
    if (schedule->n_phases == 0)
        return err_set(err, ERR_USAGE, "how long? give --phase STEPS:ROWS:LENGTH, or --steps N");
    recipe->n_ctx = longest(schedule);
    if (n_ctx == 0 || n_ctx == recipe->n_ctx) return true;
    return err_set(
        err, ERR_USAGE,
        "the longest phase has rows of %lld tokens, and the model is to be trained for %lld: give a phase of "
        "that length, or --steps N",
        (long long)recipe->n_ctx, (long long)n_ctx);
}

static bool choose_setting(const Options *options, Recipe *recipe, Err *err)
{
    SettingList settings;
    bool plain = options->init == NULL;
    if (!settings_make(options, &recipe->config.rope, plain ? "none" : SETTING_METHOD_MODEL,
                       recipe->n_ctx, &settings, err))
        return false;
    bool ok = settings.n == 1 ||
              err_set(err, ERR_USAGE, "one setting is allowed here, %zu are given", settings.n);
    if (ok) recipe->rope = settings.items[0];
    setting_list_free(&settings);
    return ok;
}

static bool read_optimizer(const Options *options, Recipe *recipe, Err *err)
{
    Optimizer o;
    if (!read_params(recipe_optimizer_params(), "optimizer", &options->optimizer, &o, err))
        return false;
    recipe->schedule.rate = o.rate;
    recipe->schedule.n_warm_up = (int64_t)o.warm_up;
    recipe->schedule.decay_share = o.decay;
    recipe->schedule.final_share = o.final;
    recipe->adamw = (AdamwOptions){.beta1 = o.beta1,
                                   .beta2 = o.beta2,
                                   .eps = o.eps,
                                   .weight_decay = o.weight_decay,
                                   .clip = o.clip};
    return true;
}

static Dtype dtype_of(const char *name)
{
    return str_equal(name, "f32") ? DTYPE_F32 : str_equal(name, "f16") ? DTYPE_F16 : DTYPE_BF16;
}

/* What only the end of a run would tell: that its config.json cannot be written. */
static bool check_config(const Recipe *recipe, Err *err)
{
    Buf unused = {0};
    TrainedModel model = {.config = &recipe->config,
                          .rope = &recipe->rope,
                          .n_ctx = recipe->n_ctx,
                          .dtype = recipe->dtype};
    bool ok = config_check(&recipe->config, "the model to train", err) &&
              train_export_config(&model, &unused, err);
    buf_free(&unused);
    return ok;
}

bool recipe_make(const Options *options, Recipe *out, Err *err)
{
    *out = (Recipe){.dtype = dtype_of(options->dtype)};
    bool ok = (options->init ? config_of_model(options, &out->config, err)
                             : config_of_shape(options, &out->config, err)) &&
              make_phases(options, options->init ? out->config.rope.n_ctx_orig : 0, out, err) &&
              read_optimizer(options, out, err) &&
              read_params(mixture_params(), "mixture", &options->mixture, &out->mixture, err) &&
              mixture_options_check(&out->mixture, err);
    if (!ok) return false;
    if (!options->init) out->config.rope.n_ctx_orig = out->config.n_ctx_train = out->n_ctx;
    return choose_setting(options, out, err) && check_config(out, err);
}

static void add_number(const char *name, double value, Buf *out)
{
    char text[32];
    str_from_double(value, text);
    buf_printf(out, "%s=%s\n", name, text);
}

void recipe_key(const Recipe *recipe, Buf *out)
{
    const TrainSchedule *s = &recipe->schedule;
    const AdamwOptions *a = &recipe->adamw;
    const ParamTable *mixture = mixture_params();
    const struct {
        const char *name;
        double value;
    } numbers[] = {
        {"rate",  s->rate              },
        {"warm",  (double)s->n_warm_up },
        {"decay", s->decay_share       },
        {"final", s->final_share       },
        {"beta1", a->beta1             },
        {"beta2", a->beta2             },
        {"eps",   a->eps               },
        {"wd",    a->weight_decay      },
        {"clip",  a->clip              },
        {"n_ctx", (double)recipe->n_ctx},
    };
    config_key(&recipe->config, out);
    rope_spec_key(&recipe->rope, out);
    buf_printf(out, "\ntied=%d\n", recipe->config.tied);
    for (int i = 0; i < s->n_phases; i++)
        buf_printf(out, "phase=%lld:%d:%d\n", (long long)s->phase[i].n_steps, s->phase[i].n_rows,
                   s->phase[i].length);
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        add_number(numbers[i].name, numbers[i].value, out);
    for (size_t i = 0; i < mixture->n; i++)
        add_number(mixture->rows[i].name, params_value(&mixture->rows[i], &recipe->mixture), out);
}

double recipe_flop(const Recipe *recipe)
{
    const ModelConfig *c = &recipe->config;
    double q = (double)c->n_heads * c->head_dim;
    double kv = (double)c->n_kv_heads * c->head_dim;
    double d = c->d_model;
    double weights =
        c->n_layers * (d * (2.0 * q + 2.0 * kv) + 3.0 * d * c->d_ff) + d * c->vocab_size;
    double flop = 0.0;
    for (int i = 0; i < recipe->schedule.n_phases; i++) {
        const TrainPhase *phase = &recipe->schedule.phase[i];
        double tokens = (double)phase->n_steps * phase->n_rows * phase->length;
        flop += 6.0 * tokens * (weights + 2.0 * c->n_layers * q * phase->length);
    }
    return flop;
}
