/* Sweep files: what YAML is read, and on which line the rest is refused. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "harness/commands.h"
#include "harness/sweep_file.h"
#include "tests/test_util.h"

static bool parse_n(const char *text, size_t n, Options *options, Err *err)
{
    *options = (Options){0};
    SweepFile file = {.origin = "s.yaml", .command = COMMAND_SWEEP, .options = options};
    bool ok = sweep_file_parse(text, n, &file, err);
    if (!ok) cli_free(options);
    return ok;
}

static void assert_refused(const char *text, const char *part)
{
    Options options;
    Err err = {0};
    assert_err(parse_n(text, strlen(text), &options, &err), &err, ERR_USAGE, part);
}

static void test_keys_are_option_names_and_values_go_through_their_rows(void **state)
{
    (void)state;
    static const char text[] = "# a sweep\n"
                               "model:\n"
                               "  - a\n"
                               "  - \"b\"\n"
                               "n_ctx: [512, 1k, 2k:4k:*2]\n"
                               "lambda: 1:4:*2\n"
                               "rope-freq-base: 5e5\n"
                               "method: [none, 'ntk:lambda=2']\n"
                               "fresh: true\n"
                               "quiet: false\n"
                               "on_scaled: replace\n";
    Options options;
    Err err = {0};
    assert_ok(parse_n(text, sizeof text - 1, &options, &err), &err);
    assert_int_equal(options.model.n, 2);
    assert_string_equal(options.model.items[1], "b");
    assert_int_equal(options.n_ctx.n, 4);
    assert_int_equal(options.n_ctx.items[3], 4096);
    assert_int_equal(options.lambda.n, 3);
    assert_true(options.theta == 5e5);
    assert_string_equal(options.method.items[1], "ntk:lambda=2");
    assert_true(options.fresh);
    assert_false(options.quiet);
    assert_string_equal(options.on_scaled, "replace");
    cli_free(&options);
}

static void test_what_is_wrong_is_named_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *part;
    } cases[] = {
        {"seed: 1\nlamda: 2\n",      "s.yaml:2: unknown key \"lamda\"; did you mean lambda?"},
        {"seed: 1\nn-new: 2\n",      "s.yaml:2: unknown key \"n-new\""                      },
        {"config: x\n",              "s.yaml:1: unknown key \"config\""                     },
        {"help: true\n",             "s.yaml:1: unknown key \"help\""                       },
        {"seed: 1\n\nseed: 2\n",     "s.yaml:3: seed: is set twice"                         },
        {"theta: 1\nbase: 2\n",      "s.yaml:2: theta: is set twice"                        },
        {"seed: x\n",                "s.yaml:1: seed: \"x\" is not a whole number"          },
        {"seed: [1, 2]\n",           "s.yaml:1: seed: one value is allowed, not a list"     },
        {"lambda:\n  - 1\n  - 0\n",  "s.yaml:3: lambda: \"0\""                              },
        {"lambda: {a: 1}\n",         "s.yaml:1: lambda: a single value or a list"           },
        {"lambda: [[1]]\n",          "s.yaml:1: lambda: an item of a list"                  },
        {"fresh: yes\n",             "true or false"                                        },
        {"seed:\n",                  "s.yaml:1: seed: the value is empty"                   },
        {"seed: null\n",             "s.yaml:1: seed: the value is null"                    },
        {"seed: ~\n",                "s.yaml:1: seed: the value is null"                    },
        {"db: \"a\\0b\"\n",          "s.yaml:1: db: the value is null or holds a NUL"       },
        {"seed: &a 1\n",             "s.yaml:1: anchors, aliases and tags"                  },
        {"seed: *a\n",               "s.yaml:1: anchors, aliases and tags"                  },
        {"seed: !!int 1\n",          "s.yaml:1: anchors, aliases and tags"                  },
        {"lambda: &a [1]\n",         "s.yaml:1: anchors, aliases and tags"                  },
        {"--- !!map\nseed: 1\n",     "anchors, aliases and tags"                            },
        {"",                         "holds no options"                                     },
        {"# nothing\n",              "holds no options"                                     },
        {"just words\n",             "a mapping of options is expected"                     },
        {"- seed\n",                 "a mapping of options is expected"                     },
        {"[a]: 1\n",                 "a key must be"                                        },
        {"seed: 1\n---\nseed: 2\n",  "s.yaml:2: a second document"                          },
        {"seed: 1\nlambda: [1, 2\n", "s.yaml:"                                              },
        {"seed: \"1\n",              "s.yaml:"                                              },
        {"seed: \xff\n",             "s.yaml:"                                              },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_refused(cases[i].text, cases[i].part);
}

/* "Billion laughs": nine lists, each of nine aliases of the one before. */
static void test_an_anchor_bomb_is_refused_at_its_first_anchor(void **state)
{
    (void)state;
    Buf text = {0};
    buf_puts(&text, "lambda: &a [1,1,1,1,1,1,1,1,1]\n");
    for (int c = 'b'; c < 'k'; c++)
        buf_printf(&text, "x%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c - 1, c - 1,
                   c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1);
    assert_refused(buf_text(&text), "s.yaml:1: anchors");
    buf_free(&text);
}

static void test_deep_nesting_is_refused_at_once(void **state)
{
    (void)state;
    char *text = mem_alloc(100001, 1);
    memset(text, '[', 100000);
    text[100000] = '\0';
    assert_refused(text, "a mapping of options is expected");
    free(text);
}

static void test_a_file_over_a_megabyte_is_refused(void **state)
{
    (void)state;
    size_t n = SWEEP_FILE_MAX_BYTES + 1;
    char *text = mem_alloc(n, 1);
    memset(text, '#', n);
    Options options = {0};
    Err err = {0};
    SweepFile file = {.command = COMMAND_SWEEP, .options = &options};
    assert_err(sweep_file_read(test_file("large.yaml", text, n), &file, &err), &err, ERR_INPUT,
               "large.yaml");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_are_option_names_and_values_go_through_their_rows),
        cmocka_unit_test(test_what_is_wrong_is_named_with_its_line),
        cmocka_unit_test(test_an_anchor_bomb_is_refused_at_its_first_anchor),
        cmocka_unit_test(test_deep_nesting_is_refused_at_once),
        cmocka_unit_test(test_a_file_over_a_megabyte_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
