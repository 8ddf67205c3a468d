#include "tests/sweep_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum { LONGEST = 1 << 16 };

/* Fills a list with copies from slots first … of fixture->items. */
static StringList copy_list(Fixture *fixture, const char *const *texts, size_t first)
{
    StringList list = {.items = fixture->items + first};
    while (list.n < FIXTURE_MAX_ITEMS && texts[list.n]) {
        list.items[list.n] = str_dup(texts[list.n]);
        list.n++;
    }
    return list;
}

static void fill_options(Fixture *fixture, const FixtureAsk *ask)
{
    Options *options = &fixture->options;
    options->method = copy_list(fixture, ask->methods, 0);
    options->probe = copy_list(fixture, ask->probes, FIXTURE_MAX_ITEMS);
    options->n_ctx.items = malloc(sizeof ask->n_ctx);
    memcpy(options->n_ctx.items, ask->n_ctx, sizeof ask->n_ctx);
    while (options->n_ctx.n < FIXTURE_MAX_ITEMS && ask->n_ctx[options->n_ctx.n])
        options->n_ctx.n++;
    options->corpus = ask->corpus ? str_dup(ask->corpus) : NULL;
    options->seed = ask->seed;
    options->target_max = ask->target_max;
    options->limit = ask->limit;
    options->theta = ask->theta;
    options->yes = ask->yes;
}

bool fixture_plan(Fixture *fixture, const FixtureAsk *ask, Err *err)
{
    memset(fixture, 0, sizeof *fixture);
    fill_options(fixture, ask);
    ModelConfig config = {
        .arch = "fake",
        .d_model = 64,
        .n_layers = 2,
        .n_heads = 2,
        .n_kv_heads = 2,
        .head_dim = 32,
        .d_ff = 128,
        .vocab_size = 257,
        .n_ctx_train = 256,
        .n_rot = 32,
        .rope = {.method = &rope_methods[0], .theta = 10000.0, .n_rot = 32, .n_ctx_orig = 256},
    };
    fixture->plan = plan_new(&fixture->options, err);
    if (!fixture->plan) return false;
    Backend text;
    backend_open_fake(&text, LONGEST);
    return plan_add_backend(fixture->plan, ask->model ? ask->model : "fake", &config, text, err) &&
           plan_lay_out(fixture->plan, err);
}

void fixture_free(Fixture *fixture)
{
    plan_free(fixture->plan);
    for (size_t i = 0; i < COUNT_OF(fixture->items); i++)
        free(fixture->items[i]);
    free(fixture->options.n_ctx.items);
    free(fixture->options.corpus);
    memset(fixture, 0, sizeof *fixture);
}
