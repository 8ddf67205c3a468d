/* Writers and readers of one database: who may write, what a reader sees, what survives a kill and a full disk. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "reports/store_internal.h"
#include "tests/store_fixture.h"
#include "tests/test_util.h"

static void test_a_second_writer_is_told_who_holds_the_file(void **state)
{
    (void)state;
    Err err;
    const char *path = store_fresh_path();
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
    store_put_parents(store, "m"); /* the first goes on */
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
        const char *path = store_fresh_path();
        snprintf(line, sizeof line, "%s since 2026-01-01T00:00:00Z host %s\n", holders[i], host);
        write_lock(path, line);
        Store *store = store_open(path, &err);
        assert_ok(store, &err);
        store_close(store);
    }
    const char *path = store_fresh_path();
    write_lock(path, "a line cut in ha");
    Store *store = store_open(path, &err);
    assert_ok(store, &err);
    store_close(store);
}

static void test_a_lock_of_another_host_is_respected(void **state)
{
    (void)state;
    Err err;
    const char *path = store_fresh_path();
    write_lock(path, "pid 77 start 5 since 2026-01-01T00:00:00Z host node17.example\n");
    assert_err(
        store_open(path, &err), &err, ERR_STORE,
        "in use by pid 77 on host node17.example since 2026-01-01T00:00:00Z; if that process is gone, delete");
}

static void test_a_reader_sees_finished_cells_while_a_sweep_writes(void **state)
{
    (void)state;
    Err err;
    const char *path = store_fresh_path();
    Store *writer = store_open(path, &err);
    assert_ok(writer, &err);
    store_put_parents(writer, "m");
    CellStatus status;
    int64_t run_id = store_start_run(writer);
    for (int i = 0; i < 20; i++) {
        char key[HASH_HEX_SIZE];
        snprintf(key, sizeof key, "%064d", i);
        store_finish_one(writer, store_plan_one(writer, run_id, key, false, &status), run_id,
                         CELL_DONE, 0.5);
        Store *reader = store_open_read_only(path, &err);
        assert_ok(reader, &err);
        assert_int_equal(store_count(reader, "SELECT count(*) FROM metric"), i + 1);
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
    const char *path = store_fresh_path();
    Store *writer = store_open(path, &err);
    assert_ok(writer, &err);
    store_put_parents(writer, "m");
    Store *reader = store_open_read_only(path, &err);
    assert_ok(reader, &err);
    int64_t before = store_count(reader, "SELECT count(*) FROM run");
    store_start_run(writer);
    assert_int_equal(store_count(reader, "SELECT count(*) FROM run"), before);
    store_close(reader);
    store_close(writer);
}

static void test_a_closed_database_travels_alone(void **state)
{
    (void)state;
    const char *path = store_fresh_path();
    store_make_database(path);
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
    store_put_parents(store, "m");
    int64_t run_id = store_start_run(store);
    for (int i = 0;; i++) {
        char key[HASH_HEX_SIZE];
        snprintf(key, sizeof key, "%064d", i);
        CellStatus status;
        int64_t cell_id = store_plan_one(store, run_id, key, false, &status);
        if (status == CELL_DONE) continue;
        store_finish_one(store, cell_id, run_id, CELL_DONE, 0.5);
        if (write(fd, "x", 1) != 1) _exit(4);
    }
}

static void test_kill_9_loses_no_finished_cell_and_leaves_no_half_cell(void **state)
{
    (void)state;
    Err err;
    const char *path = store_fresh_path();
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
    int64_t n_done = store_count(store, "SELECT count(*) FROM cell WHERE status = 'done'");
    assert_true(n_done >= n_told);
    assert_int_equal(store_count(store, "SELECT count(*) FROM metric"), n_done);
    assert_int_equal(store_count(store, "SELECT count(*) FROM trial"), 2 * n_done);
    assert_int_equal(store_count(store, "SELECT count(*) FROM position_nll"), n_done);
    assert_int_equal(store_count(store, "SELECT count(*) FROM run WHERE status <> 'died'"), 0);
    store_close(store);
}

static void test_a_kill_inside_a_transaction_leaves_the_state_before_it(void **state)
{
    (void)state;
    Err err;
    const char *path = store_fresh_path();
    store_make_database(path);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        Store *store = store_open(path, &err);
        CellStatus status;
        int64_t run_id = store_start_run(store);
        if (!store_begin_plan(store, &err)) _exit(1);
        CellRow row = store_cell_row(STORE_HEX "aa");
        int64_t cell_id;
        if (!store_plan_cell(store, run_id, &(CellRequest){.row = &row, .ordinal = 0}, &cell_id,
                             &status, &err))
            _exit(1);
        store_finish_one(store, cell_id, run_id, CELL_DONE, 1.0);
        raise(SIGKILL);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
    Store *store = store_open(path, &err);
    assert_ok(store, &err);
    assert_int_equal(store_count(store, "SELECT count(*) FROM cell"), 200);
    assert_int_equal(store_count(store, "SELECT count(*) FROM run WHERE status = 'died'"), 2);
    store_close(store);
}

static void test_a_full_disk_says_how_many_cells_are_safe(void **state)
{
    (void)state;
    Err err;
    const char *path = store_fresh_path();
    store_make_database(path);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        Store *store = store_open(path, &err);
        int64_t run_id = store_start_run(store);
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit limit = {1 << 16, 1 << 16};
        setrlimit(RLIMIT_FSIZE, &limit);
        bool ok = true;
        for (int i = 0; ok && i < 1000; i++)
            ok = store_add_event(
                store, run_id, "info",
                STORE_HEX STORE_HEX STORE_HEX STORE_HEX STORE_HEX STORE_HEX STORE_HEX STORE_HEX,
                &err);
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
    assert_int_equal(store_count(store, "SELECT count(*) FROM cell WHERE status = 'done'"), 200);
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
