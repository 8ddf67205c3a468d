#include "tests/test_util.h"

#include "base/rng.h"
#include "tests/train_fixture.h"

ModelConfig fixture_config(RopeLayout layout, bool tied)
{
    ModelConfig config = {
        .arch = "llama",
        .d_model = 6,
        .n_layers = 2,
        .n_heads = 4,
        .n_kv_heads = 2,
        .head_dim = 4, /* not d_model / n_heads */
        .d_ff = 7,
        .vocab_size = FIXTURE_VOCAB_SIZE,
        .n_ctx_train = 16,
        .rms_eps = 1e-5,
        .tied = tied,
        .rope_layout = layout,
        .n_rot = 4,
        .bos_id = -1,
        .eos_id = -1,
    };
    config.rope = (RopeSpec){
        .method = rope_method_find("none"), .theta = 100.0, .n_rot = 4, .n_ctx_orig = 16};
    return config;
}

static RopeTable table_of(const ModelConfig *config, const char *text)
{
    RopeSpec spec = config->rope;
    RopeTable table;
    Err err;
    assert_ok(rope_spec_parse(text, &spec, &err), &err);
    assert_ok(rope_spec_resolve(&spec, 64, &err), &err);
    assert_ok(rope_table_make(&spec, 64, &table, &err), &err);
    return table;
}

bool fixture_fill(void *context, const TrainRow *row, Err *err)
{
    static const float weights[] = {0.0F, 1.0F, 2.5F};
    const int *vocab_size = context;
    Rng rng = rng_open(11, (uint32_t)row->step, (uint32_t)row->row, (uint32_t)row->length);
    (void)err;
    for (int i = 0; i <= row->length; i++)
        row->tokens[i] = (int32_t)rng_below(&rng, (uint32_t)*vocab_size);
    for (int i = 0; i < row->length; i++)
        row->weights[i] = weights[rng_below(&rng, 3)];
    return true;
}

TrainerOptions fixture_options(const ModelConfig *config, const char *rope, TrainPhase phase)
{
    static int vocab_size;
    vocab_size = config->vocab_size;
    return (TrainerOptions){
        .config = *config,
        .rope = table_of(config, rope),
        .schedule = {.n_phases = 1,
                     .phase = {phase},
                     .rate = 1e-2,
                     .n_warm_up = 5,
                     .decay_share = 0.5,
                     .final_share = 0.02},
        .adamw = {.beta1 = 0.9,             .beta2 = 0.98,   .eps = 1e-8, .weight_decay = 0.1, .clip = 0.5},
        .n_threads = 1,
        .fill = fixture_fill,
        .context = &vocab_size,
    };
}

Trainer *fixture_trainer(const TrainerOptions *options)
{
    Err err;
    Trainer *trainer = trainer_open(options, &err);
    assert_ok(trainer, &err);
    const TrainLayout *layout = trainer_layout(trainer);
    float *weights = trainer_state(trainer).weights;
    train_layout_draw(&options->config, layout, 4, weights);
    for (size_t i = 0; i < layout->n; i++)
        weights[i] = 2.0F * weights[i] + 0.03F * (float)(i % 7);
    return trainer;
}
