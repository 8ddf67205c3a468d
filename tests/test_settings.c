/* From methods and axes to settings. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "harness/settings.h"
#include "tests/test_util.h"

static const RopeSpec plain_512 = {
    .method = rope_methods, .theta = 10000.0, .n_rot = 64, .n_ctx_orig = 512};

/* A model whose file is scaled by 4. */
static RopeSpec scaled_512(void)
{
    RopeSpec own = plain_512;
    own.method = rope_method_find("linear");
    own.param[ROPE_FACTOR] = (RopeValue){ROPE_NUMBER, 4.0};
    return own;
}

/* Makes settings for the words of a `theta` command line, parted by blanks. */
static bool make(const char *line, const RopeSpec *own, SettingList *list, Err *err)
{
    char *copy = str_dup(line);
    char *words[16];
    int n = 0;
    char *state = NULL;
    for (char *word = strtok_r(copy, " ", &state); word; word = strtok_r(NULL, " ", &state))
        words[n++] = word;
    Options options;
    bool ok = cli_parse(cli_find_command("theta"), n, words, &options, err);
    free(copy);
    if (!ok) return false;
    ok = settings_make(&options, own, "none,linear", 0, list, err);
    cli_free(&options);
    return ok;
}

static void assert_settings(const char *line, const RopeSpec *own, const char *wanted)
{
    SettingList list = {0};
    Err err = {0};
    Buf got = {0};
    assert_ok(make(line, own, &list, &err), &err);
    for (size_t i = 0; i < list.n; i++) {
        char text[ROPE_TEXT_SIZE];
        rope_spec_text(&list.items[i], text);
        buf_printf(&got, "%s%s", i ? " " : "", text);
    }
    assert_string_equal(buf_text(&got), wanted);
    buf_free(&got);
    setting_list_free(&list);
}

static void assert_refused(const char *line, const RopeSpec *own, ErrCode code, const char *part)
{
    SettingList list = {0};
    Err err = {0};
    assert_err(make(line, own, &list, &err), &err, code, part);
}

static void test_an_axis_goes_to_every_method_that_reads_it(void **state)
{
    (void)state;
    assert_settings("--method none,linear,pi,ntk --lambda 1,2 --factor 4", &plain_512,
                    "none linear:factor=4 pi:factor=4 ntk:lambda=1 ntk:lambda=2");
}

static void test_a_method_keeps_the_parameter_it_sets_itself(void **state)
{
    (void)state;
    assert_settings("--method ntk:lambda=3,ntk --lambda 1,2", &plain_512,
                    "ntk:lambda=3 ntk:lambda=1 ntk:lambda=2");
    assert_settings("--method ntk:alpha=1,ntk --lambda 2", &plain_512, "ntk:alpha=1 ntk:lambda=2");
}

static void test_lambda_and_alpha_are_alternatives(void **state)
{
    (void)state;
    assert_settings("--method ntk --lambda 2,4 --alpha 1", &plain_512,
                    "ntk:lambda=2 ntk:lambda=4 ntk:alpha=1");
}

static void test_axes_choose_the_method_where_none_is_given(void **state)
{
    (void)state;
    assert_settings("--lambda 2", &plain_512, "ntk:lambda=2");
    assert_settings("--alpha 2", &plain_512, "ntk:alpha=2");
    assert_settings("--factor 2", &plain_512, "linear:factor=2");
    assert_settings("--factor 2 --lambda 3 --alpha 4", &plain_512,
                    "linear:factor=2 ntk:lambda=3 ntk:alpha=4");
    assert_settings("--target 1k", &plain_512, "none linear:factor=2");
}

static void test_an_axis_without_effect_is_refused(void **state)
{
    (void)state;
    assert_refused("--method none,linear --lambda 2", &plain_512, ERR_USAGE, "it is read by: ntk");
    assert_refused("--method ntk:lambda=1 --lambda 2", &plain_512, ERR_USAGE,
                   "--lambda has no effect");
    assert_refused("--method model --factor 2", &plain_512, ERR_USAGE, "read by: linear, pi");
}

static void test_auto_aims_at_the_target_else_at_the_largest_length(void **state)
{
    (void)state;
    SettingList list = {0};
    Err err = {0};
    assert_ok(make("--method linear,ntk --n-ctx 1k,2k", &plain_512, &list, &err), &err);
    assert_close(list.items[0].param[ROPE_FACTOR].number, 4.0, 0.0, 0.0);
    assert_close(list.items[1].param[ROPE_LAMBDA].number, 4.1829365928899485, 1e-15, 0.0);
    setting_list_free(&list);
    assert_settings("--method linear --n-ctx 1k,2k --target 4k", &plain_512, "linear:factor=8");
    assert_settings("--method linear --n-ctx 1k --n-ctx-orig 128", &plain_512, "linear:factor=8");
    assert_settings("--method ntk:lambda=auto-each --n-ctx 1k", &plain_512, "ntk:lambda=auto-each");
    assert_refused("--method linear", &plain_512, ERR_USAGE, "needs a target length");
}

static void test_the_base_can_be_replaced(void **state)
{
    (void)state;
    SettingList list = {0};
    Err err = {0};
    assert_ok(make("--theta 5e5 --lambda 2", &plain_512, &list, &err), &err);
    assert_close(list.items[0].theta, 5e5, 0.0, 0.0);
    setting_list_free(&list);
}

static void test_a_trained_length_that_nobody_knows_is_asked_for(void **state)
{
    (void)state;
    RopeSpec unknown = plain_512;
    unknown.n_ctx_orig = 0;
    assert_settings("--lambda 2", &unknown, "ntk:lambda=2");
    assert_settings("--method none", &unknown, "none");
    assert_refused("--lambda auto --n-ctx 1k", &unknown, ERR_USAGE, "--n-ctx-orig");
    assert_refused("--lambda auto-each --n-ctx 1k", &unknown, ERR_USAGE, "--n-ctx-orig");
    assert_refused("--method linear --n-ctx 1k", &unknown, ERR_USAGE, "--n-ctx-orig");
}

static void test_a_scaled_model_asks_what_to_do(void **state)
{
    (void)state;
    RopeSpec scaled = scaled_512();
    assert_settings("--method model", &scaled, "linear:factor=4");
    assert_refused("--lambda 2", &scaled, ERR_USAGE, "choose --on-scaled replace or stack");
    assert_refused("--method none", &scaled, ERR_USAGE, "--on-scaled");
    assert_settings("--lambda 2 --on-scaled replace", &scaled, "ntk:lambda=2");
    assert_settings("--method none --on-scaled replace", &scaled, "none");
    assert_settings("--lambda 2 --on-scaled refuse", &plain_512, "ntk:lambda=2");
}

static void test_factors_stack_and_nothing_else_does(void **state)
{
    (void)state;
    RopeSpec scaled = scaled_512();
    assert_settings("--method none,model,linear:factor=2,pi:factor=3 --on-scaled stack", &scaled,
                    "linear:factor=4 linear:factor=4 linear:factor=8 pi:factor=12");
    assert_settings("--method none:log_n=1 --on-scaled stack", &scaled, "linear:factor=4,log_n=1");
    assert_refused("--lambda 2 --on-scaled stack", &scaled, ERR_UNSUPPORTED, "ntk on top of");
    assert_refused("--method linear:factor=auto-each --n-ctx 1k --on-scaled stack", &scaled,
                   ERR_UNSUPPORTED, "linear on top of");
    assert_settings("--lambda 2 --on-scaled stack", &plain_512, "ntk:lambda=2");
}

static void test_lambda_below_one_is_noted(void **state)
{
    (void)state;
    RopeSpec spec = plain_512;
    Err err = {0};
    assert_ok(rope_spec_parse("ntk:lambda=0.5", &spec, &err), &err);
    assert_true(setting_raises_frequencies(&spec, 512));
    assert_ok(rope_spec_parse("ntk:lambda=1", &spec, &err), &err);
    assert_false(setting_raises_frequencies(&spec, 512));
    assert_ok(rope_spec_parse("linear:factor=2", &spec, &err), &err);
    assert_false(setting_raises_frequencies(&spec, 512));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_axis_goes_to_every_method_that_reads_it),
        cmocka_unit_test(test_a_method_keeps_the_parameter_it_sets_itself),
        cmocka_unit_test(test_lambda_and_alpha_are_alternatives),
        cmocka_unit_test(test_axes_choose_the_method_where_none_is_given),
        cmocka_unit_test(test_an_axis_without_effect_is_refused),
        cmocka_unit_test(test_auto_aims_at_the_target_else_at_the_largest_length),
        cmocka_unit_test(test_the_base_can_be_replaced),
        cmocka_unit_test(test_a_trained_length_that_nobody_knows_is_asked_for),
        cmocka_unit_test(test_a_scaled_model_asks_what_to_do),
        cmocka_unit_test(test_factors_stack_and_nothing_else_does),
        cmocka_unit_test(test_lambda_below_one_is_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
