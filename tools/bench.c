/* Prefill speed beside the machine's limit, in one run: tokens a second of random-weight models
 * on one thread, and what share of the measured sgemm peak the counted work reaches.
 *
 * Work is counted as 2 flop a multiply-add: linear layers, causal attention 4 d n (n + 1) / 2 a
 * layer, and the head's one group. Times are CPU time of the thread; the best of three. */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/kernels.h"
#include "models/session.h"

static const struct {
    const char *name;
    int d_model, n_layers, n_heads, d_ff;
} shapes[] = {
    {"15M",  288, 6,  6,  768 },
    {"110M", 768, 12, 12, 2048},
};

enum { VOCAB_SIZE = 32000 };

static void fail(const Err *err)
{
    fprintf(stderr, "bench: %s\n", err->text);
    exit(1);
}

/* GFLOP/s of a square product that fits no cache but L3: what sgemm can do at most. */
static double sgemm_peak(void)
{
    enum { N = 1536, TRIES = 5 };
    float *a = mem_zalloc((size_t)N * N, sizeof *a);
    float *b = mem_zalloc((size_t)N * N, sizeof *b);
    float *c = mem_zalloc((size_t)N * N, sizeof *c);
    for (size_t i = 0; i < (size_t)N * N; i++)
        a[i] = b[i] = (float)(i % 7) - 3.0F;
    double best = 0.0;
    for (int i = 0; i < TRIES; i++) {
        double start = clock_thread_cpu_s();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, N, N, N, 1.0F, a, N, b, N, 0.0F, c, N);
        double rate = 2e-9 * N * N * N / (clock_thread_cpu_s() - start);
        if (rate > best) best = rate;
    }
    free(a);
    free(b);
    free(c);
    return best;
}

static double counted_gflop(const ModelConfig *config, int64_t n)
{
    double q_width = (double)config->n_heads * config->head_dim;
    double kv_width = (double)config->n_kv_heads * config->head_dim;
    double d_model = config->d_model;
    double linear = d_model * (2.0 * q_width + 2.0 * kv_width) + 3.0 * d_model * config->d_ff;
    double attention = 4.0 * q_width * (double)n * (double)(n + 1) / 2.0;
    double head = 2.0 * 64.0 * d_model * config->vocab_size;
    return 1e-9 * (config->n_layers * (2.0 * linear * (double)n + attention) + head);
}

/* Seconds of CPU of one cold prefill of n tokens with the last one scored: the best of three. *bytes: what its session
 * takes. */
static double prefill_s(const Model *model, int64_t n, size_t *bytes)
{
    enum { TRIES = 3 };
    Err err;
    RopeSpec spec = model->config.rope;
    RopeTable table;
    SessionOptions options = {.n_threads = 1};
    int32_t *tokens = mem_alloc((size_t)n, sizeof *tokens);
    uint8_t *want = mem_zalloc((size_t)n, 1);
    TokenScore *out = mem_alloc((size_t)n, sizeof *out);
    want[n - 2] = 1;
    if (!rope_spec_resolve(&spec, n, &err) || !rope_table_make(&spec, n, &table, &err)) fail(&err);
    Session *session = session_open(model, n, &options, &err);
    if (!session || !session_set_rope(session, &table, &err)) fail(&err);
    *bytes = session_bytes(&model->config, n, &table);
    double best = 1e30;
    for (int try = 0; try < TRIES; try++) {
        for (int64_t i = 0; i < n; i++)
            tokens[i] = (int32_t)((i * 7919 + try * 31 + 1) % VOCAB_SIZE);
        double start = clock_thread_cpu_s();
        if (!session_score(session, tokens, n, want, out, &err)) fail(&err);
        double seconds = clock_thread_cpu_s() - start;
        if (seconds < best) best = seconds;
    }
    session_close(session);
    free(tokens);
    free(want);
    free(out);
    return best;
}

int main(void)
{
    static const int64_t lengths[] = {512, 2048, 8192};
    Err err;
    if (!kernels_start(&err)) fail(&err);
    double peak = sgemm_peak();
    printf("BLAS core %s, sgemm peak %.1f GFLOP/s on one thread\n", kernels_blas_core(), peak);
    printf("%-6s %6s %12s %10s %10s %8s\n", "model", "n", "tokens/s", "GFLOP/s", "of peak", "MiB");
    for (size_t s = 0; s < COUNT_OF(shapes); s++) {
        ModelConfig config = {
            .arch = "llama",
            .d_model = shapes[s].d_model,
            .n_layers = shapes[s].n_layers,
            .n_heads = shapes[s].n_heads,
            .n_kv_heads = shapes[s].n_heads,
            .head_dim = shapes[s].d_model / shapes[s].n_heads,
            .d_ff = shapes[s].d_ff,
            .vocab_size = VOCAB_SIZE,
            .n_ctx_train = 1024,
            .rms_eps = 1e-5,
            .tied = true,
            .n_rot = shapes[s].d_model / shapes[s].n_heads,
            .bos_id = -1,
            .eos_id = -1,
        };
        config.rope = (RopeSpec){.method = rope_method_find("none"),
                                 .theta = 10000.0,
                                 .n_rot = config.n_rot,
                                 .n_ctx_orig = 1024};
        Model *model = model_random(&config, 1, &err);
        if (!model) fail(&err);
        for (size_t i = 0; i < COUNT_OF(lengths); i++) {
            int64_t n = lengths[i];
            size_t bytes;
            double seconds = prefill_s(model, n, &bytes);
            double rate = counted_gflop(&config, n) / seconds;
            printf("%-6s %6lld %12.0f %10.1f %9.0f%% %8.0f\n", shapes[s].name, (long long)n,
                   (double)n / seconds, rate, 100.0 * rate / peak, (double)bytes / 1048576.0);
            fflush(stdout);
        }
        model_free(model);
    }
    return 0;
}
