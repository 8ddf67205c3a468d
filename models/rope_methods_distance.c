/* Methods in which near keys keep their exact distance and far keys get another one.
 *
 * With r = p - j and w the window, the relative position that a query at p sees of a key at j is
 *
 *     ReRoPE          r < w: r        else w                                query at w, key at 0
 *     leaky ReRoPE    r < w: r        else w + (r - w) / s                  query at p/s + w - w/s, key at j/s
 *     Self-Extend     r < w: r        else ⌊p/G⌋ - ⌊j/G⌋ + w - ⌊w/G⌋         query at ⌊p/G⌋ + w - ⌊w/G⌋, key at ⌊j/G⌋
 *     dual chunk      chunks of c - w positions, keys at j mod (c - w); the query at p mod (c - w) in its own chunk,
 *                     at min((p mod (c - w)) + c - w, c) for the chunk before, at c for those further back
 *
 * so each needs the query and the key turned in two or three ways, and a rule that says which
 * pair meets in which. */
#include <math.h>
#include <string.h>

#include "models/rope_methods.h"

/* Copies the plain angles to all variants and sets the rule. */
static void use_variants(RopeTable *table, int n_query, int n_key, RopeRule rule, int64_t span)
{
    table->n_query_variants = n_query;
    table->n_key_variants = n_key;
    table->rule = rule;
    table->span = span;
    for (int i = 1; i < n_query; i++)
        memcpy(table->query[i].inv_freq, table->query[0].inv_freq, sizeof table->query[0].inv_freq);
    for (int i = 0; i < n_key; i++)
        memcpy(table->key[i].inv_freq, table->query[0].inv_freq, sizeof table->query[0].inv_freq);
}

void rope_init_rerope(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    double window = rope_spec_value(spec, ROPE_WINDOW, n_ctx);
    use_variants(table, 2, 2, ROPE_RULE_WINDOW, (int64_t)window);
    table->query[1].position =
        (RopePosition){.modulus = 1, .divisor = 1.0, .cap = INFINITY, .offset = window};
    table->key[1].position = (RopePosition){.modulus = 1, .divisor = 1.0, .cap = INFINITY};
}

void rope_init_leaky_rerope(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    double window = rope_spec_value(spec, ROPE_WINDOW, n_ctx);
    double s = rope_spec_value(spec, ROPE_FACTOR, n_ctx);
    use_variants(table, 2, 2, ROPE_RULE_WINDOW, (int64_t)window);
    table->query[1].position =
        (RopePosition){.divisor = s, .cap = INFINITY, .offset = window - window / s};
    table->key[1].position = (RopePosition){.divisor = s, .cap = INFINITY};
}

void rope_init_self_extend(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    double window = rope_spec_value(spec, ROPE_WINDOW, n_ctx);
    double group = rope_spec_value(spec, ROPE_GROUP, n_ctx);
    use_variants(table, 2, 2, ROPE_RULE_WINDOW, (int64_t)window);
    table->query[1].position = (RopePosition){
        .divisor = group, .whole = true, .cap = INFINITY, .offset = window - floor(window / group)};
    table->key[1].position = (RopePosition){.divisor = group, .whole = true, .cap = INFINITY};
}

bool rope_check_self_extend(const RopeSpec *spec, Err *err)
{
    double window = rope_spec_value(spec, ROPE_WINDOW, 1);
    double most = 2.0 * (double)spec->n_ctx_orig / 3.0;
    if (window < most) return true;
    return err_set(
        err, ERR_USAGE,
        "self-extend: window %g leaves no room for groups; it must be below two thirds of %lld",
        window, (long long)spec->n_ctx_orig);
}

void rope_init_dual_chunk(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    double chunk = rope_spec_value(spec, ROPE_CHUNK, n_ctx);
    int64_t span = (int64_t)(chunk - rope_spec_value(spec, ROPE_WINDOW, n_ctx));
    RopePosition in_chunk = {.modulus = span, .divisor = 1.0, .cap = INFINITY};
    use_variants(table, 3, 1, ROPE_RULE_CHUNK, span);
    table->query[0].position = table->key[0].position = in_chunk;
    table->query[1].position = (RopePosition){
        .modulus = span, .divisor = 1.0, .cap = chunk - (double)span, .offset = (double)span};
    table->query[2].position =
        (RopePosition){.modulus = 1, .divisor = 1.0, .cap = INFINITY, .offset = chunk};
}

bool rope_check_dual_chunk(const RopeSpec *spec, Err *err)
{
    double chunk = rope_spec_value(spec, ROPE_CHUNK, 1);
    double window = rope_spec_value(spec, ROPE_WINDOW, 1);
    if (chunk - window >= 1.0) return true;
    return err_set(err, ERR_USAGE, "dual-chunk: window %g must be smaller than chunk %g", window,
                   chunk);
}
