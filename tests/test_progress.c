#include "tests/test_util.h"

#include "harness/progress.h"

static void test_progress_time_is_written_in_two_units_at_most(void **state)
{
    (void)state;
    static const struct {
        double seconds;
        const char *want;
    } cases[] = {
        {0.2,    "0 s"            },
        {59.4,   "59 s"           },
        {59.6,   "1 min 0 s"      },
        {200.0,  "3 min 20 s"     },
        {3599.6, "1 h 0 min"      },
        {7500.0, "2 h 5 min"      },
        {1e300,  "277777 h 46 min"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[PROGRESS_TEXT_SIZE];
        progress_time_text(cases[i].seconds, text);
        assert_string_equal(text, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_progress_time_is_written_in_two_units_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
