/* What training leaves on disk: checkpoints that go on bit for bit, and models that the engine reads. */
#include "tests/test_util.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/dequant.h"
#include "models/session.h"
#include "models/train/checkpoint.h"
#include "models/train/export.h"
#include "tests/engine_setup.h"
#include "tests/train_fixture.h"

enum { N_STEPS = 6 };

static const char identity[HASH_HEX_SIZE] =
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

static TrainerOptions six_steps(const ModelConfig *config)
{
    TrainerOptions options = fixture_options(config, "none", (TrainPhase){3, 9, 20});
    options.schedule.n_phases = 2;
    options.schedule.phase[1] = (TrainPhase){3, 4, 40};
    return options;
}

static void take_steps(Trainer *trainer, int n)
{
    for (int i = 0; i < n; i++) {
        Err err;
        TrainStep step;
        assert_ok(trainer_step(trainer, &step, &err), &err);
    }
}

/* A path in the test's folder; free with free(). */
static char *path_of(const char *name)
{
    return file_join(test_folder(), name);
}

static void assert_state_equal(Trainer *a, Trainer *b)
{
    size_t bytes = trainer_layout(a)->n * sizeof(float);
    assert_int_equal(trainer_steps(a), trainer_steps(b));
    assert_memory_equal(trainer_state(a).weights, trainer_state(b).weights, bytes);
    assert_memory_equal(trainer_state(a).mean, trainer_state(b).mean, bytes);
    assert_memory_equal(trainer_state(a).square, trainer_state(b).square, bytes);
}

static void test_a_run_that_was_resumed_is_equal_to_one_that_never_stopped(void **state)
{
    (void)state;
    ModelConfig config = fixture_config(ROPE_HALVES, true);
    TrainerOptions options = six_steps(&config);
    char *path = path_of("resume.safetensors");
    Trainer *whole = fixture_trainer(&options);
    take_steps(whole, N_STEPS);
    for (int stop = 0; stop <= N_STEPS; stop++) {
        Err err;
        Buf log = {0};
        Buf read = {0};
        for (int i = 0; i < stop; i++)
            buf_printf(&log, "step %d\n", i);
        Trainer *first = fixture_trainer(&options);
        Trainer *second = trainer_open(&options, &err);
        assert_ok(second, &err);
        take_steps(first, stop);
        assert_ok(checkpoint_write(path, first, identity, &log, &err), &err);
        assert_ok(checkpoint_read(path, second, identity, &read, &err), &err);
        assert_state_equal(second, first);
        assert_int_equal(read.len, log.len);
        assert_string_equal(buf_text(&read), buf_text(&log));
        take_steps(second, N_STEPS - stop);
        assert_state_equal(second, whole);
        trainer_close(first);
        trainer_close(second);
        buf_free(&log);
        buf_free(&read);
    }
    trainer_close(whole);
    free(path);
}

/* Reads `path` into a trainer of other state, which must not change. */
static void assert_refused(const TrainerOptions *options, const char *path, const char *run,
                           const char *text)
{
    Err err;
    Trainer *trainer = fixture_trainer(options);
    Trainer *before = fixture_trainer(options);
    Buf log = {0};
    assert_err(checkpoint_read(path, trainer, run, &log, &err), &err, ERR_INPUT, text);
    assert_state_equal(trainer, before);
    assert_int_equal(log.len, 0);
    trainer_close(trainer);
    trainer_close(before);
}

static void test_a_checkpoint_of_another_run_is_refused(void **state)
{
    (void)state;
    char other[HASH_HEX_SIZE];
    ModelConfig config = fixture_config(ROPE_HALVES, true);
    ModelConfig untied = fixture_config(ROPE_HALVES, false);
    TrainerOptions options = six_steps(&config);
    TrainerOptions larger = six_steps(&untied);
    TrainerOptions shorter = fixture_options(&config, "none", (TrainPhase){1, 9, 20});
    char *path = path_of("other.safetensors");
    Err err;
    Trainer *trainer = fixture_trainer(&options);
    take_steps(trainer, 2);
    assert_ok(checkpoint_write(path, trainer, identity, &(Buf){0}, &err), &err);
    trainer_close(trainer);
    snprintf(other, sizeof other, "%s", identity);
    other[63] = '0';
    assert_refused(&options, path, other, "another recipe");
    assert_refused(&larger, path, identity, "tensor weights has another size");
    assert_refused(&shorter, path, identity, "2 steps were taken, the schedule has 1");
    assert_refused(&options, "absent.safetensors", identity, "absent.safetensors");
    free(path);
}

static void test_a_damaged_checkpoint_is_refused(void **state)
{
    (void)state;
    ModelConfig config = fixture_config(ROPE_HALVES, true);
    TrainerOptions options = six_steps(&config);
    char *path = path_of("damaged.safetensors");
    Err err;
    FileMap map;
    Trainer *trainer = fixture_trainer(&options);
    assert_ok(checkpoint_write(path, trainer, identity, &(Buf){0}, &err), &err);
    trainer_close(trainer);
    assert_ok(file_map(path, &map, &err), &err);
    for (size_t n = 0; n < map.size; n += 1 + map.size / 20)
        assert_refused(&options, test_file("cut.safetensors", map.data, n), identity, "");
    file_unmap(&map);
    free(path);
}

/* Trains a few steps and writes the model into a new folder, which is returned; free with free(). */
static char *train_and_export(Trainer *trainer, const ModelConfig *config, const RopeSpec *rope,
                              Dtype dtype, const char *name)
{
    Err err;
    char *folder = path_of(name);
    TrainedModel model = {
        .config = config,
        .rope = rope,
        .n_ctx = 64,
        .layout = trainer_layout(trainer),
        .weights = trainer_state(trainer).weights,
        .dtype = dtype,
    };
    take_steps(trainer, 2);
    assert_int_equal(mkdir(folder, 0755), 0);
    assert_ok(train_export(&model, folder, &err), &err);
    return folder;
}

/* Loss of the trainer's next batch, by the engine. */
static double engine_loss(const Model *model, const TrainerOptions *options, int64_t step)
{
    enum { MAX_LENGTH = 64 };
    TrainPhase phase = *train_schedule_phase(&options->schedule, step);
    Err err;
    RopeTable table;
    double sum = 0.0;
    double total = 0.0;
    Session *session = session_open(model, MAX_LENGTH + 1, &(SessionOptions){.n_threads = 1}, &err);
    assert_ok(session, &err);
    assert_ok(rope_table_make(&model->config.rope, 64, &table, &err), &err);
    assert_ok(session_set_rope(session, &table, &err), &err);
    for (int row = 0; row < phase.n_rows; row++) {
        int32_t tokens[MAX_LENGTH + 1];
        float weights[MAX_LENGTH];
        uint8_t want[MAX_LENGTH];
        TokenScore scores[MAX_LENGTH];
        TrainRow ask = {step, row, phase.length, tokens, weights};
        memset(want, 1, sizeof want);
        assert_ok(options->fill(options->context, &ask, &err), &err);
        assert_ok(session_score(session, tokens, phase.length + 1, want, scores, &err), &err);
        for (int i = 0; i < phase.length; i++) {
            sum += (double)weights[i] * scores[i].nll;
            total += (double)weights[i];
        }
    }
    session_close(session);
    return sum / total;
}

static Model *load_or_fail(const char *folder)
{
    Err err;
    Model *model = model_load(folder, &err);
    assert_ok(model, &err);
    return model;
}

static void check_engine(bool tied, const char *rope, const char *name)
{
    ModelConfig config = fixture_config(ROPE_HALVES, tied);
    TrainerOptions options = fixture_options(&config, rope, (TrainPhase){4, 3, 50});
    RopeSpec spec = config.rope;
    Err err;
    TrainStep step;
    assert_ok(rope_spec_parse(rope, &spec, &err), &err);
    assert_ok(rope_spec_resolve(&spec, 64, &err), &err);
    Trainer *trainer = fixture_trainer(&options);
    char *folder = train_and_export(trainer, &config, &spec, DTYPE_F32, name);
    Model *model = load_or_fail(folder);
    double got = engine_loss(model, &options, 2);
    assert_ok(trainer_step(trainer, &step, &err), &err);
    assert_close(got, step.loss, 0.0, 1e-5);
    assert_int_equal(model->config.n_ctx_train, 64);
    model_free(model);
    trainer_close(trainer);
    free(folder);
}

static void test_the_engine_gives_a_trained_model_the_trainers_loss(void **state)
{
    (void)state;
    check_engine(true, "none", "plain");
    check_engine(false, "none", "untied");
}

static void test_a_model_that_was_trained_scaled_says_so_in_its_config(void **state)
{
    (void)state;
    check_engine(true, "yarn:factor=4", "yarn");
    check_engine(true, "linear:factor=4", "linear");
    check_engine(true, "ntk:lambda=3", "ntk");
}

/* Every weight of the loaded model is the trainer's, rounded. */
static void check_rounding(Dtype dtype, const char *name)
{
    ModelConfig config = fixture_config(ROPE_HALVES, false);
    TrainerOptions options = fixture_options(&config, "none", (TrainPhase){4, 3, 20});
    Trainer *trainer = fixture_trainer(&options);
    const TrainLayout *layout = trainer_layout(trainer);
    char *folder = train_and_export(trainer, &config, &config.rope, dtype, name);
    Model *model = load_or_fail(folder);
    float *got = mem_alloc(layout->n, sizeof *got);
    train_layout_copy(layout, model, got);
    for (size_t i = 0; i < layout->n; i++) {
        unsigned char bytes[sizeof(float)];
        float want;
        dtype_info(dtype)->from_f32(&trainer_state(trainer).weights[i], bytes, 1);
        dtype_info(dtype)->to_f32(bytes, &want, 1);
        assert_true(got[i] == want);
    }
    free(got);
    model_free(model);
    trainer_close(trainer);
    free(folder);
}

static void test_weights_are_rounded_to_the_type_asked_for(void **state)
{
    (void)state;
    check_rounding(DTYPE_F32, "f32");
    check_rounding(DTYPE_F16, "f16");
    check_rounding(DTYPE_BF16, "bf16");
}

static void test_what_config_json_cannot_say_is_refused(void **state)
{
    (void)state;
    ModelConfig config = fixture_config(ROPE_INTERLEAVED, true);
    TrainedModel model = {.config = &config, .rope = &config.rope, .n_ctx = 64};
    Buf out = {0};
    Err err;
    assert_err(train_export_config(&model, &out, &err), &err, ERR_UNSUPPORTED, "pairs");
    config.rope_layout = ROPE_HALVES;
    assert_ok(train_export_config(&model, &out, &err), &err);
    RopeSpec rerope = config.rope;
    assert_ok(rope_spec_parse("rerope:window=8", &rerope, &err), &err);
    assert_ok(rope_spec_resolve(&rerope, 64, &err), &err);
    model.rope = &rerope;
    assert_err(train_export_config(&model, &out, &err), &err, ERR_UNSUPPORTED, "rerope");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_run_that_was_resumed_is_equal_to_one_that_never_stopped),
        cmocka_unit_test(test_a_checkpoint_of_another_run_is_refused),
        cmocka_unit_test(test_a_damaged_checkpoint_is_refused),
        cmocka_unit_test(test_the_engine_gives_a_trained_model_the_trainers_loss),
        cmocka_unit_test(test_a_model_that_was_trained_scaled_says_so_in_its_config),
        cmocka_unit_test(test_weights_are_rounded_to_the_type_asked_for),
        cmocka_unit_test(test_what_config_json_cannot_say_is_refused),
    };
    return cmocka_run_group_tests(tests, engine_setup, NULL);
}
