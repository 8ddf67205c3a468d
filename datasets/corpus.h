/* Texts to evaluate on: a file or a folder, cut into documents, tokenised once.
 *
 * Datasets see tokenizers through an Encoder, so that a server's tokenizer serves as well. */
#ifndef DATASETS_CORPUS_H
#define DATASETS_CORPUS_H

#include "base/hash.h"
#include "models/backend.h"

typedef enum {
    DOCUMENTS_FILE,       /* each file, or record of a .jsonl, is one */
    DOCUMENTS_BLANK_LINE, /* blank lines part them */
    DOCUMENTS_TOKENS,     /* every N tokens */
} DocumentRule;

typedef struct {
    DocumentRule rule;
    int64_t n_tokens;  /* for DOCUMENTS_TOKENS */
    const char *field; /* of a .jsonl's records that holds the text; NULL: TEXT_DEFAULT_FIELD */
} DocumentSplit;

typedef struct {
    int64_t first; /* index into tokens */
    int64_t n;
    bool starts_text; /* false: goes on where the one before ends */
} Document;

typedef struct {
    char *path;
    char *name;               /* last part of the path */
    char hash[HASH_HEX_SIZE]; /* of the bytes, file by file in name order, and of the split */
    int64_t n_bytes;
    int32_t *tokens; /* every document's, one after the other, without BOS */
    int64_t n_tokens;
    Document *documents;
    int64_t n_documents;
} Corpus;

/* Reads "file", "blank-line", "tokens=N" or "field=NAME" (a file or record is one; records hold their text in NAME), whose text must
 * outlive the split. Errors: USAGE. */
bool document_split_parse(const char *text, DocumentSplit *split, Err *err) MUST_USE;

/* Reads and tokenises a text file, or every file of a folder; see datasets/text_file.h for the formats. Data never becomes
 * control tokens. The hash does not see how a file was packed.
 * Errors: INPUT (absent, damaged, empty: nothing to score), UNSUPPORTED (a format that is not read, the model has no tokenizer). */
Corpus *corpus_open(const char *path, const DocumentSplit *split, const Backend *backend,
                    Err *err) MUST_USE;
void corpus_free(Corpus *corpus);

/* Index of the document that holds a token. */
int64_t corpus_document_of(const Corpus *corpus, int64_t token);

/* Bytes that tokens first … first+n-1 spell: for bits per byte. */
int64_t corpus_bytes(const Corpus *corpus, const Backend *backend, int64_t first, int64_t n);

#endif
