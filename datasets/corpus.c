#include "datasets/corpus.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "datasets/text_file.h"

bool document_split_parse(const char *text, DocumentSplit *split, Err *err)
{
    *split = (DocumentSplit){0};
    if (str_equal(text, "file")) return true;
    if (str_equal(text, "blank-line")) {
        split->rule = DOCUMENTS_BLANK_LINE;
        return true;
    }
    if (str_starts_with(text, "field=") && text[6]) {
        split->field = text + 6;
        return true;
    }
    split->rule = DOCUMENTS_TOKENS;
    if (str_starts_with(text, "tokens=") && str_to_size(text + 7, &split->n_tokens) &&
        split->n_tokens > 0)
        return true;
    return err_set(
        err, ERR_USAGE,
        "--documents %s: allowed are file, blank-line, tokens=N with N above 0, and field=NAME",
        text);
}

/* What corpus_open works on. */
typedef struct {
    Corpus *corpus;
    const DocumentSplit *split;
    const Backend *backend;
    TokenList tokens;
    size_t documents_cap;
    HashStream *hash;
} Reader;

static void add_document(Reader *reader, Document document)
{
    Corpus *corpus = reader->corpus;
    if ((size_t)corpus->n_documents == reader->documents_cap) {
        reader->documents_cap = reader->documents_cap ? 2 * reader->documents_cap : 16;
        corpus->documents =
            mem_realloc(corpus->documents, reader->documents_cap, sizeof *corpus->documents);
    }
    corpus->documents[corpus->n_documents++] = document;
}

/* Tokenises one stretch of text; a stretch without tokens is no document. */
static bool read_stretch(Reader *reader, const char *text, size_t n, Err *err)
{
    int64_t first = (int64_t)reader->tokens.n;
    if (n == 0) return true;
    if (!backend_encode(reader->backend, text, n, &reader->tokens, err)) return false;
    int64_t end = (int64_t)reader->tokens.n;
    int64_t step = reader->split->rule == DOCUMENTS_TOKENS ? reader->split->n_tokens : end - first;
    for (int64_t at = first; at < end; at += step)
        add_document(reader, (Document){at, min_i64(step, end - at), at == first});
    return true;
}

/* Whether the line that begins at text[at] holds nothing but blanks; *next is where the following line begins. */
static bool is_blank_line(const char *text, size_t n, size_t at, size_t *next)
{
    const char *newline = memchr(text + at, '\n', n - at);
    size_t end = newline ? (size_t)(newline - text) : n;
    *next = newline ? end + 1 : n;
    for (size_t i = at; i < end; i++)
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r') return false;
    return true;
}

static bool read_paragraphs(Reader *reader, const char *text, size_t n, Err *err)
{
    size_t begin = 0, end = 0; /* the lines collected so far */
    for (size_t at = 0, next; at < n; at = next) {
        bool blank = is_blank_line(text, n, at, &next);
        if (!blank) {
            end = next;
            continue;
        }
        if (end > begin && !read_stretch(reader, text + begin, end - begin, err)) return false;
        begin = end = next;
    }
    return end <= begin || read_stretch(reader, text + begin, end - begin, err);
}

/* A text of its own: a file, or a record of one. */
static bool read_text(void *context, const char *text, size_t n, Err *err)
{
    Reader *reader = context;
    return reader->split->rule == DOCUMENTS_BLANK_LINE ? read_paragraphs(reader, text, n, err)
                                                       : read_stretch(reader, text, n, err);
}

/* Which of a record's texts is meant decides the corpus as its bytes do. */
static void hash_field(Reader *reader, const char *field)
{
    if (!field) field = TEXT_DEFAULT_FIELD;
    hash_add(reader->hash, field, strlen(field) + 1);
}

static bool read_file(void *context, const char *path, Err *err)
{
    Reader *reader = context;
    TextFile file;
    if (!text_open(path, &file, err)) return false;
    uint64_t size = file.n;
    hash_add(reader->hash, &size, sizeof size);
    if (size) hash_add(reader->hash, file.bytes, file.n);
    if (file.is_jsonl) hash_field(reader, reader->split->field);
    reader->corpus->n_bytes += (int64_t)size;
    bool ok = file.is_jsonl ? text_each_record(file.bytes, file.n, reader->split->field, read_text,
                                               reader, err)
                            : read_text(reader, file.bytes, file.n, err);
    text_close(&file);
    return ok || err_prefix(err, "%s", path);
}

/* "corpus" of "dir/corpus" and of "dir/corpus/". */
static char *last_part(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    char *trimmed = str_dup_n(path, n);
    char *name = str_dup(file_base_name(trimmed));
    free(trimmed);
    return name;
}

static bool read_all(Reader *reader, const char *path, Err *err)
{
    uint64_t split[2] = {(uint64_t)reader->split->rule, (uint64_t)reader->split->n_tokens};
    hash_add(reader->hash, split, sizeof split);
    bool ok = text_each_path(path, read_file, reader, err);
    if (ok && reader->tokens.n == 0)
        return err_set(err, ERR_INPUT, "%s: the text is empty, nothing to score", path);
    return ok;
}

Corpus *corpus_open(const char *path, const DocumentSplit *split, const Backend *backend, Err *err)
{
    Corpus *corpus = mem_zalloc(1, sizeof *corpus);
    Reader reader = {.corpus = corpus, .split = split, .backend = backend, .hash = hash_open()};
    bool ok = read_all(&reader, path, err);
    hash_close(reader.hash, corpus->hash);
    corpus->path = str_dup(path);
    corpus->name = last_part(path);
    corpus->tokens = reader.tokens.ids;
    corpus->n_tokens = (int64_t)reader.tokens.n;
    if (ok) return corpus;
    corpus_free(corpus);
    return NULL;
}

void corpus_free(Corpus *corpus)
{
    if (!corpus) return;
    free(corpus->path);
    free(corpus->name);
    free(corpus->tokens);
    free(corpus->documents);
    free(corpus);
}

int64_t corpus_document_of(const Corpus *corpus, int64_t token)
{
    assert(token >= 0 && token < corpus->n_tokens);
    int64_t low = 0, high = corpus->n_documents - 1;
    while (low < high) {
        int64_t middle = low + (high - low + 1) / 2;
        if (corpus->documents[middle].first <= token)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

int64_t corpus_bytes(const Corpus *corpus, const Backend *backend, int64_t first, int64_t n)
{
    int64_t end = first + n, n_bytes = 0;
    Buf text = {0};
    while (first < end) {
        const Document *document = &corpus->documents[corpus_document_of(corpus, first)];
        int64_t stop = min_i64(end, document->first + document->n);
        buf_clear(&text);
        backend_decode(backend, corpus->tokens + first, (size_t)(stop - first),
                       document->starts_text && first == document->first, &text);
        n_bytes += (int64_t)text.len;
        first = stop;
    }
    buf_free(&text);
    return n_bytes;
}
