#include "base/hash.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"

struct HashStream {
    EVP_MD_CTX *context;
};

/* libcrypto fails only when it has no memory. */
static void require(int ok)
{
    if (!ok) mem_exhausted(sizeof(HashStream));
}

static HashStream *open_stream(const EVP_MD *kind)
{
    HashStream *hash = mem_alloc(1, sizeof *hash);
    hash->context = EVP_MD_CTX_new();
    require(hash->context && EVP_DigestInit_ex(hash->context, kind, NULL));
    return hash;
}

HashStream *hash_open(void)
{
    return open_stream(EVP_sha256());
}

HashStream *hash_open_git_blob(int64_t size)
{
    char head[32];
    HashStream *hash = open_stream(EVP_sha1());
    int n = snprintf(head, sizeof head, "blob %lld", (long long)size);
    hash_add(hash, head, (size_t)n + 1);
    return hash;
}

void hash_add(HashStream *hash, const void *bytes, size_t n)
{
    require(EVP_DigestUpdate(hash->context, bytes, n));
}

void hash_close(HashStream *hash, char hex[HASH_HEX_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n;
    require(EVP_DigestFinal_ex(hash->context, digest, &n));
    for (unsigned i = 0; i < n; i++)
        snprintf(hex + (size_t)2 * i, 3, "%02x", digest[i]);
    EVP_MD_CTX_free(hash->context);
    free(hash);
}

void hash_bytes(const void *bytes, size_t n, char hex[HASH_HEX_SIZE])
{
    HashStream *hash = hash_open();
    hash_add(hash, bytes, n);
    hash_close(hash, hex);
}

bool hash_file(const char *path, char hex[HASH_HEX_SIZE], Err *err)
{
    FileMap map;
    if (!file_map(path, &map, err)) return false;
    hash_bytes(map.data, map.size, hex);
    file_unmap(&map);
    return true;
}
