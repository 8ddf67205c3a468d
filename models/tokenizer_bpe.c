/* Byte-pair encoding of one piece, and the byte-level vocabulary of GGUF files.
 *
 * A piece starts as its characters. A character that is no token is spelled by its bytes ("<0xE2>") where all of them are tokens,
 * else it is the unknown token, else an error: nothing is dropped. A byte that is not part of a character counts as a character
 * of that one byte, so a vocabulary with byte pieces takes any bytes. */
#include "models/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "models/tokenizer_internal.h"

enum { MAX_MERGES = 1 << 24 };

/* Length of the character at the start of a text, 1 for a byte that is none; *id is its token or -1. */
static size_t first_char(const Tokenizer *tokenizer, const char *text, size_t n, int32_t *id)
{
    uint32_t c;
    int len = str_utf8_char(text, n, &c);
    if (len == 0) {
        *id = -1;
        return 1;
    }
    *id = c < N_CHAR_IDS ? tokenizer->char_ids[c]
                         : vocab_find_plain(&tokenizer->vocab, text, (size_t)len);
    return (size_t)len;
}

static bool has_byte_ids(const Tokenizer *tokenizer, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (tokenizer->byte_ids[(unsigned char)text[i]] < 0) return false;
    return true;
}

static bool unspeakable(const char *text, size_t n, Err *err)
{
    char shown[32];
    str_escape(text, n, shown, sizeof shown);
    return err_set(
        err, ERR_INPUT,
        "the vocabulary has no token for the character \"%s\", no byte tokens to spell it and no "
        "unknown token: take it out of the text",
        shown);
}

/* Cuts a piece into symbols. A character spelled by bytes takes as many as it has, so n symbols are room enough. */
static bool start_run(const Tokenizer *tokenizer, const char *text, size_t n, MergeRun *run,
                      Err *err)
{
    if (!merge_run_reset(run, n, err)) return false;
    bool after_unknown = false;
    size_t len;
    for (size_t at = 0; at < n; at += len) {
        int32_t id;
        len = first_char(tokenizer, text + at, n - at, &id);
        bool is_unknown = false;
        if (id >= 0) {
            merge_run_add(run, id);
        } else if (has_byte_ids(tokenizer, text + at, len)) {
            for (size_t i = 0; i < len; i++)
                merge_run_add(run, tokenizer->byte_ids[(unsigned char)text[at + i]]);
        } else if (tokenizer->unk_id >= 0) {
            is_unknown = true;
            if (!(after_unknown && tokenizer->fuse_unk)) merge_run_add(run, tokenizer->unk_id);
        } else {
            return unspeakable(text + at, len, err);
        }
        after_unknown = is_unknown;
    }
    return true;
}

/* Appends an internal id, which stands for a character without a token. */
static bool spell(const Tokenizer *tokenizer, int32_t id, TokenList *out, Err *err)
{
    size_t n;
    const char *text = vocab_text(&tokenizer->vocab, id, &n);
    if (has_byte_ids(tokenizer, text, n)) {
        for (size_t i = 0; i < n; i++)
            token_list_add(out, tokenizer->byte_ids[(unsigned char)text[i]]);
        return true;
    }
    if (tokenizer->unk_id < 0) return unspeakable(text, n, err);
    token_list_add(out, tokenizer->unk_id);
    return true;
}

bool tokenizer_encode_piece(const Tokenizer *tokenizer, const char *text, size_t n, MergeRun *run,
                            TokenList *out, Err *err)
{
    int32_t whole = tokenizer->ignore_merges ? vocab_find_plain(&tokenizer->vocab, text, n) : -1;
    if (whole >= 0) {
        token_list_add(out, whole);
        return true;
    }
    if (!start_run(tokenizer, text, n, run, err)) return false;
    merge_run_apply(run, &tokenizer->merges);
    for (int32_t i = run->n ? 0 : -1; i >= 0; i = run->symbols[i].next) {
        int32_t id = run->symbols[i].id;
        if (id < tokenizer->n_ids)
            token_list_add(out, id);
        else if (!spell(tokenizer, id, out, err))
            return false;
    }
    return true;
}

static bool outside_vocabulary(const char *text, size_t n, Err *err)
{
    char shown[64];
    str_escape(text, n, shown, sizeof shown);
    return err_set(err, ERR_INPUT, "it names \"%s\", which is not in the vocabulary", shown);
}

bool tokenizer_add_merge(Tokenizer *tokenizer, const char *left, size_t n_left, const char *right,
                         size_t n_right, Err *err)
{
    const Vocab *vocab = &tokenizer->vocab;
    int32_t left_id = vocab_find(vocab, left, n_left);
    int32_t right_id = vocab_find(vocab, right, n_right);
    if (left_id < 0) return outside_vocabulary(left, n_left, err);
    if (right_id < 0) return outside_vocabulary(right, n_right, err);
    if (tokenizer->n_merges_read == MAX_MERGES)
        return err_set(err, ERR_INPUT, "there are more than %d", MAX_MERGES);
    Buf product = {0};
    buf_append(&product, left, n_left);
    buf_append(&product, right, n_right);
    int32_t id = vocab_find(vocab, buf_text(&product), product.len);
    bool ok = id >= 0 || outside_vocabulary(product.data, product.len, err);
    buf_free(&product);
    if (!ok) return false;
    if (vocab_find_plain(vocab, left, n_left) >= 0 &&
        vocab_find_plain(vocab, right, n_right) >= 0 &&
        (vocab_kind(vocab, id) == TOKEN_NORMAL || vocab_kind(vocab, id) == TOKEN_USER_DEFINED))
        merge_table_add(&tokenizer->merges, left_id, right_id, tokenizer->n_merges_read, id);
    tokenizer->n_merges_read++;
    return true;
}

bool tokenizer_check_merges(const Tokenizer *tokenizer, Err *err)
{
    if (tokenizer->merges.n) return true;
    for (int32_t id = 0; id < tokenizer->n_ids; id++) {
        if (vocab_kind(&tokenizer->vocab, id) != TOKEN_NORMAL) continue;
        size_t n;
        const char *text = vocab_text(&tokenizer->vocab, id, &n);
        if (id == tokenizer->unk_id || n <= 1 || (size_t)str_utf8_char(text, n, NULL) == n)
            continue;
        char shown[64];
        str_escape(text, n, shown, sizeof shown);
        return err_set(
            err, ERR_INPUT,
            "no merges, but the vocabulary has \"%s\" (id %d): every text would fall into single "
            "characters",
            shown, id);
    }
    return true;
}

bool tokenizer_check_id(const Tokenizer *tokenizer, const char *what, int id, Err *err)
{
    if (id >= -1 && id < tokenizer->n_ids) return true;
    return err_set(err, ERR_INPUT, "%s id is %d, the vocabulary has ids 0 to %d", what, id,
                   tokenizer->n_ids - 1);
}

bool tokenizer_add_pieces(Tokenizer *tokenizer, const SpmPiece *pieces, size_t n, Err *err)
{
    if (n == 0 || n > VOCAB_MAX_IDS)
        return err_set(err, ERR_INPUT, "a vocabulary of %zu tokens, allowed are 1 to %d", n,
                       VOCAB_MAX_IDS);
    for (size_t i = 0; i < n; i++) {
        const SpmPiece *piece = &pieces[i];
        AddedToken added = {.id = (int32_t)i, .is_special = piece->kind != TOKEN_USER_DEFINED};
        if (piece->kind < TOKEN_NORMAL || piece->kind > TOKEN_BYTE)
            return err_set(err, ERR_INPUT, "token %zu is of kind %d, allowed are %d to %d", i,
                           (int)piece->kind, TOKEN_NORMAL, TOKEN_BYTE);
        if (!vocab_add(&tokenizer->vocab, (int64_t)i, piece->text, piece->n, piece->kind, err))
            return false;
        bool is_added = piece->kind == TOKEN_CONTROL || piece->kind == TOKEN_UNKNOWN ||
                        piece->kind == TOKEN_USER_DEFINED;
        if (is_added && !added_tokens_add(&tokenizer->added, &added, piece->text, piece->n, err))
            return false;
    }
    tokenizer->n_ids = (int32_t)n;
    return true;
}

/* Merges are "left right"; the left text is not empty and may start with a space. */
static bool add_gguf_merges(Tokenizer *tokenizer, const BpeVocab *vocab, Err *err)
{
    for (size_t i = 0; i < vocab->n_merges; i++) {
        const char *merge = vocab->merges[i];
        const char *space = *merge ? strchr(merge + 1, ' ') : NULL;
        if (!space || !space[1])
            return err_set(err, ERR_INPUT, "merge %zu is not two texts with a space between", i);
        if (!tokenizer_add_merge(tokenizer, merge, (size_t)(space - merge), space + 1,
                                 strlen(space + 1), err))
            return err_prefix(err, "merge %zu", i);
    }
    return true;
}

static bool fill(Tokenizer *tokenizer, const BpeVocab *vocab, Err *err)
{
    if (!tokenizer_add_pieces(tokenizer, vocab->pieces, vocab->n_pieces, err)) return false;
    if (!tokenizer_check_id(tokenizer, "BOS", vocab->bos_id, err)) return false;
    if (!tokenizer_check_id(tokenizer, "EOS", vocab->eos_id, err)) return false;
    if (!add_gguf_merges(tokenizer, vocab, err)) return false;
    if (!tokenizer_check_merges(tokenizer, err)) return false;
    tokenizer->refuses_text = vocab->pretokenizer == NULL;
    if (vocab->pretokenizer && !pretokenizer_add_named(&tokenizer->pre, vocab->pretokenizer,
                                                       &tokenizer->ignore_merges, err))
        return false;
    tokenizer_add_decode(tokenizer, DECODE_BYTE_LEVEL, NULL, NULL);
    tokenizer->bos_id = vocab->bos_id;
    tokenizer->eos_id = vocab->eos_id;
    tokenizer->adds_bos = vocab->adds_bos && vocab->bos_id >= 0;
    return tokenizer_finish(tokenizer, err);
}

Tokenizer *tokenizer_open_bpe(const BpeVocab *vocab, Err *err)
{
    Tokenizer *tokenizer = tokenizer_new("byte-level BPE");
    if (fill(tokenizer, vocab, err)) return tokenizer;
    err_prefix(err, "%s", vocab->origin);
    tokenizer_free(tokenizer);
    return NULL;
}
