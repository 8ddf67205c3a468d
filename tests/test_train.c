/* The trainer against a twin in double, against the engine, and against itself on another number of threads. */
#include "tests/test_util.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "models/session.h"
#include "models/train/trainer.h"
#include "tests/engine_setup.h"
#include "tests/train_fixture.h"
#include "tests/train_twin.h"

/* The twin of a trainer, with its weights; free with close_twin. */
static TrainTwin open_twin(Trainer *trainer, const TrainerOptions *options)
{
    const TrainLayout *layout = trainer_layout(trainer);
    TrainTwin twin = {
        .config = &options->config,
        .layout = layout,
        .amplitude = options->rope.amplitude,
        .log_n = options->rope.log_n_length,
        .weights = mem_alloc(layout->n, sizeof *twin.weights),
    };
    for (int i = 0; i < options->rope.n_pairs; i++)
        twin.theta[i] = rope_scaled_angle(&options->rope, i);
    for (size_t i = 0; i < layout->n; i++)
        twin.weights[i] = (double)trainer_state(trainer).weights[i];
    return twin;
}

/* The batch of a step, as the trainer asks for it. */
typedef struct {
    int32_t tokens[4096];
    float weights[4096];
    TwinBatch batch;
} Filled;

static void fill_batch(const TrainerOptions *options, int64_t step, Filled *out)
{
    TrainPhase phase = *train_schedule_phase(&options->schedule, step);
    Err err;
    out->batch = (TwinBatch){out->tokens, out->weights, phase.n_rows, phase.length};
    assert_true((size_t)phase.n_rows * ((size_t)phase.length + 1) <= COUNT_OF(out->tokens));
    for (int row = 0; row < phase.n_rows; row++) {
        TrainRow ask = {step, row, phase.length, out->tokens + row * (phase.length + 1),
                        out->weights + row * phase.length};
        assert_ok(options->fill(options->context, &ask, &err), &err);
    }
}

/* The distance of two vectors, as a share of the second's length. */
static double distance(const float *got, const double *want, size_t n)
{
    double off = 0.0;
    double length = 0.0;
    for (size_t i = 0; i < n; i++) {
        off += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        length += want[i] * want[i];
    }
    return sqrt(off / length);
}

/* Every weight's gradient against central differences, tensor by tensor. */
static void check_gradient(ModelConfig config, const char *rope)
{
    TrainerOptions options = fixture_options(&config, rope, (TrainPhase){1, 3, 7});
    Trainer *trainer = fixture_trainer(&options);
    TrainTwin twin = open_twin(trainer, &options);
    const TrainLayout *layout = trainer_layout(trainer);
    float *got = mem_alloc(layout->n, sizeof *got);
    double *want = mem_alloc(layout->n, sizeof *want);
    double loss;
    Err err;
    Filled filled;
    fill_batch(&options, 0, &filled);
    assert_ok(trainer_gradient(trainer, &loss, got, &err), &err);
    assert_close(loss, train_twin_loss(&twin, &filled.batch), 1e-6, 0.0);
    for (size_t i = 0; i < layout->n; i++)
        want[i] = train_twin_slope(&twin, &filled.batch, i);
    for (int slot = 0; slot < N_SLOTS; slot++)
        for (int layer = 0; layer < (slot < N_LAYER_SLOTS ? config.n_layers : 1); layer++) {
            size_t at = train_layout_at(layout, (Slot)slot, layer);
            if (layout->floats[slot] == 0) continue;
            assert_close(distance(got + at, want + at, layout->floats[slot]), 0.0, 0.0, 1e-4);
        }
    free(got);
    free(want);
    free(twin.weights);
    trainer_close(trainer);
}

static void test_gradients_are_the_central_differences_of_the_twin(void **state)
{
    (void)state;
    check_gradient(fixture_config(ROPE_HALVES, true), "none");
}

static void test_gradients_of_an_untied_head_and_interleaved_pairs_are_right(void **state)
{
    (void)state;
    check_gradient(fixture_config(ROPE_INTERLEAVED, false), "none");
}

static void test_gradients_are_right_where_part_of_a_head_turns(void **state)
{
    (void)state;
    ModelConfig config = fixture_config(ROPE_HALVES, true);
    config.n_rot = config.rope.n_rot = 2;
    check_gradient(config, "none");
}

static void test_gradients_are_right_under_scaled_angles(void **state)
{
    (void)state;
    check_gradient(fixture_config(ROPE_HALVES, true), "ntk:lambda=3");
    check_gradient(fixture_config(ROPE_HALVES, true), "linear:factor=4");
    check_gradient(fixture_config(ROPE_HALVES, true), "yarn:factor=4,attention_factor=1.3");
}

static void test_gradients_are_right_where_queries_grow_with_the_position(void **state)
{
    (void)state;
    ModelConfig config = fixture_config(ROPE_HALVES, true);
    config.rope.n_ctx_orig = 4;
    check_gradient(config, "none:log_n=1");
}

/* Long rows fill several blocks of queries, several sets of rows and several groups of logits; the gradient along one direction a
 * tensor tells. */
static void test_gradients_of_long_rows_are_right_along_every_tensor(void **state)
{
    (void)state;
    ModelConfig config = fixture_config(ROPE_HALVES, true);
    TrainerOptions options = fixture_options(&config, "none", (TrainPhase){1, 10, 300});
    Trainer *trainer = fixture_trainer(&options);
    TrainTwin twin = open_twin(trainer, &options);
    const TrainLayout *layout = trainer_layout(trainer);
    float *got = mem_alloc(layout->n, sizeof *got);
    double loss;
    Err err;
    Filled filled;
    fill_batch(&options, 0, &filled);
    assert_ok(trainer_gradient(trainer, &loss, got, &err), &err);
    assert_close(loss, train_twin_loss(&twin, &filled.batch), 1e-6, 0.0);
    for (int slot = 0; slot < N_SLOTS; slot++) {
        size_t at = layout->offset[slot];
        double along = 0.0;
        double want = 0.0;
        if (layout->floats[slot] == 0) continue;
        for (size_t i = 0; i < layout->floats[slot]; i++)
            along += (double)got[at + i] * (double)got[at + i];
        double h = 1e-6 / sqrt(along);
        for (int side = 1; side >= -1; side -= 2) {
            for (size_t i = 0; i < layout->floats[slot]; i++)
                twin.weights[at + i] += side * h * (double)got[at + i];
            want += side * train_twin_loss(&twin, &filled.batch) / (2.0 * h);
            for (size_t i = 0; i < layout->floats[slot]; i++)
                twin.weights[at + i] -= side * h * (double)got[at + i];
        }
        assert_close(along, want, 1e-4, 0.0);
    }
    free(got);
    free(twin.weights);
    trainer_close(trainer);
}

static void test_losses_of_the_first_steps_are_those_of_the_twin(void **state)
{
    (void)state;
    enum { N_STEPS = 21 };
    ModelConfig config = fixture_config(ROPE_HALVES, true);
    TrainerOptions options = fixture_options(&config, "none", (TrainPhase){N_STEPS, 2, 6});
    options.schedule.rate = 2e-3; /* small steps, so that rounding does not grow */
    Trainer *trainer = fixture_trainer(&options);
    TrainTwin twin = open_twin(trainer, &options);
    const TrainLayout *layout = trainer_layout(trainer);
    size_t no_decay[2 * 2 + 2][2];
    int n_no_decay = 0;
    for (int layer = 0; layer < config.n_layers; layer++) {
        no_decay[n_no_decay++][0] = train_layout_at(layout, SLOT_ATTN_NORM, layer);
        no_decay[n_no_decay++][0] = train_layout_at(layout, SLOT_FFN_NORM, layer);
    }
    no_decay[n_no_decay++][0] = train_layout_at(layout, SLOT_OUT_NORM, 0);
    for (int k = 0; k < n_no_decay; k++)
        no_decay[k][1] = no_decay[k][0] + (size_t)config.d_model;
    no_decay[n_no_decay][0] = train_layout_at(layout, SLOT_EMBEDDING, 0);
    no_decay[n_no_decay][1] =
        no_decay[n_no_decay][0] + (size_t)(FIXTURE_VOCAB_SIZE * config.d_model);
    n_no_decay++;
    TwinStep step = {
        .options = options.adamw,
        .mean = mem_zalloc(layout->n, sizeof(double)),
        .square = mem_zalloc(layout->n, sizeof(double)),
        .no_decay = (const size_t(*)[2])no_decay,
        .n_no_decay = n_no_decay,
    };
    for (int i = 0; i < N_STEPS; i++) {
        Err err;
        Filled filled;
        TrainStep got;
        fill_batch(&options, i, &filled);
        assert_ok(trainer_step(trainer, &got, &err), &err);
        assert_close(got.loss, train_twin_loss(&twin, &filled.batch), 2e-5, 0.0);
        step.rate = got.rate;
        step.step = i + 1;
        train_twin_step(&twin, &filled.batch, &step);
    }
    assert_int_equal(trainer_steps(trainer), N_STEPS);
    free(step.mean);
    free(step.square);
    free(twin.weights);
    trainer_close(trainer);
}

/* Two phases; more rows than shards, and fewer. */
static TrainerOptions options_of_two_phases(const ModelConfig *config)
{
    TrainerOptions options = fixture_options(config, "none", (TrainPhase){4, 11, 70});
    options.schedule.n_phases = 2;
    options.schedule.phase[1] = (TrainPhase){3, 3, 130};
    return options;
}

static void test_weights_do_not_depend_on_threads(void **state)
{
    (void)state;
    ModelConfig config = fixture_config(ROPE_HALVES, true);
    float *first = NULL;
    for (int n_threads = 1; n_threads <= 3; n_threads++) {
        TrainerOptions options = options_of_two_phases(&config);
        options.n_threads = n_threads;
        Trainer *trainer = fixture_trainer(&options);
        size_t n = trainer_layout(trainer)->n;
        for (int i = 0; i < 7; i++) {
            Err err;
            TrainStep step;
            assert_ok(trainer_step(trainer, &step, &err), &err);
            assert_int_equal(step.n_tokens, i < 4 ? 770 : 390);
        }
        if (!first) first = mem_dup(trainer_state(trainer).weights, n * sizeof *first);
        assert_memory_equal(trainer_state(trainer).weights, first, n * sizeof *first);
        trainer_close(trainer);
    }
    free(first);
}

static void test_the_engine_gives_a_model_the_same_loss(void **state)
{
    (void)state;
    ModelConfig config = fixture_config(ROPE_HALVES, true);
    TrainerOptions options = fixture_options(&config, "yarn:factor=4", (TrainPhase){1, 1, 300});
    Err err;
    Filled filled = {0};
    Model *model = model_random(&config, 5, &err);
    assert_ok(model, &err);
    Trainer *trainer = trainer_open(&options, &err);
    assert_ok(trainer, &err);
    train_layout_copy(trainer_layout(trainer), model, trainer_state(trainer).weights);
    Session *session = session_open(model, 301, &(SessionOptions){.n_threads = 1}, &err);
    assert_ok(session, &err);
    assert_ok(session_set_rope(session, &options.rope, &err), &err);
    uint8_t want[300];
    TokenScore scores[300];
    TrainStep step;
    double sum = 0.0;
    double total = 0.0;
    memset(want, 1, sizeof want);
    fill_batch(&options, 0, &filled);
    assert_ok(session_score(session, filled.tokens, 301, want, scores, &err), &err);
    for (int i = 0; i < 300; i++) {
        sum += (double)filled.weights[i] * scores[i].nll;
        total += (double)filled.weights[i];
    }
    assert_ok(trainer_step(trainer, &step, &err), &err);
    assert_close(step.loss, sum / total, 0.0, 1e-5);
    trainer_close(trainer);
    session_close(session);
    model_free(model);
}

static void test_the_rate_rises_stays_and_falls_in_lines(void **state)
{
    (void)state;
    TrainSchedule schedule = {
        .n_phases = 2,
        .phase = {{60, 1, 1}, {40, 1, 1}},
        .rate = 2.0,
        .n_warm_up = 10,
        .decay_share = 0.5,
        .final_share = 0.1
    };
    assert_int_equal(train_schedule_steps(&schedule), 100);
    assert_close(train_schedule_rate(&schedule, 0), 0.2, 1e-12, 0.0);
    assert_close(train_schedule_rate(&schedule, 8), 1.8, 1e-12, 0.0);
    assert_close(train_schedule_rate(&schedule, 9), 2.0, 1e-12, 0.0);
    assert_close(train_schedule_rate(&schedule, 50), 2.0, 1e-12, 0.0);
    assert_close(train_schedule_rate(&schedule, 75), 1.0, 1e-12, 0.0);
    assert_close(train_schedule_rate(&schedule, 99), 0.2, 1e-12, 0.0);
    assert_ptr_equal(train_schedule_phase(&schedule, 59), &schedule.phase[0]);
    assert_ptr_equal(train_schedule_phase(&schedule, 60), &schedule.phase[1]);
    assert_ptr_equal(train_schedule_phase(&schedule, 1000), &schedule.phase[1]);
}

static void test_a_schedule_out_of_range_is_refused(void **state)
{
    (void)state;
    ModelConfig config = fixture_config(ROPE_HALVES, true);
    const TrainPhase bad[] = {
        {0, 1,                  1                   },
        {1, 0,                  1                   },
        {1, TRAIN_MAX_ROWS + 1, 1                   },
        {1, 1,                  TRAIN_MAX_LENGTH + 1}
    };
    Err err;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        TrainerOptions options = fixture_options(&config, "none", bad[i]);
        assert_err(trainer_open(&options, &err), &err, ERR_USAGE, "phase 1 of training");
    }
    TrainerOptions options = fixture_options(&config, "none", bad[0]);
    options.schedule.n_phases = 0;
    assert_err(trainer_open(&options, &err), &err, ERR_USAGE, "0 phases");
}

static void test_what_the_trainer_does_not_do_is_refused(void **state)
{
    (void)state;
    ModelConfig config = fixture_config(ROPE_HALVES, true);
    TrainerOptions options = fixture_options(&config, "rerope:window=3", (TrainPhase){1, 1, 5});
    Err err;
    assert_err(trainer_open(&options, &err), &err, ERR_UNSUPPORTED, "near and far");
    options = fixture_options(&config, "none", (TrainPhase){1, 1, 5});
    options.config.features = MODEL_QKV_BIAS;
    assert_err(trainer_open(&options, &err), &err, ERR_UNSUPPORTED, "biases");
    options.config.features = 0;
    options.config.window = 4;
    assert_err(trainer_open(&options, &err), &err, ERR_UNSUPPORTED, "sliding window");
}

/* What fill_bad makes of a row that fixture_fill filled. */
typedef enum { BAD_ID, BAD_NEGATIVE_ID, BAD_WEIGHT, BAD_NAN, BAD_ALL_ZERO, BAD_FAILS } BadRow;

static bool fill_bad(void *context, const TrainRow *row, Err *err)
{
    const BadRow *bad = context;
    int vocab_size = FIXTURE_VOCAB_SIZE;
    if (!fixture_fill(&vocab_size, row, err)) return false;
    if (*bad == BAD_ALL_ZERO) memset(row->weights, 0, (size_t)row->length * sizeof *row->weights);
    if (row->row != 9) return true;
    if (*bad == BAD_ID) row->tokens[row->length] = FIXTURE_VOCAB_SIZE;
    if (*bad == BAD_NEGATIVE_ID) row->tokens[0] = -1;
    if (*bad == BAD_WEIGHT) row->weights[2] = -1.0F;
    if (*bad == BAD_NAN) row->weights[2] = NAN;
    return *bad != BAD_FAILS || err_set(err, ERR_INPUT, "no such row");
}

static void test_bad_rows_are_refused_and_change_nothing(void **state)
{
    (void)state;
    static const struct {
        BadRow bad;
        const char *text;
    } cases[] = {
        {BAD_ID,          "step 0, row 9, token 5: id 9, of a vocabulary of 9"},
        {BAD_NEGATIVE_ID, "step 0, row 9, token 0: id -1"                     },
        {BAD_WEIGHT,      "step 0, row 9, token 3: weight -1"                 },
        {BAD_NAN,         "weight"                                            },
        {BAD_ALL_ZERO,    "every token of the batch has weight 0"             },
        {BAD_FAILS,       "no such row"                                       },
    };
    ModelConfig config = fixture_config(ROPE_HALVES, true);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        BadRow bad = cases[i].bad;
        TrainerOptions options = fixture_options(&config, "none", (TrainPhase){1, 12, 5});
        options.fill = fill_bad;
        options.context = &bad;
        options.n_threads = 2;
        Trainer *trainer = fixture_trainer(&options);
        size_t bytes = trainer_layout(trainer)->n * sizeof(float);
        float *before = mem_dup(trainer_state(trainer).weights, bytes);
        Err err;
        TrainStep step;
        assert_err(trainer_step(trainer, &step, &err), &err, ERR_INPUT, cases[i].text);
        assert_memory_equal(trainer_state(trainer).weights, before, bytes);
        assert_int_equal(trainer_steps(trainer), 0);
        free(before);
        trainer_close(trainer);
    }
}

static void test_a_loss_that_is_not_finite_stops_and_changes_nothing(void **state)
{
    (void)state;
    ModelConfig config = fixture_config(ROPE_HALVES, true);
    TrainerOptions options = fixture_options(&config, "none", (TrainPhase){1, 2, 5});
    Trainer *trainer = fixture_trainer(&options);
    Err err;
    TrainStep step;
    trainer_state(trainer).weights[0] = NAN;
    assert_err(trainer_step(trainer, &step, &err), &err, ERR_NONFINITE, "lower rate");
    assert_int_equal(trainer_steps(trainer), 0);
    trainer_close(trainer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_are_the_central_differences_of_the_twin),
        cmocka_unit_test(test_gradients_of_an_untied_head_and_interleaved_pairs_are_right),
        cmocka_unit_test(test_gradients_are_right_where_part_of_a_head_turns),
        cmocka_unit_test(test_gradients_are_right_under_scaled_angles),
        cmocka_unit_test(test_gradients_are_right_where_queries_grow_with_the_position),
        cmocka_unit_test(test_gradients_of_long_rows_are_right_along_every_tensor),
        cmocka_unit_test(test_losses_of_the_first_steps_are_those_of_the_twin),
        cmocka_unit_test(test_weights_do_not_depend_on_threads),
        cmocka_unit_test(test_the_engine_gives_a_model_the_same_loss),
        cmocka_unit_test(test_the_rate_rises_stays_and_falls_in_lines),
        cmocka_unit_test(test_a_schedule_out_of_range_is_refused),
        cmocka_unit_test(test_what_the_trainer_does_not_do_is_refused),
        cmocka_unit_test(test_bad_rows_are_refused_and_change_nothing),
        cmocka_unit_test(test_a_loss_that_is_not_finite_stops_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, engine_setup, NULL);
}
