/* Files that hold texts: plain, one JSON object a line (.jsonl), and either of them packed by gzip (.gz). */
#ifndef DATASETS_TEXT_FILE_H
#define DATASETS_TEXT_FILE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"

#define TEXT_DEFAULT_FIELD "text"
#define TEXT_MAX_UNPACKED  (INT64_C(1) << 32) /* bytes of a .gz once unpacked */

/* A file's bytes, unpacked. */
typedef struct {
    const char *bytes;
    size_t n;
    bool is_jsonl;
    FileMap map;  /* that bytes lie in */
    Buf unpacked; /* or this */
} TextFile;

/* Opens a file; its name decides how it is read.
 * Errors: INPUT (absent, damaged, unpacks to too much), UNSUPPORTED (a format that is not read: see text_unread). */
bool text_open(const char *path, TextFile *file, Err *err) MUST_USE;
void text_close(TextFile *file);

/* Why files of this name are not read, and what to do; NULL where they are. */
const char *text_unread(const char *name);

/* Appends what gzip packed, all members of it. Errors: INPUT (damaged, cut short, more than max_bytes). */
bool text_unpack(const void *bytes, size_t n, int64_t max_bytes, Buf *out, Err *err) MUST_USE;

/* Called with each text; false ends the reading. */
typedef bool (*TextVisitor)(void *context, const char *text, size_t n, Err *err);

/* Calls visit with the string of this field of each line's object; NULL: TEXT_DEFAULT_FIELD. Empty lines are passed over.
 * Errors: INPUT (line, and what it holds instead), and those of visit. */
bool text_each_record(const char *bytes, size_t n, const char *field, TextVisitor visit,
                      void *context, Err *err) MUST_USE;

/* Called with the path of each file; false ends the walk. */
typedef bool (*TextPathVisitor)(void *context, const char *path, Err *err);

/* Calls visit with a file's path, or with that of every file of a folder, in order of names. Errors: INPUT, and those of visit. */
bool text_each_path(const char *path, TextPathVisitor visit, void *context, Err *err) MUST_USE;

#endif
