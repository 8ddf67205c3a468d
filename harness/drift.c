/* The window is a text of the program's own, so that every model with a tokenizer is measured on the same one; without a tokenizer
 * it is random ids. Both models score it under the file's own rotation. */
#include "harness/drift.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "base/str.h"
#include "models/session.h"

enum { WINDOW = 256 };

static const char text[] =
    "Ropes were once laid in a hall as long as the rope itself. At one end stood the wheel, and a boy "
    "turned it; from the other a man walked backwards with a bundle of hemp around his waist, and fed "
    "the yarn with both hands as it twisted. When three yarns were long enough they were stretched "
    "together, hooked to the wheel, and turned the other way, so that each wanted to come undone and "
    "the others would not let it. That is the whole secret of a rope. Nothing in it is as long as the "
    "rope: no fibre reaches further than an arm, and yet the first and the last are held by the same "
    "pull. The men said that a good rope remembers how it was laid. If it is coiled against its turn it "
    "kinks, and where it has kinked once it will kink again. A ship of the line carried thirty miles of "
    "it. In winter the hall was cold, since a fire was forbidden, and the walkers counted their steps "
    "aloud to keep warm: three hundred down, three hundred back, eighteen miles between breakfast and "
    "dark. What they made outlived them, as a rule, and was picked apart in the end for oakum.";

/* Fills in at most WINDOW tokens. Returns how many. */
static int window_tokens(const Model *model, int32_t tokens[WINDOW])
{
    TokenList list = {0};
    Err unused;
    if (model->tokenizer && model->config.bos_id >= 0 && tokenizer_adds_bos(model->tokenizer))
        token_list_add(&list, model->config.bos_id);
    if (!model->tokenizer ||
        !tokenizer_encode(model->tokenizer, text, strlen(text), false, &list, &unused)) {
        Rng rng = rng_open(1, 0, 0, 0);
        list.n = 0;
        while (list.n < WINDOW)
            token_list_add(&list, (int32_t)rng_below(&rng, (uint32_t)model->config.vocab_size));
    }
    int n = list.n < WINDOW ? (int)list.n : WINDOW;
    memcpy(tokens, list.ids, (size_t)n * sizeof *tokens);
    token_list_free(&list);
    return n;
}

static bool score_window(const Model *model, const int32_t *tokens, int n, TokenScore *out,
                         Err *err)
{
    uint8_t want[WINDOW];
    RopeSpec spec = model->config.rope;
    RopeTable table;
    SessionOptions options = {.n_threads = 1};
    memset(want, 1, sizeof want);
    if (!rope_spec_resolve(&spec, WINDOW, err) || !rope_table_make(&spec, WINDOW, &table, err))
        return false;
    Session *session = session_open(model, WINDOW, &options, err);
    bool ok = session && session_set_rope(session, &table, err) &&
              session_score(session, tokens, n, want, out, err);
    session_close(session);
    return ok;
}

static void describe(const Model *model, const TokenScore *got, const TokenScore *f32, int n,
                     Buf *out)
{
    double sum = 0.0;
    double sum_f32 = 0.0;
    double apart = 0.0;
    double largest = 0.0;
    for (int i = 0; i < n; i++) {
        sum += got[i].nll / n;
        sum_f32 += f32[i].nll / n;
        apart += fabs(got[i].nll - f32[i].nll) / n;
        largest = fmax(largest, fabs(got[i].nll - f32[i].nll));
    }
    if (!isfinite(sum) || !isfinite(sum_f32)) {
        buf_printf(out, "%s: the numbers are not finite in %s", model->path->precision,
                   isfinite(sum_f32) ? model->path->precision : "f32");
        return;
    }
    buf_printf(
        out,
        "%s: mean nll %.4f, %+.5f nats/token against f32; a token differs by %.4f on average, by %.4f at "
        "most (%d tokens of %s)",
        model->path->precision, sum, sum - sum_f32, apart, largest, n,
        model->tokenizer ? "English text" : "random ids");
}

void drift_text(const Model *model, Buf *out)
{
    int32_t tokens[WINDOW];
    TokenScore got[WINDOW];
    TokenScore f32[WINDOW];
    Err err;
    if (str_equal(model->path->precision, "f32")) return;
    int n = window_tokens(model, tokens);
    Model *exact = model_load_for(weights_path(model->file), kernel_path_best(), &err);
    if (n > 1 && exact && score_window(model, tokens, n, got, &err) &&
        score_window(exact, tokens, n, f32, &err))
        describe(model, got, f32, n - 1, out);
    else
        buf_printf(out, "%s: what it does to the nll was not measured: %s", model->path->precision,
                   n > 1 ? err.text : "the model's vocabulary makes no window");
    model_free(exact);
}

void drift_print(const Model *model)
{
    Buf line = {0};
    drift_text(model, &line);
    if (line.len) fprintf(stderr, "%s\n", buf_text(&line));
    buf_free(&line);
}
