/* Lengths with shares and probes with margins, as people type them. */

#include "harness/cli_pairs.h"
#include "tests/test_util.h"

static void test_a_mix_is_read_as_given(void **state)
{
    (void)state;
    Err err;
    MixPart *parts;
    size_t n;
    assert_ok(cli_read_mix("4k:2,512:0.25,512:1e-6", &parts, &n, &err), &err);
    assert_int_equal(n, 3);
    static const MixPart wanted[] = {
        {4096, 2.0 },
        {512,  0.25},
        {512,  1e-6}
    };
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(parts[i].n_ctx, wanted[i].n_ctx);
        assert_close(parts[i].weight, wanted[i].weight, 0.0, 0.0);
    }
    free(parts);
}

static void test_a_mix_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",        ",",           "512",    "512:",   ":1",
                                        "512:0",   "512:-1",      "0:1",    "-512:1", "512:nan",
                                        "512:inf", "512:1e7",     "512:1,", ",512:1", "512:1:2",
                                        "5e99:1",  "512:1;1024:1"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        Err err;
        MixPart *parts;
        size_t n;
        assert_err(cli_read_mix(texts[i], &parts, &n, &err), &err, ERR_USAGE,
                   "as in 512:0.5,2048:0.5");
        free(parts);
    }
}

static void test_margins_are_of_a_probe_or_of_all(void **state)
{
    (void)state;
    Err err;
    MarginList margins = {0};
    assert_ok(cli_read_margins("0.05,passkey=0", &margins, &err), &err);
    assert_int_equal(margins.n, 2);
    assert_null(margins.items[0].probe);
    assert_close(margins.items[0].value, 0.05, 0.0, 0.0);
    assert_string_equal(margins.items[1].probe, "passkey");
    assert_close(margins.items[1].value, 0.0, 0.0, 0.0);
    cli_free_margins(&margins);
}

static void test_margins_that_hold_nothing_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",    ",",    "passkey", "passkey=",  "-0.1", "nan",
                                        "inf", "0.1,", ",0.1",    "p=0.1=0.2", "5%",   "p=-1"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        Err err;
        MarginList margins = {0};
        assert_err(cli_read_margins(texts[i], &margins, &err), &err, ERR_USAGE,
                   "as in 0.05 or passkey=0.1");
        cli_free_margins(&margins);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_mix_is_read_as_given),
        cmocka_unit_test(test_a_mix_that_is_none_is_refused),
        cmocka_unit_test(test_margins_are_of_a_probe_or_of_all),
        cmocka_unit_test(test_margins_that_hold_nothing_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
