/* SentencePiece BPE: the vocabulary of Llama-2 in GGUF files, and llama2.c's tokenizer file.
 *
 * SentencePiece merges the two neighbours whose joint text is the piece of best score, the leftmost of equals. That is byte-pair encoding
 * whose merges are not listed but follow from the vocabulary: every piece, cut in two at every character, is a merge wherever both
 * parts can stand as symbols, and its rank is the place of the score among all different scores. So the table is made once, and
 * the engine is the same.
 *
 * A part can be one character that is no piece itself ("你" where only "你好" is one). llama.cpp merges it all the same and
 * spells by bytes what is left alone at the end; such characters get ids above the vocabulary. llama2.c spells before it merges.
 *
 * llama2.c's file, little-endian: int32 longest piece; then vocab_size times float32 score, int32 length, bytes. Spaces
 * are spaces, "<0x00>" is id 3 and so on, ids 0 to 2 are <unk>, BOS, EOS. Source: karpathy/llama2.c, run.c and tokenizer.py. */
#include "models/tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/tokenizer_internal.h"

static const char space_mark[] = "\xE2\x96\x81"; /* U+2581 */

enum {
    MAX_MERGED_PIECE = 1024, /* bytes; cutting a piece at every place is quadratic in them */
    LLAMA2C_FIRST_BYTE = 3
};

typedef struct {
    float score;
    int32_t id;
} ScoredId;

/* Best score first. */
static int by_score(const void *a, const void *b)
{
    float x = ((const ScoredId *)a)->score;
    float y = ((const ScoredId *)b)->score;
    return (x < y) - (x > y);
}

static size_t char_length(const char *text, size_t n)
{
    int len = str_utf8_char(text, n, NULL);
    return len ? (size_t)len : 1;
}

static bool is_char(const char *text, size_t n)
{
    return n > 0 && char_length(text, n) == n;
}

/* The symbol of a text: its piece, or a new internal id where it is one character that has none. */
static int32_t symbol_of(Tokenizer *tokenizer, const char *text, size_t n, bool invents)
{
    Vocab *vocab = &tokenizer->vocab;
    int32_t id = vocab_find_plain(vocab, text, n);
    if (id >= 0 || !invents || !is_char(text, n) || vocab_find(vocab, text, n) >= 0) return id;
    Err err;
    int64_t next = (int64_t)vocab->n_entries;
    return vocab_add(vocab, next, text, n, TOKEN_NORMAL, &err) ? (int32_t)next : -1;
}

/* Adds the merges that make one piece. */
static void add_cuts(Tokenizer *tokenizer, const char *piece, size_t n, Merge product, bool invents)
{
    for (size_t at = char_length(piece, n); at < n; at += char_length(piece + at, n - at)) {
        int32_t left = symbol_of(tokenizer, piece, at, invents);
        if (left < 0) continue;
        int32_t right = symbol_of(tokenizer, piece + at, n - at, invents);
        if (right >= 0) merge_table_add(&tokenizer->merges, left, right, product.rank, product.id);
    }
}

static bool add_merges(Tokenizer *tokenizer, const SpmVocab *spm, bool invents, Err *err)
{
    size_t n_scored = 0;
    ScoredId *scored = mem_alloc(spm->n_pieces, sizeof *scored);
    bool ok = true;
    for (size_t i = 0; ok && i < spm->n_pieces; i++) {
        const SpmPiece *piece = &spm->pieces[i];
        if (vocab_find_plain(&tokenizer->vocab, piece->text, piece->n) != (int32_t)i) continue;
        if (isnan(piece->score))
            ok = err_set(err, ERR_INPUT, "the score of token %zu is not a number", i);
        if (ok && piece->n > MAX_MERGED_PIECE)
            ok = err_set(err, ERR_INPUT, "token %zu has a text of %zu bytes, at most %d are merged",
                         i, piece->n, MAX_MERGED_PIECE);
        scored[n_scored++] = (ScoredId){piece->score, (int32_t)i};
    }
    qsort(scored, ok ? n_scored : 0, sizeof *scored, by_score);
    uint32_t rank = 0;
    for (size_t i = 0; ok && i < n_scored; i++) {
        const SpmPiece *piece = &spm->pieces[scored[i].id];
        if (i && scored[i].score < scored[i - 1].score) rank++;
        add_cuts(tokenizer, piece->text, piece->n, (Merge){.rank = rank, .id = scored[i].id},
                 invents);
    }
    free(scored);
    return ok;
}

static bool read_bytes(Tokenizer *tokenizer, const SpmVocab *spm, Err *err)
{
    for (size_t i = 0; i < spm->n_pieces; i++) {
        const SpmPiece *piece = &spm->pieces[i];
        if (piece->kind != TOKEN_BYTE) continue;
        int value = vocab_byte_value(piece->text, piece->n);
        if (value < 0) {
            char shown[64];
            str_escape(piece->text, piece->n, shown, sizeof shown);
            return err_set(err, ERR_INPUT,
                           "byte token %zu is \"%s\", allowed are \"<0x00>\" to \"<0xFF>\"", i,
                           shown);
        }
        if (tokenizer->byte_ids[value] < 0) tokenizer->byte_ids[value] = (int32_t)i;
    }
    return true;
}

static bool check_ids(const Tokenizer *tokenizer, const SpmVocab *spm, Err *err)
{
    return tokenizer_check_id(tokenizer, "BOS", spm->bos_id, err) &&
           tokenizer_check_id(tokenizer, "EOS", spm->eos_id, err) &&
           tokenizer_check_id(tokenizer, "unknown token", spm->unk_id, err);
}

/* mark is what the vocabulary writes for a space. */
static bool fill(Tokenizer *tokenizer, const SpmVocab *spm, const char *mark, bool invents,
                 Err *err)
{
    if (!tokenizer_add_pieces(tokenizer, spm->pieces, spm->n_pieces, err)) return false;
    if (!check_ids(tokenizer, spm, err) || !read_bytes(tokenizer, spm, err)) return false;
    if (!add_merges(tokenizer, spm, invents, err)) return false;
    tokenizer->unk_id = spm->unk_id;
    tokenizer->bos_id = spm->bos_id;
    tokenizer->eos_id = spm->eos_id;
    tokenizer->adds_bos = spm->adds_bos && spm->bos_id >= 0;
    if (spm->adds_prefix_space) {
        normalizer_add(&tokenizer->normalizer, NORMALIZE_PREPEND, NULL, mark);
        tokenizer->decoder.strip = str_dup(" ");
        tokenizer->decoder.n_strip = 1;
    }
    if (!str_equal(mark, " ")) {
        normalizer_add(&tokenizer->normalizer, NORMALIZE_REPLACE, " ", mark);
        tokenizer_add_decode(tokenizer, DECODE_REPLACE, mark, " ");
    }
    tokenizer_add_decode(tokenizer, DECODE_BYTE_FALLBACK, NULL, NULL);
    return tokenizer_finish(tokenizer, err);
}

static Tokenizer *open_spm(const SpmVocab *spm, const char *mark, bool invents, Err *err)
{
    Tokenizer *tokenizer = tokenizer_new("SentencePiece BPE");
    if (fill(tokenizer, spm, mark, invents, err)) return tokenizer;
    err_prefix(err, "%s", spm->origin);
    tokenizer_free(tokenizer);
    return NULL;
}

Tokenizer *tokenizer_open_spm(const SpmVocab *vocab, Err *err)
{
    return open_spm(vocab, space_mark, true, err);
}

static int32_t read_i32(const unsigned char *bytes)
{
    return (int32_t)((uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
                     (uint32_t)bytes[3] << 24);
}

static float read_f32(const unsigned char *bytes)
{
    int32_t bits = read_i32(bytes);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* In llama2.c the kind of a token follows from its id. */
static TokenKind llama2c_kind(size_t id, const char *text, size_t n)
{
    if (id == 0) return TOKEN_UNKNOWN;
    if (id < LLAMA2C_FIRST_BYTE) return TOKEN_CONTROL;
    return vocab_byte_value(text, n) == (int)id - LLAMA2C_FIRST_BYTE ? TOKEN_BYTE : TOKEN_NORMAL;
}

/* Lends the texts of the map to the pieces. */
static bool read_llama2c(const FileMap *map, SpmPiece *pieces, size_t n, Err *err)
{
    size_t at = 4;
    for (size_t i = 0; i < n; i++) {
        if (map->size < at || map->size - at < 8)
            return err_set(err, ERR_INPUT,
                           "truncated: token %zu of %zu needs 8 bytes at offset %zu of %zu", i, n,
                           at, map->size);
        int32_t len = read_i32(map->data + at + 4);
        if (len < 0 || (size_t)len > map->size - at - 8)
            return err_set(err, ERR_INPUT,
                           "token %zu at offset %zu has length %d, %zu bytes are left", i, at, len,
                           map->size - at - 8);
        const char *text = (const char *)map->data + at + 8;
        pieces[i] = (SpmPiece){.text = text,
                               .n = (size_t)len,
                               .score = read_f32(map->data + at),
                               .kind = llama2c_kind(i, text, (size_t)len)};
        at += 8 + (size_t)len;
    }
    if (at == map->size) return true;
    return err_set(err, ERR_INPUT,
                   "%zu bytes behind the last of %zu tokens: not the tokenizer of this model",
                   map->size - at, n);
}

Tokenizer *tokenizer_open_llama2c(const char *path, int vocab_size, Err *err)
{
    FileMap map;
    if (!file_map(path, &map, err)) return NULL;
    Tokenizer *tokenizer = NULL;
    SpmPiece *pieces = NULL;
    if (vocab_size <= LLAMA2C_FIRST_BYTE || vocab_size > VOCAB_MAX_IDS) {
        err_set(err, ERR_INPUT, "%s: a vocabulary of %d tokens, allowed are %d to %d", path,
                vocab_size, LLAMA2C_FIRST_BYTE + 1, VOCAB_MAX_IDS);
        goto done;
    }
    pieces = mem_zalloc((size_t)vocab_size, sizeof *pieces);
    if (!read_llama2c(&map, pieces, (size_t)vocab_size, err)) {
        err_prefix(err, "%s", path);
        goto done;
    }
    SpmVocab spm = {.pieces = pieces,
                    .n_pieces = (size_t)vocab_size,
                    .bos_id = 1,
                    .eos_id = 2,
                    .unk_id = 0,
                    .adds_bos = true,
                    .adds_prefix_space = true,
                    .origin = path};
    tokenizer = open_spm(&spm, " ", false, err);
done:
    free(pieces);
    file_unmap(&map);
    return tokenizer;
}
