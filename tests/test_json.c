/* JSON: what is refused and where, and getters that name the key. */
#include "tests/test_util.h"

#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"

static const JsonLimits plain = {.origin = "x.json", .max_bytes = 1000};
static const JsonLimits reals = {.origin = "x.json", .max_bytes = 1000, .ints_as_reals = true};

static json_t *parsed(const char *text, const JsonLimits *limits)
{
    Err err;
    json_t *root = json_parse(text, strlen(text), limits, &err);
    assert_ok(root, &err);
    return root;
}

static void test_damaged_texts_are_refused_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *part;
    } bad[] = {
        {"",                     "x.json: line 1"},
        {"{\"a\": 1,\n  oops}",  "line 2"        },
        {"{\"a\": 1} x",         "line 1"        },
        {"[1, 2",                "x.json"        },
        {"{\"a\": 1, \"a\": 2}", "duplicate"     },
        {"{\"a\": NaN}",         "x.json"        },
        {"{\"a\": 1e400}",       "overflow"      },
        {"{\"a\": \"\xff\"}",    "x.json"        },
        {"{\"a\": \"\\ud800\"}", "x.json"        },
        {"\"bare\"",             "x.json"        },
        {"{\"a\": 01}",          "x.json"        },
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        Err err;
        assert_err(json_parse(bad[i].text, strlen(bad[i].text), &plain, &err), &err, ERR_INPUT,
                   bad[i].part);
    }
}

static void test_messages_do_not_repeat_control_characters(void **state)
{
    (void)state;
    Err err;
    const char text[] = "{\"a\": \x1b[31m}";
    assert_err(json_parse(text, strlen(text), &plain, &err), &err, ERR_INPUT, "x.json");
    assert_null(strchr(err.text, '\x1b'));
}

/* open repeated n times around middle, then close as often. */
static void nest(Buf *text, int n, const char *open, const char *middle, const char *close)
{
    buf_clear(text);
    for (int i = 0; i < n; i++)
        buf_puts(text, open);
    buf_puts(text, middle);
    for (int i = 0; i < n; i++)
        buf_puts(text, close);
}

static void test_depth_is_bounded_at_64(void **state)
{
    (void)state;
    Buf text = {0};
    Err err;
    JsonLimits limits = {.origin = "x.json", .max_bytes = 1 << 22};
    static const char *const pairs[][2] = {
        {"[",       "]"},
        {"{\"k\":", "}"},
    };
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        nest(&text, 64, pairs[i][0], "1", pairs[i][1]);
        json_t *root = json_parse(buf_text(&text), text.len, &limits, &err);
        assert_ok(root, &err);
        json_decref(root);
        nest(&text, 65, pairs[i][0], "1", pairs[i][1]);
        assert_err(json_parse(buf_text(&text), text.len, &limits, &err), &err, ERR_INPUT,
                   "deeper than 64");
    }
    nest(&text, 1000000, "[", "", "]");
    assert_err(json_parse(buf_text(&text), text.len, &limits, &err), &err, ERR_INPUT, "deeper");
    buf_free(&text);
}

static void test_brackets_in_strings_are_not_depth(void **state)
{
    (void)state;
    Buf text = {0};
    Err err;
    buf_puts(&text, "[\"\\\"");
    for (int i = 0; i < 200; i++)
        buf_puts(&text, "[{");
    buf_puts(&text, "\\\\\", 1]");
    json_t *root = json_parse(buf_text(&text), text.len, &plain, &err);
    assert_ok(root, &err);
    assert_int_equal(json_array_size(root), 2);
    json_decref(root);
    buf_free(&text);
}

static void test_size_is_bounded(void **state)
{
    (void)state;
    Err err;
    JsonLimits limits = {.origin = "x.json", .max_bytes = 8};
    json_decref(parsed("{\"a\": 1}", &limits));
    assert_err(json_parse("{\"a\": 1} ", 9, &limits, &err), &err, ERR_INPUT, "9 bytes");
    const char *path = test_file("big.json", "{\"a\": 1} ", 9);
    assert_err(json_parse_file(path, &limits, &err), &err, ERR_INPUT, "larger than 8 bytes");
}

static void test_a_huge_integer_is_read_only_as_a_real(void **state)
{
    (void)state;
    const char *text = "{\"model_max_length\": 1000000000000000019884624838656}";
    Err err;
    assert_err(json_parse(text, strlen(text), &plain, &err), &err, ERR_INPUT, "integer");
    json_t *root = parsed(text, &reals);
    double v = 0.0;
    assert_ok(json_get_double(root, "model_max_length", &v, &err), &err);
    assert_close(v, 1e30, 0.0, 0.0);
    int64_t n = 5;
    assert_err(json_get_i64(root, "model_max_length", 0, INT64_MAX, &n, &err), &err, ERR_INPUT,
               "model_max_length");
    assert_int_equal(n, 5);
    json_decref(root);
}

static void test_integers_keep_every_digit_and_their_bounds(void **state)
{
    (void)state;
    Err err;
    int64_t n = 0;
    json_t *root = parsed("{\"max\": 9223372036854775807, \"odd\": 9007199254740993,"
                          " \"over\": 9223372036854775808.0, \"min\": -9223372036854775808}",
                          &plain);
    assert_ok(json_get_i64(root, "max", INT64_MIN, INT64_MAX, &n, &err), &err);
    assert_true(n == INT64_MAX);
    assert_ok(json_get_i64(root, "min", INT64_MIN, INT64_MAX, &n, &err), &err);
    assert_true(n == INT64_MIN);
    assert_ok(json_get_i64(root, "odd", INT64_MIN, INT64_MAX, &n, &err), &err);
    assert_true(n == 9007199254740993);
    assert_err(json_get_i64(root, "odd", 0, 9007199254740992, &n, &err), &err, ERR_INPUT, "odd");
    assert_err(json_get_i64(root, "over", INT64_MIN, INT64_MAX, &n, &err), &err, ERR_INPUT, "over");
    json_decref(root);
}

static void test_getters_leave_defaults_for_absent_and_null(void **state)
{
    (void)state;
    Err err;
    json_t *root = parsed("{\"null\": null}", &plain);
    static const char *const keys[] = {"null", "absent"};
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        int64_t n = 5;
        double v = 0.5;
        bool b = true;
        const char *s = "kept";
        assert_ok(json_get_i64(root, keys[i], 0, 1, &n, &err), &err);
        assert_ok(json_get_double(root, keys[i], &v, &err), &err);
        assert_ok(json_get_bool(root, keys[i], &b, &err), &err);
        assert_ok(json_get_string(root, keys[i], &s, &err), &err);
        assert_int_equal(n, 5);
        assert_close(v, 0.5, 0.0, 0.0);
        assert_true(b);
        assert_string_equal(s, "kept");
        assert_null(json_find(root, keys[i]));
    }
    json_decref(root);
}

static void test_getters_read_their_kind(void **state)
{
    (void)state;
    Err err;
    json_t *root = parsed("{\"n\": 4096, \"whole\": 4096.0, \"v\": 1e-5, \"b\": false,"
                          " \"s\": \"llama\"}",
                          &plain);
    int64_t n = 0;
    double v = 0.0;
    bool b = true;
    const char *s = NULL;
    assert_ok(json_get_i64(root, "n", 1, 4096, &n, &err), &err);
    assert_int_equal(n, 4096);
    n = 0;
    assert_ok(json_get_i64(root, "whole", 4096, 5000, &n, &err), &err);
    assert_int_equal(n, 4096);
    assert_ok(json_get_double(root, "v", &v, &err), &err);
    assert_close(v, 1e-5, 0.0, 0.0);
    assert_ok(json_get_double(root, "n", &v, &err), &err);
    assert_close(v, 4096.0, 0.0, 0.0);
    assert_ok(json_get_bool(root, "b", &b, &err), &err);
    assert_false(b);
    assert_ok(json_get_string(root, "s", &s, &err), &err);
    assert_string_equal(s, "llama");
    json_decref(root);
}

static void test_getters_name_key_and_kind_of_what_does_not_fit(void **state)
{
    (void)state;
    Err err;
    json_t *root = parsed("{\"text\": \"x\", \"half\": 0.5, \"seven\": 7, \"list\": []}", &plain);
    int64_t n = 5;
    double v = 0.5;
    bool b = true;
    const char *s = "kept";
    assert_err(json_get_i64(root, "text", 0, 9, &n, &err), &err, ERR_INPUT,
               "key \"text\" is a string, an integer is needed");
    assert_err(json_get_i64(root, "half", 0, 9, &n, &err), &err, ERR_INPUT, "\"half\" is 0.5");
    assert_err(json_get_i64(root, "seven", 8, 9, &n, &err), &err, ERR_INPUT, "allowed are 8 to 9");
    assert_err(json_get_i64(root, "seven", 0, 6, &n, &err), &err, ERR_INPUT, "allowed are 0 to 6");
    assert_err(json_get_double(root, "list", &v, &err), &err, ERR_INPUT, "\"list\" is a list");
    assert_err(json_get_bool(root, "seven", &b, &err), &err, ERR_INPUT, "\"seven\" is an integer");
    assert_err(json_get_string(root, "half", &s, &err), &err, ERR_INPUT, "\"half\" is a number");
    assert_int_equal(n, 5);
    assert_string_equal(s, "kept");
    json_decref(root);
}

static void test_files_are_parsed_and_named(void **state)
{
    (void)state;
    Err err;
    const char *good = test_file("good.json", "{\"a\": [1, 2]}", 13);
    json_t *root = json_parse_file(good, &plain, &err);
    assert_ok(root, &err);
    assert_int_equal(json_array_size(json_find(root, "a")), 2);
    json_decref(root);
    const char *bad = test_file("bad.json", "{", 1);
    assert_err(json_parse_file(bad, &plain, &err), &err, ERR_INPUT, bad);
    assert_err(json_parse_file("/nowhere.json", &plain, &err), &err, ERR_INPUT, "/nowhere.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damaged_texts_are_refused_with_their_place),
        cmocka_unit_test(test_messages_do_not_repeat_control_characters),
        cmocka_unit_test(test_depth_is_bounded_at_64),
        cmocka_unit_test(test_brackets_in_strings_are_not_depth),
        cmocka_unit_test(test_size_is_bounded),
        cmocka_unit_test(test_a_huge_integer_is_read_only_as_a_real),
        cmocka_unit_test(test_integers_keep_every_digit_and_their_bounds),
        cmocka_unit_test(test_getters_leave_defaults_for_absent_and_null),
        cmocka_unit_test(test_getters_read_their_kind),
        cmocka_unit_test(test_getters_name_key_and_kind_of_what_does_not_fit),
        cmocka_unit_test(test_files_are_parsed_and_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
