#include "tests/test_util.h"

#include <math.h>

#include "base/params.h"

typedef struct {
    double rate;
    double steps;
} Numbers;

static const Param rows[] = {
    {"rate",  offsetof(Numbers, rate),  0.0, 1.0,  false, 0.25, "a share"},
    {"steps", offsetof(Numbers, steps), 1.0, 99.0, true,  5,    "a count"},
};
static const ParamTable table = {"the plan", rows, COUNT_OF(rows)};

static void test_defaults_go_to_every_number(void **state)
{
    (void)state;
    Numbers numbers = {-1.0, -1.0};
    params_default(&table, &numbers);
    assert_close(numbers.rate, 0.25, 0.0, 0.0);
    assert_close(numbers.steps, 5.0, 0.0, 0.0);
    assert_close(params_value(&rows[1], &numbers), 5.0, 0.0, 0.0);
}

static void test_a_text_sets_what_it_names(void **state)
{
    (void)state;
    Numbers numbers;
    Err err;
    params_default(&table, &numbers);
    assert_ok(params_read(&table, &numbers, "steps=7", &err), &err);
    assert_close(numbers.rate, 0.25, 0.0, 0.0);
    assert_ok(params_read(&table, &numbers, "rate=1e-3,steps=9", &err), &err);
    assert_close(numbers.rate, 1e-3, 0.0, 0.0);
    assert_close(numbers.steps, 9.0, 0.0, 0.0);
    assert_ok(params_read(&table, &numbers, "", &err), &err);
}

static void test_what_a_table_does_not_allow_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *part;
    } bad[] = {
        {"rat=1",          "the plan has no option \"rat\"; the nearest is \"rate\""},
        {"=1",             "the plan has no option"                                 },
        {"rate",           "\"rate\": name=number"                                  },
        {"rate=",          "name=number"                                            },
        {"rate=x",         "name=number"                                            },
        {"rate=nan",       "name=number"                                            },
        {"rate=1.5",       "rate is 1.5, allowed are numbers of 0 to 1"             },
        {"rate=-0.1",      "numbers of 0 to 1"                                      },
        {"steps=2.5",      "whole numbers of 1 to 99"                               },
        {"steps=3,stes=4", "\"steps\""                                              },
        {"\x1b[2J=1",      "\\x1b"                                                  },
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        Numbers numbers;
        Err err;
        params_default(&table, &numbers);
        assert_err(params_read(&table, &numbers, bad[i].text, &err), &err, ERR_USAGE, bad[i].part);
        assert_close(numbers.rate, 0.25, 0.0, 0.0);
    }
    Numbers numbers;
    Err err;
    assert_err(params_set(&table, &numbers, "rate", (double)NAN, &err), &err, ERR_USAGE, "nan");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_go_to_every_number),
        cmocka_unit_test(test_a_text_sets_what_it_names),
        cmocka_unit_test(test_what_a_table_does_not_allow_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
