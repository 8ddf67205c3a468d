#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "harness/cli_pairs.h"
#include "models/rope.h"

static bool bad_part(const char *text, Err *err)
{
    return err_set(err, ERR_USAGE,
                   "--mix: \"%.100s\": lengths with shares above 0 are wanted, as in "
                   "512:0.5,2048:0.5",
                   text);
}

/* Reads "512:0.5". */
static bool read_part(const char *text, MixPart *out, Err *err)
{
    const char *colon = strchr(text, ':');
    if (!colon) return bad_part(text, err);
    char *length = str_dup_n(text, (size_t)(colon - text));
    bool ok = str_to_size(length, &out->n_ctx) && out->n_ctx > 0 &&
              out->n_ctx <= ROPE_MAX_POSITION && str_to_double(colon + 1, &out->weight) &&
              out->weight >= 1e-6 && out->weight <= 1e6;
    free(length);
    return ok || bad_part(text, err);
}

bool cli_read_mix(const char *text, MixPart **parts, size_t *n, Err *err)
{
    char *copy = str_dup(text);
    bool ok = true;
    char *next = copy;
    *parts = NULL;
    *n = 0;
    while (ok && next) {
        char *item = strsep(&next, ",");
        *parts = mem_realloc(*parts, *n + 1, sizeof **parts);
        ok = read_part(item, &(*parts)[(*n)++], err);
    }
    free(copy);
    return ok;
}

void cli_free_margins(MarginList *margins)
{
    for (size_t i = 0; i < margins->n; i++)
        free(margins->items[i].probe);
    free(margins->items);
}

/* Reads "0.05" or "passkey=0.05". */
static bool read_margin(const char *text, Margin *out, Err *err)
{
    const char *equals = strchr(text, '=');
    if (equals) out->probe = str_dup_n(text, (size_t)(equals - text));
    if (str_to_double(equals ? equals + 1 : text, &out->value) && isfinite(out->value) &&
        out->value >= 0.0)
        return true;
    return err_set(
        err, ERR_USAGE,
        "--fail-if: \"%.100s\": margins of 0 or more are wanted, nats a token or a share "
        "of hits, as in 0.05 or passkey=0.1,perplexity=0.02",
        text);
}

bool cli_read_margins(const char *text, MarginList *out, Err *err)
{
    char *copy = str_dup(text);
    bool ok = true;
    char *next = copy;
    while (ok && next) {
        char *item = strsep(&next, ",");
        out->items = mem_realloc(out->items, out->n + 1, sizeof *out->items);
        out->items[out->n] = (Margin){0};
        ok = read_margin(item, &out->items[out->n++], err);
    }
    free(copy);
    return ok;
}
