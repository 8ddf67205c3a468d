/* Checked sizes, allocations, the byte buffer, clocks and errors. */
#include "tests/test_util.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

static void test_sizes_are_computed_only_if_they_fit(void **state)
{
    (void)state;
    size_t out = 7;
    assert_true(size_mul(SIZE_MAX / 3, 3, &out));
    assert_true(out == SIZE_MAX);
    assert_true(size_mul(0, SIZE_MAX, &out));
    assert_true(out == 0);
    assert_false(size_mul(SIZE_MAX / 2, 3, &out));
    assert_true(size_add(SIZE_MAX - 1, 1, &out));
    assert_true(out == SIZE_MAX);
    assert_false(size_add(SIZE_MAX, 1, &out));
}

static void test_allocations_of_nothing_are_still_pointers(void **state)
{
    (void)state;
    void *p[] = {mem_alloc(0, 8), mem_zalloc(8, 0), mem_dup(NULL, 0), mem_realloc(NULL, 0, 0)};
    for (size_t i = 0; i < COUNT_OF(p); i++) {
        assert_non_null(p[i]);
        free(p[i]);
    }
}

static void test_large_blocks_are_aligned_and_zero(void **state)
{
    (void)state;
    Err err;
    for (size_t n = 0; n < 300; n += 7) {
        unsigned char *p = mem_alloc_large(n, 3, "test", &err);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        for (size_t i = 0; i < 3 * n; i++)
            assert_int_equal(p[i], 0);
        free(p);
    }
}

enum { HUGE_PAGE_BYTES = 2 << 20 };

static void test_blocks_of_huge_pages_are_aligned_and_zero(void **state)
{
    (void)state;
    Err err;
    for (size_t n = HUGE_PAGE_BYTES - 1; n <= HUGE_PAGE_BYTES + 1; n++) {
        unsigned char *p = mem_alloc_large(n, 1, "test", &err);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        size_t n_set = 0;
        for (size_t i = 0; i < n; i++)
            n_set += p[i] != 0;
        assert_int_equal(n_set, 0);
        memset(p, 1, n);
        free(p);
    }
}

static void test_large_blocks_that_cannot_be_are_named(void **state)
{
    (void)state;
    Err err;
    assert_err(mem_alloc_large(SIZE_MAX / 2, 3, "KV cache", &err), &err, ERR_NOMEM, "KV cache");
    for (size_t less = 0; less < HUGE_PAGE_BYTES; less += 63) /* up to whole pages, these wrap */
        assert_err(mem_alloc_large(SIZE_MAX - less, 1, "scratch", &err), &err, ERR_NOMEM,
                   "scratch");
}

static void test_available_memory_is_known_and_at_most_the_machines(void **state)
{
    (void)state;
    size_t machine = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    size_t available = mem_available();
    assert_true(available > 1 << 20);
    assert_true(available <= machine);
}

static void test_buf_grows_and_stays_terminated(void **state)
{
    (void)state;
    Buf buf = {0};
    assert_string_equal(buf_text(&buf), "");
    for (int i = 0; i < 1000; i++) {
        buf_printf(&buf, "%03d", i);
        buf_putc(&buf, ',');
        buf_puts(&buf, "x");
    }
    assert_int_equal(buf.len, 5000);
    assert_int_equal(strlen(buf_text(&buf)), 5000);
    for (int i = 0; i < 1000; i++) {
        char want[16];
        snprintf(want, sizeof want, "%03d,x", i);
        assert_memory_equal(buf.data + (ptrdiff_t)5 * i, want, 5);
    }
    buf_clear(&buf);
    assert_string_equal(buf_text(&buf), "");
    buf_free(&buf);
    assert_null(buf.data);
}

static void test_buf_steal_gives_the_text_away(void **state)
{
    (void)state;
    Buf buf = {0};
    buf_append(&buf, "a\0b", 3);
    char *text = buf_steal(&buf);
    assert_memory_equal(text, "a\0b", 4);
    assert_null(buf.data);
    assert_int_equal(buf.len, 0);
    free(text);
    text = buf_steal(&buf);
    assert_string_equal(text, "");
    free(text);
}

static void test_errors_are_cut_at_their_capacity(void **state)
{
    (void)state;
    char longer[2 * ERR_TEXT_MAX];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    Err err;
    assert_false(err_set(&err, ERR_INPUT, "%s", longer));
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
    assert_false(err_prefix(&err, "%s", "file"));
    assert_int_equal(err.code, ERR_INPUT);
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
    assert_memory_equal(err.text, "file: xxx", 9);
    assert_false(err_prefix(&err, "%s", longer));
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
}

static void test_err_prefix_keeps_code_and_text(void **state)
{
    (void)state;
    Err err;
    err_set(&err, ERR_STORE, "no room");
    err_prefix(&err, "%s, row %d", "a.db", 7);
    assert_int_equal(err.code, ERR_STORE);
    assert_string_equal(err.text, "a.db, row 7: no room");
}

static void test_clocks_move_forward_and_utc_is_iso_8601(void **state)
{
    (void)state;
    double wall = clock_monotonic_s();
    double cpu = clock_thread_cpu_s();
    while (clock_thread_cpu_s() - cpu < 1e-3)
        assert_true(clock_monotonic_s() >= wall);
    assert_true(clock_monotonic_s() - wall >= 0.9e-3);

    char utc[CLOCK_UTC_SIZE];
    clock_utc(utc);
    static const char shape[] = "0000-00-00T00:00:00Z";
    assert_int_equal(strlen(utc), strlen(shape));
    for (size_t i = 0; shape[i]; i++) {
        bool digit = utc[i] >= '0' && utc[i] <= '9';
        assert_true(shape[i] == '0' ? digit : utc[i] == shape[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_are_computed_only_if_they_fit),
        cmocka_unit_test(test_allocations_of_nothing_are_still_pointers),
        cmocka_unit_test(test_large_blocks_are_aligned_and_zero),
        cmocka_unit_test(test_blocks_of_huge_pages_are_aligned_and_zero),
        cmocka_unit_test(test_large_blocks_that_cannot_be_are_named),
        cmocka_unit_test(test_available_memory_is_known_and_at_most_the_machines),
        cmocka_unit_test(test_buf_grows_and_stays_terminated),
        cmocka_unit_test(test_buf_steal_gives_the_text_away),
        cmocka_unit_test(test_errors_are_cut_at_their_capacity),
        cmocka_unit_test(test_err_prefix_keeps_code_and_text),
        cmocka_unit_test(test_clocks_move_forward_and_utc_is_iso_8601),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
