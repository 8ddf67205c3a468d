/* Six conventions go by the name of perplexity; these are the five that are here, for a text I of N tokens and T = n_ctx. With BOS a
 * window holds b = T-1 tokens of text and all of them can be scored; without, b = T and the first cannot.
 *
 *   target      e_w = b_max + w (N - b_max) / (W-1), w = 0 … W-1, with b_max = b at target_max. Window I[e_w - b … e_w), of which
 *               the last K are scored: the same tokens at every T, so that only the context differs.
 *   truncated   the first b tokens of every document of at least b_max tokens, all scored.
 *   disjoint    I[w b … (w+1) b), all scored; floor(max_tokens / T) windows at most.
 *   sliding     I[0 … b) all scored, then windows whose ends are a stride apart, of which the tokens not scored yet are scored; the
 *               last step may be shorter: every token of the text counts once.
 *   half-chunk  the text, BOS put before it, in chunks of T whose first token is replaced by BOS; predictions T/2+1 … T-1 are scored.
 *               At least two chunks. Source: llama-perplexity of llama.cpp.
 */
#include "harness/windows.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

enum { MAX_WINDOWS = 1000000 };

typedef struct {
    const WindowLayout *layout;
    const Corpus *corpus;
    WindowList *list;
    char *why;
    int64_t n_body; /* b */
    int64_t
        n_unscored; /* tokens at a window's head that nothing stands before: 0 with BOS, else 1 */
} Maker;

static CellStatus refuse(char *why, CellStatus status, const char *format, ...) PRINTF_LIKE(3, 4);

static CellStatus refuse(char *why, CellStatus status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, WINDOWS_WHY_SIZE, format, args);
    va_end(args);
    return status;
}

static void add(Maker *maker, Window window)
{
    WindowList *list = maker->list;
    if (list->n == list->cap) {
        list->cap = list->cap ? 2 * list->cap : 32;
        list->items = mem_realloc(list->items, list->cap, sizeof *list->items);
    }
    list->items[list->n++] = window;
}

/* The text, or the part of it that max_tokens allows, is shorter than the cell needs. */
static CellStatus too_short(const Maker *maker, int64_t needed)
{
    int64_t n = maker->corpus->n_tokens;
    if (n >= needed)
        return refuse(maker->why, CELL_INVALID, "max_tokens is %lld, the cell needs %lld",
                      (long long)maker->layout->max_tokens, (long long)needed);
    return refuse(maker->why, CELL_SKIPPED_SHORT_TEXT,
                  "the text has %lld tokens, the cell needs %lld", (long long)n, (long long)needed);
}

static CellStatus too_many(const Maker *maker)
{
    return refuse(maker->why, CELL_INVALID,
                  "more than %d windows; lower max_tokens or take a longer n_ctx", MAX_WINDOWS);
}

/* Tokens of text that a window of target_max holds, or -1 when n_ctx is longer than that. */
static int64_t body_at_target_max(const Maker *maker)
{
    const WindowLayout *layout = maker->layout;
    if (layout->n_ctx > layout->target_max) return -1;
    return layout->target_max - (layout->n_ctx - maker->n_body);
}

static CellStatus above_target_max(const Maker *maker)
{
    return refuse(maker->why, CELL_INVALID,
                  "n_ctx %lld is above --target-max %lld, which the windows are laid out for",
                  (long long)maker->layout->n_ctx, (long long)maker->layout->target_max);
}

static CellStatus lay_out_target(Maker *maker)
{
    const WindowLayout *layout = maker->layout;
    int64_t n_max = body_at_target_max(maker), n_gaps = layout->n_windows - 1;
    int64_t k = layout->k, shortest = 2 * k;
    if (n_max < 0) return above_target_max(maker);
    if (layout->n_ctx < shortest)
        return refuse(maker->why, CELL_INVALID,
                      "n_ctx %lld is below 2k = %lld: half of a window is context",
                      (long long)layout->n_ctx, (long long)shortest);
    int64_t spare = maker->corpus->n_tokens - n_max;
    if (spare < n_gaps * k) return too_short(maker, n_max + n_gaps * k);
    for (int64_t w = 0; w <= n_gaps; w++) {
        int64_t end = n_max + (n_gaps ? w * spare / n_gaps : spare);
        add(maker, (Window){end - maker->n_body, end - k, end});
    }
    return CELL_PENDING;
}

static CellStatus lay_out_truncated(Maker *maker)
{
    const Corpus *corpus = maker->corpus;
    int64_t n_max = body_at_target_max(maker), longest = 0;
    if (n_max < 0) return above_target_max(maker);
    for (int64_t i = 0; i < corpus->n_documents; i++) {
        const Document *document = &corpus->documents[i];
        longest = max_i64(longest, document->n);
        if (document->n < n_max || (int64_t)maker->list->n == maker->layout->n_documents) continue;
        add(maker, (Window){document->first, document->first + maker->n_unscored,
                            document->first + maker->n_body});
    }
    if (maker->list->n > 0) return CELL_PENDING;
    return refuse(maker->why, CELL_SKIPPED_SHORT_TEXT,
                  "the longest document has %lld tokens, --target-max needs %lld",
                  (long long)longest, (long long)n_max);
}

/* Tokens of text to use at most. */
static int64_t text_limit(const Maker *maker)
{
    int64_t n = maker->corpus->n_tokens, max = maker->layout->max_tokens;
    return max > 0 ? min_i64(n, max) : n;
}

static CellStatus lay_out_disjoint(Maker *maker)
{
    const WindowLayout *layout = maker->layout;
    int64_t n = maker->corpus->n_tokens / maker->n_body;
    if (layout->max_tokens > 0) n = min_i64(n, layout->max_tokens / layout->n_ctx);
    if (n == 0) return too_short(maker, layout->n_ctx);
    if (n > MAX_WINDOWS) return too_many(maker);
    for (int64_t w = 0; w < n; w++) {
        int64_t first = w * maker->n_body;
        add(maker, (Window){first, first + maker->n_unscored, first + maker->n_body});
    }
    return CELL_PENDING;
}

static CellStatus lay_out_sliding(Maker *maker)
{
    int64_t n = text_limit(maker), b = maker->n_body, stride = maker->layout->stride;
    int64_t most = b - maker->n_unscored;
    if (stride > most)
        return refuse(
            maker->why, CELL_INVALID,
            "stride %lld is longer than the %lld tokens that a window of n_ctx %lld scores",
            (long long)stride, (long long)most, (long long)maker->layout->n_ctx);
    if (n < b) return too_short(maker, b);
    if ((n - b) / stride >= MAX_WINDOWS) return too_many(maker);
    add(maker, (Window){0, maker->n_unscored, b});
    for (int64_t done = b, end; done < n; done = end) {
        end = min_i64(done + stride, n);
        add(maker, (Window){end - b, done, end});
    }
    return CELL_PENDING;
}

static CellStatus lay_out_half_chunk(Maker *maker)
{
    int64_t t = maker->layout->n_ctx, n_bos = t - maker->n_body;
    int64_t n = (text_limit(maker) + n_bos) / t;
    if (n < 2) return too_short(maker, 2 * t - n_bos);
    if (n > MAX_WINDOWS) return too_many(maker);
    if (t < 4)
        return refuse(maker->why, CELL_INVALID, "n_ctx %lld is below 4: half of it is context",
                      (long long)t);
    for (int64_t c = 0; c < n; c++) {
        int64_t first = c * t;
        add(maker, (Window){first, first + t / 2 + 1 - n_bos, first + t - n_bos});
    }
    return CELL_PENDING;
}

static CellStatus (*const lay_outs[])(Maker *) = {
    [PROTOCOL_TARGET] = lay_out_target,         [PROTOCOL_TRUNCATED] = lay_out_truncated,
    [PROTOCOL_DISJOINT] = lay_out_disjoint,     [PROTOCOL_SLIDING] = lay_out_sliding,
    [PROTOCOL_HALF_CHUNK] = lay_out_half_chunk,
};

CellStatus windows_lay_out(const WindowLayout *layout, const Corpus *corpus, WindowList *out,
                           char why[WINDOWS_WHY_SIZE])
{
    *out = (WindowList){0};
    if (layout->n_ctx < 2)
        return refuse(why, CELL_INVALID, "n_ctx %lld predicts no token", (long long)layout->n_ctx);
    Maker maker = {
        .layout = layout,
        .corpus = corpus,
        .list = out,
        .why = why,
        .n_body = layout->n_ctx - layout->with_bos,
        .n_unscored = !layout->with_bos,
    };
    return lay_outs[layout->protocol](&maker);
}

void windows_free(WindowList *list)
{
    free(list->items);
    *list = (WindowList){0};
}

int64_t window_n_tokens(const Window *window, bool with_bos)
{
    return window->end - window->first + with_bos;
}
