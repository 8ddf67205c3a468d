#include "datasets/text_file.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

enum {
    MAX_LINE_BYTES = 256 << 20,
    N_NAMED = 8, /* fields that a message lists */
};

static const struct {
    const char *pattern;
    const char *what;
} unread[] = {
    {"*.parquet",
     "Parquet is not read; convert it: python3 -c \"import pandas; "
     "pandas.read_parquet('FILE').to_json('text.jsonl', orient='records', lines=True)\""},
    {"*.arrow",   "Arrow is not read; convert it to .txt or .jsonl"                     },
    {"*.csv",     "CSV is not read; convert it to .txt or .jsonl"                       },
    {"*.zst",     "zstd is not read; unpack it, or pack it with gzip"                   },
    {"*.xz",      "xz is not read; unpack it, or pack it with gzip"                     },
    {"*.bz2",     "bzip2 is not read; unpack it, or pack it with gzip"                  },
    {"*.zip",     "zip is not read; unpack it"                                          },
    {"*.tar",     "tar is not read; unpack it"                                          },
    {"*.tar.gz",  "tar is not read; unpack it"                                          },
    {"*.tgz",     "tar is not read; unpack it"                                          },
};

const char *text_unread(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(unread); i++)
        if (fnmatch(unread[i].pattern, name, 0) == 0) return unread[i].what;
    return NULL;
}

/* Inflates until the input is used up; members follow each other. Z_STREAM_END if it ended with one. */
static int inflate_all(z_stream *stream, int64_t max_bytes, Buf *out, bool *too_much)
{
    char block[1 << 16];
    size_t before = out->len;
    int code = Z_OK;
    while (code == Z_OK || (code == Z_STREAM_END && stream->avail_in > 0)) {
        if (code == Z_STREAM_END && inflateReset(stream) != Z_OK) return Z_DATA_ERROR;
        stream->next_out = (Bytef *)block;
        stream->avail_out = sizeof block;
        code = inflate(stream, Z_NO_FLUSH);
        size_t n = sizeof block - stream->avail_out;
        *too_much = (int64_t)(out->len - before + n) > max_bytes;
        if (*too_much) return Z_DATA_ERROR;
        buf_append(out, block, n);
    }
    return code;
}

bool text_unpack(const void *bytes, size_t n, int64_t max_bytes, Buf *out, Err *err)
{
    z_stream stream = {0};
    bool too_much = false;
    if (n > UINT32_MAX) return err_set(err, ERR_INPUT, "is larger than 4 GB packed; unpack it");
    stream.next_in = (Bytef *)(uintptr_t)bytes; /* NOLINT(*-no-int-to-ptr): zlib only reads it */
    stream.avail_in = (uInt)n;
    if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) mem_exhausted(sizeof stream);
    int code = inflate_all(&stream, max_bytes, out, &too_much);
    const char *why = stream.msg ? stream.msg : "it ends in the middle";
    if (too_much)
        err_set(err, ERR_INPUT, "unpacks to more than %lld bytes", (long long)max_bytes);
    else if (code != Z_STREAM_END)
        err_set(err, ERR_INPUT, "the gzip data is damaged at byte %zu: %s", n - stream.avail_in,
                why);
    inflateEnd(&stream);
    return code == Z_STREAM_END;
}

bool text_open(const char *path, TextFile *file, Err *err)
{
    const char *why = text_unread(path);
    *file = (TextFile){0};
    if (why) return err_set(err, ERR_UNSUPPORTED, "%s: %s", path, why);
    if (!file_map(path, &file->map, err)) return false;
    file->is_jsonl = str_ends_with(path, ".jsonl") || str_ends_with(path, ".jsonl.gz");
    file->bytes = (const char *)file->map.data;
    file->n = file->map.size;
    if (!str_ends_with(path, ".gz")) return true;
    bool ok =
        text_unpack(file->map.data, file->map.size, TEXT_MAX_UNPACKED, &file->unpacked, err) ||
        err_prefix(err, "%s", path);
    file->bytes = file->unpacked.data;
    file->n = file->unpacked.len;
    if (!ok) text_close(file);
    return ok;
}

void text_close(TextFile *file)
{
    file_unmap(&file->map);
    buf_free(&file->unpacked);
    *file = (TextFile){0};
}

/* Says that a record has no such text, and which fields it has. */
static bool refuse_record(const json_t *record, const char *field, Err *err)
{
    Buf names = {0};
    const char *name;
    json_t *value;
    size_t n = 0;
    if (!json_is_object(record)) return err_set(err, ERR_INPUT, "is no JSON object");
    json_object_foreach((json_t *)(uintptr_t)record, name, value) /* NOLINT(*-no-int-to-ptr) */
    {
        char shown[64];
        str_escape(name, strlen(name), shown, sizeof shown);
        if (n++ < N_NAMED) buf_printf(&names, "%s%s", n > 1 ? ", " : "", shown);
    }
    err_set(err, ERR_INPUT,
            "has no text in field \"%s\"; its fields: %s; --documents field=NAME names another",
            field, n ? buf_text(&names) : "none");
    buf_free(&names);
    return false;
}

static bool visit_line(const char *line, size_t n, const char *field, TextVisitor visit,
                       void *context, Err *err)
{
    JsonLimits limits = {.origin = "record", .max_bytes = MAX_LINE_BYTES, .ints_as_reals = true};
    json_t *record = json_parse(line, n, &limits, err);
    if (!record) return false;
    const json_t *text = json_object_get(record, field);
    bool ok = json_is_string(text)
                  ? visit(context, json_string_value(text), json_string_length(text), err)
                  : refuse_record(record, field, err);
    json_decref(record);
    return ok;
}

static bool is_blank(const char *line, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r') return false;
    return true;
}

bool text_each_record(const char *bytes, size_t n, const char *field, TextVisitor visit,
                      void *context, Err *err)
{
    long long number = 1;
    for (size_t at = 0; at < n; number++) {
        const char *newline = memchr(bytes + at, '\n', n - at);
        size_t length = (newline ? (size_t)(newline - bytes) : n) - at;
        if (!is_blank(bytes + at, length) &&
            !visit_line(bytes + at, length, field ? field : TEXT_DEFAULT_FIELD, visit, context,
                        err))
            return err_prefix(err, "line %lld", number);
        at += length + 1;
    }
    return true;
}

bool text_each_path(const char *path, TextPathVisitor visit, void *context, Err *err)
{
    char **names;
    size_t n;
    if (!file_is_dir(path)) return visit(context, path, err);
    if (!file_list_dir(path, &names, &n, err)) return false;
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        char *file = file_join(path, names[i]);
        ok = ok && visit(context, file, err);
        free(file);
        free(names[i]);
    }
    free(names);
    return ok;
}
