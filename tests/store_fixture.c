#include "tests/store_fixture.h"

#include <math.h>
#include <stdio.h>

#include "reports/stmt.h"
#include "tests/test_util.h"

static const char model_hash[] = STORE_HEX "00";
static const char corpus_hash[] = STORE_HEX "01";
static const char setting_key[] = STORE_HEX "02";

const char *store_fresh_path(void)
{
    static char path[128];
    static int n;
    snprintf(path, sizeof path, "%s/store-%d.db", test_folder(), n++);
    return path;
}

CellRow store_cell_row(const char *key)
{
    return (CellRow){.key = key,
                     .canonical = "probe=passkey\n",
                     .model_hash = model_hash,
                     .setting_key = setting_key,
                     .corpus_hash = corpus_hash,
                     .n_ctx = 256,
                     .probe = "passkey",
                     .protocol = "insert",
                     .params = "digits=5",
                     .depth = 0.5,
                     .precision = "f32",
                     .numeric_version = 1,
                     .bos_policy = "bos"};
}

void store_put_parents(Store *store, const char *name)
{
    Err err;
    SettingPairRow pairs[] = {
        {.pair = 0, .theta_i = 1.0, .theta_scaled_i = 1.0 },
        {.pair = 1, .theta_i = 0.1, .theta_scaled_i = 0.05}
    };
    assert_ok(
        store_put_model(store, &(ModelRow){.hash = model_hash, .name = name, .n_rot = 4}, &err),
        &err);
    assert_ok(store_put_corpus(store, &(CorpusRow){.hash = corpus_hash, .name = name}, &err), &err);
    assert_ok(store_put_setting(store,
                                &(SettingRow){.key = setting_key,
                                              .label = name,
                                              .method = "ntk",
                                              .class_ = "theta",
                                              .lambda = 2.0,
                                              .factor = NAN,
                                              .theta = 1e4,
                                              .n_rot = 4,
                                              .n_ctx_orig = 128},
                                pairs, COUNT_OF(pairs), &err),
              &err);
}

int64_t store_start_run(Store *store)
{
    Err err;
    int64_t run_id = 0;
    assert_ok(store_begin_run(store, &(RunRow){.command = "ropewalk sweep", .n_threads = 1},
                              &run_id, &err),
              &err);
    return run_id;
}

int64_t store_plan_one(Store *store, int64_t run_id, const char *key, bool fresh,
                       CellStatus *status)
{
    Err err;
    int64_t cell_id = 0;
    CellRow row = store_cell_row(key);
    assert_ok(store_begin_plan(store, &err), &err);
    assert_ok(store_plan_cell(store, run_id, &(CellRequest){.row = &row, .fresh = fresh}, &cell_id,
                              status, &err),
              &err);
    assert_ok(store_end_plan(store, &err), &err);
    return cell_id;
}

void store_finish_one(Store *store, int64_t cell_id, int64_t run_id, CellStatus status,
                      double value)
{
    Err err;
    Metric metric = {.name = "passkey_exact",
                     .unit = "fraction",
                     .direction = 1,
                     .value = value,
                     .n = 4,
                     .ci_low = NAN,
                     .ci_high = NAN,
                     .ci_method = "none"};
    Trial trials[] = {
        {.index = 0,
         .needle_first = -1,
         .exact = -1,
         .forced = -1,
         .nll = NAN,
         .logp = NAN,
         .logp_control = NAN},
        { .index = 1,
         .n_scored = 2,
         .n_bytes = 7,
         .needle_first = 3,
         .exact = 1,
         .forced = 0,
         .nll = 3.0,
         .logp = -1.5,
         .logp_control = -2.5,
         .answer = "12345"}
    };
    PositionNll position = {
        .bucket = 1, .first = 2, .last = 3, .cluster = 0, .n = 2, .sum = 1.0, .sum_squares = 0.5};
    CellResult result = {.status = status,
                         .message = status == CELL_DONE ? NULL : "why",
                         .metrics = &metric,
                         .n_metrics = status == CELL_DONE,
                         .trials = trials,
                         .n_trials = 2,
                         .positions = &position,
                         .n_positions = 1,
                         .seconds = 1.5,
                         .n_prefilled = 99};
    assert_ok(store_finish_cell(store, cell_id, run_id, &result, &err), &err);
}

int64_t store_count(Store *store, const char *sql)
{
    Err err;
    int64_t n = -1;
    assert_ok(sql_i64(store_sqlite(store), sql, &n, &err), &err);
    return n;
}

Store *store_open_memory(void)
{
    Err err;
    Store *store = store_open(":memory:", &err);
    assert_ok(store, &err);
    store_put_parents(store, "m");
    return store;
}

void store_make_database(const char *path)
{
    Err err;
    Store *store = store_open(path, &err);
    assert_ok(store, &err);
    store_put_parents(store, "m");
    CellStatus status;
    int64_t run_id = store_start_run(store);
    for (int i = 0; i < 200; i++) {
        char key[HASH_HEX_SIZE];
        snprintf(key, sizeof key, "%064d", i);
        store_finish_one(store, store_plan_one(store, run_id, key, false, &status), run_id,
                         CELL_DONE, 0.5);
    }
    store_close(store);
}
