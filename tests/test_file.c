/* Files: what is refused, and that a write leaves the old content or the new one. */
#include "tests/test_util.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

static char *in_test_folder(const char *name)
{
    return file_join(test_folder(), name);
}

/* Fails unless the file holds exactly this text. */
static void assert_content(const char *path, const char *want)
{
    Buf got = {0};
    Err err;
    assert_ok(file_read(path, 1 << 20, &got, &err), &err);
    assert_string_equal(buf_text(&got), want);
    buf_free(&got);
}

static void assert_refused(const char *path, const char *part)
{
    Buf buf = {0};
    FileMap map;
    Err err;
    assert_err(file_read(path, 1000, &buf, &err), &err, ERR_INPUT, part);
    assert_non_null(strstr(err.text, path));
    assert_err(file_map(path, &map, &err), &err, ERR_INPUT, part);
    assert_null(map.data);
    assert_int_equal(buf.len, 0);
    buf_free(&buf);
}

static void test_only_regular_files_are_read(void **state)
{
    (void)state;
    char *fifo = in_test_folder("fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    alarm(10); /* opening a pipe must not wait for its writer */
    assert_refused(fifo, "is a pipe");
    alarm(0);
    assert_refused(test_folder(), "is a folder");
    assert_refused("/dev/zero", "is a device");
    char *absent = in_test_folder("absent");
    assert_refused(absent, "No such file");
    free(fifo);
    free(absent);
}

static void test_read_and_map_give_the_same_bytes(void **state)
{
    (void)state;
    enum { N = 200000 };
    char *bytes = mem_alloc(N, 1);
    for (int i = 0; i < N; i++)
        bytes[i] = (char)(i * 7 % 251);
    const char *path = test_file("bytes", bytes, N);
    FileMap map;
    Buf buf = {0};
    Err err;
    buf_puts(&buf, "before");
    assert_ok(file_map(path, &map, &err), &err);
    assert_ok(file_read(path, N, &buf, &err), &err);
    assert_int_equal(map.size, N);
    assert_int_equal(buf.len, N + 6);
    assert_memory_equal(map.data, bytes, N);
    assert_memory_equal(buf.data + 6, bytes, N);
    file_unmap(&map);
    file_unmap(&map);
    buf_free(&buf);
    free(bytes);
}

static void test_an_empty_file_is_no_error(void **state)
{
    (void)state;
    const char *path = test_file("empty", "", 0);
    FileMap map;
    Err err;
    assert_ok(file_map(path, &map, &err), &err);
    assert_null(map.data);
    assert_int_equal(map.size, 0);
    file_unmap(&map);
    assert_content(path, "");
}

static void test_a_file_over_the_bound_leaves_the_buffer_as_it_was(void **state)
{
    (void)state;
    enum { N = 200000 };
    char *bytes = mem_zalloc(N, 1);
    const char *path = test_file("large", bytes, N);
    Buf buf = {0};
    Err err;
    assert_ok(file_read(path, N, &buf, &err), &err);
    buf_clear(&buf);
    buf_puts(&buf, "kept");
    assert_err(file_read(path, N - 1, &buf, &err), &err, ERR_INPUT, "larger than 199999 bytes");
    assert_int_equal(buf.len, 4);
    assert_memory_equal(buf.data, "kept", 4);
    buf_free(&buf);
    free(bytes);
}

static void test_write_replaces_the_whole_file_and_keeps_its_permissions(void **state)
{
    (void)state;
    Err err;
    char *path = in_test_folder("out");
    assert_ok(file_write_atomic(path, "first, longer", 13, &err), &err);
    assert_content(path, "first, longer");
    assert_int_equal(chmod(path, 0640), 0);
    assert_ok(file_write_atomic(path, "second", 6, &err), &err);
    assert_content(path, "second");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_ok(file_write_atomic(path, NULL, 0, &err), &err);
    assert_content(path, "");
    free(path);
}

static void test_write_through_a_link_keeps_the_link(void **state)
{
    (void)state;
    Err err;
    char *target = in_test_folder("target");
    char *link = in_test_folder("link");
    assert_ok(file_write_atomic(target, "old", 3, &err), &err);
    assert_int_equal(symlink("target", link), 0);
    assert_ok(file_write_atomic(link, "new", 3, &err), &err);
    assert_content(target, "new");
    struct stat st;
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    free(target);
    free(link);
}

static void test_write_to_a_place_that_cannot_be_is_refused(void **state)
{
    (void)state;
    Err err;
    char *missing = in_test_folder("no-such-folder/file");
    assert_err(file_write_atomic(missing, "x", 1, &err), &err, ERR_OUTPUT, missing);
    assert_err(file_write_atomic(test_folder(), "x", 1, &err), &err, ERR_OUTPUT, "is a folder");
    assert_err(file_write_atomic("/dev/null", "x", 1, &err), &err, ERR_OUTPUT, "is a device");
    struct stat st;
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
    free(missing);
}

static void test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(void **state)
{
    (void)state;
    Err err;
    char *folder = in_test_folder("full");
    assert_int_equal(mkdir(folder, 0700), 0);
    char *path = file_join(folder, "out");
    assert_ok(file_write_atomic(path, "old", 3, &err), &err);

    /* A size limit stands in for a full disk: the write stops half-way. */
    enum { N = 100000 };
    char *bytes = mem_zalloc(N, 1);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){1000, before.rlim_max}), 0);
    bool ok = file_write_atomic(path, bytes, N, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);

    assert_err(ok, &err, ERR_OUTPUT, "File too large");
    assert_content(path, "old");
    char **names;
    size_t n;
    assert_ok(file_list_dir(folder, &names, &n, &err), &err);
    assert_int_equal(n, 1);
    free(names[0]);
    free(names);
    free(bytes);
    free(path);
    free(folder);
}

static void test_a_folder_is_listed_in_byte_order_without_hidden_files_and_folders(void **state)
{
    (void)state;
    Err err;
    char *folder = in_test_folder("listed");
    assert_int_equal(mkdir(folder, 0700), 0);
    static const char *const made[] = {"b", "a10", "a2", ".hidden", "B"};
    static const char *const want[] = {"B", "a10", "a2", "b"};
    for (size_t i = 0; i < COUNT_OF(made); i++) {
        char *path = file_join(folder, made[i]);
        assert_ok(file_write_atomic(path, "", 0, &err), &err);
        free(path);
    }
    char *sub = file_join(folder, "sub");
    assert_int_equal(mkdir(sub, 0700), 0);
    char **names;
    size_t n;
    assert_ok(file_list_dir(folder, &names, &n, &err), &err);
    assert_int_equal(n, COUNT_OF(want));
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(names[i], want[i]);
        free(names[i]);
    }
    free(names);
    assert_ok(file_list_dir(sub, &names, &n, &err), &err);
    assert_int_equal(n, 0);
    free(names);
    assert_err(file_list_dir("/nowhere", &names, &n, &err), &err, ERR_INPUT, "/nowhere");
    free(sub);
    free(folder);
}

static void test_folders_are_made_where_they_are_absent(void **state)
{
    Err err;
    (void)state;
    char *deep = file_join(test_folder(), "made/of/folders/");
    assert_ok(file_make_dirs(deep, &err), &err);
    assert_true(file_is_dir(deep));
    assert_ok(file_make_dirs(deep, &err), &err);
    assert_ok(file_make_dirs("/", &err), &err);
    free(deep);
    deep = file_join(test_file("in_the_way", "", 0), "x");
    assert_err(file_make_dirs(deep, &err), &err, ERR_OUTPUT, "in_the_way: the folder cannot");
    free(deep);
}

static void test_paths_are_joined_and_taken_apart(void **state)
{
    (void)state;
    static const char *const joined[][3] = {
        {"a",  "b", "a/b"},
        {"a/", "b", "a/b"},
        {"/",  "b", "/b" },
    };
    for (size_t i = 0; i < COUNT_OF(joined); i++) {
        char *path = file_join(joined[i][0], joined[i][1]);
        assert_string_equal(path, joined[i][2]);
        free(path);
    }
    assert_string_equal(file_base_name("a/b.c"), "b.c");
    assert_string_equal(file_base_name("b.c"), "b.c");
    assert_string_equal(file_base_name("a/"), "a/");
    assert_true(file_exists(test_folder()));
    assert_true(file_is_dir(test_folder()));
    assert_false(file_is_dir(test_file("plain", "", 0)));
    assert_false(file_exists("/nowhere"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_regular_files_are_read),
        cmocka_unit_test(test_read_and_map_give_the_same_bytes),
        cmocka_unit_test(test_an_empty_file_is_no_error),
        cmocka_unit_test(test_a_file_over_the_bound_leaves_the_buffer_as_it_was),
        cmocka_unit_test(test_write_replaces_the_whole_file_and_keeps_its_permissions),
        cmocka_unit_test(test_write_through_a_link_keeps_the_link),
        cmocka_unit_test(test_write_to_a_place_that_cannot_be_is_refused),
        cmocka_unit_test(test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind),
        cmocka_unit_test(test_a_folder_is_listed_in_byte_order_without_hidden_files_and_folders),
        cmocka_unit_test(test_folders_are_made_where_they_are_absent),
        cmocka_unit_test(test_paths_are_joined_and_taken_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
