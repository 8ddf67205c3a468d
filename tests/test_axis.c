/* Axes as people type them. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "harness/cli_axis.h"
#include "tests/test_util.h"

/* The list with blanks between. */
static const char *joined(StringList *list)
{
    static char text[1024];
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < list->n; i++)
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? " " : "", list->items[i]);
    string_list_free(list);
    return text;
}

static const char *numbers(const char *text)
{
    StringList list = {0};
    Err err = {0};
    assert_ok(axis_add_numbers(text, 0.0, &list, &err), &err);
    return joined(&list);
}

static const char *specs(const char *text)
{
    StringList list = {0};
    Err err = {0};
    assert_ok(axis_add_specs(text, &list, &err), &err);
    return joined(&list);
}

static void assert_sizes(const char *text, const int64_t *wanted, size_t n)
{
    SizeList list = {0};
    Err err = {0};
    assert_ok(axis_add_sizes(text, 1, INT64_C(1) << 40, &list, &err), &err);
    assert_int_equal(list.n, n);
    assert_memory_equal(list.items, wanted, n * sizeof wanted[0]);
    free(list.items);
}

static void test_sizes_take_suffixes_lists_and_ranges(void **state)
{
    (void)state;
    assert_sizes("4k", (int64_t[]){4096}, 1);
    assert_sizes("512,1k,2m", (int64_t[]){512, 1024, 2097152}, 3);
    assert_sizes("256:1024:+256", (int64_t[]){256, 512, 768, 1024}, 4);
    assert_sizes("256:4k:*2", (int64_t[]){256, 512, 1024, 2048, 4096}, 5);
    assert_sizes("100:1000:*1.5", (int64_t[]){100, 150, 225, 338, 506, 759}, 6);
}

static void test_sizes_rise_and_do_not_repeat(void **state)
{
    (void)state;
    assert_sizes("1024,256,1k,256:512:+256", (int64_t[]){256, 512, 1024}, 3);
}

static void test_a_range_ends_at_or_below_its_end(void **state)
{
    (void)state;
    assert_sizes("1:10:+4", (int64_t[]){1, 5, 9}, 3);
    assert_string_equal(numbers("1:60:*2"), "1 2 4 8 16 32");
    assert_string_equal(numbers("1:64:*2"), "1 2 4 8 16 32 64");
    assert_string_equal(numbers("3:3:*2"), "3");
}

static void test_a_range_of_tenths_has_tenths(void **state)
{
    (void)state;
    assert_string_equal(numbers("1:2:+0.1"), "1 1.1 1.2 1.3 1.4 1.5 1.6 1.7 1.8 1.9 2");
}

static void test_numbers_rise_with_words_last(void **state)
{
    (void)state;
    assert_string_equal(numbers("auto,8,2.0,10,auto-each,2,auto"), "2 8 10 auto auto-each");
}

static void test_values_that_are_not_legal_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"0",      "-1",      "nan",    "inf",    "1e999",  "",
                                        "1,,2",   "1:2",     "1:2:3",  "1:8:*1", "8:1:*2", "1:2:+0",
                                        "0:8:*2", "1:2:*2:", "1:x:*2", "Auto",   "0x10",   "1 2"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        StringList list = {0};
        Err err = {0};
        assert_err(axis_add_numbers(texts[i], 0.0, &list, &err), &err, ERR_USAGE, "");
        string_list_free(&list);
    }
}

static void test_a_low_end_is_named(void **state)
{
    (void)state;
    StringList list = {0};
    Err err = {0};
    assert_err(axis_add_numbers("0.5", 1.0, &list, &err), &err, ERR_USAGE, "of at least 1");
    string_list_free(&list);
}

static void test_more_values_than_a_sweep_can_mean_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"1:1000000:+1", "1:1e300:*1.000001"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        StringList list = {0};
        Err err = {0};
        assert_err(axis_add_numbers(texts[i], 0.0, &list, &err), &err, ERR_USAGE, "100000");
        string_list_free(&list);
    }
    StringList list = {0};
    Err err = {0};
    assert_err(axis_add_specs("x:a=1:1000:+1,b=1:1000:+1", &list, &err), &err, ERR_USAGE, "100000");
    string_list_free(&list);
}

static void test_a_key_goes_on_with_the_name_before_it(void **state)
{
    (void)state;
    assert_string_equal(specs("none,linear"), "none linear");
    assert_string_equal(specs("ntk:lambda=2,linear:factor=4"), "ntk:lambda=2 linear:factor=4");
    assert_string_equal(specs("passkey:trials=8,digits=5,perplexity"),
                        "passkey:trials=8,digits=5 perplexity");
}

static void test_values_of_a_key_multiply_out(void **state)
{
    (void)state;
    assert_string_equal(specs("ntk:lambda=1,2,auto,none"),
                        "ntk:lambda=1 ntk:lambda=2 ntk:lambda=auto none");
    assert_string_equal(specs("ntk:lambda=1:4:*2"), "ntk:lambda=1 ntk:lambda=2 ntk:lambda=4");
    assert_string_equal(specs("x:a=1,2,b=3,4"), "x:a=1,b=3 x:a=1,b=4 x:a=2,b=3 x:a=2,b=4");
}

static void test_specs_that_are_not_legal_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"a=1",  ":a=1", "x:",  "x:a",     "x:a=",         "x:=1",
                                        "x,,y", "2",    "x y", "x:a=1:2", "x:a=1,b=2,a=3"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        StringList list = {0};
        Err err = {0};
        assert_err(axis_add_specs(texts[i], &list, &err), &err, ERR_USAGE, "");
        string_list_free(&list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_take_suffixes_lists_and_ranges),
        cmocka_unit_test(test_sizes_rise_and_do_not_repeat),
        cmocka_unit_test(test_a_range_ends_at_or_below_its_end),
        cmocka_unit_test(test_a_range_of_tenths_has_tenths),
        cmocka_unit_test(test_numbers_rise_with_words_last),
        cmocka_unit_test(test_values_that_are_not_legal_are_refused),
        cmocka_unit_test(test_a_low_end_is_named),
        cmocka_unit_test(test_more_values_than_a_sweep_can_mean_are_refused),
        cmocka_unit_test(test_a_key_goes_on_with_the_name_before_it),
        cmocka_unit_test(test_values_of_a_key_multiply_out),
        cmocka_unit_test(test_specs_that_are_not_legal_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
