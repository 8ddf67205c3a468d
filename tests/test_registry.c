/* What every row of every registry owes the program: names, help, sources, units, defaults that parse. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "harness/cli_axis.h"
#include "harness/cli_options.h"
#include "harness/commands.h"
#include "harness/probe.h"
#include "models/arch.h"
#include "models/dequant.h"
#include "models/weights.h"
#include "reports/report.h"
#include "tests/test_util.h"

/* Fails with the name of the row. */
#define assert_row(condition, name) \
 assert_row_at((condition) ? true : false, #condition, (name), __FILE__, __LINE__)

static void assert_row_at(bool holds, const char *what, const char *name, const char *file,
                          int line)
{
    if (holds) return;
    print_error("row \"%s\": %s\n", name ? name : "NULL", what);
    _fail(file, line);
}

static bool is_lower_case_name(const char *name)
{
    if (!islower((unsigned char)name[0])) return false;
    for (const char *c = name; *c; c++)
        if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) && *c != '-' && *c != '_')
            return false;
    return true;
}

static bool is_one_line(const char *help)
{
    size_t n = help ? strlen(help) : 0;
    return n > 0 && n <= 100 && !strchr(help, '\n') && help[n - 1] != ' ';
}

/* Names seen so far in one registry. */
static void check_name(StringList *seen, const char *name, const char *help)
{
    assert_row(name && is_lower_case_name(name), name);
    assert_row(is_one_line(help), name);
    for (size_t i = 0; i < seen->n; i++)
        assert_row(!str_equal(seen->items[i], name), name);
    string_list_add(seen, str_dup(name));
}

static void test_commands_are_rows_with_three_examples(void **state)
{
    (void)state;
    StringList seen = {0};
    unsigned bits = 0;
    for (const Command *command = commands; command->name; command++) {
        check_name(&seen, command->name, command->help);
        assert_row(str_starts_with(command->usage, command->name), command->name);
        assert_row(command->run, command->name);
        assert_row(command->bit && !(bits & command->bit), command->name);
        bits |= command->bit;
        int n_examples = 0;
        for (const char *line = command->examples; *line; line = strchr(line, '\n') + 1) {
            assert_row(strchr(line, '\n'), command->name);
            n_examples += str_starts_with(line, "  ropewalk ");
        }
        assert_row(n_examples == 3, command->name);
    }
    assert_int_equal(bits, COMMAND_ALL);
    string_list_free(&seen);
}

static void test_help_fits_a_screen(void **state)
{
    (void)state;
    for (const Command *command = commands; command->name; command++) {
        Buf help = {0};
        cli_help(command, &help);
        int n_lines = 0;
        int n_columns = 0;
        for (const char *c = buf_text(&help); *c; c++) {
            bool continues = ((unsigned char)*c & 0xC0) == 0x80;
            n_columns = *c == '\n' ? 0 : n_columns + !continues;
            n_lines += *c == '\n';
            assert_row(n_columns <= 100, command->name);
        }
        assert_row(n_lines <= 50, command->name);
        buf_free(&help);
    }
}

static size_t field_size(OptionType type)
{
    static const size_t sizes[OPTION_N_TYPES] = {
        [OPTION_FLAG] = sizeof(bool),          [OPTION_TEXT] = sizeof(char *),
        [OPTION_WORD] = sizeof(char *),        [OPTION_INTEGER] = sizeof(int64_t),
        [OPTION_SIZE] = sizeof(int64_t),       [OPTION_NUMBER] = sizeof(double),
        [OPTION_TEXTS] = sizeof(StringList),   [OPTION_SIZES] = sizeof(SizeList),
        [OPTION_NUMBERS] = sizeof(StringList), [OPTION_METHODS] = sizeof(StringList),
        [OPTION_PROBES] = sizeof(StringList),
    };
    return sizes[type];
}

static void test_options_have_names_types_and_fields_of_their_own(void **state)
{
    (void)state;
    StringList seen = {0};
    bool used[sizeof(Options)] = {0};
    for (const OptionRow *row = option_rows; row->name; row++) {
        assert_row(row - option_rows < OPTION_MAX_ROWS, row->name);
        check_name(&seen, row->name, row->help);
        char *aliases = str_dup(row->aliases ? row->aliases : "");
        char *rest = NULL;
        for (char *alias = strtok_r(aliases, " ", &rest); alias;
             alias = strtok_r(NULL, " ", &rest)) {
            check_name(&seen, alias, "alias");
            assert_row(option_find(alias, strlen(alias)) == row, alias);
        }
        free(aliases);
        assert_row(row->commands && !(row->commands & ~(unsigned)COMMAND_ALL), row->name);
        assert_row((row->argument == NULL) == (row->type == OPTION_FLAG), row->name);
        assert_row((row->choices != NULL) == (row->type == OPTION_WORD), row->name);
        size_t size = field_size(row->type);
        assert_row(row->offset + size <= sizeof(Options), row->name);
        for (size_t i = row->offset; i < row->offset + size; i++) {
            assert_row(!used[i], row->name);
            used[i] = true;
        }
    }
    string_list_free(&seen);
}

static void test_defaults_go_through_the_parser(void **state)
{
    (void)state;
    for (const Command *command = commands; command->name; command++) {
        Options options;
        Err err = {0};
        assert_ok(cli_parse(command, 0, NULL, &options, &err), &err);
        cli_free(&options);
    }
}

static void test_methods_have_a_source_and_read_known_parameters(void **state)
{
    (void)state;
    StringList seen = {0};
    for (const RopeMethod *method = rope_methods; method->name; method++) {
        check_name(&seen, method->name, method->help);
        assert_row(method->source && *method->source, method->name);
        bool changes_something = method->init || method->training_only;
        assert_row(changes_something != rope_method_is_plain(method), method->name);
        assert_row(!(method->params >> ROPE_N_PARAMS), method->name);
        assert_row(!method->params || method->params & ROPE_READS(method->default_param),
                   method->name);
        if (method->equivalent) {
            const RopeMethod *other = rope_method_find(method->equivalent);
            assert_row(other && str_equal(other->equivalent, method->name), method->name);
        }
    }
    assert_string_equal(rope_methods[0].name, "none");
    string_list_free(&seen);
}

static void test_axes_are_named_after_the_parameters_they_set(void **state)
{
    (void)state;
    static const RopeParam axes[] = {ROPE_FACTOR, ROPE_LAMBDA, ROPE_ALPHA};
    for (size_t i = 0; i < COUNT_OF(axes); i++) {
        const char *name = rope_param_name(axes[i]);
        const OptionRow *row = option_find(name, strlen(name));
        assert_row(row && row->type == OPTION_NUMBERS, name);
    }
}

static void test_probes_have_parameters_and_metrics_with_unit_and_direction(void **state)
{
    (void)state;
    StringList seen = {0};
    for (const Probe *const *row = probes; *row; row++) {
        const Probe *probe = *row;
        ProbeSpec spec;
        Err err = {0};
        check_name(&seen, probe->name, probe->help);
        assert_ok(probe_spec_parse(probe->name, &spec, &err), &err);
        assert_row(probe->uses_corpus && probe->plan && probe->check && probe->cost && probe->run,
                   probe->name);
        StringList keys = {0};
        for (const ProbeParam *param = probe->params; param->key; param++)
            check_name(&keys, param->key, param->help);
        string_list_free(&keys);
        StringList metrics = {0};
        assert_row(probe->metrics[0].name, probe->name);
        for (const ProbeMetric *metric = probe->metrics; metric->name; metric++) {
            check_name(&metrics, metric->name, metric->help);
            assert_row(metric->unit && *metric->unit, metric->name);
            assert_row(metric->direction >= -1 && metric->direction <= 1, metric->name);
        }
        string_list_free(&metrics);
    }
    string_list_free(&seen);
}

static void test_formats_reports_and_architectures_are_rows(void **state)
{
    (void)state;
    StringList formats = {0};
    for (const WeightFormat *format = weight_formats; format->name; format++) {
        check_name(&formats, format->name, format->help);
        assert_row(format->detect && format->open && format->read_config && format->read_tokenizer,
                   format->name);
    }
    StringList reports = {0};
    for (const ReportFormat *format = report_formats; format->name; format++) {
        check_name(&reports, format->name, format->help);
        assert_row((format->write || format->write_files) && report_find(format->name) == format,
                   format->name);
    }
    StringList names = {0};
    for (const Arch *arch = archs; arch->name; arch++) {
        check_name(&names, arch->name, arch->help);
        ModelConfig config = {.features = arch->features, .n_heads = 1, .n_kv_heads = 1};
        for (int slot = 0; slot < N_SLOTS; slot++) {
            if (!arch_has_slot(&config, (Slot)slot)) continue;
            assert_row(arch->slot_name[slot], arch->name);
            assert_row(!arch->gguf_name || arch->gguf_slot_name[slot], arch->name);
        }
    }
    string_list_free(&formats);
    string_list_free(&reports);
    string_list_free(&names);
}

static void test_element_types_are_found_by_name(void **state)
{
    (void)state;
    for (int i = 0; i < DTYPE_COUNT; i++) {
        const DtypeInfo *info = dtype_info((Dtype)i);
        Dtype found;
        assert_row(dtype_find(info->name, &found) && found == (Dtype)i, info->name);
        assert_row(info->block > 0 && info->block_bytes > 0, info->name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands_are_rows_with_three_examples),
        cmocka_unit_test(test_help_fits_a_screen),
        cmocka_unit_test(test_options_have_names_types_and_fields_of_their_own),
        cmocka_unit_test(test_defaults_go_through_the_parser),
        cmocka_unit_test(test_methods_have_a_source_and_read_known_parameters),
        cmocka_unit_test(test_axes_are_named_after_the_parameters_they_set),
        cmocka_unit_test(test_probes_have_parameters_and_metrics_with_unit_and_direction),
        cmocka_unit_test(test_formats_reports_and_architectures_are_rows),
        cmocka_unit_test(test_element_types_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
