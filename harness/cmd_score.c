/* `score`: the nll of every token of a text under one setting. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "harness/commands.h"
#include "harness/load.h"
#include "harness/profile.h"

/* What the lines add up to. */
typedef struct {
    int64_t n;       /* tokens that were predicted */
    double nll;      /* nats */
    int64_t n_bytes; /* that they spell */
} Total;

static void decode_one(const Prompt *prompt, int64_t i, Buf *out)
{
    buf_clear(out);
    if (prompt->model->tokenizer)
        tokenizer_decode(prompt->model->tokenizer, &prompt->tokens.ids[i], 1,
                         i == prompt->added_bos, false, out);
}

static void shown_text(const Prompt *prompt, int64_t i, char out[128])
{
    Buf text = {0};
    decode_one(prompt, i, &text);
    str_escape(text.data ? text.data : "", text.len, out, 128);
    buf_free(&text);
}

static Total add_up(const Prompt *prompt, const TokenScore *scores)
{
    Total total = {.n = (int64_t)prompt->tokens.n - 1};
    Buf text = {0};
    for (int64_t i = 0; i < total.n; i++) {
        total.nll += scores[i].nll;
        decode_one(prompt, i + 1, &text);
        total.n_bytes += (int64_t)text.len;
    }
    buf_free(&text);
    return total;
}

static double bits_per_byte(const Total *total)
{
    return total->n_bytes ? total->nll / log(2.0) / (double)total->n_bytes : (double)NAN;
}

static const char *bos_policy(const Prompt *prompt)
{
    return prompt->added_bos ? "BOS before the text" : "no BOS added";
}

static void print_text(const Prompt *prompt, const TokenScore *scores, const char *setting)
{
    Total total = add_up(prompt, scores);
    printf("%8s %8s %12s %6s  %s\n", "position", "id", "nll", "rank", "token");
    for (int64_t i = 0; i <= total.n; i++) {
        char text[128];
        shown_text(prompt, i, text);
        printf("%8lld %8d ", (long long)i, prompt->tokens.ids[i]);
        if (i == 0)
            printf("%12s %6s  %s\n", "-", "-", text);
        else
            printf("%12.6f %6d  %s\n", scores[i - 1].nll, scores[i - 1].rank, text);
    }
    printf("setting %s, %s, n_ctx %lld\n", setting, bos_policy(prompt), (long long)prompt->n_ctx);
    printf("n %lld, nll %.6f nats, mean nll %.6f nats/token, perplexity %.6g", (long long)total.n,
           total.nll, total.nll / (double)total.n, exp(total.nll / (double)total.n));
    if (total.n_bytes) printf(", %.6f bits/byte", bits_per_byte(&total));
    printf("\n");
}

static json_t *real_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static void print_json(const Prompt *prompt, const TokenScore *scores, const char *setting)
{
    Total total = add_up(prompt, scores);
    json_t *tokens = json_array();
    for (int64_t i = 0; i <= total.n; i++) {
        char text[128];
        shown_text(prompt, i, text);
        json_t *token = json_pack("{s:I, s:i, s:s}", "position", (json_int_t)i, "id",
                                  prompt->tokens.ids[i], "text", text);
        json_object_set_new(token, "nll", i ? real_or_null(scores[i - 1].nll) : json_null());
        json_object_set_new(token, "rank", i ? json_integer(scores[i - 1].rank) : json_null());
        json_array_append_new(tokens, token);
    }
    double mean = total.nll / (double)total.n;
    json_t *root =
        json_pack("{s:s, s:b, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "setting", setting, "bos_added",
                  prompt->added_bos, "n_ctx", (json_int_t)prompt->n_ctx, "n", (json_int_t)total.n,
                  "nll", real_or_null(total.nll), "mean_nll", real_or_null(mean), "perplexity",
                  real_or_null(exp(mean)), "bits_per_byte", real_or_null(bits_per_byte(&total)),
                  "tokens", tokens);
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    printf("\n");
    json_decref(root);
}

int cmd_score(const Command *command, const Options *options, Err *err)
{
    (void)command;
    Prompt prompt;
    double start = clock_monotonic_s();
    if (!load_prompt(options, 0, false, &prompt, err)) return cli_exit_status(err->code);
    int64_t n = (int64_t)prompt.tokens.n;
    uint8_t *want = mem_zalloc((size_t)n, 1);
    TokenScore *scores = mem_zalloc((size_t)n, sizeof *scores);
    memset(want, 1, (size_t)n);
    bool ok = n > 1 ||
              err_set(err, ERR_INPUT,
                      "nothing to score: the text has %lld tokens and the first is not predicted",
                      (long long)n);
    ok = ok && session_score(prompt.session, prompt.tokens.ids, n, want, scores, err);
    int64_t bad = ok ? token_scores_nonfinite(scores, want, n - 1) : -1;
    int status = ok ? EXIT_OK : cli_exit_status(err->code);
    if (ok) {
        char setting[ROPE_TEXT_SIZE];
        rope_spec_text(&prompt.spec, setting);
        (options->json ? print_json : print_text)(&prompt, scores, setting);
    }
    if (ok && options->profile) {
        Profile engine = session_profile(prompt.session);
        engine.s[PHASE_TOKENIZER] = prompt.tokenizer_s;
        profile_print(&engine, NULL, 0, clock_monotonic_s() - start);
    }
    if (ok && bad >= 0) {
        err_set(err, ERR_NONFINITE, "the model's numbers are not finite from position %lld on",
                (long long)bad + 1);
        status = EXIT_NOT_DONE;
    }
    free(want);
    free(scores);
    load_prompt_free(&prompt);
    return status;
}
