/* What the binary says of itself. */
#include "tests/test_util.h"

#include <string.h>

#include "base/str.h"
#include "harness/version.h"

static void test_version_text_names_every_part_on_its_own_line(void **state)
{
    (void)state;
    static const char *const parts[] = {"\ncompiler  ",   "\nflags     -O", "-ffp-contract=off",
                                        "\nkernels   ",   "\nblas      ",   "\nsqlite    3.",
                                        "\njansson   2.", "\npcre2     10."};
    char *text = version_text();
    assert_true(str_starts_with(text, "ropewalk "));
    assert_true(str_ends_with(text, "\n"));
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        if (!strstr(text, parts[i])) fail_msg("\"%s\" is not in: %s", parts[i], text);
    free(text);
}

static void test_version_line_begins_as_the_text_and_is_one_line(void **state)
{
    (void)state;
    char *text = version_text();
    char *line = version_line();
    assert_null(strchr(line, '\n'));
    size_t n = strcspn(text, "\n");
    assert_int_equal(strncmp(line, text, n), 0);
    assert_int_equal(line[n], ',');
    free(text);
    free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_text_names_every_part_on_its_own_line),
        cmocka_unit_test(test_version_line_begins_as_the_text_and_is_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
