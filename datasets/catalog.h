/* Texts that are known by name: their bytes were looked at and their hash is checked on every use, so that two numbers on "wikitext-2-raw" are
 * numbers on the same bytes. None is shipped; each says where it comes from. */
#ifndef DATASETS_CATALOG_H
#define DATASETS_CATALOG_H

#include "base/err.h"

typedef struct {
    const char *name;
    const char *help; /* one line */
    const char *
        files; /* names that it has been seen under, parted by blanks; the first is the usual one */
    int64_t n_bytes;
    const char *sha256;
    const char *licence;
    const char *source;    /* where it comes from */
    const char *documents; /* how it is cut: a rule of document_split_parse */
} CatalogRow;

/* All texts. Ends with a row whose name is NULL. */
extern const CatalogRow catalog_rows[];

const CatalogRow *catalog_find(const char *name);

/* Path of the text's file in a folder, whichever of its names is there; NULL if none is. Free with free(). */
char *catalog_path(const CatalogRow *row, const char *folder);

/* Whether a file is the text. Errors: INPUT (absent, other bytes). */
bool catalog_check(const CatalogRow *row, const char *path, Err *err) MUST_USE;

#endif
