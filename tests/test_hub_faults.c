/* Downloads that go wrong: in the end the right bytes are in the cache, or none and a reason. */
#include "tests/test_util.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hub_internal.h"
#include "base/str.h"
#include "tests/hub_fixture.h"

static const char blobs[] = "models--org--name/blobs";

/* A process that ends by itself when the test that started it has failed. */
static pid_t start_child(void)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) alarm(60);
    return child;
}

static bool fetch(HubFixture *f)
{
    return hub_fixture_fetch(f, "hf://org/name");
}

static void test_a_cut_download_is_continued(void **state)
{
    HubFixture *f = *state;
    f->hub->faults.n_cut = 2;
    f->hub->faults.cut_at = 100000;
    assert_ok(fetch(f), &f->err);
    hub_fixture_expect_large(f);
    assert_int_equal(f->hub->n_gets, 3);
    assert_true(fake_server_saw(f->hub->store, "Range: bytes=100000-\r\n"));
    assert_true(fake_server_saw(f->hub->store, "Range: bytes=200000-\r\n"));
    assert_true(fake_server_saw(f->hub->store, "If-Range: \"store-0\"\r\n"));
}

static void test_a_download_that_never_ends_well_is_given_up_and_kept(void **state)
{
    HubFixture *f = *state;
    f->hub->faults.n_cut = 1000;
    f->hub->faults.cut_at = 1000;
    assert_err(fetch(f), &f->err, ERR_NET, "given up after 5 attempts");
    assert_int_equal(f->hub->n_gets, HTTP_MAX_ATTEMPTS);
    fake_hub_reset(f->hub);
    assert_ok(fetch(f), &f->err);
    assert_true(fake_server_saw(f->hub->store, "Range: bytes=5000-\r\n"));
    assert_non_null(strstr(buf_text(&f->notes), "continued at 5000 of 300007"));
    hub_fixture_expect_large(f);
}

/* Stops, or is killed, after `bytes`. */
static void interrupt(HubFixture *f, int64_t bytes, bool by_kill)
{
    f->stop_at = bytes;
    f->kill = by_kill;
    if (by_kill) {
        int status;
        pid_t child = start_child();
        if (child == 0) _exit(fetch(f) ? 0 : 1);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    } else {
        assert_err(fetch(f), &f->err, ERR_CANCELLED, "stopped");
    }
    f->stop_at = 0;
}

static void forget_cache(const HubFixture *f)
{
    char *rm = str_format("rm -rf %s", f->config.cache);
    assert_int_equal(system(rm), 0);
    free(rm);
}

static void test_a_download_killed_at_50_places_is_continued(void **state)
{
    HubFixture *f = *state;
    int n_continued = 0;
    for (int i = 0; i < 50; i++) {
        fake_hub_reset(f->hub);
        f->hub->faults.pause_ms = 1;
        interrupt(f, 8 + (int64_t)i * (FIXTURE_LARGE_BYTES - 9) / 50, i % 2);
        f->hub->faults.pause_ms = 0;
        fake_server_forget(f->hub->store);
        assert_ok(fetch(f), &f->err);
        hub_fixture_expect_large(f);
        /* The last piece may have come whole. */
        bool continued = fake_server_saw(f->hub->store, "Range: bytes=");
        assert_true(continued || fake_server_count(f->hub->store) == 0);
        n_continued += continued;
        forget_cache(f);
    }
    assert_true(n_continued >= 40);
}

static void test_a_server_that_mishandles_ranges_costs_time_and_no_bytes(void **state)
{
    static const FakeFaults quirks[] = {
        {.ignores_ranges = true},    {.lies_of_ranges = true}, {.refuses_ranges = true},
        {.changes_validator = true}, {.weak_validator = true},
    };
    HubFixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(quirks); i++) {
        fake_hub_reset(f->hub);
        f->hub->faults = quirks[i];
        f->hub->faults.n_cut = 1;
        f->hub->faults.cut_at = 123456;
        assert_ok(fetch(f), &f->err);
        assert_true(fake_server_saw(f->hub->store, "Range: bytes=123456-\r\n"));
        hub_fixture_expect_large(f);
        forget_cache(f);
    }
    assert_false(fake_server_saw(f->hub->store, "If-Range: W/"));
}

static void test_wrong_bytes_are_fetched_once_more(void **state)
{
    HubFixture *f = *state;
    f->hub->faults.n_flipped = 1;
    assert_ok(fetch(f), &f->err);
    assert_int_equal(f->hub->n_gets, 2);
    assert_false(fake_server_saw(f->hub->store, "Range:"));
    assert_non_null(strstr(buf_text(&f->notes), "fetched once more"));
    hub_fixture_expect_large(f);
}

static void test_bytes_that_stay_wrong_are_refused_with_both_hashes(void **state)
{
    HubFixture *f = *state;
    const FakeFile *large = &f->hub->files[FIXTURE_LARGE];
    char got[HASH_HEX_SIZE];
    char *wrong = malloc(large->n);
    memcpy(wrong, large->bytes, large->n);
    wrong[large->n - 1] ^= 1;
    hash_bytes(wrong, large->n, got);
    free(wrong);
    f->hub->faults.n_flipped = 100;
    assert_err(fetch(f), &f->err, ERR_NET, got);
    assert_non_null(strstr(f->err.text, large->etag));
    assert_int_equal(f->hub->n_gets, 2);
    /* The three small files came first; nothing of the large one stays. */
    assert_int_equal(hub_fixture_count(f, blobs), f->hub->n_files - 1);
    char *snapshots = file_join(f->config.cache, "models--org--name/snapshots");
    assert_false(file_exists(snapshots));
    free(snapshots);
}

static void test_wrong_bytes_of_an_earlier_run_are_not_built_on(void **state)
{
    HubFixture *f = *state;
    f->hub->faults.pause_ms = 1;
    interrupt(f, 150000, false);
    /* Someone changes a byte of the part in between. */
    char *change = str_format("for p in %s/%s/*.rw.incomplete; do printf X | dd of=$p bs=1 seek=99 "
                              "conv=notrunc 2>/dev/null; done",
                              f->config.cache, blobs);
    assert_int_equal(system(change), 0);
    free(change);
    f->hub->faults.pause_ms = 0;
    assert_ok(fetch(f), &f->err);
    assert_non_null(strstr(buf_text(&f->notes), "wrong bytes came"));
    hub_fixture_expect_large(f);
}

static void test_a_small_file_is_verified_by_its_git_id(void **state)
{
    HubFixture *f = *state;
    f->hub->faults.etag = "0000000000000000000000000000000000000000";
    assert_err(fetch(f), &f->err, ERR_NET, "the hub says 0000000000");
}

static void test_answers_about_a_file_must_make_sense(void **state)
{
    static const struct {
        FakeFaults faults;
        const char *said;
    } rows[] = {
        {{.etag = "abc"},                                        "names no hash to verify it by" },
        {{.etag = "ZZ23456789abcdef0123456789abcdef01234567"},   "names no hash"                 },
        {{.etag = "../../../../../etc/passwd/aaaaaaaaaaaaaa"},   "names no hash"                 },
        {{.size = "99999999999999999"},                          "no length that can be believed"},
        {{.size = "-5"},                                         "no length that can be believed"},
        {{.size = "4000000000000"},                              "are needed there"              },
        {{.size = "300006"},                                     "more than the 300006 bytes"    },
        {{.size = "300008"},                                     "the server sends 300007 bytes" },
        {{.commit = "1111111111111111111111111111111111111111"}, "asked for commit " FAKE_COMMIT },
        {{.head_status = 404},                                   "not found"                     },
        {{.location = "file:///etc/passwd"},                     "redirect"                      },
        {{.location = "http://example.invalid/x"},               "only https is fetched"         },
        {{.location = "gopher://127.0.0.1/x"},                   "only https is fetched"         },
    };
    HubFixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        f->hub->faults = rows[i].faults;
        bool space = strstr(rows[i].said, "needed there") != NULL;
        assert_err(fetch(f), &f->err, space ? ERR_OUTPUT : ERR_NET, rows[i].said);
        char *large = file_join(f->config.cache, "models--org--name/snapshots");
        assert_false(file_exists(large));
        free(large);
        forget_cache(f);
    }
}

static void test_a_body_without_end_and_a_bomb_are_cut_off(void **state)
{
    HubFixture *f = *state;
    f->hub->faults.omits_length = true;
    assert_err(fetch(f), &f->err, ERR_NET, "more than the 300007 bytes");
    forget_cache(f);
    fake_hub_reset(f->hub);
    f->hub->faults.compresses = true;
    assert_err(fetch(f), &f->err, ERR_NET, "Content-Encoding gzip");
}

static void test_a_drip_is_given_up_and_tried_again(void **state)
{
    HubFixture *f = *state;
    f->hub->faults.n_dripped = 1;
    assert_ok(fetch(f), &f->err);
    assert_int_equal(f->hub->n_gets, 2);
    assert_true(fake_server_saw(f->hub->store, "Range: bytes="));
    hub_fixture_expect_large(f);
}

static void test_statuses_that_pass_are_waited_out(void **state)
{
    static const int passing[] = {429, 500, 502, 503, 504, 403, 404};
    HubFixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(passing); i++) {
        fake_hub_reset(f->hub);
        f->hub->faults.n_status = 2;
        f->hub->faults.get_status = passing[i];
        assert_ok(fetch(f), &f->err);
        assert_int_equal(f->hub->n_gets, 3);
        hub_fixture_expect_large(f);
        forget_cache(f);
    }
    fake_hub_reset(f->hub);
    f->hub->faults.n_status = 100;
    f->hub->faults.get_status = 403;
    assert_err(fetch(f), &f->err, ERR_NET, "given up after 5 attempts");
    assert_null(strstr(f->err.text, "SECRET"));
}

/* Runs a fetch in a process of its own. */
static pid_t start_fetch(HubFixture *f)
{
    pid_t child = start_child();
    if (child == 0) {
        bool ok = fetch(f);
        if (!ok) fprintf(stderr, "%s\n", f->err.text);
        _exit(ok ? 0 : 1);
    }
    return child;
}

static void test_four_downloads_at_once_are_one(void **state)
{
    HubFixture *f = *state;
    pid_t children[4];
    int status;
    f->hub->faults.pause_ms = 2;
    for (size_t i = 0; i < COUNT_OF(children); i++)
        children[i] = start_fetch(f);
    for (size_t i = 0; i < COUNT_OF(children); i++) {
        waitpid(children[i], &status, 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    assert_int_equal(f->hub->n_gets, 1);
    hub_fixture_expect_large(f);
}

static void test_when_one_of_two_is_killed_the_other_takes_over(void **state)
{
    HubFixture *f = *state;
    int status;
    f->hub->faults.pause_ms = 2;
    f->stop_at = 200000;
    f->kill = true;
    pid_t killed = start_fetch(f);
    f->stop_at = 0;
    while (__atomic_load_n(&f->hub->n_gets, __ATOMIC_SEQ_CST) == 0)
        fake_sleep_ms(1);
    pid_t other = start_fetch(f);
    waitpid(killed, &status, 0);
    assert_true(WIFSIGNALED(status));
    waitpid(other, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(f->hub->n_gets, 2);
    assert_true(fake_server_saw(f->hub->store, "Range: bytes="));
    hub_fixture_expect_large(f);
}

/* A process that holds the lock of a blob until it is killed. */
static pid_t hold_lock(const HubFixture *f, const char *etag)
{
    char *folder = str_format("%s/.locks/models--org--name", f->config.cache);
    char *path = str_format("%s/%s.lock", folder, etag);
    Err err;
    assert_ok(file_make_dirs(folder, &err), &err);
    pid_t child = start_child();
    if (child == 0) {
        int fd = open(path, O_CREAT | O_RDWR, 0666);
        if (flock(fd, LOCK_EX) == 0) pause();
        _exit(1);
    }
    free(folder);
    free(path);
    fake_sleep_ms(100);
    return child;
}

static void test_a_lock_is_waited_for(void **state)
{
    HubFixture *f = *state;
    int status;
    pid_t holder = hold_lock(f, f->hub->files[FIXTURE_LARGE].etag);
    pid_t child = start_fetch(f);
    fake_sleep_ms(400);
    assert_int_equal(waitpid(child, &status, WNOHANG), 0);
    assert_int_equal(f->hub->n_gets, 0);
    kill(holder, SIGKILL);
    waitpid(holder, &status, 0);
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    hub_fixture_expect_large(f);
}

static void test_a_stop_is_heard_while_waiting_for_a_lock(void **state)
{
    HubFixture *f = *state;
    int status;
    pid_t holder = hold_lock(f, f->hub->files[FIXTURE_LARGE].etag);
    f->stop_when_noted = true;
    assert_err(fetch(f), &f->err, ERR_CANCELLED, "stopped");
    assert_non_null(strstr(buf_text(&f->notes), "waiting for it"));
    kill(holder, SIGKILL);
    waitpid(holder, &status, 0);
}

/* Where locks lie: the part of a living process is not touched, that of a dead one is taken up, once. */
static void test_a_part_belongs_to_one_process(void **state)
{
    HubFixture *f = *state;
    static const char etag[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    char *folder = file_join(f->config.cache, blobs);
    HubPart part;
    int ready[2], status;
    char byte;
    assert_ok(file_make_dirs(folder, &f->err), &f->err);
    assert_int_equal(pipe(ready), 0);
    pid_t child = start_child();
    if (child == 0) {
        bool ok = hub_part_open(folder, etag, 3, &part, &f->err) &&
                  hub_part_note(&part, "\"v\"", &f->err) && hub_part_add(&part, "ab", 2, &f->err);
        if (!ok || write(ready[1], "r", 1) != 1) _exit(1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_ok(hub_part_open(folder, etag, 3, &part, &f->err), &f->err);
    assert_int_equal(part.n_bytes, 0);
    hub_part_close(&part, true);

    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    assert_ok(hub_part_open(folder, etag, 3, &part, &f->err), &f->err);
    assert_int_equal(part.n_bytes, 2);
    assert_string_equal(part.validator, "\"v\"");
    char got[HASH_HEX_SIZE];
    assert_ok(hub_part_add(&part, "c", 1, &f->err), &f->err);
    assert_err(hub_part_add(&part, "d", 1, &f->err), &f->err, ERR_NET, "more than the 3 bytes");
    assert_true(hub_part_verify(&part, got));
    hub_part_close(&part, false);
    assert_int_equal(hub_fixture_count(f, blobs), 0);
    close(ready[0]);
    close(ready[1]);
    free(folder);
}

static void test_a_part_of_another_size_is_begun_anew(void **state)
{
    HubFixture *f = *state;
    static const char etag[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    static const char *const sidecars[] = {
        "", "{}", "{\"etag\": \"x\", \"size\": 3}", "not JSON", "[1]",
    };
    char *folder = file_join(f->config.cache, blobs);
    HubPart part;
    assert_ok(file_make_dirs(folder, &f->err), &f->err);
    for (size_t i = 0; i < COUNT_OF(sidecars); i++) {
        assert_ok(hub_part_open(folder, etag, 3, &part, &f->err), &f->err);
        assert_ok(hub_part_note(&part, NULL, &f->err), &f->err);
        assert_ok(hub_part_add(&part, "ab", 2, &f->err), &f->err);
        char *sidecar = str_dup(part.sidecar);
        hub_part_close(&part, true);
        assert_ok(file_write_atomic(sidecar, sidecars[i], strlen(sidecars[i]), &f->err), &f->err);
        assert_ok(hub_part_open(folder, etag, 3, &part, &f->err), &f->err);
        assert_int_equal(part.n_bytes, 0);
        hub_part_close(&part, true);
        free(sidecar);
    }
    free(folder);
}

static void test_a_folder_that_cannot_be_written_is_named(void **state)
{
    HubFixture *f = *state;
    free(f->config.cache);
    f->config.cache = str_dup("/proc/nowhere/hub");
    assert_err(fetch(f), &f->err, ERR_OUTPUT, "/proc/nowhere: the folder cannot be made");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, hub_fixture_set_up, hub_fixture_tear_down)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        TEST(test_a_cut_download_is_continued),
        TEST(test_a_download_that_never_ends_well_is_given_up_and_kept),
        TEST(test_a_download_killed_at_50_places_is_continued),
        TEST(test_a_server_that_mishandles_ranges_costs_time_and_no_bytes),
        TEST(test_wrong_bytes_are_fetched_once_more),
        TEST(test_bytes_that_stay_wrong_are_refused_with_both_hashes),
        TEST(test_wrong_bytes_of_an_earlier_run_are_not_built_on),
        TEST(test_a_small_file_is_verified_by_its_git_id),
        TEST(test_answers_about_a_file_must_make_sense),
        TEST(test_a_body_without_end_and_a_bomb_are_cut_off),
        TEST(test_a_drip_is_given_up_and_tried_again),
        TEST(test_statuses_that_pass_are_waited_out),
        TEST(test_four_downloads_at_once_are_one),
        TEST(test_when_one_of_two_is_killed_the_other_takes_over),
        TEST(test_a_lock_is_waited_for),
        TEST(test_a_stop_is_heard_while_waiting_for_a_lock),
        TEST(test_a_part_belongs_to_one_process),
        TEST(test_a_part_of_another_size_is_begun_anew),
        TEST(test_a_folder_that_cannot_be_written_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
