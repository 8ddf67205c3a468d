#include "base/hash.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"

enum { SHA256_BYTES = 32 };

struct HashStream {
    EVP_MD_CTX *context;
};

/* libcrypto fails only when it has no memory. */
static void require(int ok)
{
    if (!ok) mem_exhausted(sizeof(HashStream));
}

HashStream *hash_open(void)
{
    HashStream *hash = mem_alloc(1, sizeof *hash);
    hash->context = EVP_MD_CTX_new();
    require(hash->context && EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL));
    return hash;
}

void hash_add(HashStream *hash, const void *bytes, size_t n)
{
    require(EVP_DigestUpdate(hash->context, bytes, n));
}

void hash_close(HashStream *hash, char hex[HASH_HEX_SIZE])
{
    unsigned char digest[SHA256_BYTES];
    require(EVP_DigestFinal_ex(hash->context, digest, NULL));
    for (int i = 0; i < SHA256_BYTES; i++)
        snprintf(hex + (ptrdiff_t)2 * i, 3, "%02x", digest[i]);
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
