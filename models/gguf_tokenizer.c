/* The vocabulary in a GGUF file, handed to the tokenizers of tokenizer.h.
 *
 *   tokenizer.ggml.model  "llama" (SentencePiece BPE) or "gpt2" (byte-level BPE)
 *   .tokens  strings, one an id    .scores  f32, one an id    .token_type  i32, one an id    .merges  strings "a b"
 *
 * Types and lengths are checked before an element is read: a converter that writes scores as u8, or too few of them, once made
 * readers run past the array. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "models/gguf.h"
#include "models/weights_internal.h"

#define PREFIX "tokenizer.ggml."

/* Everything both kinds share. */
typedef struct {
    const Gguf *gguf;
    const char *origin;
    SpmPiece *pieces;
    size_t n;
    bool has_scores;
    int bos_id;
    int eos_id;
    int unk_id;
} Vocab;

static bool read_kinds(Vocab *vocab, Err *err)
{
    const GgufValue *kinds;
    if (!gguf_get_array(vocab->gguf, PREFIX "token_type", GGUF_I32, vocab->n, &kinds, err))
        return false;
    for (size_t i = 0; i < vocab->n; i++) {
        int32_t kind = kinds ? gguf_i32_at(kinds, i) : 0;
        if (kind < 0 || kind > TOKEN_BYTE)
            return err_set(err, ERR_INPUT, PREFIX "token_type: entry %zu is %d; 0 to %d is allowed",
                           i, kind, TOKEN_BYTE);
        vocab->pieces[i].kind = kind ? (TokenKind)kind : TOKEN_NORMAL;
    }
    return true;
}

static bool read_scores(Vocab *vocab, Err *err)
{
    const GgufValue *scores;
    if (!gguf_get_array(vocab->gguf, PREFIX "scores", GGUF_F32, vocab->n, &scores, err))
        return false;
    vocab->has_scores = scores != NULL;
    for (size_t i = 0; scores && i < vocab->n; i++)
        vocab->pieces[i].score = gguf_f32_at(scores, i);
    return true;
}

static bool read_pieces(Vocab *vocab, Err *err)
{
    const GgufValue *tokens;
    if (!gguf_get_array(vocab->gguf, PREFIX "tokens", GGUF_STRING, 0, &tokens, err)) return false;
    if (!tokens) return err_set(err, ERR_INPUT, "key " PREFIX "tokens is missing");
    if (tokens->count == 0 || tokens->count > CONFIG_MAX_VOCAB)
        return err_set(err, ERR_INPUT, PREFIX "tokens has %llu entries; 1 to %d are allowed",
                       (unsigned long long)tokens->count, CONFIG_MAX_VOCAB);
    vocab->n = (size_t)tokens->count;
    vocab->pieces = mem_zalloc(vocab->n, sizeof *vocab->pieces);
    const unsigned char *at = tokens->bytes;
    for (size_t i = 0; i < vocab->n; i++) {
        GgufText text = gguf_next_text(&at);
        vocab->pieces[i].text = text.text;
        vocab->pieces[i].n = text.n;
    }
    return read_scores(vocab, err) && read_kinds(vocab, err);
}

/* 0xffffffff (and -1) mean none; anything else must be an entry. An absent key leaves *out alone. */
static bool read_id(const Vocab *vocab, const char *key, int *out, Err *err)
{
    int64_t id = *out;
    if (!gguf_get_i64(vocab->gguf, key, -1, UINT32_MAX, &id, err)) return false;
    if (id == UINT32_MAX) id = -1;
    if (id >= (int64_t)vocab->n)
        return err_set(err, ERR_INPUT, "key %s is %lld, the vocabulary has %zu entries", key,
                       (long long)id, vocab->n);
    *out = (int)id;
    return true;
}

static bool read_ids(Vocab *vocab, Err *err)
{
    return read_id(vocab, PREFIX "bos_token_id", &vocab->bos_id, err) &&
           read_id(vocab, PREFIX "eos_token_id", &vocab->eos_id, err) &&
           read_id(vocab, PREFIX "unknown_token_id", &vocab->unk_id, err);
}

static bool open_spm(Vocab *vocab, Tokenizer **tokenizer, char why[256], Err *err)
{
    SpmVocab spm = {.adds_bos = true, .adds_prefix_space = true, .origin = vocab->origin};
    if (!vocab->has_scores) {
        snprintf(why, 256,
                 "the vocabulary has no scores (" PREFIX "scores), so text cannot be split");
        return true;
    }
    if (!gguf_get_bool(vocab->gguf, PREFIX "add_bos_token", &spm.adds_bos, err) ||
        !gguf_get_bool(vocab->gguf, PREFIX "add_space_prefix", &spm.adds_prefix_space, err))
        return false;
    spm.pieces = vocab->pieces;
    spm.n_pieces = vocab->n;
    spm.bos_id = vocab->bos_id;
    spm.eos_id = vocab->eos_id;
    spm.unk_id = vocab->unk_id;
    spm.adds_bos = spm.adds_bos && spm.bos_id >= 0;
    *tokenizer = tokenizer_open_spm(&spm, err);
    return *tokenizer != NULL;
}

/* Merges as terminated strings: the array and its text are two blocks. */
static bool read_merges(const Vocab *vocab, const char ***merges, char **text, size_t *n, Err *err)
{
    const GgufValue *value;
    if (!gguf_get_array(vocab->gguf, PREFIX "merges", GGUF_STRING, 0, &value, err)) return false;
    if (!value) return err_set(err, ERR_INPUT, "key " PREFIX "merges is missing");
    *n = (size_t)value->count;
    *merges = mem_alloc(*n, sizeof **merges);
    *text = mem_alloc(value->n_bytes, 1);
    char *to = *text;
    const unsigned char *at = value->bytes;
    for (size_t i = 0; i < *n; i++) {
        GgufText merge = gguf_next_text(&at);
        if (memchr(merge.text, '\0', merge.n))
            return err_set(err, ERR_INPUT, PREFIX "merges: entry %zu holds a NUL byte", i);
        (*merges)[i] = to;
        if (merge.n) memcpy(to, merge.text, merge.n);
        to[merge.n] = '\0';
        to += merge.n + 1;
    }
    return true;
}

static bool open_bpe(const Vocab *vocab, Tokenizer **tokenizer, char why[256], Err *err)
{
    BpeVocab bpe = {.pieces = vocab->pieces, .n_pieces = vocab->n, .origin = vocab->origin};
    const char **merges = NULL;
    char *merge_text = NULL;
    char *pretokenizer = NULL;
    GgufText pre = {"", 0};
    bpe.bos_id = vocab->bos_id;
    bpe.eos_id = vocab->eos_id;
    bool ok = gguf_get_bool(vocab->gguf, PREFIX "add_bos_token", &bpe.adds_bos, err) &&
              gguf_get_text(vocab->gguf, PREFIX "pre", &pre, err) &&
              read_merges(vocab, &merges, &merge_text, &bpe.n_merges, err);
    if (ok) {
        if (pre.n) pretokenizer = str_dup_n(pre.text, pre.n);
        bpe.pretokenizer = pretokenizer;
        bpe.merges = merges;
        bpe.adds_bos = bpe.adds_bos && bpe.bos_id >= 0;
        *tokenizer = tokenizer_open_bpe(&bpe, err);
        ok = *tokenizer || err->code == ERR_UNSUPPORTED;
        if (ok && !*tokenizer) snprintf(why, 256, "%.255s", err->text);
    }
    free(merges);
    free(merge_text);
    free(pretokenizer);
    return ok;
}

bool gguf_tokenizer(const WeightFile *file, Tokenizer **tokenizer, char why[256], Err *err)
{
    Vocab vocab = {
        .gguf = file->state, .origin = file->path, .bos_id = -1, .eos_id = -1, .unk_id = -1};
    GgufText model = {"", 0};
    char shown[64];
    if (!gguf_get_text(vocab.gguf, PREFIX "model", &model, err)) return false;
    str_escape(model.text, model.n, shown, sizeof shown);
    bool spm = gguf_text_equal(model, "llama");
    if (!spm && !gguf_text_equal(model, "gpt2")) {
        snprintf(why, 256, PREFIX "model is %s; llama and gpt2 are read",
                 model.n ? shown : "absent");
        return true;
    }
    bool ok = read_pieces(&vocab, err);
    if (spm) {
        /* Ids that SentencePiece gives these tokens unless the file says otherwise. */
        vocab.unk_id = vocab.n > 0 ? 0 : -1;
        vocab.bos_id = vocab.n > 1 ? 1 : -1;
        vocab.eos_id = vocab.n > 2 ? 2 : -1;
    }
    ok = ok && read_ids(&vocab, err);
    ok =
        ok && (spm ? open_spm(&vocab, tokenizer, why, err) : open_bpe(&vocab, tokenizer, why, err));
    free(vocab.pieces);
    return ok || err_prefix(err, "%s", file->path);
}
