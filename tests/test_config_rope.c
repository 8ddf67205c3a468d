/* The rotation that a config asks for. */
#include "tests/test_util.h"

#include <math.h>
#include <string.h>

#include "base/str.h"
#include "tests/config_fixture.h"

static void test_plain_rope_is_plain_in_every_spelling(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "\"rope_scaling\":null",
        "\"rope_scaling\":{\"type\":\"default\"}",
        "\"rope_scaling\":{\"rope_type\":\"default\"}",
        "\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":500000}",
        "\"rope_parameters\":{\"rope_theta\":500000.0}",
        "\"rope_parameters\":{\"rope_theta\":5e5,\"partial_rotary_factor\":1.0}",
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *text = str_format("%s,%s", CONFIG_GOOD, rows[i]);
        ModelConfig c = config_read_good(text, "");
        assert_string_equal(c.rope.method->name, "none");
        assert_close(c.rope.theta, 500000, 0, 0);
        free(text);
    }
}

static void test_theta_in_rope_parameters_alone_is_found(void **state)
{
    (void)state;
    static const char keys[] =
        CONFIG_WIDTHS "," CONFIG_RMS ",\"num_key_value_heads\":2,\"max_position_embeddings\":4096,"
                      "\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":500000}";
    ModelConfig c = config_read_good(keys, "");
    assert_close(c.rope.theta, 500000, 0, 0);
    ModelConfig top = config_read_good(CONFIG_GOOD, "");
    Buf a = {0};
    Buf b = {0};
    config_key(&c, &a);
    config_key(&top, &b);
    assert_string_equal(buf_text(&a), buf_text(&b));
    buf_free(&a);
    buf_free(&b);
}

static void test_two_thetas_that_differ_are_both_named(void **state)
{
    (void)state;
    config_assert_refused(
        CONFIG_GOOD ",\"rope_parameters\":{\"rope_theta\":10000,\"rope_type\":\"default\"}",
        ERR_INPUT, "rope_theta is 500000 but rope_parameters.rope_theta is 10000");
}

static void test_linear_scaling_is_the_trained_method(void **state)
{
    (void)state;
    ModelConfig c = config_read_good(
        CONFIG_GOOD
        ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":4,\"original_max_position_embeddings\":1024}",
        "");
    assert_string_equal(c.rope.method->name, "linear");
    assert_int_equal(c.rope.param[ROPE_FACTOR].kind, ROPE_NUMBER);
    assert_close(c.rope.param[ROPE_FACTOR].number, 4, 0, 0);
    assert_int_equal(c.rope.n_ctx_orig, 1024);
    assert_int_equal(c.n_ctx_train, 4096);
    assert_non_null(strstr(c.rope_found, "\"factor\":4.0"));
    c = config_read_good(
        CONFIG_GOOD
        ",\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":2.0,\"rope_theta\":500000}",
        "the length before scaling is not stated");
    assert_int_equal(c.rope.n_ctx_orig, 4096);
}

static void test_lengths_that_contradict_are_noted(void **state)
{
    (void)state;
    ModelConfig c = config_read_good(
        CONFIG_GOOD
        ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":4,\"original_max_position_embeddings\":2048}",
        "factor 4 x original length 2048 is not the claimed length 4096");
    assert_int_equal(c.rope.n_ctx_orig, 2048);
    c = config_read_good(
        CONFIG_GOOD
        ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":4,\"original_max_position_embeddings\":8192}",
        "the length before scaling is out of range");
    assert_int_equal(c.rope.n_ctx_orig, 4096);
    config_read_good(
        CONFIG_GOOD
        ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":4,\"original_max_position_embeddings\":0}",
        "not stated");
}

static void test_bad_scaling_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *scaling;
        ErrCode code;
        const char *part;
    } rows[] = {
        {"{\"type\":\"linear\",\"rope_type\":\"yarn\",\"factor\":2}",      ERR_INPUT,
         "type is \"linear\" and rope_type is \"yarn\""                                                                      },
        {"{\"factor\":2}",                                                 ERR_INPUT,       "has a factor but no rope_type"  },
        {"{\"type\":\"linear\"}",                                          ERR_INPUT,       "needs a factor"                 },
        {"{\"type\":\"linear\",\"factor\":0.5}",                           ERR_INPUT,       "factor"                         },
        {"{\"type\":\"linear\",\"factor\":\"2\"}",                         ERR_INPUT,       "\"factor\" is a string"         },
        {"{\"type\":\"linear\",\"factor\":2,\"attn_factor\":0.8}",         ERR_INPUT,
         "key \"attn_factor\""                                                                                               },
        {"{\"type\":\"default\",\"factor\":2}",                            ERR_INPUT,       "key \"factor\""                 },
        {"{\"type\":\"wobbly\",\"factor\":2}",                             ERR_INPUT,       "unknown type \"wobbly\""        },
        {"{\"type\":\"yarn\"}",                                            ERR_INPUT,       "needs a factor"                 },
        {"{\"type\":\"yarn\",\"factor\":4,\"attn_factor\":0.878}",         ERR_INPUT,
         "key \"attn_factor\""                                                                                               },
        {"{\"type\":\"ntk\",\"factor\":2}",                                ERR_UNSUPPORTED, "type \"ntk\""                   },
        {"{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4}",  ERR_INPUT,
         "high_freq_factor"                                                                                                  },
        {"{\"rope_type\":\"llama3\",\"factor\":8,\"beta_fast\":4}",        ERR_INPUT,       "key \"beta_fast\""              },
        {"{\"type\":\"longrope\",\"factor\":2}",                           ERR_INPUT,       "short factor list has 0 entries"},
        {"{\"type\":\"longrope\",\"factor\":2,\"long_factor\":[1,\"x\"]}", ERR_INPUT,
         "entry 1 is not a number"                                                                                           },
        {"{\"type\":\"su\"}",                                              ERR_INPUT,       "needs a factor"                 },
        {"{\"type\":\"default\",\"partial_rotary_factor\":0.5}",           ERR_UNSUPPORTED,
         "partial_rotary_factor"                                                                                             },
        {"\"linear\"",                                                     ERR_INPUT,       "must be null or an object"      },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *text = str_format(CONFIG_GOOD ",\"rope_scaling\":%s", rows[i].scaling);
        config_assert_refused(text, rows[i].code, rows[i].part);
        free(text);
    }
    config_assert_refused(
        CONFIG_GOOD
        ",\"original_max_position_embeddings\":1024,\"rope_scaling\":{\"type\":\"linear\","
        "\"factor\":2,\"original_max_position_embeddings\":2048}",
        ERR_INPUT,
        "original_max_position_embeddings is 1024 but "
        "rope_scaling.original_max_position_embeddings is 2048");
    config_assert_refused(CONFIG_GOOD ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2},"
                                      "\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":4}",
                          ERR_INPUT, "both there and differ");
}

/* The rotation that a scaling dictionary stands for, at n_ctx. */
static RopeTable imported(const char *scaling, const char *method, int64_t n_ctx)
{
    char *text = str_format("{" CONFIG_GOOD ",\"rope_scaling\":%s}", scaling);
    ModelConfig c = {0};
    RopeTable table;
    Buf notes = {0};
    Err err = {0};
    assert_ok(config_read_text(text, &c, &notes, &err), &err);
    buf_free(&notes);
    assert_ptr_equal(c.rope.method, rope_method_find(method));
    assert_ok(rope_spec_resolve(&c.rope, n_ctx, &err), &err);
    assert_ok(rope_table_make(&c.rope, n_ctx, &table, &err), &err);
    free(text);
    return table;
}

static void test_every_scaling_that_configs_hold_becomes_its_method(void **state)
{
    (void)state;
    RopeTable table =
        imported("{\"rope_type\":\"yarn\",\"factor\":16,\"mscale\":1,\"mscale_all_dim\":1,"
                 "\"beta_fast\":4,\"truncate\":false,\"original_max_position_embeddings\":256}",
                 "yarn", 4096);
    assert_close(table.amplitude, 1.0, 1e-12, 0.0);
    table = imported("{\"type\":\"yarn\",\"factor\":16}", "yarn", 4096);
    assert_close(table.amplitude, 1.2772588722239781, 1e-12, 0.0);
    table = imported(
        "{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,\"high_freq_factor\":4,"
        "\"original_max_position_embeddings\":256}",
        "llama3", 4096);
    assert_close(rope_scaled_angle(&table, table.n_pairs - 1) * 8.0,
                 pow(500000.0, -2.0 * (table.n_pairs - 1) / (2.0 * table.n_pairs)), 1e-12, 0.0);
    table = imported("{\"type\":\"dynamic\",\"factor\":2}", "dynamic-ntk", 4096);
    assert_close(rope_scaled_angle(&table, 0), 1.0, 0.0, 0.0);
}

/* Exponents over the whole head; the first ⌊share d/2⌋ pairs turn, the others stand still. */
static void test_proportional_rope_becomes_its_method(void **state)
{
    (void)state;
    static const char scaling[] =
        ",\"rope_parameters\":{\"rope_type\":\"proportional\",\"rope_theta\":500000,"
        "\"partial_rotary_factor\":0.3,\"factor\":2}";
    ModelConfig c =
        config_read_good(CONFIG_GOOD ",\"rope_parameters\":{\"rope_type\":\"proportional\"}", "");
    assert_string_equal(c.rope.method->name, "proportional");
    assert_int_equal(c.n_rot, 16);
    assert_close(c.rope.param[ROPE_FRACTION].number, 1, 0, 0);
    assert_close(c.rope.param[ROPE_FACTOR].number, 1, 0, 0);
    char *text = str_format("%s%s", CONFIG_GOOD, scaling);
    c = config_read_good(text, "the length before scaling is not stated");
    free(text);
    RopeTable table;
    Err err;
    assert_ok(rope_spec_resolve(&c.rope, 4096, &err), &err);
    assert_ok(rope_table_make(&c.rope, 4096, &table, &err), &err);
    assert_int_equal(table.n_pairs, 8);
    for (int i = 0; i < 8; i++)
        assert_close(rope_scaled_angle(&table, i), i < 2 ? pow(500000, -2.0 * i / 16) / 2 : 0.0,
                     1e-12, 0);
    config_assert_refused(
        CONFIG_GOOD
        ",\"rope_parameters\":{\"rope_type\":\"proportional\",\"partial_rotary_factor\":1.5}",
        ERR_INPUT, "partial_rotary_factor is 1.5");
}

static void test_dictionaries_of_layer_types_import_where_all_layers_use_one(void **state)
{
    (void)state;
#define YARN4 \
 "{\"rope_type\":\"yarn\",\"factor\":4,\"rope_theta\":1e6,\"original_max_position_embeddings\":1024}"
#define PLAIN "{\"rope_type\":\"default\",\"rope_theta\":10000}"
    static const char v5[] =
        CONFIG_WIDTHS "," CONFIG_RMS ",\"num_key_value_heads\":2,\"max_position_embeddings\":4096,";
    static const char *const good[] = {
        "\"rope_parameters\":{\"full_attention\":" YARN4 "}",
        "\"rope_parameters\":{\"full_attention\":" YARN4 ",\"sliding_attention\":null}",
        "\"rope_parameters\":{\"full_attention\":" YARN4 ",\"sliding_attention\":" YARN4 "}",
        "\"layer_types\":[\"full_attention\",\"full_attention\"],"
        "\"rope_parameters\":{\"full_attention\":" YARN4 ",\"sliding_attention\":" PLAIN "}",
    };
    static const char *const bad[][2] = {
        {"\"layer_types\":[\"full_attention\"],\"rope_parameters\":{\"sliding_attention\":" PLAIN
         "}",                                                              "layers of type sliding_attention: layer_types names one that has none"},
        {"\"rope_parameters\":{\"full_attention\":" PLAIN ",\"rope_theta\":10000}",
         "key \"rope_theta\" beside them"                                                                                                                  },
        {"\"rope_parameters\":{\"full_attention\":{\"inner\":{}}}",                 "\"inner\""                                                            },
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        char *text = str_format("%s%s", v5, good[i]);
        ModelConfig c = config_read_good(text, "");
        assert_string_equal(c.rope.method->name, "yarn");
        assert_close(c.rope.theta, 1e6, 0, 0);
        assert_int_equal(c.rope.n_ctx_orig, 1024);
        free(text);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char *text = str_format("%s%s", v5, bad[i][0]);
        config_assert_refused(text, ERR_INPUT, bad[i][1]);
        free(text);
    }
    char *differ = str_format(
        "%s\"rope_parameters\":{\"full_attention\":" YARN4 ",\"sliding_attention\":" PLAIN "}", v5);
    config_assert_refused(differ, ERR_UNSUPPORTED,
                          "layers of type full_attention, sliding_attention: they differ");
    free(differ);
    config_assert_refused(CONFIG_GOOD ",\"rope_parameters\":{\"full_attention\":" PLAIN "}",
                          ERR_INPUT,
                          "rope_theta is 500000 but rope_parameters.rope_theta is 10000");
#undef YARN4
#undef PLAIN
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_rope_is_plain_in_every_spelling),
        cmocka_unit_test(test_theta_in_rope_parameters_alone_is_found),
        cmocka_unit_test(test_two_thetas_that_differ_are_both_named),
        cmocka_unit_test(test_linear_scaling_is_the_trained_method),
        cmocka_unit_test(test_lengths_that_contradict_are_noted),
        cmocka_unit_test(test_bad_scaling_is_refused),
        cmocka_unit_test(test_every_scaling_that_configs_hold_becomes_its_method),
        cmocka_unit_test(test_proportional_rope_becomes_its_method),
        cmocka_unit_test(test_dictionaries_of_layer_types_import_where_all_layers_use_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
