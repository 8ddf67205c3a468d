/* Files: read-only maps, bounded reads, atomic writes. Only regular files are read. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buf.h"
#include "base/err.h"

/* A file mapped read-only. data is NULL for an empty file. */
typedef struct {
    const unsigned char *data;
    size_t size;
} FileMap;

/* Maps a regular file.
 * Errors: INPUT (absent, not a regular file, unreadable). */
bool file_map(const char *path, FileMap *map, Err *err) MUST_USE;

/* Takes the map apart; accepts a zeroed map. */
void file_unmap(FileMap *map);

/* Appends a whole regular file to buf.
 * Errors: INPUT (as file_map, or larger than max_bytes); buf is then as it was. */
bool file_read(const char *path, size_t max_bytes, Buf *buf, Err *err) MUST_USE;

/* Writes a file through a temporary in the same folder, fsync and rename: the old content or the
 * new one, never a part. A file that is replaced keeps its permissions; a link to it stays a link.
 * Errors: OUTPUT. */
bool file_write_atomic(const char *path, const void *bytes, size_t n, Err *err) MUST_USE;

/* Makes a folder and those above it, as far as they are absent. Errors: OUTPUT. */
bool file_make_dirs(const char *path, Err *err) MUST_USE;

bool file_exists(const char *path);
bool file_is_dir(const char *path);

/* folder + "/" + name as a new string. Free with free(). */
char *file_join(const char *folder, const char *name);

/* The part after the last slash, or the whole path where nothing follows it; lends. */
const char *file_base_name(const char *path);

/* Names of the regular files of a folder, sorted by byte order, hidden ones left out. Sets *names
 * (free each, then the array) and *n. Errors: INPUT. */
bool file_list_dir(const char *path, char ***names, size_t *n, Err *err) MUST_USE;

#endif
