/* `train`: a recipe to a model.
 *
 *     measure -> steps -> measure -> … -> the last measure
 *
 * To measure is to write the model (rounded as it will be shipped), load it, run the probes, add a row to the log, write log, charts and
 * checkpoint. A signal writes a checkpoint between two steps. When the last measure is done the checkpoint is removed: a folder
 * with a model and no checkpoint is finished. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "harness/commands.h"
#include "harness/load.h"
#include "harness/progress.h"
#include "harness/recipe.h"
#include "harness/signals.h"
#include "harness/source.h"
#include "harness/train_data.h"
#include "harness/train_log.h"
#include "harness/train_measure.h"
#include "models/train/checkpoint.h"
#include "models/train/export.h"

enum {
    TRAIN_VERSION = 1, /* raised when the same recipe gives other weights */
    LOGS_A_MEASURE = 10,
    EXIT_SIGNAL = 128,
};

/* Means since the row before. */
typedef struct {
    double loss;
    double norm;
    int64_t n;
} Means;

typedef struct {
    const Options *options;
    Recipe recipe;
    TrainData data;
    Trainer *trainer;
    char *checkpoint; /* path */
    char identity[HASH_HEX_SIZE];
    Buf log;
    Means means;
    TrainStep last;
    int64_t n_tokens; /* trained on */
    double seconds;   /* spent before `started` */
    double started;
    ProgressLine progress;
} Run;

static double seconds_of(const Run *run)
{
    return run->seconds + clock_monotonic_s() - run->started;
}

/* All that the weights depend on. */
static bool identify(Run *run, const Model *init)
{
    Buf text = {0};
    char tokenizer[HASH_HEX_SIZE];
    hash_bytes(run->data.tokenizer_text.data, run->data.tokenizer_text.len, tokenizer);
    buf_printf(&text, "version=%d\nseed=%lld\ncorpus=%s\ntokenizer=%s\ninit=%s\n", TRAIN_VERSION,
               (long long)run->options->seed, run->data.corpus->hash, tokenizer,
               init ? init->hash : "");
    recipe_key(&run->recipe, &text);
    hash_bytes(text.data, text.len, run->identity);
    buf_free(&text);
    return true;
}

static bool open_trainer(Run *run, Err *err)
{
    const Options *options = run->options;
    TrainerOptions train = {
        .config = run->recipe.config,
        .schedule = run->recipe.schedule,
        .adamw = run->recipe.adamw,
        .n_threads = load_n_threads(options),
        .fill = train_data_fill,
        .context = &run->data,
    };
    Model *init = options->init ? model_load(source_path(options, options->init), err) : NULL;
    bool ok = (init || !options->init) &&
              rope_table_make(&run->recipe.rope, run->recipe.n_ctx, &train.rope, err);
    if (ok) run->trainer = trainer_open(&train, err);
    ok = ok && run->trainer && identify(run, init);
    if (ok && init)
        train_layout_copy(trainer_layout(run->trainer), init, trainer_state(run->trainer).weights);
    else if (ok)
        train_layout_draw(&train.config, trainer_layout(run->trainer), (uint64_t)options->seed,
                          trainer_state(run->trainer).weights);
    model_free(init);
    return ok;
}

static bool write_in_folder(const char *folder, const char *name, const Buf *text, Err *err)
{
    char *path = file_join(folder, name);
    bool ok = file_write_atomic(path, text->data, text->len, err);
    free(path);
    return ok;
}

static bool has_file(const char *folder, const char *name)
{
    char *path = file_join(folder, name);
    bool has = file_exists(path);
    free(path);
    return has;
}

/* Makes the folder of the model, and refuses one that holds another. */
static bool prepare_folder(const Run *run, Err *err)
{
    const char *folder = run->options->out;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return err_set(err, ERR_OUTPUT, "--out %s: cannot be made: %s", folder, strerror(errno));
    if (!file_is_dir(folder)) return err_set(err, ERR_OUTPUT, "--out %s: is no folder", folder);
    bool is_open = file_exists(run->checkpoint);
    if (is_open && !run->options->resume)
        return err_set(err, ERR_USAGE,
                       "--out %s: holds a run that was stopped: --resume goes on, or remove %s",
                       folder, run->checkpoint);
    if (!is_open && has_file(folder, "model.safetensors"))
        return err_set(err, ERR_USAGE, "--out %s: holds a model already; name another folder",
                       folder);
    return write_in_folder(folder, "tokenizer.json", &run->data.tokenizer_text, err) &&
           (run->data.tokenizer_config.len == 0 ||
            write_in_folder(folder, "tokenizer_config.json", &run->data.tokenizer_config, err));
}

/* What has been summed since the last row goes into a checkpoint as a row of its own, so that the next row is the one that a run without
 * a stop would have written. */
static const double means_step = -1.0;

static void push_means(Run *run)
{
    LogRow row = {
        .value = {
                  [LOG_STEP] = means_step,
                  [LOG_TOKENS] = (double)run->means.n,
                  [LOG_SECONDS] = seconds_of(run),
                  [LOG_RATE] = run->last.rate,
                  [LOG_LOSS] = run->means.loss,
                  [LOG_NORM] = run->means.norm,
                  }
    };
    train_log_add(&run->log, &row);
}

/* Goes on from that row, and takes it off. */
static void pop_means(Run *run)
{
    size_t n = train_log_n(&run->log);
    if (n == 0) return;
    LogRow row = train_log_row(&run->log, n - 1);
    run->seconds = row.value[LOG_SECONDS];
    if (row.value[LOG_STEP] != means_step) return;
    run->means = (Means){.loss = row.value[LOG_LOSS],
                         .norm = row.value[LOG_NORM],
                         .n = (int64_t)row.value[LOG_TOKENS]};
    run->last.rate = row.value[LOG_RATE];
    run->log.len -= sizeof row;
}

/* Takes up a run where its checkpoint is; without one it starts from the beginning. */
static bool resume(Run *run, Err *err)
{
    if (!run->options->resume || !file_exists(run->checkpoint)) return true;
    if (!checkpoint_read(run->checkpoint, run->trainer, run->identity, &run->log, err))
        return false;
    if (run->log.len % sizeof(LogRow) != 0)
        return err_set(err, ERR_INPUT, "%s: the log in it is damaged", run->checkpoint);
    pop_means(run);
    for (int64_t step = 0; step < trainer_steps(run->trainer); step++) {
        const TrainPhase *phase = train_schedule_phase(&run->recipe.schedule, step);
        run->n_tokens += (int64_t)phase->n_rows * phase->length;
    }
    return true;
}

static bool write_checkpoint(Run *run, Err *err)
{
    push_means(run);
    bool ok = checkpoint_write(run->checkpoint, run->trainer, run->identity, &run->log, err);
    run->log.len -= sizeof(LogRow);
    return ok;
}

static double mean_of(double sum, int64_t n)
{
    return n > 0 ? sum / (double)n : (double)NAN;
}

static void add_row(Run *run, const TrainMeasures *measures)
{
    int64_t taken = trainer_steps(run->trainer);
    const TrainPhase *phase = train_schedule_phase(&run->recipe.schedule, max_i64(taken - 1, 0));
    LogRow row = {
        .value = {
                  [LOG_STEP] = (double)taken,
                  [LOG_LENGTH] = phase->length,
                  [LOG_TOKENS] = (double)run->n_tokens,
                  [LOG_SECONDS] = seconds_of(run),
                  [LOG_RATE] = run->means.n ? run->last.rate : (double)NAN,
                  [LOG_LOSS] = mean_of(run->means.loss, run->means.n),
                  [LOG_NORM] = mean_of(run->means.norm, run->means.n),
                  [LOG_HELD_OUT] = measures->held_out,
                  [LOG_HALF] = measures->half,
                  [LOG_FULL] = measures->full,
                  }
    };
    train_log_add(&run->log, &row);
    run->means = (Means){0};
}

static void print_nats(double value)
{
    if (isfinite(value))
        printf("%11.4f", value);
    else
        printf("%11s", "-");
}

static void print_share(double value)
{
    if (isfinite(value))
        printf("%10.0f%%", 100.0 * value);
    else
        printf("%11s", "-");
}

static void print_row(const Run *run)
{
    LogRow row = train_log_row(&run->log, train_log_n(&run->log) - 1);
    progress_line_clear(&run->progress);
    printf("%7.0f %7.0f", row.value[LOG_STEP], row.value[LOG_LENGTH]);
    print_nats(row.value[LOG_LOSS]);
    print_nats(row.value[LOG_HELD_OUT]);
    print_share(row.value[LOG_HALF]);
    print_share(row.value[LOG_FULL]);
    printf("\n");
    fflush(stdout);
}

static void print_head(const Run *run)
{
    char half[32];
    char full[32];
    snprintf(half, sizeof half, "key@%lld", (long long)(run->recipe.n_ctx / 2));
    snprintf(full, sizeof full, "key@%lld", (long long)run->recipe.n_ctx);
    printf("%7s %7s%11s%11s%11s%11s\n", "step", "length", "loss", "held out", half, full);
}

/* Writes the model as it is now, measures it, and keeps all of it. */
static bool measure(Run *run, Err *err)
{
    TrainMeasures measures;
    const char *folder = run->options->out;
    TrainedModel model = {
        .config = &run->recipe.config,
        .rope = &run->recipe.rope,
        .n_ctx = run->recipe.n_ctx,
        .layout = trainer_layout(run->trainer),
        .weights = trainer_state(run->trainer).weights,
        .dtype = run->recipe.dtype,
    };
    progress_line_draw(&run->progress, "measuring …");
    if (!train_export(&model, folder, err) ||
        !train_measure(folder, &run->recipe, &run->data, &measures, err))
        return false;
    add_row(run, &measures);
    print_row(run);
    return train_log_write(&run->log, run->recipe.n_ctx, folder, err) && write_checkpoint(run, err);
}

static void show_progress(Run *run, int64_t first)
{
    char left[PROGRESS_TEXT_SIZE];
    if (!progress_line_is_due(&run->progress)) return;
    int64_t taken = trainer_steps(run->trainer);
    int64_t total = trainer_total_steps(run->trainer);
    double pace = (clock_monotonic_s() - run->started) / (double)(taken - first);
    progress_time_text(pace * (double)(total - taken), left);
    char *text =
        str_format("step %lld of %lld, %s left: rows of %d tokens, loss %.3f", (long long)taken,
                   (long long)total, left,
                   train_schedule_phase(&run->recipe.schedule, taken)->length, run->last.loss);
    progress_line_draw(&run->progress, text);
    free(text);
}

static bool take_step(Run *run, Err *err)
{
    static const TrainMeasures nothing = {NAN, NAN, NAN};
    int64_t every = max_i64(1, run->options->every / LOGS_A_MEASURE);
    if (!trainer_step(run->trainer, &run->last, err)) return false;
    run->means.loss += run->last.loss;
    run->means.norm += run->last.norm;
    run->means.n++;
    run->n_tokens += run->last.n_tokens;
    int64_t taken = trainer_steps(run->trainer);
    bool is_measured =
        taken % run->options->every == 0 || taken == trainer_total_steps(run->trainer);
    if (taken % every == 0 && !is_measured) add_row(run, &nothing);
    return true;
}

/* Whether the model as it is now waits to be measured. A model that was trained before is measured before the first step too. */
static bool is_due(const Run *run)
{
    int64_t taken = trainer_steps(run->trainer);
    size_t n = train_log_n(&run->log);
    bool is_point = taken % run->options->every == 0 || taken == trainer_total_steps(run->trainer);
    bool is_there = n > 0 && train_log_row(&run->log, n - 1).value[LOG_STEP] == (double)taken;
    return is_point && !is_there && (taken > 0 || run->options->init);
}

static bool stop(Run *run, Err *err)
{
    progress_line_clear(&run->progress);
    if (!write_checkpoint(run, err)) return false;
    fprintf(stderr, "stopped after step %lld of %lld, which is kept; to go on:\n%s%s\n",
            (long long)trainer_steps(run->trainer), (long long)trainer_total_steps(run->trainer),
            run->options->command_line, run->options->resume ? "" : " --resume");
    return err_set(err, ERR_CANCELLED, "stopped by a signal");
}

static bool train(Run *run, Err *err)
{
    int64_t first = trainer_steps(run->trainer);
    run->started = clock_monotonic_s();
    run->progress = progress_line_open(run->options->quiet);
    print_head(run);
    for (;;) {
        if (!signals_keep_going(NULL)) return stop(run, err);
        if (is_due(run) && !measure(run, err))
            return err->code == ERR_CANCELLED ? stop(run, err) : false;
        if (trainer_steps(run->trainer) == trainer_total_steps(run->trainer)) return true;
        if (!take_step(run, err)) return false;
        show_progress(run, first);
    }
}

static bool finish(const Run *run, Err *err)
{
    char time[PROGRESS_TEXT_SIZE];
    if (unlink(run->checkpoint) != 0)
        return err_set(err, ERR_OUTPUT, "%s: cannot be removed: %s", run->checkpoint,
                       strerror(errno));
    progress_time_text(seconds_of(run), time);
    if (!run->options->quiet)
        fprintf(stderr, "%lld tokens in %s; the model is in %s\n", (long long)run->n_tokens, time,
                run->options->out);
    return true;
}

static void print_plan(const Run *run)
{
    const Recipe *recipe = &run->recipe;
    const ModelConfig *c = &recipe->config;
    char setting[ROPE_TEXT_SIZE];
    int64_t tokens = 0;
    rope_spec_text(&recipe->rope, setting);
    printf("model: %zu weights, d_model %d, %d layers, %d heads of %d, d_ff %d, vocabulary %d\n",
           trainer_layout(run->trainer)->n, c->d_model, c->n_layers, c->n_heads, c->head_dim,
           c->d_ff, c->vocab_size);
    printf("setting: %s, base %g\n", setting, recipe->rope.theta);
    printf("text: %lld tokens in %lld documents\n", (long long)run->data.corpus->n_tokens,
           (long long)run->data.corpus->n_documents);
    for (int i = 0; i < recipe->schedule.n_phases; i++) {
        const TrainPhase *phase = &recipe->schedule.phase[i];
        printf("phase %d: %lld steps of %d rows of %d tokens\n", i + 1, (long long)phase->n_steps,
               phase->n_rows, phase->length);
        tokens += phase->n_steps * phase->n_rows * phase->length;
    }
    printf("work: %lld tokens, %.2f TFLOP\n", (long long)tokens, 1e-12 * recipe_flop(recipe));
}

static bool run_all(Run *run, Err *err)
{
    if (!run->options->out && !run->options->dry_run)
        return err_set(err, ERR_USAGE,
                       "train writes a model into a folder: give --out DIR, or --dry-run");
    if (!recipe_make(run->options, &run->recipe, err) ||
        !train_data_open(run->options, &run->recipe, &run->data, err) || !open_trainer(run, err))
        return false;
    if (run->options->dry_run) {
        print_plan(run);
        return true;
    }
    run->checkpoint = file_join(run->options->out, "checkpoint.safetensors");
    return prepare_folder(run, err) && resume(run, err) && train(run, err) && finish(run, err);
}

int cmd_train(const Command *command, const Options *options, Err *err)
{
    (void)command;
    Run run = {.options = options};
    bool ok = run_all(&run, err);
    progress_line_clear(&run.progress);
    trainer_close(run.trainer);
    train_data_close(&run.data);
    buf_free(&run.log);
    free(run.checkpoint);
    if (!ok && err->code == ERR_CANCELLED && signals_caught())
        return EXIT_SIGNAL + signals_caught();
    return ok ? EXIT_OK : cli_exit_status(err->code);
}
