/* SHA-256, for files and for the keys of cells, and git's SHA-1 of a file. Source: FIPS 180-4, by libcrypto. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/err.h"

enum { HASH_HEX_SIZE = 65 }; /* 64 hexadecimal digits and a terminator */

typedef struct HashStream HashStream;

HashStream *hash_open(void);

/* The id that git gives a file of this size: SHA-1 of "blob SIZE", a NUL and the bytes; 40 digits. Source: Pro Git, 10.2. */
HashStream *hash_open_git_blob(int64_t size);
void hash_add(HashStream *hash, const void *bytes, size_t n);

/* Writes the digest in lower-case hexadecimal and frees the stream. */
void hash_close(HashStream *hash, char hex[HASH_HEX_SIZE]);

/* The digest of n bytes. */
void hash_bytes(const void *bytes, size_t n, char hex[HASH_HEX_SIZE]);

/* The digest of a regular file. Errors: INPUT. */
bool hash_file(const char *path, char hex[HASH_HEX_SIZE], Err *err) MUST_USE;

#endif
