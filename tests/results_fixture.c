#include "tests/results_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/str.h"
#include "tests/test_util.h"

const char results_hostile_text[] =
    /* NOLINTNEXTLINE(misc-misleading-bidirectional): what is tested */
    "=1+1\"><img src=x onerror=alert(1)><script>alert(2)</script>]]>&amp;'\xe2\x80\xae|\xff\x1b[0m";

const char results_model_hash[] =
    "00000000000000000000000000000000000000000000000000000000000000aa";
static const char corpus_hash[] =
    "00000000000000000000000000000000000000000000000000000000000000bb";

const char *results_key(int kind, int i)
{
    static char ring[4][HASH_HEX_SIZE];
    static int next;
    next = (next + 1) % 4;
    snprintf(ring[next], HASH_HEX_SIZE, "%032d%032d", kind, i);
    return ring[next];
}

static const char *or_hostile(const Fixture *fixture, const char *text)
{
    return fixture->text ? fixture->text : text;
}

Fixture results_open(const char *text)
{
    Err err;
    Fixture fixture = {.store = store_open(":memory:", &err), .text = text};
    assert_ok(fixture.store, &err);
    ModelRow model = {.hash = results_model_hash,
                      .name = or_hostile(&fixture, "tiny"),
                      .path = text,
                      .format = text,
                      .arch = text,
                      .n_ctx_train = 256,
                      .n_ctx_orig = 256,
                      .theta = 1e4,
                      .n_rot = 32,
                      .rope_found = text,
                      .tokenizer = text,
                      .notes = text};
    CorpusRow corpus = {.hash = corpus_hash, .name = or_hostile(&fixture, "book"), .path = text};
    RunRow run = {.command = or_hostile(&fixture, "ropewalk sweep"),
                  .spec = or_hostile(&fixture, "n-ctx: [256]\n"),
                  .version = text,
                  .machine = or_hostile(&fixture, "host-a"),
                  .blas = text};
    assert_ok(store_put_model(fixture.store, &model, &err), &err);
    assert_ok(store_put_corpus(fixture.store, &corpus, &err), &err);
    assert_ok(store_begin_run(fixture.store, &run, &fixture.run_id, &err), &err);
    assert_ok(store_add_event(fixture.store, fixture.run_id, "warning",
                              or_hostile(&fixture, "note"), &err),
              &err);
    return fixture;
}

void results_add_setting(Fixture *fixture, int index, const char *method, double lambda,
                         double factor)
{
    Err err;
    char label[64];
    double value = isnan(lambda) ? factor : lambda;
    if (isnan(value))
        snprintf(label, sizeof label, "%s", method);
    else
        snprintf(label, sizeof label, "%s:%g", method, value);
    SettingPairRow pairs[] = {
        {.pair = 0, .theta_i = 1.0,  .theta_scaled_i = 0.5  },
        {.pair = 1, .theta_i = 0.01, .theta_scaled_i = 0.005}
    };
    SettingRow row = {.key = results_key(1, index),
                      .label = or_hostile(fixture, label),
                      .method = or_hostile(fixture, method),
                      .class_ = str_equal(method, "pi") || str_equal(method, "rerope") ? "position"
                                                                                       : "theta",
                      .lambda = lambda,
                      .factor = factor,
                      .theta = 1e4,
                      .n_rot = 32,
                      .n_ctx_orig = 256};
    assert_ok(store_put_setting(fixture->store, &row, pairs, COUNT_OF(pairs), &err), &err);
}

int64_t results_add_cell(Fixture *fixture, const Place *place)
{
    Err err;
    bool passkey = !isnan(place->depth);
    CellRow row = {.key = place->key ? place->key : results_key(2, fixture->n_cells++),
                   .canonical = or_hostile(fixture, "c"),
                   .model_hash = results_model_hash,
                   .setting_key = results_key(1, place->setting),
                   .corpus_hash = passkey ? NULL : corpus_hash,
                   .n_ctx = place->n_ctx,
                   .probe = or_hostile(fixture, passkey ? "passkey" : "perplexity"),
                   .protocol = or_hostile(fixture, "p"),
                   .params = or_hostile(fixture, "a=1,b=2"),
                   .depth = place->depth,
                   .seed = 1,
                   .precision = or_hostile(fixture, "f32"),
                   .numeric_version = 1,
                   .bos_policy = or_hostile(fixture, "bos"),
                   .limited = place->limited};
    int64_t cell_id;
    CellStatus status;
    assert_ok(store_plan_cell(
                  fixture->store, fixture->run_id,
                  &(CellRequest){.row = &row, .ordinal = fixture->n_cells, .fresh = place->fresh},
                  &cell_id, &status, &err),
              &err);
    return cell_id;
}

void results_finish_hits(Fixture *fixture, int64_t cell_id, int64_t hits, int64_t n)
{
    Err err;
    Metric metrics[] = {
        {.name = or_hostile(fixture, "passkey_exact"),
         .unit = "fraction",
         .direction = 1,
         .value = (double)hits / (double)n,
         .n = n,
         .ci_low = 0.1,
         .ci_high = 0.9,
         .ci_method = or_hostile(fixture, "wilson95")},
        {.name = "second",
         .unit = or_hostile(fixture,                               "nats"),
         .direction = 1,
         .value = -2.0,
         .n = n,
         .ci_low = NAN,
         .ci_high = NAN        }
    };
    Trial trial = {.expected = fixture->text, .answer = fixture->text, .exact = -1, .forced = -1};
    CellResult result = {
        .status = CELL_DONE, .metrics = metrics, .n_metrics = 2, .trials = &trial, .n_trials = 1};
    assert_ok(store_finish_cell(fixture->store, cell_id, fixture->run_id, &result, &err), &err);
}

void results_finish_value(Fixture *fixture, int64_t cell_id, double value)
{
    Err err;
    Metric metric = {.name = or_hostile(fixture, "perplexity"),
                     .unit = or_hostile(fixture, "perplexity"),
                     .direction = -1,
                     .value = value,
                     .n = 1000,
                     .ci_low = value - 1.0,
                     .ci_high = value + 1.0,
                     .ci_method = or_hostile(fixture, "clustered-t95")};
    PositionNll positions[33];
    for (int i = 0; i < 33; i++)
        positions[i] = (PositionNll){.bucket = i / 11,
                                     .first = 1 + 8 * (i / 11),
                                     .last = 8 + 8 * (i / 11),
                                     .cluster = i % 11,
                                     .n = 8,
                                     .sum = 16.0 + 0.1 * i,
                                     .sum_squares = 40.0};
    CellResult result = {.status = CELL_DONE,
                         .metrics = &metric,
                         .n_metrics = 1,
                         .positions = positions,
                         .n_positions = 33};
    assert_ok(store_finish_cell(fixture->store, cell_id, fixture->run_id, &result, &err), &err);
}

static void finish_samples(Fixture *fixture, int64_t cell_id, Trial *trials, size_t n)
{
    Err err;
    CellResult result = {.status = CELL_DONE, .trials = trials, .n_trials = n};
    assert_ok(store_finish_cell(fixture->store, cell_id, fixture->run_id, &result, &err), &err);
    free(trials);
}

void results_finish_trials(Fixture *fixture, int64_t cell_id, const int *hits, size_t n)
{
    Trial *trials = calloc(n, sizeof *trials);
    assert_non_null(trials);
    for (size_t i = 0; i < n; i++)
        trials[i] = (Trial){.index = (int64_t)i,
                            .cluster = (int64_t)i,
                            .n_prompt_tokens = 1000,
                            .needle_first = 100 + 100 * (int64_t)(i % 8),
                            .n_scored = 5,
                            .nll = 1.0,
                            .exact = hits[i],
                            .forced = hits[i]};
    finish_samples(fixture, cell_id, trials, n);
}

void results_finish_windows(Fixture *fixture, int64_t cell_id, const double *nll, size_t n,
                            int64_t n_tokens)
{
    Trial *trials = calloc(n, sizeof *trials);
    assert_non_null(trials);
    for (size_t i = 0; i < n; i++)
        trials[i] = (Trial){.index = (int64_t)i,
                            .cluster = (int64_t)i,
                            .n_scored = n_tokens,
                            .nll = nll[i],
                            .needle_first = -1,
                            .exact = -1,
                            .forced = -1};
    finish_samples(fixture, cell_id, trials, n);
}

void results_finish_as(Fixture *fixture, int64_t cell_id, CellStatus status)
{
    Err err;
    CellResult result = {.status = status, .message = or_hostile(fixture, "too short, \"really\"")};
    assert_ok(store_finish_cell(fixture->store, cell_id, fixture->run_id, &result, &err), &err);
}

void results_add_verdict(Fixture *fixture, int setting, const char *verdict, double residual)
{
    Err err;
    AuditRow row = {.model_hash = results_model_hash,
                    .setting_key = results_key(1, setting),
                    .n_ctx = 1024,
                    .verdict = or_hostile(fixture, verdict),
                    .amplitude = 1.25,
                    .residual = residual,
                    .residual_f32 = 7.5e-8,
                    .shift_error = 1e-14,
                    .shift_error_f32 = 1.5e-7,
                    .norm_error_f32 = 3.5e-8,
                    .largest_residue = residual > 0.1 ? 1.5 : (double)NAN,
                    .mean_residue = residual > 0.1 ? 0.25 : (double)NAN};
    assert_ok(store_put_audit(fixture->store, &row, &err), &err);
}

void results_add_markers(Fixture *fixture, int setting, double first_negative, double reach)
{
    const struct {
        const char *quantity;
        const char *unit;
        int64_t n_ctx;
        double value;
    } markers[] = {
        {"first_negative_sum", "tokens",   0,    first_negative},
        {"seen_reach",         "tokens",   0,    reach         },
        {"pairs_turning",      "pairs",    0,    1.0           },
        {"resolution",         "of plain", 0,    0.875         },
        {"unseen_angle",       "rad",      1024, 0.75          },
    };
    for (size_t i = 0; i < COUNT_OF(markers); i++) {
        Err err;
        PredictionRow row = {.model_hash = results_model_hash,
                             .setting_key = results_key(1, setting),
                             .n_ctx = markers[i].n_ctx,
                             .quantity = markers[i].quantity,
                             .unit = or_hostile(fixture, markers[i].unit),
                             .value = markers[i].value,
                             .source = or_hostile(fixture, "formula")};
        assert_ok(store_put_prediction(fixture->store, &row, &err), &err);
    }
}

Fixture results_open_full(const char *text)
{
    Fixture fixture = results_open(text);
    results_add_setting(&fixture, 0, "none", NAN, NAN);
    results_add_setting(&fixture, 1, "ntk", 2.0, NAN);
    results_add_setting(&fixture, 2, "linear", NAN, 4.0);
    results_add_verdict(&fixture, 1, "equivalent to a theta' up to amplitude", 4e-13);
    results_add_verdict(&fixture, 2, "not expressible as any theta'", 3.0);
    results_add_markers(&fixture, 1, 619.0, 346.0);
    results_add_markers(&fixture, 2, (double)NAN, 1021.0);
    for (int setting = 0; setting < 3; setting++)
        for (int64_t n_ctx = 256; n_ctx <= 1024; n_ctx *= 2) {
            for (int depth = 0; depth <= 1; depth++)
                results_finish_hits(
                    &fixture,
                    results_add_cell(&fixture, &(Place){setting, n_ctx, depth, false, NULL, false}),
                    4 - setting, 4);
            results_finish_value(
                &fixture,
                results_add_cell(&fixture, &(Place){setting, n_ctx, NAN, false, NULL, false}),
                10.0 + (double)n_ctx / 100.0 * setting);
        }
    for (int status = 0; status < CELL_STATUS_COUNT; status++)
        if (status != CELL_DONE)
            results_finish_as(
                &fixture,
                results_add_cell(&fixture, &(Place){0, 2048 + status, NAN, false, NULL, false}),
                (CellStatus)status);
    return fixture;
}

char *results_report(Store *store, const char *format, const ReportOptions *options)
{
    Err err;
    Buf out = {0};
    assert_ok(report_find(format)->write(store, options, &out, &err), &err);
    return buf_steal(&out);
}
