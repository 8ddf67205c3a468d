/* Files that the store refuses, and that it leaves as they were. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/str.h"
#include "tests/store_fixture.h"
#include "tests/test_util.h"

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
    const char *path = store_fresh_path();
    run_sql(path, "PRAGMA application_id = 7; CREATE TABLE cell (id)");
    refuse(path, "is another program's database");
    path = store_fresh_path();
    run_sql(path, "CREATE TABLE cell (id)");
    refuse(path, "is another program's database");
}

static void test_a_newer_schema_is_refused(void **state)
{
    (void)state;
    const char *path = store_fresh_path();
    store_make_database(path);
    run_sql(path, "PRAGMA user_version = 5");
    refuse(path, "newer ropewalk (schema version 5, this one knows 4)");
}

/* Turns a database into one of version 1, as that program made it. */
static const char to_version_1[] =
    "DROP TABLE prediction; DROP TABLE audit; DROP TABLE model_shape; DROP TABLE verification;"
    "DROP TABLE reply;"
    "CREATE TABLE prediction (id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES run (id),"
    " model_hash TEXT NOT NULL REFERENCES model (hash), setting_key TEXT REFERENCES setting (key),"
    " n_ctx INTEGER, quantity TEXT NOT NULL, value REAL, source TEXT NOT NULL) STRICT;"
    "CREATE TABLE audit (id INTEGER PRIMARY KEY, cell_id INTEGER NOT NULL REFERENCES cell (id),"
    " name TEXT NOT NULL, passed INTEGER CHECK (passed IN (0, 1)), detail TEXT) STRICT;"
    "PRAGMA user_version = 1";

static void test_an_older_schema_is_read_without_a_change_to_the_file(void **state)
{
    (void)state;
    Err err;
    const char *path = store_fresh_path();
    store_make_database(path);
    run_sql(path, to_version_1);
    char *before = content_of(path);
    Store *store = store_open_read_only(path, &err);
    assert_ok(store, &err);
    assert_int_equal(store_count(store, "SELECT count(*) FROM v_cell WHERE status = 'done'"), 200);
    assert_int_equal(store_count(store, "SELECT count(verdict) FROM audit"), 0);
    store_close(store);
    char *after = content_of(path);
    assert_string_equal(before, after);
    free(before);
    free(after);
}

static void test_an_older_schema_is_brought_up_to_date_by_the_writer(void **state)
{
    (void)state;
    Err err;
    const char *path = store_fresh_path();
    store_make_database(path);
    run_sql(path, to_version_1);
    Store *store = store_open(path, &err);
    assert_ok(store, &err);
    assert_int_equal(store_count(store, "SELECT count(*) FROM v_cell WHERE status = 'done'"), 200);
    store_start_run(store);
    store_close(store);
    store = store_open_read_only(path, &err);
    assert_ok(store, &err);
    assert_int_equal(store_count(store, "PRAGMA user_version"), 4);
    assert_int_equal(store_count(store, "SELECT count(verdict) FROM audit"), 0);
    store_close(store);
}

/* What a later version does not make anew must outlive the upgrade. */
static void test_an_upgrade_keeps_the_verdicts_of_version_2(void **state)
{
    (void)state;
    Err err;
    const char *path = store_fresh_path();
    store_make_database(path);
    run_sql(
        path,
        "INSERT INTO audit (model_hash, setting_key, n_ctx, seed, verdict)"
        " SELECT model_hash, setting_key, 256, 1, 'kept' FROM cell LIMIT 1;"
        "DROP TABLE model_shape; DROP TABLE verification; DROP TABLE reply; PRAGMA user_version = 2");
    for (int i = 0; i < 2; i++) {
        Store *store = i == 0 ? store_open_read_only(path, &err) : store_open(path, &err);
        assert_ok(store, &err);
        assert_int_equal(store_count(store, "SELECT count(*) FROM audit WHERE verdict = 'kept'"),
                         1);
        assert_int_equal(store_count(store, "SELECT count(*) FROM model_shape"), 0);
        store_close(store);
    }
}

static void test_a_changed_file_of_an_older_schema_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *attack;
        const char *part;
    } rows[] = {
        {"DROP TABLE audit; CREATE VIEW audit AS SELECT 1", "DROP VIEW"                      },
        {"DROP VIEW v_trial; CREATE TABLE v_trial (x)",     "is not as this program makes it"},
        {"ALTER TABLE metric ADD COLUMN g TEXT",            "is not as this program makes it"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *path = store_fresh_path();
        store_make_database(path);
        run_sql(path, to_version_1);
        run_sql(path, rows[i].attack);
        refuse(path, rows[i].part);
    }
}

static void test_damaged_pages_are_refused_by_the_writer(void **state)
{
    (void)state;
    Err err;
    const char *path = store_fresh_path();
    store_make_database(path);
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
    const char *path = store_fresh_path();
    store_make_database(path);
    assert_int_equal(truncate(path, 5 * 4096 + 100), 0);
    assert_err(store_open(path, &err), &err, ERR_STORE, "damaged");
}

static void test_a_folder_a_pipe_and_an_absent_file_are_refused(void **state)
{
    (void)state;
    Err err;
    assert_err(store_open(test_folder(), &err), &err, ERR_STORE, "not a regular file");
    const char *path = store_fresh_path();
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_err(store_open(path, &err), &err, ERR_STORE, "not a regular file");
    path = store_fresh_path();
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
        const char *path = store_fresh_path();
        store_make_database(path);
        run_sql(path, attacks[i]);
        refuse(path, "is not as this program makes it");
    }
}

static void test_a_trigger_in_the_file_does_not_fire(void **state)
{
    (void)state;
    Err err;
    const char *path = store_fresh_path();
    store_make_database(path);
    run_sql(
        path,
        "CREATE TABLE extra (x); CREATE TRIGGER t AFTER INSERT ON run BEGIN INSERT INTO extra VALUES (1); END");
    Store *store = store_open(path, &err);
    assert_ok(store, &err);
    store_start_run(store);
    assert_int_equal(store_count(store, "SELECT count(*) FROM extra"), 0);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_text_file_is_not_a_database),
        cmocka_unit_test(test_another_programs_database_is_named_as_such),
        cmocka_unit_test(test_a_newer_schema_is_refused),
        cmocka_unit_test(test_an_older_schema_is_read_without_a_change_to_the_file),
        cmocka_unit_test(test_an_older_schema_is_brought_up_to_date_by_the_writer),
        cmocka_unit_test(test_an_upgrade_keeps_the_verdicts_of_version_2),
        cmocka_unit_test(test_a_changed_file_of_an_older_schema_is_refused),
        cmocka_unit_test(test_damaged_pages_are_refused_by_the_writer),
        cmocka_unit_test(test_a_truncated_file_is_refused_by_the_writer),
        cmocka_unit_test(test_a_folder_a_pipe_and_an_absent_file_are_refused),
        cmocka_unit_test(test_a_view_in_place_of_a_table_is_refused),
        cmocka_unit_test(test_a_trigger_in_the_file_does_not_fire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
