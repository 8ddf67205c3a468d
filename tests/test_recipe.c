/* From the options of `train` to what is trained. */
#include "tests/test_util.h"

#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "harness/commands.h"
#include "harness/recipe.h"

/* The recipe of a command line without `train`, its words parted by blanks. */
static bool make(const char *line, Recipe *recipe, Err *err)
{
    enum { MAX_WORDS = 32 };
    char *words[MAX_WORDS];
    int n = 0;
    char *copy = str_dup(line);
    char *state = NULL;
    for (char *word = strtok_r(copy, " ", &state); word; word = strtok_r(NULL, " ", &state))
        words[n++] = word;
    Options options;
    bool ok = cli_parse(cli_find_command("train"), n, words, &options, err);
    if (ok) {
        ok = recipe_make(&options, recipe, err);
        cli_free(&options);
    }
    free(copy);
    return ok;
}

static Recipe made(const char *line)
{
    Recipe recipe;
    Err err;
    assert_ok(make(line, &recipe, &err), &err);
    return recipe;
}

static void assert_refused(const char *line, ErrCode code, const char *part)
{
    Recipe recipe;
    Err err;
    assert_err(make(line, &recipe, &err), &err, code, part);
}

static void test_the_walkers_recipe_is_what_the_defaults_say(void **state)
{
    (void)state;
    Recipe recipe = made("--recipe models/walker/recipe.yaml");
    assert_int_equal(recipe.config.d_model, 128);
    assert_int_equal(recipe.config.n_layers, 4);
    assert_int_equal(recipe.config.n_heads, 4);
    assert_int_equal(recipe.config.n_kv_heads, 4);
    assert_int_equal(recipe.config.head_dim, 32);
    assert_int_equal(recipe.config.d_ff, 256);
    assert_int_equal(recipe.config.vocab_size, 512);
    assert_true(recipe.config.tied);
    assert_int_equal(recipe.n_ctx, 256);
    assert_int_equal(recipe.rope.n_ctx_orig, 256);
    assert_close(recipe.rope.theta, 10000.0, 0.0, 0.0);
    assert_int_equal(recipe.schedule.n_phases, 3);
    assert_int_equal(train_schedule_steps(&recipe.schedule), 2400);
    assert_int_equal(recipe.dtype, DTYPE_BF16);
    assert_close(recipe_flop(&recipe) * 1e-12, 27.38, 0.0, 0.01);
}

static void test_flags_go_over_the_recipe(void **state)
{
    (void)state;
    Recipe recipe =
        made("--recipe models/walker/recipe.yaml --phase 3:2:100,1:1k:200 --theta 500 --dtype f32 "
             "--optimizer rate=0.5 --shape n_heads=8,n_kv_heads=2,tied=0 --mixture passkey=0.2");
    assert_int_equal(recipe.schedule.n_phases, 2);
    assert_int_equal(recipe.schedule.phase[1].n_rows, 1024);
    assert_int_equal(recipe.n_ctx, 200);
    assert_close(recipe.rope.theta, 500.0, 0.0, 0.0);
    assert_int_equal(recipe.dtype, DTYPE_F32);
    assert_close(recipe.schedule.rate, 0.5, 0.0, 0.0);
    assert_int_equal(recipe.schedule.n_warm_up, 50);
    assert_int_equal(recipe.config.head_dim, 16);
    assert_int_equal(recipe.config.n_kv_heads, 2);
    assert_false(recipe.config.tied);
    assert_close(recipe.mixture.passkey, 0.2, 0.0, 0.0);
}

static void test_a_model_is_trained_on_under_a_setting(void **state)
{
    (void)state;
    Recipe recipe =
        made("--recipe models/walker/tune.yaml --init models/walker --method pi --n-ctx 1k");
    assert_int_equal(recipe.n_ctx, 1024);
    assert_int_equal(recipe.schedule.phase[0].n_rows, 2);
    assert_int_equal(train_schedule_steps(&recipe.schedule), 200);
    assert_string_equal(recipe.rope.method->name, "pi");
    assert_close(rope_spec_value(&recipe.rope, ROPE_FACTOR, 1024), 4.0, 0.0, 0.0);
    assert_int_equal(recipe.rope.n_ctx_orig, 256);
    assert_true(recipe.config.tied);
    recipe = made("--init models/walker --n-ctx 16k --steps 3");
    assert_int_equal(recipe.schedule.phase[0].n_rows, 1);
    assert_true(rope_method_is_plain(recipe.rope.method));
}

/* Whatever changes the weights must change the text. */
static void test_the_key_tells_recipes_apart(void **state)
{
    (void)state;
    static const char *const others[] = {
        "--phase 3:2:101",       "--phase 4:2:100",
        "--phase 3:3:100",       "--theta 500",
        "--shape tied=0",        "--shape d_ff=64",
        "--optimizer rate=1",    "--optimizer warm_up=1",
        "--optimizer decay=0",   "--optimizer final=1",
        "--optimizer beta1=0.5", "--optimizer beta2=0.5",
        "--optimizer eps=1",     "--optimizer weight_decay=1",
        "--optimizer clip=0",    "--mixture weight_answer=2",
        "--method ntk:lambda=2",
    };
    Buf own = {0};
    Recipe recipe = made("--phase 3:2:100");
    recipe_key(&recipe, &own);
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        Buf key = {0};
        bool has_phase = str_starts_with(others[i], "--phase");
        char *line = str_format("%s%s", has_phase ? "" : "--phase 3:2:100 ", others[i]);
        recipe = made(line);
        recipe_key(&recipe, &key);
        assert_string_not_equal(buf_text(&key), buf_text(&own));
        free(line);
        buf_free(&key);
    }
    buf_free(&own);
}

static void test_what_cannot_be_trained_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        ErrCode code;
        const char *part;
    } bad[] = {
        {"",                                                 ERR_USAGE,       "how long?"                        },
        {"--steps 5",                                        ERR_USAGE,       "--n-ctx N"                        },
        {"--phase 1:2",                                      ERR_USAGE,       "STEPS:ROWS:LENGTH"                },
        {"--phase 1:2:3:4",                                  ERR_USAGE,       "STEPS:ROWS:LENGTH"                },
        {"--phase 0:2:3",                                    ERR_USAGE,       "STEPS:ROWS:LENGTH"                },
        {"--phase 1:x:3",                                    ERR_USAGE,       "STEPS:ROWS:LENGTH"                },
        {"--phase 1:70000:3",                                ERR_USAGE,       "65536 rows"                       },
        {"--phase 1:1:100 --n-ctx 200",                      ERR_USAGE,       "give a phase of that length"      },
        {"--phase 1:1:100 --n-ctx 100,200",                  ERR_USAGE,       "one --n-ctx"                      },
        {"--phase 1:1:100 --method ntk,yarn --n-ctx-orig 9", ERR_USAGE,       "one setting is allowed"           },
        {"--phase 1:1:100 --method rerope:window=9",         ERR_UNSUPPORTED, "no words for rerope"              },
        {"--phase 1:1:100 --shape d_modle=4",                ERR_USAGE,       "--shape: the shape has no"        },
        {"--phase 1:1:100 --shape n_heads=3",                ERR_USAGE,       "no multiple of n_heads"           },
        {"--phase 1:1:100 --shape head_dim=3",               ERR_INPUT,       "rotary width 3"                   },
        {"--phase 1:1:100 --optimizer rate=11",              ERR_USAGE,       "--optimizer: rate is 11"          },
        {"--phase 1:1:100 --mixture passkey=0.9",            ERR_USAGE,       "sum to 1.15"                      },
        {"--init absent --steps 5",                          ERR_INPUT,       "absent"                           },
        {"--phase 1:1:100 --model x",                        ERR_USAGE,       "--model is not an option of train"},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_refused(bad[i].line, bad[i].code, bad[i].part);
}

static void check_manual(const ParamTable *table, const char *manual)
{
    for (size_t i = 0; i < table->n; i++) {
        const Param *row = &table->rows[i];
        char *line = str_format("| `%s` | %g | %s |", row->name, row->value, row->help);
        if (!strstr(manual, line)) fail_msg("the manual has no row %s", line);
        assert_true(row->offset == i * sizeof(double));
        free(line);
    }
}

static void test_the_manual_lists_every_number(void **state)
{
    (void)state;
    Buf manual = {0};
    Err err;
    assert_ok(file_read("docs/training.md", 1 << 20, &manual, &err), &err);
    check_manual(recipe_shape_params(), buf_text(&manual));
    check_manual(recipe_optimizer_params(), buf_text(&manual));
    buf_free(&manual);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_walkers_recipe_is_what_the_defaults_say),
        cmocka_unit_test(test_flags_go_over_the_recipe),
        cmocka_unit_test(test_a_model_is_trained_on_under_a_setting),
        cmocka_unit_test(test_the_key_tells_recipes_apart),
        cmocka_unit_test(test_what_cannot_be_trained_is_refused),
        cmocka_unit_test(test_the_manual_lists_every_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
