/* The command line: which words are options, what is refused and how, and what wins. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "harness/cli_axis.h"
#include "harness/cli_options.h"
#include "tests/test_util.h"

enum { MAX_WORDS = 32 };

/* Parses a line of words parted by blanks for a command. */
static bool parse(const char *command, const char *line, Options *options, Err *err)
{
    char *copy = str_dup(line);
    char *words[MAX_WORDS];
    int n = 0;
    char *state = NULL;
    for (char *word = strtok_r(copy, " ", &state); word; word = strtok_r(NULL, " ", &state)) {
        assert_true(n < MAX_WORDS);
        words[n++] = word;
    }
    bool ok = cli_parse(cli_find_command(command), n, words, options, err);
    free(copy);
    return ok;
}

static void assert_refused(const char *command, const char *line, const char *part)
{
    Options options;
    Err err = {0};
    assert_err(parse(command, line, &options, &err), &err, ERR_USAGE, part);
    assert_true(strchr(err.text, '\n') == NULL);
}

static void test_values_come_after_a_blank_or_an_equals_sign(void **state)
{
    (void)state;
    Options options;
    Err err = {0};
    assert_ok(parse("report", "--db a.db -o out.csv --format=md -h", &options, &err), &err);
    assert_string_equal(options.db, "a.db");
    assert_string_equal(options.output, "out.csv");
    assert_string_equal(options.format, "md");
    assert_true(options.help);
    cli_free(&options);
    assert_ok(parse("report", "-oout.csv --db==", &options, &err), &err);
    assert_string_equal(options.output, "out.csv");
    assert_string_equal(options.db, "=");
    cli_free(&options);
}

static void test_words_after_two_dashes_are_arguments(void **state)
{
    (void)state;
    Options options;
    Err err = {0};
    assert_ok(parse("inspect", "--json -- --model", &options, &err), &err);
    assert_true(options.json);
    assert_int_equal(options.arguments.n, 1);
    assert_string_equal(options.arguments.items[0], "--model");
    cli_free(&options);
    assert_refused("inspect", "a b", "one word too many");
    assert_refused("theta", "a", "one word too many");
}

static void test_aliases_are_the_same_option(void **state)
{
    (void)state;
    Options options;
    Err err = {0};
    assert_ok(parse("sweep", "--ctx 1k --base 5e5 --rope-scale 2", &options, &err), &err);
    assert_int_equal(options.n_ctx.items[0], 1024);
    assert_true(options.theta == 5e5);
    assert_string_equal(options.factor.items[0], "2");
    cli_free(&options);
    assert_refused("sweep", "--theta 1 --rope-freq-base 2", "given twice");
}

static void test_lists_add_up_and_single_values_do_not_repeat(void **state)
{
    (void)state;
    Options options;
    Err err = {0};
    assert_ok(parse("sweep",
                    "--model a --model b --n-ctx 512 --n-ctx 256,512 --lambda 2 --lambda 1",
                    &options, &err),
              &err);
    assert_int_equal(options.model.n, 2);
    assert_string_equal(options.model.items[1], "b");
    assert_int_equal(options.n_ctx.n, 2);
    assert_int_equal(options.n_ctx.items[0], 256);
    assert_string_equal(options.lambda.items[0], "1");
    cli_free(&options);
    assert_refused("sweep", "--seed 1 --seed 1", "--seed is given twice");
    assert_refused("sweep", "--quiet --quiet", "--quiet is given twice");
}

static void test_unknown_options_name_the_nearest(void **state)
{
    (void)state;
    assert_refused("theta", "--lamda 2", "did you mean --lambda?");
    assert_refused("theta", "--lamda=2", "did you mean --lambda?");
    assert_refused("theta", "--bsae 2", "did you mean --theta?");
    assert_refused("theta", "-ctx 2", "did you mean --n-ctx?");
    assert_refused("theta", "-lambda 2", "did you mean --lambda?");
    assert_refused("theta", "--xyzzyplugh 2", "`ropewalk theta --help` lists");
}

static void test_abbreviations_are_refused_with_the_full_name(void **state)
{
    (void)state;
    assert_refused("theta", "--lam 2", "write --lambda");
    assert_refused("sweep", "--target-m 2", "write --target-max");
    assert_refused("theta", "--n-c 2", "write --n-ctx or --n-ctx-orig");
}

static void test_options_of_other_commands_are_named_as_theirs(void **state)
{
    (void)state;
    assert_refused("theta", "--n-new 2", "it belongs to: generate");
    assert_refused("list", "--db x", "it belongs to: sweep, compare, report");
}

static void test_typographic_dashes_are_explained(void **state)
{
    (void)state;
    assert_refused("sweep", "–ctx 2", "did you mean --ctx?");
    assert_refused("sweep", "—ctx 2", "did you mean --ctx?");
    assert_refused("sweep", "−−ctx 2", "typographic dash");
    assert_refused("sweep", "–-ctx 2", "did you mean --ctx?");
}

static void test_missing_and_empty_values_are_refused(void **state)
{
    (void)state;
    assert_refused("sweep", "--db", "--db needs a value");
    assert_refused("sweep", "--db --fresh", "--db needs a value");
    assert_refused("sweep", "--db=", "--db: the value is empty");
    assert_refused("sweep", "--fresh=yes", "--fresh takes no value");
    assert_refused("sweep", "-qy", "unknown option -qy");
}

static void test_values_out_of_range_name_what_is_allowed(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *part;
    } cases[] = {
        {"--lambda 0",                 "--lambda: \"0\": a finite number above 0"},
        {"--lambda -1",                "above 0"                                 },
        {"--lambda nan",               "above 0"                                 },
        {"--lambda inf",               "above 0"                                 },
        {"--factor 0.5",               "of at least 1"                           },
        {"--alpha 0.99",               "of at least 1"                           },
        {"--n-ctx 0",                  "from 1 to 1099511627776"                 },
        {"--n-ctx 1:8:*1",             "is not a range"                          },
        {"--theta 0",                  "above 0"                                 },
        {"--seed -1",                  "from 0"                                  },
        {"--limit 0",                  "from 1"                                  },
        {"--precision f16",            "allowed are: f32 bf16"                   },
        {"--on-scaled maybe",          "allowed are: refuse replace stack"       },
        {"--method nkt",               "did you mean ntk?"                       },
        {"--method ntk:factor=2",      "does not read factor"                    },
        {"--method ntk:lambda=0",      "above 0"                                 },
        {"--method linear:factor=0.5", "at least 1"                              },
        {"--probe passky",             "passkey"                                 },
        {"--probe passkey:x=1",        "trials"                                  },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_refused("sweep", cases[i].line, cases[i].part);
}

static void test_lambda_below_one_is_legal(void **state)
{
    (void)state;
    Options options;
    Err err = {0};
    assert_ok(parse("theta", "--lambda 0.25", &options, &err), &err);
    assert_string_equal(options.lambda.items[0], "0.25");
    cli_free(&options);
}

static void test_methods_multiply_out_before_they_are_checked(void **state)
{
    (void)state;
    Options options;
    Err err = {0};
    assert_ok(parse("sweep", "--method model,ntk:lambda=1:4:*2,linear:factor=2", &options, &err),
              &err);
    assert_int_equal(options.method.n, 5);
    assert_string_equal(options.method.items[0], "model");
    assert_string_equal(options.method.items[3], "ntk:lambda=4");
    assert_string_equal(options.method.items[4], "linear:factor=2");
    cli_free(&options);
}

static void test_flags_win_over_the_sweep_file(void **state)
{
    (void)state;
    static const char yaml[] = "lambda: [1, 2]\nn_ctx: 512\nseed: 7\nfresh: true\n";
    char line[512];
    Options options;
    Err err = {0};
    snprintf(line, sizeof line, "--lambda 8 --config %s --seed 9",
             test_file("sweep.yaml", yaml, sizeof yaml - 1));
    assert_ok(parse("sweep", line, &options, &err), &err);
    assert_int_equal(options.lambda.n, 1);
    assert_string_equal(options.lambda.items[0], "8");
    assert_int_equal(options.n_ctx.items[0], 512);
    assert_int_equal(options.seed, 9);
    assert_true(options.fresh);
    cli_free(&options);
}

static void test_an_absent_sweep_file_is_bad_input(void **state)
{
    (void)state;
    Options options;
    Err err = {0};
    assert_err(parse("sweep", "--config /nonexistent/sweep.yaml", &options, &err), &err, ERR_INPUT,
               "/nonexistent/sweep.yaml");
}

static void test_a_written_spec_reads_back_the_same(void **state)
{
    (void)state;
    const Command *sweep = cli_find_command("sweep");
    char line[512];
    Options options;
    Err err = {0};
    Buf first = {0};
    Buf second = {0};
    assert_ok(
        parse(
            "sweep",
            "--model a\"b --model c\\d --method ntk:lambda=2,none --lambda 1:8:*2,auto --n-ctx 1k,2k "
            "--theta 0.1 --seed 12345678901 --fresh --corpus Größe\xc2\x87\xe2\x80\xa8\x01",
            &options, &err),
        &err);
    cli_write_spec(sweep, &options, &first);
    cli_free(&options);
    snprintf(line, sizeof line, "--config %s", test_file("spec.yaml", first.data, first.len));
    assert_ok(parse("sweep", line, &options, &err), &err);
    cli_write_spec(sweep, &options, &second);
    cli_free(&options);
    assert_string_equal(buf_text(&first), buf_text(&second));
    assert_non_null(strstr(buf_text(&first), "model: [\"a\\u0022b\", \"c\\u005cd\"]"));
    assert_non_null(strstr(buf_text(&first), "theta: 0.1\n"));
    buf_free(&first);
    buf_free(&second);
}

static void test_a_quoted_line_can_be_pasted(void **state)
{
    (void)state;
    char *words[] = {(char[]){"ropewalk"}, (char[]){"--text"}, (char[]){"it's $HOME"}, (char[]){""},
                     (char[]){"a=b,c"}};
    char *line = cli_quote((int)COUNT_OF(words), words);
    assert_string_equal(line, "ropewalk --text 'it'\\''s $HOME' '' a=b,c");
    free(line);
}

static void test_every_error_code_has_its_exit_status(void **state)
{
    (void)state;
    static const struct {
        ErrCode code;
        int status;
    } cases[] = {
        {ERR_NONE,        0 },
        {ERR_USAGE,       2 },
        {ERR_INPUT,       3 },
        {ERR_NOMEM,       3 },
        {ERR_NET,         4 },
        {ERR_STORE,       5 },
        {ERR_OUTPUT,      5 },
        {ERR_UNSUPPORTED, 6 },
        {ERR_NONFINITE,   1 },
        {(ErrCode)99,     70},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(cli_exit_status(cases[i].code), cases[i].status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_come_after_a_blank_or_an_equals_sign),
        cmocka_unit_test(test_words_after_two_dashes_are_arguments),
        cmocka_unit_test(test_aliases_are_the_same_option),
        cmocka_unit_test(test_lists_add_up_and_single_values_do_not_repeat),
        cmocka_unit_test(test_unknown_options_name_the_nearest),
        cmocka_unit_test(test_abbreviations_are_refused_with_the_full_name),
        cmocka_unit_test(test_options_of_other_commands_are_named_as_theirs),
        cmocka_unit_test(test_typographic_dashes_are_explained),
        cmocka_unit_test(test_missing_and_empty_values_are_refused),
        cmocka_unit_test(test_values_out_of_range_name_what_is_allowed),
        cmocka_unit_test(test_lambda_below_one_is_legal),
        cmocka_unit_test(test_methods_multiply_out_before_they_are_checked),
        cmocka_unit_test(test_flags_win_over_the_sweep_file),
        cmocka_unit_test(test_an_absent_sweep_file_is_bad_input),
        cmocka_unit_test(test_a_written_spec_reads_back_the_same),
        cmocka_unit_test(test_a_quoted_line_can_be_pasted),
        cmocka_unit_test(test_every_error_code_has_its_exit_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
