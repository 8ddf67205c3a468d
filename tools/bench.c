/* Speed beside the machine's limit, in one run: prefill and perplexity of random-weight models on one thread, and what share of the
 * measured FMA peak their parts reach.
 *
 * Work is counted as 2 flop a multiply-add, and only work that is done: linear layers (the last one's queries, output and
 * feed-forward for scored rows), causal attention 4 d n (n + 1) / 2 a layer, nothing for masked pairs. Phases are shares of the wall
 * time, tokens/s are CPU time; the best of three. The peak is measured anew before every case, since a shared machine's clock
 * moves. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/kernels.h"
#include "models/session.h"

typedef struct {
    const char *name;
    int d_model, n_layers, n_heads, n_kv_heads, d_ff, vocab_size;
} Shape;

static const Shape shapes[] = {
    {"15M",     288, 6,  6,  6,  768,  32000},
    {"110M",    768, 12, 12, 12, 2048, 32000},
    {"SmolLM2", 576, 30, 9,  3,  1536, 49152},
    {"260K",    64,  5,  8,  4,  172,  512  },
};

/* A case: a shape, a length, and how many of the tokens are scored, from the last on. */
typedef struct {
    int shape;
    int64_t n;
    double scored;
} Case;

static const Case cases[] = {
    {0, 512,   0.0},
    {0, 2048,  0.0},
    {0, 8192,  0.0},
    {0, 16384, 0.0},
    {0, 32768, 0.0},
    {1, 2048,  0.0},
    {1, 8192,  0.0},
    {2, 2048,  0.0},
    {3, 2048,  0.0},
    {0, 2048,  0.5},
    {0, 8192,  1.0},
};

enum { TORCH_MOST_GFLOP = 700 }; /* of a case that PyTorch runs, too: beyond it takes minutes */

static void fail(const Err *err)
{
    fprintf(stderr, "bench: %s\n", err->text);
    exit(1);
}

/* GFLOP/s of multiply-adds between registers: what no kernel can pass. */
static double fma_peak(const KernelPath *path)
{
    double best = 0.0;
    float sink = 1.0F;
    for (int i = 0; i < 3; i++) {
        double start = clock_thread_cpu_s();
        double flops = path->peak(&sink);
        best = fmax(best, 1e-9 * flops / (clock_thread_cpu_s() - start));
    }
    return best;
}

static ModelConfig config_of(const Shape *shape)
{
    ModelConfig config = {
        .arch = "llama",
        .d_model = shape->d_model,
        .n_layers = shape->n_layers,
        .n_heads = shape->n_heads,
        .n_kv_heads = shape->n_kv_heads,
        .head_dim = shape->d_model / shape->n_heads,
        .d_ff = shape->d_ff,
        .vocab_size = shape->vocab_size,
        .n_ctx_train = 1024,
        .rms_eps = 1e-5,
        .tied = true,
        .n_rot = shape->d_model / shape->n_heads,
        .bos_id = -1,
        .eos_id = -1,
    };
    config.rope = (RopeSpec){.method = rope_method_find("none"),
                             .theta = 10000.0,
                             .n_rot = config.n_rot,
                             .n_ctx_orig = 1024};
    return config;
}

/* GFLOP of each phase of a prefill of n tokens of which the last n_scored are scored (at least one). */
static Profile counted_gflop(const ModelConfig *config, double n, double n_scored)
{
    double q_width = (double)config->n_heads * config->head_dim;
    double kv_width = (double)config->n_kv_heads * config->head_dim;
    double d_model = config->d_model;
    double keys = 2.0 * 2.0 * d_model * kv_width; /* a token: keys and values */
    double rest = 2.0 * d_model * (2.0 * q_width + 3.0 * config->d_ff);
    double before = n - n_scored;
    double pairs = n * (n + 1.0) / 2.0;
    double last_pairs = pairs - before * (before + 1.0) / 2.0;
    return (Profile){
        .s = {
              [PHASE_LINEAR] =
                1e-9 * ((config->n_layers - 1) * (keys + rest) * n + keys * n + rest * n_scored),
              [PHASE_ATTENTION] = 4e-9 * q_width * ((config->n_layers - 1) * pairs + last_pairs),
              [PHASE_HEAD] = 2e-9 * d_model * config->vocab_size * n_scored,
              }
    };
}

typedef struct {
    double cpu_s;
    Profile phases;
    size_t bytes; /* of the session */
} Timing;

/* One cold prefill under one setting, the best of three. */
static Timing prefill(const Model *model, const char *method, int64_t n, int64_t n_scored)
{
    enum { TRIES = 3 };
    Err err;
    RopeSpec spec = model->config.rope;
    RopeTable table;
    SessionOptions options = {.n_threads = 1};
    int32_t *tokens = mem_alloc((size_t)n, sizeof *tokens);
    uint8_t *want = mem_zalloc((size_t)n, 1);
    TokenScore *out = mem_alloc((size_t)n, sizeof *out);
    memset(want + n - 1 - n_scored, 1, (size_t)n_scored);
    if (!rope_spec_parse(method, &spec, &err) || !rope_spec_resolve(&spec, n, &err) ||
        !rope_table_make(&spec, n, &table, &err))
        fail(&err);
    Session *session = session_open(model, n, &options, &err);
    if (!session || !session_set_rope(session, &table, &err)) fail(&err);
    Timing best = {.cpu_s = 1e30, .bytes = session_bytes(&model->config, n, &table)};
    for (int try = 0; try < TRIES; try++) {
        for (int64_t i = 0; i < n; i++)
            tokens[i] = (int32_t)((i * 7919 + try * 31 + 1) % model->config.vocab_size);
        Profile before = session_profile(session);
        double start = clock_thread_cpu_s();
        if (!session_score(session, tokens, n, want, out, &err)) fail(&err);
        double seconds = clock_thread_cpu_s() - start;
        if (seconds >= best.cpu_s) continue;
        best.cpu_s = seconds;
        best.phases = session_profile(session);
        for (int phase = 0; phase < N_PHASES; phase++)
            best.phases.s[phase] -= before.s[phase];
    }
    session_close(session);
    free(tokens);
    free(want);
    free(out);
    return best;
}

static double rss_mib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024.0;
}

static int64_t count_scored(const Case *c)
{
    return max_i64(1, (int64_t)((double)(c->n - 1) * c->scored));
}

/* Tokens/s of the case by others, 0 where they were not measured. */
typedef struct {
    double f32;
    double torch;
} Others;

/* Prints the case's row. Returns tokens/s. */
static double run_case(const Model *model, const Case *c, Others others)
{
    double peak = fma_peak(model->path);
    int64_t n_scored = count_scored(c);
    Timing t = prefill(model, "none", c->n, n_scored);
    Profile work = counted_gflop(&model->config, (double)c->n, (double)n_scored);
    double total_s = 0.0;
    for (int phase = 0; phase < N_PHASES; phase++)
        total_s += t.phases.s[phase];
    double cpu = t.cpu_s / total_s; /* phases are wall time, and others may use the core */
    double linear = work.s[PHASE_LINEAR] / (t.phases.s[PHASE_LINEAR] * cpu) / peak;
    double attention = work.s[PHASE_ATTENTION] / (t.phases.s[PHASE_ATTENTION] * cpu) / peak;
    double rate = (double)c->n / t.cpu_s;
    printf("%-8s %6lld %7lld %5s %9.0f %6.1f %8.0f%% %8.0f%% %7.1f%% %7.1f%% %8.0f %8.0f",
           shapes[c->shape].name, (long long)c->n, (long long)n_scored, model->path->precision,
           rate, peak, 100.0 * linear, 100.0 * attention, 100.0 * t.phases.s[PHASE_HEAD] / total_s,
           100.0 * t.phases.s[PHASE_REST] / total_s, (double)t.bytes / 1048576.0, rss_mib());
    if (others.torch > 0.0) printf("  %.1f x torch", rate / others.torch);
    if (others.f32 > 0.0) printf("  %.2f x f32", rate / others.f32);
    printf("\n");
    fflush(stdout);
    return rate;
}

/* Prefill under every method, beside none. */
static void bench_methods(void)
{
    enum { N = 4096 };
    Err err;
    ModelConfig config = config_of(&shapes[0]);
    Model *model = model_random(&config, 1, &err);
    if (!model) fail(&err);
    printf("15M shape, n = %d, one thread\n%-24s %10s %8s\n", N, "method", "tokens/s", "of none");
    double none = 0.0;
    for (const RopeMethod *method = rope_methods; method->name; method++) {
        RopeSpec spec = config.rope;
        if (method->training_only || !rope_spec_parse(method->name, &spec, &err) ||
            !rope_spec_resolve(&spec, N, &err))
            continue;
        double rate = N / prefill(model, method->name, N, 1).cpu_s;
        if (method == rope_methods) none = rate;
        printf("%-24s %10.0f %7.0f%%\n", method->name, rate, 100.0 * rate / none);
        fflush(stdout);
    }
    model_free(model);
}

/* What a sweep of 8 λ x {512 … 8192} x 10 depths x 5 trials and 65,536 tokens of perplexity costs on one core, of which one λ is run:
 * prompts in the planner's order, by needle position, falling, on one stream of filler, 9 rows of an answer scored; perplexity by
 * `truncated`, whose shorter lengths cost nothing after the longest, and by `half-chunk`, which reads the text anew at each. */
enum {
    SWEEP_LEAST = 512,
    SWEEP_MOST = 8192,
    SWEEP_TEXT = 65536, /* tokens */
    SWEEP_LENGTHS = 5,
    SWEEP_DEPTHS = 10,
    SWEEP_TRIALS = 5,
    SWEEP_LAMBDAS = 8,
    ANSWER = 9
};

typedef struct {
    int64_t n;      /* of the prompt */
    int64_t needle; /* position */
} Prompt;

static int by_needle_falling(const void *a, const void *b)
{
    const Prompt *x = a;
    const Prompt *y = b;
    return (x->needle < y->needle) - (x->needle > y->needle);
}

static void score(Session *session, const int32_t *tokens, int64_t n, int64_t n_scored)
{
    static uint8_t want[SWEEP_MOST];
    static TokenScore out[SWEEP_MOST];
    Err err;
    memset(want, 0, sizeof want);
    memset(want + n - 1 - n_scored, 1, (size_t)n_scored);
    if (!session_score(session, tokens, n, want, out, &err)) fail(&err);
}

static double passkey_s(Session *session, int vocab_size)
{
    static int32_t tokens[SWEEP_MOST];
    Prompt prompts[SWEEP_LENGTHS * SWEEP_DEPTHS];
    size_t n_prompts = 0;
    for (int64_t n = SWEEP_LEAST; n <= SWEEP_MOST; n *= 2)
        for (int depth = 0; depth < SWEEP_DEPTHS; depth++)
            prompts[n_prompts++] = (Prompt){n, (n - 64) * depth / (SWEEP_DEPTHS - 1)};
    qsort(prompts, n_prompts, sizeof *prompts, by_needle_falling);
    double start = clock_thread_cpu_s();
    for (size_t i = 0; i < n_prompts; i++)
        for (int trial = 0; trial < SWEEP_TRIALS; trial++) {
            for (int64_t j = 0; j < prompts[i].n; j++)
                tokens[j] = (int32_t)(j * 7919 % vocab_size);
            tokens[prompts[i].needle] = trial;
            score(session, tokens, prompts[i].n, ANSWER);
        }
    return clock_thread_cpu_s() - start;
}

/* The text in windows of n tokens, of which the last n_scored are scored. */
static double perplexity_s(Session *session, int vocab_size, int64_t n, int64_t n_scored)
{
    static int32_t tokens[SWEEP_MOST];
    double start = clock_thread_cpu_s();
    for (int64_t first = 0; first < SWEEP_TEXT; first += n) {
        for (int64_t j = 0; j < n; j++)
            tokens[j] = (int32_t)((first + j) * 104729 % vocab_size);
        score(session, tokens, n, n_scored);
    }
    return clock_thread_cpu_s() - start;
}

static void bench_sweep(void)
{
    Err err;
    ModelConfig config = config_of(&shapes[0]);
    Model *model = model_random(&config, 1, &err);
    if (!model) fail(&err);
    SessionOptions options = {.n_threads = 1};
    RopeTable table;
    if (!rope_spec_resolve(&config.rope, SWEEP_MOST, &err) ||
        !rope_table_make(&config.rope, SWEEP_MOST, &table, &err))
        fail(&err);
    Session *session = session_open(model, SWEEP_MOST, &options, &err);
    if (!session || !session_set_rope(session, &table, &err)) fail(&err);
    double passkey = passkey_s(session, config.vocab_size);
    double truncated = perplexity_s(session, config.vocab_size, SWEEP_MOST, SWEEP_MOST - 1);
    double half_chunk = 0.0;
    for (int64_t n = SWEEP_LEAST; n <= SWEEP_MOST; n *= 2)
        half_chunk += perplexity_s(session, config.vocab_size, n, n / 2 - 1);
    printf("15M shape, one core, one of %d lambda: passkey %.1f s, perplexity %.1f s truncated, "
           "%.1f s half-chunk\nall of them: %.0f s with truncated, %.0f s with half-chunk\n",
           SWEEP_LAMBDAS, passkey, truncated, half_chunk, SWEEP_LAMBDAS * (passkey + truncated),
           SWEEP_LAMBDAS * (passkey + half_chunk));
    session_close(session);
    model_free(model);
}

/* A process of its own, so that its resident set is the case's. Returns tokens/s. */
static double run_apart(const Case *c, const KernelPath *path, Others others)
{
    double rate = 0.0;
    int ends[2];
    pid_t child = pipe(ends) == 0 ? fork() : -1;
    if (child == 0) {
        Err err;
        ModelConfig config = config_of(&shapes[c->shape]);
        Model *model = model_random_for(&config, path, 1, &err);
        if (!model) fail(&err);
        rate = run_case(model, c, others);
        model_free(model);
        exit(write(ends[1], &rate, sizeof rate) != sizeof rate);
    }
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0 ||
        read(ends[0], &rate, sizeof rate) != sizeof rate)
        exit(1);
    close(ends[0]);
    close(ends[1]);
    return rate;
}

static bool torch_can(const Case *c)
{
    ModelConfig config = config_of(&shapes[c->shape]);
    Profile work = counted_gflop(&config, (double)c->n, (double)count_scored(c));
    return work.s[PHASE_LINEAR] + work.s[PHASE_ATTENTION] + work.s[PHASE_HEAD] <= TORCH_MOST_GFLOP;
}

/* Tokens/s of the case by PyTorch, in f32 and on one thread, too; 0 and a line that says why where it cannot be measured. */
static double torch_rate(const Case *c)
{
    const Shape *shape = &shapes[c->shape];
    char line[128] = "";
    char *command = str_format(
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 tools/torch_prefill %d %d %d %d %d %d %lld %lld 2>&1",
        shape->d_model, shape->n_layers, shape->n_heads, shape->n_kv_heads, shape->d_ff,
        shape->vocab_size, (long long)c->n, (long long)count_scored(c));
    FILE *out = popen(command, "r");
    free(command);
    while (out && fgets(line, sizeof line, out))
        ; /* the last line counts: others may be warnings */
    double rate = 0.0;
    line[strcspn(line, "\n")] = '\0';
    if (!out || pclose(out) != 0 || !str_to_double(line, &rate)) {
        rate = 0.0;
        printf("PyTorch: %s\n",
               *line ? line : "tools/torch_prefill is not here: run the bench by make");
        fflush(stdout);
    }
    return rate;
}

static void bench_cases(void)
{
    const KernelPath *f32 = kernel_path_best();
    const KernelPath *bf16 = kernel_path_best_of("bf16");
    printf("kernels %s and %s, one thread; linear and attention as shares of the f32 FMA peak "
           "(GFLOP/s)\n",
           f32->name, bf16 ? bf16->name : "none of bf16");
    printf("%-8s %6s %7s %5s %9s %6s %9s %9s %8s %8s %8s %8s\n", "model", "n", "scored", "",
           "tokens/s", "peak", "linear", "attention", "head", "rest", "MiB", "RSS");
    fflush(stdout);
    bool with_torch = true;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Others others = {0};
        if (with_torch && torch_can(&cases[i])) {
            others.torch = torch_rate(&cases[i]);
            with_torch = others.torch > 0.0;
        }
        others.f32 = run_apart(&cases[i], f32, others);
        if (bf16) run_apart(&cases[i], bf16, others);
    }
}

int main(int argc, char **argv)
{
    Err err;
    if (!kernels_start(&err)) fail(&err);
    if (argc > 1 && str_equal(argv[1], "methods"))
        bench_methods();
    else if (argc > 1 && str_equal(argv[1], "sweep"))
        bench_sweep();
    else
        bench_cases();
    return 0;
}
