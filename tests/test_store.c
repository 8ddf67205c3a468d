/* The database: what stays, what is refused, what survives a kill. */
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/str.h"
#include "reports/stmt.h"
#include "reports/store.h"
#include "reports/store_internal.h"
#include "tests/test_util.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd"
static const char MODEL[] = HEX "00";
static const char CORPUS[] = HEX "01";
static const char SETTING[] = HEX "02";

/* A path in the test folder that no earlier test used; lent until the next call. */
static const char *fresh_path(void)
{
    static char path[128];
    static int n;
    snprintf(path, sizeof path, "%s/store-%d.db", test_folder(), n++);
    return path;
}

static CellRow cell_row(const char *key)
{
    return (CellRow){.key = key,
                     .canonical = "probe=passkey\n",
                     .model_hash = MODEL,
                     .setting_key = SETTING,
                     .corpus_hash = CORPUS,
                     .n_ctx = 256,
                     .probe = "passkey",
                     .protocol = "insert",
                     .params = "digits=5",
                     .depth = 0.5,
                     .precision = "f32",
                     .numeric_version = 1,
                     .bos_policy = "bos"};
}

static void put_parents(Store *store, const char *name)
{
    Err err;
    SettingPairRow pairs[] = {
        {.pair = 0, .theta_i = 1.0, .theta_scaled_i = 1.0 },
        {.pair = 1, .theta_i = 0.1, .theta_scaled_i = 0.05}
    };
    assert_ok(store_put_model(store, &(ModelRow){.hash = MODEL, .name = name, .n_rot = 4}, &err),
              &err);
    assert_ok(store_put_corpus(store, &(CorpusRow){.hash = CORPUS, .name = name}, &err), &err);
    assert_ok(store_put_setting(store,
                                &(SettingRow){.key = SETTING,
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

static int64_t begin_run(Store *store)
{
    Err err;
    int64_t run_id = 0;
    assert_ok(store_begin_run(store, &(RunRow){.command = "ropewalk sweep", .n_threads = 1},
                              &run_id, &err),
              &err);
    return run_id;
}

static int64_t plan(Store *store, int64_t run_id, const char *key, bool fresh, CellStatus *status)
{
    Err err;
    int64_t cell_id = 0;
    CellRow row = cell_row(key);
    assert_ok(store_begin_plan(store, &err), &err);
    assert_ok(store_plan_cell(store, run_id, 0, &row, fresh, &cell_id, status, &err), &err);
    assert_ok(store_end_plan(store, &err), &err);
    return cell_id;
}

static void finish(Store *store, int64_t cell_id, int64_t run_id, CellStatus status, double value)
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

static int64_t count(Store *store, const char *sql)
{
    Err err;
    int64_t n = -1;
    assert_ok(sql_i64(store_sqlite(store), sql, &n, &err), &err);
    return n;
}

static Store *open_memory(void)
{
    Err err;
    Store *store = store_open(":memory:", &err);
    assert_ok(store, &err);
    put_parents(store, "m");
    return store;
}

static void test_status_names_lead_back_to_their_status(void **state)
{
    (void)state;
    for (int i = 0; i < CELL_STATUS_COUNT; i++) {
        CellStatus found = CELL_STATUS_COUNT;
        assert_true(cell_status_find(cell_status_name((CellStatus)i), &found));
        assert_int_equal(found, i);
    }
    CellStatus found;
    assert_false(cell_status_find("finished", &found));
}

static void test_only_pending_failed_and_memory_cells_run_again(void **state)
{
    (void)state;
    for (int i = 0; i < CELL_STATUS_COUNT; i++)
        assert_int_equal(cell_status_runs_again((CellStatus)i),
                         i == CELL_PENDING || i == CELL_FAILED || i == CELL_SKIPPED_MEMORY);
}

static void test_every_status_can_be_stored_and_counted(void **state)
{
    (void)state;
    Err err;
    Store *store = open_memory();
    int64_t run_id = begin_run(store);
    for (int i = 0; i < CELL_STATUS_COUNT; i++) {
        char key[HASH_HEX_SIZE];
        snprintf(key, sizeof key, "%064d", i);
        CellStatus status;
        finish(store, plan(store, run_id, key, false, &status), run_id, (CellStatus)i, 0.5);
    }
    int64_t counts[CELL_STATUS_COUNT];
    assert_ok(store_count_cells(store, run_id, counts, &err), &err);
    for (int i = 0; i < CELL_STATUS_COUNT; i++)
        assert_int_equal(counts[i], 1);
    store_close(store);
}

static void test_planning_again_keeps_done_cells_and_links_them(void **state)
{
    (void)state;
    Err err;
    const char *path = fresh_path();
    Store *store = store_open(path, &err);
    assert_ok(store, &err);
    put_parents(store, "m");
    CellStatus status;
    int64_t first_run = begin_run(store);
    int64_t done = plan(store, first_run, HEX "aa", false, &status);
    assert_int_equal(status, CELL_PENDING);
    finish(store, done, first_run, CELL_DONE, 0.75);
    int64_t failed = plan(store, first_run, HEX "bb", false, &status);
    finish(store, failed, first_run, CELL_FAILED, 0.0);
    store_close(store);

    store = store_open(path, &err);
    assert_ok(store, &err);
    int64_t second_run = begin_run(store);
    assert_int_equal(plan(store, second_run, HEX "aa", false, &status), done);
    assert_int_equal(status, CELL_DONE);
    assert_int_equal(plan(store, second_run, HEX "bb", false, &status), failed);
    assert_int_equal(status, CELL_FAILED);
    assert_int_equal(count(store, "SELECT count(*) FROM cell"), 2);
    assert_int_equal(count(store, "SELECT count(*) FROM run_cell"), 4);
    assert_int_equal(count(store, "SELECT count(*) FROM metric"), 1);
    store_close(store);
}

static void test_finishing_again_replaces_what_a_failed_try_left(void **state)
{
    (void)state;
    Store *store = open_memory();
    CellStatus status;
    int64_t run_id = begin_run(store);
    int64_t cell = plan(store, run_id, HEX "aa", false, &status);
    finish(store, cell, run_id, CELL_FAILED, 0.0);
    assert_int_equal(count(store, "SELECT count(*) FROM metric"), 0);
    finish(store, cell, run_id, CELL_DONE, 1.0);
    assert_int_equal(count(store, "SELECT count(*) FROM metric"), 1);
    assert_int_equal(count(store, "SELECT count(*) FROM trial"), 2);
    assert_int_equal(count(store, "SELECT count(*) FROM position_nll"), 1);
    assert_int_equal(count(store, "SELECT message IS NULL FROM cell"), 1);
    store_close(store);
}

static void test_fresh_makes_a_generation_and_deletes_nothing(void **state)
{
    (void)state;
    Store *store = open_memory();
    CellStatus status;
    int64_t run_id = begin_run(store);
    int64_t old = plan(store, run_id, HEX "aa", false, &status);
    assert_int_equal(plan(store, run_id, HEX "aa", true, &status),
                     old); /* still pending: the same */
    finish(store, old, run_id, CELL_DONE, 0.25);
    int64_t fresh_run = begin_run(store);
    int64_t fresh = plan(store, fresh_run, HEX "aa", true, &status);
    assert_int_not_equal(fresh, old);
    assert_int_equal(status, CELL_PENDING);
    finish(store, fresh, fresh_run, CELL_DONE, 0.75);
    assert_int_equal(count(store, "SELECT count(*) FROM metric"), 2);
    assert_int_equal(count(store, "SELECT max(generation) FROM cell"), 2);
    assert_int_equal(count(store, "SELECT count(*) FROM v_cell_all"), 2);
    assert_int_equal(count(store, "SELECT count(*) FROM v_cell WHERE value = 0.75"), 1);
    assert_int_equal(count(store, "SELECT count(*) FROM v_cell WHERE value = 0.25"), 0);
    assert_int_equal(count(store, "SELECT count(*) FROM v_trial"), 2);
    store_close(store);
}

static void test_numbers_that_are_absent_become_null(void **state)
{
    (void)state;
    Store *store = open_memory();
    CellStatus status;
    int64_t run_id = begin_run(store);
    finish(store, plan(store, run_id, HEX "aa", false, &status), run_id, CELL_DONE, INFINITY);
    assert_int_equal(
        count(store, "SELECT value IS NULL AND ci_low IS NULL AND ci_high IS NULL FROM metric"), 1);
    assert_int_equal(
        count(store,
              "SELECT nll IS NULL AND n_bytes IS NULL AND needle_first IS NULL AND exact IS NULL"
              " AND forced IS NULL AND logp IS NULL AND answer IS NULL FROM trial WHERE idx = 0"),
        1);
    assert_int_equal(
        count(store,
              "SELECT nll = 3 AND n_bytes = 7 AND needle_first = 3 AND exact = 1 AND forced = 0"
              " AND logp = -1.5 AND answer = '12345' FROM trial WHERE idx = 1"),
        1);
    assert_int_equal(count(store, "SELECT factor IS NULL AND lambda = 2 FROM setting"), 1);
    assert_int_equal(count(store, "SELECT mean_nll = 1.5 FROM v_trial WHERE trial = 1"), 1);
    store_close(store);
}

static void test_hostile_names_are_stored_as_they_are(void **state)
{
    (void)state;
    static const char name[] = "x'; DROP TABLE cell;-- \"\xe2\x80\xae <script>";
    Err err;
    Store *store = store_open(":memory:", &err);
    assert_ok(store, &err);
    put_parents(store, name);
    CellStatus status;
    int64_t run_id = begin_run(store);
    CellRow row = cell_row(HEX "aa");
    row.probe = row.params = row.protocol = row.precision = name;
    int64_t cell_id;
    assert_ok(store_plan_cell(store, run_id, 0, &row, false, &cell_id, &status, &err), &err);
    assert_ok(store_add_event(store, run_id, "warning", name, &err), &err);
    Stmt stmt;
    bool found;
    assert_ok(stmt_open(store_sqlite(store), "SELECT model, setting, probe, corpus FROM v_cell",
                        &stmt, &err),
              &err);
    assert_ok(stmt_next(&stmt, &found, &err), &err);
    for (int i = 0; i < 4; i++)
        assert_string_equal(stmt_text(&stmt, i), name);
    stmt_close(&stmt);
    store_close(store);
}

static void test_a_key_of_the_wrong_length_is_an_error_that_shows_the_statement(void **state)
{
    (void)state;
    Err err;
    Store *store = open_memory();
    int64_t run_id = begin_run(store);
    CellRow row = cell_row("abc");
    int64_t cell_id;
    CellStatus status;
    assert_err(store_plan_cell(store, run_id, 0, &row, false, &cell_id, &status, &err), &err,
               ERR_STORE, "INSERT INTO cell");
    assert_int_equal(plan(store, run_id, HEX "aa", false, &status) > 0, 1);
    store_close(store);
}

static void test_a_failure_inside_a_plan_undoes_the_plan(void **state)
{
    (void)state;
    Err err;
    Store *store = open_memory();
    int64_t run_id = begin_run(store);
    CellRow good = cell_row(HEX "aa");
    CellRow bad = cell_row(HEX "bb");
    bad.setting_key = HEX "ff";
    int64_t cell_id;
    CellStatus status;
    assert_ok(store_begin_plan(store, &err), &err);
    assert_ok(store_plan_cell(store, run_id, 0, &good, false, &cell_id, &status, &err), &err);
    assert_err(store_plan_cell(store, run_id, 1, &bad, false, &cell_id, &status, &err), &err,
               ERR_STORE, "FOREIGN KEY");
    assert_int_equal(count(store, "SELECT count(*) FROM cell"), 0);
    store_close(store);
}

/* Refused files. */

static char *content_of(const char *path)
{
    Err err;
    Buf buf = {0};
    assert_ok(file_read(path, 1 << 24, &buf, &err), &err);
    char hex[HASH_HEX_SIZE];
    hash_bytes(buf.data, buf.len, hex);
    buf_free(&buf);
    return str_dup(hex);
}

/* Both ways of opening refuse the file with this text and leave its bytes and folder as they were. */
static void refuse(const char *path, const char *part)
{
    Err err;
    char *before = content_of(path);
    assert_err(store_open(path, &err), &err, ERR_STORE, part);
    assert_err(store_open_read_only(path, &err), &err, ERR_STORE, part);
    char *after = content_of(path);
    assert_string_equal(before, after);
    char lock[256];
    snprintf(lock, sizeof lock, "%s.lock", path);
    assert_false(file_exists(lock));
    free(before);
    free(after);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) fail_msg("%s: %s", sql, message);
    sqlite3_close(db);
}

static void make_database(const char *path)
{
    Err err;
    Store *store = store_open(path, &err);
    assert_ok(store, &err);
    put_parents(store, "m");
    CellStatus status;
    int64_t run_id = begin_run(store);
    for (int i = 0; i < 200; i++) {
        char key[HASH_HEX_SIZE];
        snprintf(key, sizeof key, "%064d", i);
        finish(store, plan(store, run_id, key, false, &status), run_id, CELL_DONE, 0.5);
    }
    store_close(store);
}

static void test_a_text_file_is_not_a_database(void **state)
{
    (void)state;
    static const char text[] =
        "model,lambda\nnot a database, but longer than the hundred bytes that the header "
        "of a database has, so that only the magic tells\n";
    refuse(test_file("text.db", text, sizeof text - 1), "is not a database");
    refuse(test_file("short.db", "SQLite format 3", 16), "is not a database");
}

static void test_another_programs_database_is_named_as_such(void **state)
{
    (void)state;
    const char *path = fresh_path();
    run_sql(path, "PRAGMA application_id = 7; CREATE TABLE cell (id)");
    refuse(path, "is another program's database");
    path = fresh_path();
    run_sql(path, "CREATE TABLE cell (id)");
    refuse(path, "is another program's database");
}

static void test_a_newer_schema_is_refused(void **state)
{
    (void)state;
    const char *path = fresh_path();
    make_database(path);
    run_sql(path, "PRAGMA user_version = 2");
    refuse(path, "newer ropewalk (schema version 2, this one knows 1)");
}

static void test_damaged_pages_are_refused_by_the_writer(void **state)
{
    (void)state;
    Err err;
    const char *path = fresh_path();
    make_database(path);
    int fd = open(path, O_RDWR);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    char junk[4096];
    memset(junk, 0xa5, sizeof junk);
    for (off_t at = 20 * 4096; at < st.st_size; at += 3 * 4096)
        assert_int_equal(pwrite(fd, junk, sizeof junk, at), sizeof junk);
    close(fd);
    char *before = content_of(path);
    assert_err(store_open(path, &err), &err, ERR_STORE, "is damaged");
    char *after = content_of(path);
    assert_string_equal(before, after);
    free(before);
    free(after);
}

static void test_a_truncated_file_is_refused_by_the_writer(void **state)
{
    (void)state;
    Err err;
    const char *path = fresh_path();
    make_database(path);
    assert_int_equal(truncate(path, 5 * 4096 + 100), 0);
    assert_err(store_open(path, &err), &err, ERR_STORE, "damaged");
}

static void test_a_folder_a_pipe_and_an_absent_file_are_refused(void **state)
{
    (void)state;
    Err err;
    assert_err(store_open(test_folder(), &err), &err, ERR_STORE, "not a regular file");
    const char *path = fresh_path();
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_err(store_open(path, &err), &err, ERR_STORE, "not a regular file");
    path = fresh_path();
    assert_err(store_open_read_only(path, &err), &err, ERR_STORE,
               "there is no database of this name");
    assert_false(file_exists(path));
    assert_err(store_open("/nonexistent/x.db", &err), &err, ERR_STORE, "/nonexistent/x.db");
    assert_err(store_open("", &err), &err, ERR_STORE, "empty");
}

/* A file that carries our application id but something else under our names. */
static void test_a_view_in_place_of_a_table_is_refused(void **state)
{
    (void)state;
    static const char *const attacks[] = {
        "ALTER TABLE cell RENAME TO hidden; CREATE VIEW cell AS SELECT * FROM hidden",
        "DROP VIEW v_cell; CREATE VIEW v_cell AS SELECT * FROM v_cell_all",
        "DROP VIEW v_trial; CREATE TABLE v_trial (x)",
        "ALTER TABLE metric ADD COLUMN g TEXT GENERATED ALWAYS AS (upper(name))",
        "DROP TABLE audit",
    };
    for (size_t i = 0; i < COUNT_OF(attacks); i++) {
        const char *path = fresh_path();
        make_database(path);
        run_sql(path, attacks[i]);
        refuse(path, "is not as this program makes it");
    }
}

static void test_a_trigger_in_the_file_does_not_fire(void **state)
{
    (void)state;
    Err err;
    const char *path = fresh_path();
    make_database(path);
    run_sql(
        path,
        "CREATE TABLE extra (x); CREATE TRIGGER t AFTER INSERT ON run BEGIN INSERT INTO extra VALUES (1); END");
    Store *store = store_open(path, &err);
    assert_ok(store, &err);
    begin_run(store);
    assert_int_equal(count(store, "SELECT count(*) FROM extra"), 0);
    store_close(store);
}

/* Writers and readers. */

static void test_a_second_writer_is_told_who_holds_the_file(void **state)
{
    (void)state;
    Err err;
    const char *path = fresh_path();
    char other_name[160];
    snprintf(other_name, sizeof other_name, "%s-link", path);
    Store *store = store_open(path, &err);
    assert_ok(store, &err);
    assert_int_equal(symlink(path, other_name), 0);
    char who[64];
    snprintf(who, sizeof who, "in use by pid %ld on host ", (long)getpid());
    assert_err(store_open(path, &err), &err, ERR_STORE, who);
    assert_err(store_open(other_name, &err), &err, ERR_STORE, who);
    assert_non_null(strstr(err.text, "since 20"));
    put_parents(store, "m"); /* the first goes on */
    store_close(store);
    store = store_open(path, &err);
    assert_ok(store, &err);
    store_close(store);
}

static void write_lock(const char *db_path, const char *line)
{
    char path[256];
    snprintf(path, sizeof path, "%s.lock", db_path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(line, file);
    fclose(file);
}

static void test_a_lock_of_a_dead_process_is_taken_back(void **state)
{
    (void)state;
    Err err;
    char host[256];
    char line[512];
    assert_int_equal(gethostname(host, sizeof host), 0);
    static const char *const holders[] = {
        "pid 999999999 start 1", /* no such process */
        "pid 1 start 999999999999" /* the pid lives, but is another process */};
    for (size_t i = 0; i < COUNT_OF(holders); i++) {
        const char *path = fresh_path();
        snprintf(line, sizeof line, "%s since 2026-01-01T00:00:00Z host %s\n", holders[i], host);
        write_lock(path, line);
        Store *store = store_open(path, &err);
        assert_ok(store, &err);
        store_close(store);
    }
    const char *path = fresh_path();
    write_lock(path, "a line cut in ha");
    Store *store = store_open(path, &err);
    assert_ok(store, &err);
    store_close(store);
}

static void test_a_lock_of_another_host_is_respected(void **state)
{
    (void)state;
    Err err;
    const char *path = fresh_path();
    write_lock(path, "pid 77 start 5 since 2026-01-01T00:00:00Z host node17.example\n");
    assert_err(
        store_open(path, &err), &err, ERR_STORE,
        "in use by pid 77 on host node17.example since 2026-01-01T00:00:00Z; if that process is gone, delete");
}

static void test_a_reader_sees_finished_cells_while_a_sweep_writes(void **state)
{
    (void)state;
    Err err;
    const char *path = fresh_path();
    Store *writer = store_open(path, &err);
    assert_ok(writer, &err);
    put_parents(writer, "m");
    CellStatus status;
    int64_t run_id = begin_run(writer);
    for (int i = 0; i < 20; i++) {
        char key[HASH_HEX_SIZE];
        snprintf(key, sizeof key, "%064d", i);
        finish(writer, plan(writer, run_id, key, false, &status), run_id, CELL_DONE, 0.5);
        Store *reader = store_open_read_only(path, &err);
        assert_ok(reader, &err);
        assert_int_equal(count(reader, "SELECT count(*) FROM metric"), i + 1);
        assert_int_not_equal(
            sqlite3_exec(store_sqlite(reader), "DELETE FROM metric", NULL, NULL, NULL), SQLITE_OK);
        store_close(reader);
    }
    store_close(writer);
}

static void test_a_reader_keeps_one_state_of_the_file(void **state)
{
    (void)state;
    Err err;
    const char *path = fresh_path();
    Store *writer = store_open(path, &err);
    assert_ok(writer, &err);
    put_parents(writer, "m");
    Store *reader = store_open_read_only(path, &err);
    assert_ok(reader, &err);
    int64_t before = count(reader, "SELECT count(*) FROM run");
    begin_run(writer);
    assert_int_equal(count(reader, "SELECT count(*) FROM run"), before);
    store_close(reader);
    store_close(writer);
}

static void test_a_closed_database_travels_alone(void **state)
{
    (void)state;
    const char *path = fresh_path();
    make_database(path);
    static const char *const others[] = {"-wal", "-shm", "-journal", ".lock"};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        char *name = str_format("%s%s", path, others[i]);
        assert_false(file_exists(name));
        free(name);
    }
    Err err;
    assert_int_equal(chmod(path, 0444), 0);
    Store *reader = store_open_read_only(path, &err);
    assert_ok(reader, &err);
    store_close(reader);
}

/* Finishes cells for ever; the parent kills it. */
static void write_until_killed(const char *path, int fd)
{
    Err err;
    Store *store = store_open(path, &err);
    if (!store) _exit(3);
    put_parents(store, "m");
    int64_t run_id = begin_run(store);
    for (int i = 0;; i++) {
        char key[HASH_HEX_SIZE];
        snprintf(key, sizeof key, "%064d", i);
        CellStatus status;
        int64_t cell_id = plan(store, run_id, key, false, &status);
        if (status == CELL_DONE) continue;
        finish(store, cell_id, run_id, CELL_DONE, 0.5);
        if (write(fd, "x", 1) != 1) _exit(4);
    }
}

static void test_kill_9_loses_no_finished_cell_and_leaves_no_half_cell(void **state)
{
    (void)state;
    Err err;
    const char *path = fresh_path();
    int64_t n_told = 0;
    for (int round = 0; round < 12; round++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            close(fds[0]);
            write_until_killed(path, fds[1]);
        }
        close(fds[1]);
        char byte;
        for (int i = 0; i <= round % 4; i++)
            n_told += read(fds[0], &byte, 1) == 1;
        usleep((useconds_t)(round * 311));
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status));
        while (read(fds[0], &byte, 1) == 1)
            n_told++;
        close(fds[0]);
    }
    Store *store = store_open(path, &err);
    assert_ok(store, &err);
    int64_t n_done = count(store, "SELECT count(*) FROM cell WHERE status = 'done'");
    assert_true(n_done >= n_told);
    assert_int_equal(count(store, "SELECT count(*) FROM metric"), n_done);
    assert_int_equal(count(store, "SELECT count(*) FROM trial"), 2 * n_done);
    assert_int_equal(count(store, "SELECT count(*) FROM position_nll"), n_done);
    assert_int_equal(count(store, "SELECT count(*) FROM run WHERE status <> 'died'"), 0);
    store_close(store);
}

static void test_a_kill_inside_a_transaction_leaves_the_state_before_it(void **state)
{
    (void)state;
    Err err;
    const char *path = fresh_path();
    make_database(path);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        Store *store = store_open(path, &err);
        CellStatus status;
        int64_t run_id = begin_run(store);
        if (!store_begin_plan(store, &err)) _exit(1);
        CellRow row = cell_row(HEX "aa");
        int64_t cell_id;
        if (!store_plan_cell(store, run_id, 0, &row, false, &cell_id, &status, &err)) _exit(1);
        finish(store, cell_id, run_id, CELL_DONE, 1.0);
        raise(SIGKILL);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
    Store *store = store_open(path, &err);
    assert_ok(store, &err);
    assert_int_equal(count(store, "SELECT count(*) FROM cell"), 200);
    assert_int_equal(count(store, "SELECT count(*) FROM run WHERE status = 'died'"), 2);
    store_close(store);
}

static void test_a_full_disk_says_how_many_cells_are_safe(void **state)
{
    (void)state;
    Err err;
    const char *path = fresh_path();
    make_database(path);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        Store *store = store_open(path, &err);
        int64_t run_id = begin_run(store);
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit limit = {1 << 16, 1 << 16};
        setrlimit(RLIMIT_FSIZE, &limit);
        bool ok = true;
        for (int i = 0; ok && i < 1000; i++)
            ok = store_add_event(store, run_id, "info", HEX HEX HEX HEX HEX HEX HEX HEX, &err);
        bool told = !ok && err.code == ERR_STORE && strstr(err.text, "disk full writing") &&
                    strstr(err.text, "200 cells are safe; free space and rerun");
        if (!told) print_error("%s\n", ok ? "no error" : err.text);
        fflush(NULL);
        _exit(told ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    Store *store = store_open(path, &err);
    assert_ok(store, &err);
    assert_int_equal(count(store, "SELECT count(*) FROM cell WHERE status = 'done'"), 200);
    store_close(store);
}

static void test_network_file_systems_are_told_from_local_ones(void **state)
{
    (void)state;
    assert_true(store_is_network_fs(0x6969));
    assert_true(store_is_network_fs(0xff534d42));
    assert_false(store_is_network_fs(0xef53));     /* ext4 */
    assert_false(store_is_network_fs(0x58465342)); /* xfs */
    assert_false(store_is_network_fs(0x01021994)); /* tmpfs */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_names_lead_back_to_their_status),
        cmocka_unit_test(test_only_pending_failed_and_memory_cells_run_again),
        cmocka_unit_test(test_every_status_can_be_stored_and_counted),
        cmocka_unit_test(test_planning_again_keeps_done_cells_and_links_them),
        cmocka_unit_test(test_finishing_again_replaces_what_a_failed_try_left),
        cmocka_unit_test(test_fresh_makes_a_generation_and_deletes_nothing),
        cmocka_unit_test(test_numbers_that_are_absent_become_null),
        cmocka_unit_test(test_hostile_names_are_stored_as_they_are),
        cmocka_unit_test(test_a_key_of_the_wrong_length_is_an_error_that_shows_the_statement),
        cmocka_unit_test(test_a_failure_inside_a_plan_undoes_the_plan),
        cmocka_unit_test(test_a_text_file_is_not_a_database),
        cmocka_unit_test(test_another_programs_database_is_named_as_such),
        cmocka_unit_test(test_a_newer_schema_is_refused),
        cmocka_unit_test(test_damaged_pages_are_refused_by_the_writer),
        cmocka_unit_test(test_a_truncated_file_is_refused_by_the_writer),
        cmocka_unit_test(test_a_folder_a_pipe_and_an_absent_file_are_refused),
        cmocka_unit_test(test_a_view_in_place_of_a_table_is_refused),
        cmocka_unit_test(test_a_trigger_in_the_file_does_not_fire),
        cmocka_unit_test(test_a_second_writer_is_told_who_holds_the_file),
        cmocka_unit_test(test_a_lock_of_a_dead_process_is_taken_back),
        cmocka_unit_test(test_a_lock_of_another_host_is_respected),
        cmocka_unit_test(test_a_reader_sees_finished_cells_while_a_sweep_writes),
        cmocka_unit_test(test_a_reader_keeps_one_state_of_the_file),
        cmocka_unit_test(test_a_closed_database_travels_alone),
        cmocka_unit_test(test_kill_9_loses_no_finished_cell_and_leaves_no_half_cell),
        cmocka_unit_test(test_a_kill_inside_a_transaction_leaves_the_state_before_it),
        cmocka_unit_test(test_a_full_disk_says_how_many_cells_are_safe),
        cmocka_unit_test(test_network_file_systems_are_told_from_local_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
