/* Text to ids in five stages; every format of tokenizer is a filling of these:
 *
 *     text -> added tokens -> normaliser -> added tokens -> pre-tokenizer -> merges -> ids
 *             (as given)                    (normalised)     (pieces)
 *
 * An added token cuts the text: what is between two of them is a text of its own for all later stages (a normaliser that puts "▁" in
 * front does so after every token). Control tokens are added tokens that are looked for only where the caller allows them, and the
 * merges never make one, so data cannot become control tokens.
 *
 * Ids to text: what each token decodes to is worked out once, when the tokenizer is opened. */
#include "models/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "models/byte_level.h"
#include "models/tokenizer_internal.h"

enum {
    MAX_TEXT = 1 << 30,    /* bytes of one call */
    MAX_DECODED = 1 << 28, /* bytes that all tokens decode to */
};

void token_list_add(TokenList *list, int32_t id)
{
    if (list->n == list->cap) {
        list->cap = list->cap ? 2 * list->cap : 64;
        list->ids = mem_realloc(list->ids, list->cap, sizeof *list->ids);
    }
    list->ids[list->n++] = id;
}

void token_list_append(TokenList *list, const int32_t *ids, size_t n)
{
    if (n > list->cap - list->n) {
        size_t need;
        if (!size_add(list->n, n, &need)) mem_exhausted(SIZE_MAX);
        list->cap = need > 2 * list->cap ? need : 2 * list->cap;
        list->ids = mem_realloc(list->ids, list->cap, sizeof *list->ids);
    }
    if (n) memcpy(list->ids + list->n, ids, n * sizeof *ids);
    list->n += n;
}

void token_list_free(TokenList *list)
{
    free(list->ids);
    *list = (TokenList){0};
}

void tokenizer_free(Tokenizer *tokenizer)
{
    if (!tokenizer) return;
    vocab_free(&tokenizer->vocab);
    added_tokens_free(&tokenizer->added);
    added_tokens_free(&tokenizer->added_normalized);
    normalizer_free(&tokenizer->normalizer);
    pretokenizer_free(&tokenizer->pre);
    merge_table_free(&tokenizer->merges);
    for (size_t i = 0; i < tokenizer->decoder.n_steps; i++) {
        free(tokenizer->decoder.steps[i].from);
        free(tokenizer->decoder.steps[i].to);
    }
    free(tokenizer->decoder.steps);
    free(tokenizer->decoder.strip);
    buf_free(&tokenizer->decoder.text);
    free(tokenizer->decoder.ends);
    buf_free(&tokenizer->notes);
    free(tokenizer);
}

/* One call of tokenizer_encode: its arguments and what the stages need. */
typedef struct {
    const Tokenizer *tokenizer;
    bool parse_special;
    Buf normal;
    Pieces pieces;
    MergeRun run;
    TokenList *out;
    Err *err;
} Encoding;

/* A stage takes n > 0 bytes; at_start: they are the beginning of the whole text. */
typedef bool Stage(Encoding *encoding, const char *text, size_t n, bool at_start);

/* Hands what is between added tokens to the next stage. */
static bool cut_at_added(Encoding *encoding, const AddedTokens *added, const char *text, size_t n,
                         bool at_start, Stage *next)
{
    size_t at = 0;
    AddedMatch match;
    while (added_tokens_next(added, text, n, at, encoding->parse_special, &match)) {
        if (match.start > at && !next(encoding, text + at, match.start - at, at_start && at == 0))
            return false;
        token_list_add(encoding->out, match.id);
        at = match.end;
    }
    return at == n || next(encoding, text + at, n - at, at_start && at == 0);
}

static bool encode_pieces(Encoding *encoding, const char *text, size_t n, bool at_start)
{
    const Tokenizer *tokenizer = encoding->tokenizer;
    Pieces *pieces = &encoding->pieces;
    if (!pretokenizer_apply(&tokenizer->pre, text, n, at_start, pieces, encoding->err))
        return false;
    for (size_t i = 0; i < pieces->n; i++)
        if (!tokenizer_encode_piece(tokenizer, pieces->text.data + pieces->list[i].start,
                                    pieces->list[i].n, &encoding->run, encoding->out,
                                    encoding->err))
            return false;
    return true;
}

static bool encode_normalized(Encoding *encoding, const char *text, size_t n, bool at_start)
{
    const Tokenizer *tokenizer = encoding->tokenizer;
    if (!normalizer_apply(&tokenizer->normalizer, text, n, &encoding->normal, encoding->err))
        return false;
    if (encoding->normal.len == 0) return true;
    return cut_at_added(encoding, &tokenizer->added_normalized, encoding->normal.data,
                        encoding->normal.len, at_start, encode_pieces);
}

bool tokenizer_encode(const Tokenizer *tokenizer, const char *text, size_t n, bool parse_special,
                      TokenList *out, Err *err)
{
    if (tokenizer->refuses_text)
        return err_set(
            err, ERR_UNSUPPORTED,
            "the model's file does not name its pre-tokenizer (tokenizer.ggml.pre), so text cannot be "
            "encoded: give token ids");
    if (n > MAX_TEXT)
        return err_set(err, ERR_INPUT, "a text of %zu bytes, at most %d are encoded at once", n,
                       MAX_TEXT);
    size_t n_before = out->n;
    Encoding encoding = {
        .tokenizer = tokenizer, .parse_special = parse_special, .out = out, .err = err};
    bool ok =
        n == 0 || cut_at_added(&encoding, &tokenizer->added, text, n, true, encode_normalized);
    if (!ok) out->n = n_before;
    buf_free(&encoding.normal);
    pieces_free(&encoding.pieces);
    merge_run_free(&encoding.run);
    return ok;
}

/* Text of a token that decodes to something; lends. */
static const char *decoded(const Tokenizer *tokenizer, int32_t id, size_t *n)
{
    const Decoder *decoder = &tokenizer->decoder;
    uint32_t start = id ? decoder->ends[id - 1] : 0;
    *n = decoder->ends[id] - start;
    return decoder->text.data + start;
}

static bool is_control(const Tokenizer *tokenizer, int32_t id)
{
    int kind = vocab_kind(&tokenizer->vocab, id);
    return kind == TOKEN_CONTROL || kind == TOKEN_UNKNOWN;
}

/* Bytes at the start of a text that the encoder put there. */
static size_t to_strip(const Decoder *decoder, const char *text, size_t n)
{
    size_t at = 0;
    size_t len = decoder->n_strip ? strlen(decoder->strip) : 0;
    for (size_t i = 0; i < decoder->n_strip; i++)
        if (n - at >= len && memcmp(text + at, decoder->strip, len) == 0) at += len;
    return at;
}

void tokenizer_decode(const Tokenizer *tokenizer, const int32_t *ids, size_t n, bool at_start,
                      bool skip_special, Buf *out)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    bool is_first = at_start;
    for (size_t i = 0; i < n; i++) {
        int32_t id = ids[i];
        if (id < 0 || id >= tokenizer->n_ids || !vocab_kind(&tokenizer->vocab, id)) {
            buf_puts(out, replacement);
            continue;
        }
        bool control = is_control(tokenizer, id);
        if (control && skip_special) continue;
        size_t len;
        const char *text = decoded(tokenizer, id, &len);
        if (len == 0) continue;
        size_t skipped = is_first && !control ? to_strip(&tokenizer->decoder, text, len) : 0;
        buf_append(out, text + skipped, len - skipped);
        is_first = is_first && control;
    }
}

/* Replaces out by what one token decodes to, using spare. */
static void decode_token(const Tokenizer *tokenizer, int32_t id, Buf *out, Buf *spare)
{
    size_t n;
    const char *text = vocab_text(&tokenizer->vocab, id, &n);
    int kind = vocab_kind(&tokenizer->vocab, id);
    buf_clear(out);
    buf_append(out, text, n);
    for (size_t i = 0; i < tokenizer->decoder.n_steps && out->len < MAX_DECODED; i++) {
        const DecodeStep *step = &tokenizer->decoder.steps[i];
        buf_clear(spare);
        if (step->kind == DECODE_REPLACE)
            normalize_replace(buf_text(out), out->len, step->from, step->to, spare);
        else if (step->kind == DECODE_BYTE_FALLBACK && kind == TOKEN_BYTE)
            buf_putc(spare, (char)vocab_byte_value(text, n));
        else if (step->kind != DECODE_BYTE_LEVEL || kind != TOKEN_NORMAL ||
                 !byte_level_read(buf_text(out), out->len, spare))
            continue; /* added tokens are plain text, not bytes that are spelled */
        Buf swap = *out;
        *out = *spare;
        *spare = swap;
    }
}

static bool fill_decoder(Tokenizer *tokenizer, Err *err)
{
    Buf text = {0};
    Buf spare = {0};
    bool ok = true;
    Decoder *decoder = &tokenizer->decoder;
    decoder->ends = mem_zalloc((size_t)tokenizer->n_ids, sizeof *decoder->ends);
    for (int32_t id = 0; ok && id < tokenizer->n_ids; id++) {
        if (vocab_kind(&tokenizer->vocab, id)) {
            decode_token(tokenizer, id, &text, &spare);
            buf_append(&decoder->text, text.data, text.len);
        }
        if (decoder->text.len > MAX_DECODED)
            ok = err_set(err, ERR_INPUT, "the tokens decode to more than %d bytes", MAX_DECODED);
        decoder->ends[id] = (uint32_t)decoder->text.len;
    }
    buf_free(&text);
    buf_free(&spare);
    return ok;
}

Tokenizer *tokenizer_new(const char *kind)
{
    Tokenizer *tokenizer = mem_zalloc(1, sizeof *tokenizer);
    tokenizer->kind = kind;
    tokenizer->unk_id = tokenizer->bos_id = tokenizer->eos_id = -1;
    for (size_t i = 0; i < COUNT_OF(tokenizer->byte_ids); i++)
        tokenizer->byte_ids[i] = -1;
    return tokenizer;
}

void tokenizer_add_decode(Tokenizer *tokenizer, DecodeKind kind, const char *from, const char *to)
{
    Decoder *decoder = &tokenizer->decoder;
    decoder->steps = mem_realloc(decoder->steps, decoder->n_steps + 1, sizeof *decoder->steps);
    decoder->steps[decoder->n_steps++] =
        (DecodeStep){kind, from ? str_dup(from) : NULL, to ? str_dup(to) : NULL};
}

bool tokenizer_finish(Tokenizer *tokenizer, Err *err)
{
    for (uint32_t c = 0; c < N_CHAR_IDS; c++) {
        char text[4];
        int len = str_utf8_put(c, text);
        tokenizer->char_ids[c] = vocab_find_plain(&tokenizer->vocab, text, (size_t)len);
    }
    buf_text(&tokenizer->notes);
    return fill_decoder(tokenizer, err);
}

int tokenizer_vocab_size(const Tokenizer *tokenizer)
{
    return tokenizer->n_ids;
}

int tokenizer_bos_id(const Tokenizer *tokenizer)
{
    return tokenizer->bos_id;
}

int tokenizer_eos_id(const Tokenizer *tokenizer)
{
    return tokenizer->eos_id;
}

bool tokenizer_adds_bos(const Tokenizer *tokenizer)
{
    return tokenizer->adds_bos;
}

const char *tokenizer_kind(const Tokenizer *tokenizer)
{
    return tokenizer->kind;
}

const char *tokenizer_notes(const Tokenizer *tokenizer)
{
    return tokenizer->notes.data;
}
