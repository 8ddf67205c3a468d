/* A step, with s = 0 … TRAIN_SHARDS-1 shards of rows and pieces of the weights' vector:
 *
 *     in parallel over shards:  fill rows; gradient[s] = Σ over its rows
 *     in parallel over pieces:  gradient[0] = Σ_s gradient[s] / Σ weight; its sum of squares
 *     in parallel over pieces:  AdamW
 *
 * A shard runs as many rows at once as have UNIT_TOKENS tokens: enough for products to be fast, few enough for their values to
 * stay near the cores. */
#include "models/train/trainer.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "models/kernels.h"
#include "models/train/network.h"

enum { UNIT_TOKENS = 512, PIECE_FLOATS = 1 << 14 };

/* Weights that are updated together: part of one tensor. */
typedef struct {
    size_t at;
    size_t n;
    bool decays;
    double squares; /* of the gradient */
} Piece;

/* The rows of one shard. */
typedef struct {
    int first;
    int n;
    double loss;         /* Σ weight * nll */
    double token_weight; /* Σ weight */
    bool ok;
    Err err;
} Shard;

struct Trainer {
    TrainerOptions options;
    TrainLayout layout;
    const KernelPath *path;
    int64_t step;
    int n_shards;   /* that have rows in some phase */
    float *memory;  /* of what follows, up to the token weights */
    float *weights; /* [layout.n] each */
    float *mean;
    float *square;
    float *gradient; /* [n_shards, layout.n] */
    float *cos;      /* [length, n_pairs] each */
    float *sin;
    float *minus_sin;
    float *token_weights;     /* [rows of the largest batch, length] */
    int32_t *tokens;          /* [rows of the largest batch, length + 1] */
    NetworkScratch **scratch; /* n_threads */
    Piece *pieces;
    size_t n_pieces;
    Shard shards[TRAIN_SHARDS];
};

/* Largest shapes over all phases. */
typedef struct {
    int n_rows;
    int length;
    int unit_tokens;
    size_t tokens; /* of a batch, with the first of each row */
} Largest;

static int max_int(int a, int b)
{
    return a > b ? a : b;
}

/* Rows that a shard runs at once. */
static int unit_rows(int length)
{
    return max_int(1, UNIT_TOKENS / length);
}

static Largest largest_of(const TrainSchedule *schedule)
{
    Largest most = {0};
    for (int i = 0; i < schedule->n_phases; i++) {
        const TrainPhase *phase = &schedule->phase[i];
        size_t tokens = (size_t)phase->n_rows * ((size_t)phase->length + 1);
        most.n_rows = max_int(most.n_rows, phase->n_rows);
        most.length = max_int(most.length, phase->length);
        most.unit_tokens = max_int(most.unit_tokens, unit_rows(phase->length) * phase->length);
        if (tokens > most.tokens) most.tokens = tokens;
    }
    return most;
}

static bool check_options(const TrainerOptions *options, TrainLayout *layout, Err *err)
{
    if (options->rope.rule != ROPE_RULE_ONE)
        return err_set(
            err, ERR_UNSUPPORTED,
            "the trainer turns every pair of positions by one table; this method turns near and far ones apart");
    return train_schedule_check(&options->schedule, err) &&
           config_check(&options->config, "the model to train", err) &&
           train_layout_make(&options->config, layout, err);
}

static size_t up_to_a_line(size_t floats)
{
    return (floats + 15) / 16 * 16;
}

/* Stretches of up to PIECE_FLOATS within each tensor; writes them where pieces is not NULL. Returns how many. */
static size_t make_pieces(const TrainLayout *layout, int n_layers, Piece *pieces)
{
    size_t n = 0;
    for (int slot = 0; slot < N_SLOTS; slot++) {
        bool is_vector = slot == SLOT_ATTN_NORM || slot == SLOT_FFN_NORM || slot == SLOT_OUT_NORM;
        for (int layer = 0; layer < (slot < N_LAYER_SLOTS ? n_layers : 1); layer++)
            for (size_t at = 0; at < layout->floats[slot]; at += PIECE_FLOATS, n++) {
                size_t left = layout->floats[slot] - at;
                if (!pieces) continue;
                pieces[n] = (Piece){.at = train_layout_at(layout, (Slot)slot, layer) + at,
                                    .n = left < PIECE_FLOATS ? left : PIECE_FLOATS,
                                    .decays = !is_vector && slot != SLOT_EMBEDDING};
            }
    }
    return n;
}

enum { N_BUFFERS = 8 };

/* Floats of each buffer of Trainer, in its order. */
static void buffer_sizes(const TrainerOptions *options, const Trainer *t, const Largest *most,
                         size_t floats[N_BUFFERS])
{
    size_t n = t->layout.n;
    size_t angles = (size_t)most->length * (size_t)options->rope.n_pairs;
    const size_t sizes[N_BUFFERS] = {n,      n,      n,      n * (size_t)t->n_shards,
                                     angles, angles, angles, most->tokens};
    for (int i = 0; i < N_BUFFERS; i++)
        floats[i] = up_to_a_line(sizes[i]);
}

static bool allocate(Trainer *t, const Largest *most, Err *err)
{
    size_t floats[N_BUFFERS];
    size_t n = 0;
    buffer_sizes(&t->options, t, most, floats);
    for (int i = 0; i < N_BUFFERS; i++)
        n += floats[i];
    t->memory = mem_alloc_large(n, sizeof *t->memory, "weights, gradients and their means", err);
    if (!t->memory) return false;
    float **const buffers[N_BUFFERS] = {
        &t->weights, &t->mean, &t->square,    &t->gradient,
        &t->cos,     &t->sin,  &t->minus_sin, &t->token_weights,
    };
    float *next = t->memory;
    for (int i = 0; i < N_BUFFERS; next += floats[i++])
        *buffers[i] = next;
    t->tokens = mem_alloc_large(most->tokens, sizeof *t->tokens, "tokens of a batch", err);
    if (!t->tokens) return false;
    t->scratch = mem_zalloc((size_t)t->options.n_threads, sizeof *t->scratch);
    for (int i = 0; i < t->options.n_threads; i++) {
        t->scratch[i] =
            network_scratch_open(&t->options.config, most->unit_tokens, most->length, err);
        if (!t->scratch[i]) return false;
    }
    return true;
}

static void fill_angles(Trainer *t, int length)
{
    const RopeTable *rope = &t->options.rope;
    rope_angles(rope, &rope->query[0], 0, length, t->cos, t->sin);
    for (size_t i = 0; i < (size_t)length * (size_t)rope->n_pairs; i++)
        t->minus_sin[i] = -t->sin[i];
}

Trainer *trainer_open(const TrainerOptions *options, Err *err)
{
    TrainLayout layout;
    if (!check_options(options, &layout, err)) return NULL;
    Largest most = largest_of(&options->schedule);
    Trainer *t = mem_zalloc(1, sizeof *t);
    t->options = *options;
    t->layout = layout;
    t->path = kernel_path_best();
    t->n_shards = most.n_rows < TRAIN_SHARDS ? most.n_rows : TRAIN_SHARDS;
    if (t->options.n_threads > t->n_shards) t->options.n_threads = t->n_shards;
    if (!allocate(t, &most, err)) {
        trainer_close(t);
        return NULL;
    }
    fill_angles(t, most.length);
    t->n_pieces = make_pieces(&layout, options->config.n_layers, NULL);
    t->pieces = mem_alloc(t->n_pieces, sizeof *t->pieces);
    make_pieces(&layout, options->config.n_layers, t->pieces);
    return t;
}

void trainer_close(Trainer *trainer)
{
    if (!trainer) return;
    for (int i = 0; trainer->scratch && i < trainer->options.n_threads; i++)
        network_scratch_close(trainer->scratch[i]);
    free(trainer->scratch);
    free(trainer->pieces);
    free(trainer->tokens);
    free(trainer->memory);
    free(trainer);
}

int64_t trainer_steps(const Trainer *trainer)
{
    return trainer->step;
}

int64_t trainer_total_steps(const Trainer *trainer)
{
    return train_schedule_steps(&trainer->options.schedule);
}

const TrainLayout *trainer_layout(const Trainer *trainer)
{
    return &trainer->layout;
}

AdamwState trainer_state(Trainer *trainer)
{
    return (AdamwState){trainer->weights, trainer->mean, trainer->square};
}

void trainer_set_steps(Trainer *trainer, int64_t n)
{
    trainer->step = n;
}

/* Refuses what the passes could not take; adds the row's weights to *total. */
static bool check_row(const Trainer *t, const TrainRow *row, double *total, Err *err)
{
    for (int i = 0; i <= row->length; i++)
        if (row->tokens[i] < 0 || row->tokens[i] >= t->options.config.vocab_size)
            return err_set(
                err, ERR_INPUT, "step %lld, row %d, token %d: id %d, of a vocabulary of %d",
                (long long)row->step, row->row, i, row->tokens[i], t->options.config.vocab_size);
    for (int i = 0; i < row->length; i++) {
        if (!(row->weights[i] >= 0.0F) || isinf(row->weights[i]))
            return err_set(err, ERR_INPUT, "step %lld, row %d, token %d: weight %g of the loss",
                           (long long)row->step, row->row, i + 1, (double)row->weights[i]);
        *total += (double)row->weights[i];
    }
    return true;
}

static bool fill_rows(Trainer *t, Shard *shard, int length)
{
    shard->token_weight = 0.0;
    for (int i = shard->first; i < shard->first + shard->n; i++) {
        TrainRow row = {
            .step = t->step,
            .row = i,
            .length = length,
            .tokens = t->tokens + (size_t)i * ((size_t)length + 1),
            .weights = t->token_weights + (size_t)i * (size_t)length,
        };
        if (!t->options.fill(t->options.context, &row, &shard->err) ||
            !check_row(t, &row, &shard->token_weight, &shard->err))
            return false;
    }
    return true;
}

static void run_shard(Trainer *t, int index, int length, NetworkScratch *scratch)
{
    Shard *shard = &t->shards[index];
    float *gradient = t->gradient + (size_t)index * t->layout.n;
    Network network = {
        .config = &t->options.config,
        .layout = &t->layout,
        .path = t->path,
        .rope = &t->options.rope,
        .cos = t->cos,
        .sin = t->sin,
        .minus_sin = t->minus_sin,
        .weights = t->weights,
    };
    shard->ok = fill_rows(t, shard, length);
    shard->loss = 0.0;
    memset(gradient, 0, t->layout.n * sizeof *gradient);
    for (int done = 0; shard->ok && done < shard->n; done += unit_rows(length)) {
        int row = shard->first + done;
        int left = shard->n - done;
        Sequences unit = {
            .tokens = t->tokens + (size_t)row * ((size_t)length + 1),
            .token_weights = t->token_weights + (size_t)row * (size_t)length,
            .n_rows = left < unit_rows(length) ? left : unit_rows(length),
            .length = length,
        };
        shard->loss += network_gradient(&network, scratch, &unit, gradient);
    }
}

/* Deals the rows of a batch; returns how many shards have some. */
static int deal_rows(Trainer *t, int n_rows)
{
    int n = n_rows < t->n_shards ? n_rows : t->n_shards;
    for (int i = 0; i < n; i++) {
        t->shards[i].first = (int)((int64_t)n_rows * i / n);
        t->shards[i].n = (int)((int64_t)n_rows * (i + 1) / n) - t->shards[i].first;
    }
    return n;
}

static void run_shards(Trainer *t, int n, int length)
{
    atomic_int next = 0;
    int n_threads = t->options.n_threads;
#pragma omp parallel for num_threads(n_threads) schedule(static) if (n_threads > 1)
    for (int thread = 0; thread < n_threads; thread++)
        for (int i = atomic_fetch_add(&next, 1); i < n; i = atomic_fetch_add(&next, 1))
            run_shard(t, i, length, t->scratch[thread]);
}

/* Sum over shards, by the weight of the whole batch; the norm over all weights. */
static double sum_gradients(Trainer *t, int n, double token_weight)
{
    float scale = (float)(1.0 / token_weight);
    int n_threads = t->options.n_threads;
#pragma omp parallel for num_threads(n_threads) schedule(static) if (n_threads > 1)
    for (size_t k = 0; k < t->n_pieces; k++) {
        Piece *piece = &t->pieces[k];
        float *to = t->gradient + piece->at;
        for (int shard = 1; shard < n; shard++)
            kernels_add(to, to + (size_t)shard * t->layout.n, piece->n);
        double squares = 0.0;
#pragma omp simd reduction(+ : squares)
        for (size_t i = 0; i < piece->n; i++) {
            to[i] *= scale;
            squares += (double)to[i] * (double)to[i];
        }
        piece->squares = squares;
    }
    double squares = 0.0;
    for (size_t k = 0; k < t->n_pieces; k++)
        squares += t->pieces[k].squares;
    return sqrt(squares);
}

/* The next step's loss and norm; its gradient is in t->gradient. */
static bool compute_gradient(Trainer *t, TrainStep *out, Err *err)
{
    const TrainPhase *phase = train_schedule_phase(&t->options.schedule, t->step);
    int n = deal_rows(t, phase->n_rows);
    double loss = 0.0;
    double token_weight = 0.0;
    run_shards(t, n, phase->length);
    for (int i = 0; i < n; i++) {
        if (!t->shards[i].ok) {
            *err = t->shards[i].err;
            return false;
        }
        loss += t->shards[i].loss;
        token_weight += t->shards[i].token_weight;
    }
    if (token_weight == 0.0)
        return err_set(err, ERR_INPUT, "step %lld: every token of the batch has weight 0",
                       (long long)t->step);
    *out = (TrainStep){
        .step = t->step,
        .loss = loss / token_weight,
        .norm = sum_gradients(t, n, token_weight),
        .rate = train_schedule_rate(&t->options.schedule, t->step),
        .n_tokens = (int64_t)phase->n_rows * phase->length,
    };
    if (isfinite(out->loss) && isfinite(out->norm)) return true;
    return err_set(
        err, ERR_NONFINITE,
        "step %lld: the loss is %g and its gradient's norm %g; train at a lower rate than %g, or "
        "warm up longer",
        (long long)t->step, out->loss, out->norm, t->options.schedule.rate);
}

bool trainer_gradient(Trainer *trainer, double *loss, float *gradient, Err *err)
{
    TrainStep step;
    if (!compute_gradient(trainer, &step, err)) return false;
    *loss = step.loss;
    memcpy(gradient, trainer->gradient, trainer->layout.n * sizeof *gradient);
    return true;
}

static double shrinking(const AdamwOptions *options, double norm)
{
    return options->clip > 0.0 && norm > options->clip ? options->clip / norm : 1.0;
}

bool trainer_step(Trainer *trainer, TrainStep *out, Err *err)
{
    Trainer *t = trainer;
    if (!compute_gradient(t, out, err)) return false;
    AdamwStep step = {
        .options = t->options.adamw,
        .rate = out->rate,
        .step = t->step + 1,
        .shrinks = shrinking(&t->options.adamw, out->norm),
    };
    int n_threads = t->options.n_threads;
#pragma omp parallel for num_threads(n_threads) schedule(static) if (n_threads > 1)
    for (size_t k = 0; k < t->n_pieces; k++) {
        const Piece *piece = &t->pieces[k];
        AdamwState state = {t->weights + piece->at, t->mean + piece->at, t->square + piece->at};
        adamw_update(&step, piece->decays, t->gradient + piece->at, state, piece->n);
    }
    t->step++;
    return true;
}
