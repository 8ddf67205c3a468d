/* The YAML that a sweep file may hold:
 *
 *     file  = { key ":" value }          one mapping
 *     key   = an option's name or alias, "-" and "_" alike, each option once
 *     value = scalar | "[" scalar, … "]" (or a block sequence), for options that take several
 *
 * Events of libyaml are read one by one and nothing is built in memory, so there is nothing for an anchor or an alias to blow
 * up; they are refused all the same, and so are tags: a scalar's type is what the option's row says. */
#include "harness/sweep_file.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/file.h"
#include "base/str.h"

typedef struct {
    SweepFile *file;
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    Err *err;
} Reader;

static bool fail_at(Reader *reader, size_t line, const char *what)
{
    return err_set(reader->err, ERR_USAGE, "%s:%zu: %s", reader->file->origin, line + 1, what);
}

static bool fail(Reader *reader, const char *what)
{
    return fail_at(reader, reader->event.start_mark.line, what);
}

/* Refuses what stands behind a key. */
static bool fail_value(Reader *reader, const OptionRow *row, const char *what)
{
    return err_set(reader->err, ERR_USAGE, "%s:%zu: %s: %s", reader->file->origin,
                   reader->event.start_mark.line + 1, row->name, what);
}

static bool has_anchor_or_tag(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_ALIAS_EVENT: return true;
    case YAML_SCALAR_EVENT: return event->data.scalar.anchor || event->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor || event->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor || event->data.mapping_start.tag;
    default: return false;
    }
}

static bool next_event(Reader *reader)
{
    yaml_event_delete(&reader->event);
    if (!yaml_parser_parse(&reader->parser, &reader->event))
        return fail_at(reader, reader->parser.problem_mark.line,
                       reader->parser.problem ? reader->parser.problem : "not YAML");
    return !has_anchor_or_tag(&reader->event) ||
           fail(reader, "anchors, aliases and tags are not allowed");
}

static bool expect(Reader *reader, yaml_event_type_t type, const char *otherwise)
{
    return next_event(reader) && (reader->event.type == type || fail(reader, otherwise));
}

/* The scalar's text, or NULL when it is null or holds a NUL byte. Lends. */
static const char *scalar_text(const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (strlen(text) != event->data.scalar.length) return NULL;
    if (plain && (str_equal(text, "null") || str_equal(text, "~"))) return NULL;
    return text;
}

static bool set_scalar(Reader *reader, const OptionRow *row)
{
    const char *text = scalar_text(&reader->event);
    if (!text) return fail_value(reader, row, "the value is null or holds a NUL byte");
    return option_set(row, text, reader->file->options, reader->err) ||
           err_prefix(reader->err, "%s:%zu: %s", reader->file->origin,
                      reader->event.start_mark.line + 1, row->name);
}

static bool read_sequence(Reader *reader, const OptionRow *row)
{
    if (!option_is_list(row->type))
        return fail_value(reader, row, "one value is allowed, not a list");
    for (;;) {
        if (!next_event(reader)) return false;
        if (reader->event.type == YAML_SEQUENCE_END_EVENT) return true;
        if (reader->event.type != YAML_SCALAR_EVENT)
            return fail_value(reader, row, "an item of a list must be a single value");
        if (!set_scalar(reader, row)) return false;
    }
}

static bool read_value(Reader *reader, const OptionRow *row)
{
    if (!next_event(reader)) return false;
    if (reader->event.type == YAML_SEQUENCE_START_EVENT) return read_sequence(reader, row);
    if (reader->event.type == YAML_SCALAR_EVENT) return set_scalar(reader, row);
    return fail_value(reader, row, "a single value or a list of them is allowed");
}

static bool is_key(const OptionRow *row, unsigned command)
{
    return row->commands & command && option_is_key(row);
}

static bool unknown_key(Reader *reader, const char *key)
{
    const OptionRow *nearest = option_nearest(key, reader->file->command);
    if (nearest && !is_key(nearest, reader->file->command)) nearest = NULL;
    char *what = str_format("unknown key \"%s\"%s%s%s", key, nearest ? "; did you mean " : "",
                            nearest ? nearest->name : "", nearest ? "?" : "");
    fail(reader, what);
    free(what);
    return false;
}

static bool read_entry(Reader *reader)
{
    if (reader->event.type != YAML_SCALAR_EVENT || !scalar_text(&reader->event))
        return fail(reader, "a key must be the name of an option");
    const char *key = scalar_text(&reader->event);
    const OptionRow *row = option_find(key, strlen(key));
    if (!row || !is_key(row, reader->file->command)) return unknown_key(reader, key);
    bool *given = &reader->file->given[row - option_rows];
    if (*given) return fail_value(reader, row, "is set twice");
    *given = true;
    return read_value(reader, row);
}

static bool read_document(Reader *reader)
{
    if (!expect(reader, YAML_STREAM_START_EVENT, "not YAML") ||
        !expect(reader, YAML_DOCUMENT_START_EVENT, "the file holds no options") ||
        !expect(reader, YAML_MAPPING_START_EVENT, "a mapping of options is expected"))
        return false;
    for (;;) {
        if (!next_event(reader)) return false;
        if (reader->event.type == YAML_MAPPING_END_EVENT) break;
        if (!read_entry(reader)) return false;
    }
    return expect(reader, YAML_DOCUMENT_END_EVENT, "not YAML") &&
           expect(reader, YAML_STREAM_END_EVENT, "a second document is not allowed");
}

bool sweep_file_parse(const char *text, size_t n, SweepFile *file, Err *err)
{
    Reader reader = {.file = file, .err = err};
    if (!yaml_parser_initialize(&reader.parser))
        return err_set(err, ERR_NOMEM, "%s: no memory for reading YAML", file->origin);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, n);
    bool ok = read_document(&reader);
    yaml_event_delete(&reader.event);
    yaml_parser_delete(&reader.parser);
    return ok;
}

bool sweep_file_read(const char *path, SweepFile *file, Err *err)
{
    Buf text = {0};
    file->origin = path;
    bool ok = file_read(path, SWEEP_FILE_MAX_BYTES, &text, err) &&
              sweep_file_parse(buf_text(&text), text.len, file, err);
    buf_free(&text);
    return ok;
}
