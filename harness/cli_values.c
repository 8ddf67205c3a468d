/* How the values of each type of option are read, freed and written: one row a type. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "harness/cli_axis.h"
#include "harness/cli_options.h"
#include "harness/probe.h"
#include "harness/settings.h"

typedef struct {
    bool is_list;
    bool (*read)(const OptionRow *row, const char *text, void *field, Err *err);
    void (*clear)(void *field);
    /* Appends YAML; false when there is no value. */
    bool (*write)(const void *field, Buf *out);
} OptionTypeRow;

static bool read_flag(const OptionRow *row, const char *text, void *field, Err *err)
{
    (void)row;
    bool *flag = field;
    *flag = str_equal(text, "true");
    return *flag || str_equal(text, "false") ||
           err_set(err, ERR_USAGE, "\"%s\": true or false is allowed", text);
}

static void clear_flag(void *field)
{
    *(bool *)field = false;
}

static bool write_flag(const void *field, Buf *out)
{
    if (*(const bool *)field) buf_puts(out, "true");
    return *(const bool *)field;
}

static bool read_text(const OptionRow *row, const char *text, void *field, Err *err)
{
    (void)row;
    (void)err;
    *(char **)field = str_dup(text);
    return true;
}

static bool read_word(const OptionRow *row, const char *text, void *field, Err *err)
{
    size_t n = strlen(text);
    for (const char *word = row->choices; *word;) {
        size_t length = strcspn(word, " ");
        if (length == n && memcmp(word, text, n) == 0) return read_text(row, text, field, err);
        word += length + strspn(word + length, " ");
    }
    return err_set(err, ERR_USAGE, "\"%s\": allowed are: %s", text, row->choices);
}

static void clear_text(void *field)
{
    free(*(char **)field);
    *(char **)field = NULL;
}

/* What a double-quoted scalar may hold as it is: no controls and nothing that YAML takes for a line break or a byte order
 * mark. */
static bool is_plain_char(uint32_t c)
{
    if (c == '"' || c == '\\' || c == 0x2028 || c == 0x2029 || c == 0xFEFF) return false;
    return (c >= 0x20 && c < 0x7F) || (c >= 0xA0 && c <= 0xFFFD) || c >= 0x10000;
}

/* A double-quoted scalar. A byte that is not UTF-8, which YAML cannot hold, becomes the character of its number. */
static void write_quoted(const char *text, Buf *out)
{
    buf_putc(out, '"');
    for (size_t n = strlen(text), length; n > 0; text += length, n -= length) {
        uint32_t c = (unsigned char)*text;
        int n_bytes = str_utf8_char(text, n, &c);
        length = n_bytes ? (size_t)n_bytes : 1;
        if (n_bytes && is_plain_char(c))
            buf_append(out, text, length);
        else
            buf_printf(out, "\\u%04x", (unsigned)c);
    }
    buf_putc(out, '"');
}

static bool write_text(const void *field, Buf *out)
{
    const char *text = *(char *const *)field;
    if (text) write_quoted(text, out);
    return text != NULL;
}

static bool check_range(const OptionRow *row, const char *text, int64_t value, Err *err)
{
    if (value >= row->low && value <= row->high) return true;
    return err_set(err, ERR_USAGE, "\"%s\": whole numbers from %lld to %lld are allowed", text,
                   (long long)row->low, (long long)row->high);
}

static bool read_integer(const OptionRow *row, const char *text, void *field, Err *err)
{
    int64_t *value = field;
    return (str_to_i64(text, value) ||
            err_set(err, ERR_USAGE, "\"%s\" is not a whole number", text)) &&
           check_range(row, text, *value, err);
}

static bool read_size(const OptionRow *row, const char *text, void *field, Err *err)
{
    int64_t *value = field;
    return (str_to_size(text, value) ||
            err_set(err, ERR_USAGE, "\"%s\" is not a size such as 4096 or 4k", text)) &&
           check_range(row, text, *value, err);
}

static void clear_integer(void *field)
{
    *(int64_t *)field = 0;
}

static bool write_integer(const void *field, Buf *out)
{
    int64_t value = *(const int64_t *)field;
    if (value) buf_printf(out, "%lld", (long long)value);
    return value != 0;
}

static bool read_number(const OptionRow *row, const char *text, void *field, Err *err)
{
    double *value = field;
    if (str_to_double(text, value) && *value > (double)row->low) return true;
    return err_set(err, ERR_USAGE, "\"%s\": a finite number above %lld is allowed", text,
                   (long long)row->low);
}

static void clear_number(void *field)
{
    *(double *)field = 0.0;
}

static bool write_number(const void *field, Buf *out)
{
    char text[32];
    str_from_double(*(const double *)field, text);
    bool is_set = *(const double *)field != 0.0;
    if (is_set) buf_puts(out, text);
    return is_set;
}

static bool read_texts(const OptionRow *row, const char *text, void *field, Err *err)
{
    (void)row;
    StringList *list = field;
    if (list->n >= AXIS_MAX_VALUES)
        return err_set(err, ERR_USAGE, "more than %d values", AXIS_MAX_VALUES);
    string_list_add(list, str_dup(text));
    return true;
}

static void clear_texts(void *field)
{
    string_list_free(field);
}

static bool write_texts(const void *field, Buf *out)
{
    const StringList *list = field;
    for (size_t i = 0; i < list->n; i++) {
        buf_puts(out, i ? ", " : "[");
        write_quoted(list->items[i], out);
    }
    if (list->n) buf_putc(out, ']');
    return list->n > 0;
}

static bool read_sizes(const OptionRow *row, const char *text, void *field, Err *err)
{
    return axis_add_sizes(text, row->low, row->high, field, err);
}

static void clear_sizes(void *field)
{
    SizeList *list = field;
    free(list->items);
    *list = (SizeList){0};
}

static bool write_sizes(const void *field, Buf *out)
{
    const SizeList *list = field;
    for (size_t i = 0; i < list->n; i++)
        buf_printf(out, "%s%lld", i ? ", " : "[", (long long)list->items[i]);
    if (list->n) buf_putc(out, ']');
    return list->n > 0;
}

static bool read_numbers(const OptionRow *row, const char *text, void *field, Err *err)
{
    return axis_add_numbers(text, (double)row->low, field, err);
}

static bool check_method(const char *text, Err *err)
{
    RopeSpec spec = {.n_rot = 4}; /* any legal width: the model's is not known yet */
    return str_equal(text, SETTING_METHOD_MODEL) || rope_spec_parse(text, &spec, err);
}

static bool check_probe(const char *text, Err *err)
{
    ProbeSpec spec;
    return probe_spec_parse(text, &spec, err);
}

static bool read_specs(const char *text, StringList *list, bool (*check)(const char *, Err *),
                       Err *err)
{
    size_t first = list->n;
    if (!axis_add_specs(text, list, err)) return false;
    for (size_t i = first; i < list->n; i++)
        if (!check(list->items[i], err)) return false;
    return true;
}

static bool read_methods(const OptionRow *row, const char *text, void *field, Err *err)
{
    (void)row;
    return read_specs(text, field, check_method, err);
}

static bool read_probes(const OptionRow *row, const char *text, void *field, Err *err)
{
    (void)row;
    return read_specs(text, field, check_probe, err);
}

static const OptionTypeRow types[OPTION_N_TYPES] = {
    [OPTION_FLAG] = {false, read_flag,    clear_flag,    write_flag   },
    [OPTION_TEXT] = {false, read_text,    clear_text,    write_text   },
    [OPTION_WORD] = {false, read_word,    clear_text,    write_text   },
    [OPTION_INTEGER] = {false, read_integer, clear_integer, write_integer},
    [OPTION_SIZE] = {false, read_size,    clear_integer, write_integer},
    [OPTION_NUMBER] = {false, read_number,  clear_number,  write_number },
    [OPTION_TEXTS] = {true,  read_texts,   clear_texts,   write_texts  },
    [OPTION_SIZES] = {true,  read_sizes,   clear_sizes,   write_sizes  },
    [OPTION_NUMBERS] = {true,  read_numbers, clear_texts,   write_texts  },
    [OPTION_METHODS] = {true,  read_methods, clear_texts,   write_texts  },
    [OPTION_PROBES] = {true,  read_probes,  clear_texts,   write_texts  },
};

bool option_is_list(OptionType type)
{
    return types[type].is_list;
}

static void *field_of(const OptionRow *row, Options *options)
{
    return (char *)options + row->offset;
}

bool option_set(const OptionRow *row, const char *text, Options *options, Err *err)
{
    if (!*text) return err_set(err, ERR_USAGE, "the value is empty");
    return types[row->type].read(row, text, field_of(row, options), err);
}

void option_clear(const OptionRow *row, Options *options)
{
    types[row->type].clear(field_of(row, options));
}

bool option_write(const OptionRow *row, const Options *options, Buf *out)
{
    return types[row->type].write((const char *)options + row->offset, out);
}
