#include "models/added_tokens.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "base/str.h"

/* Keeps the lengths of a first byte falling and different. */
static void add_length(AddedTokens *added, unsigned char first, size_t n)
{
    size_t at = 0;
    size_t count = added->by_first[first].n;
    uint16_t *lengths = added->by_first[first].lengths;
    while (at < count && lengths[at] > n)
        at++;
    if (at < count && lengths[at] == n) return;
    lengths = mem_realloc(lengths, count + 1, sizeof *lengths);
    memmove(lengths + at + 1, lengths + at, (count - at) * sizeof *lengths);
    lengths[at] = (uint16_t)n;
    added->by_first[first].lengths = lengths;
    added->by_first[first].n = count + 1;
}

bool added_tokens_add(AddedTokens *added, const AddedToken *token, const char *text, size_t n,
                      Err *err)
{
    if (n == 0 || vocab_find(&added->index, text, n) >= 0) return true;
    if (n > UINT16_MAX)
        return err_set(err, ERR_INPUT,
                       "added token %d has a text of %zu bytes, at most %d are read", token->id, n,
                       UINT16_MAX);
    if (!vocab_add(&added->index, (int64_t)added->n, text, n, TOKEN_NORMAL, err)) return false;
    added->tokens = mem_realloc(added->tokens, added->n + 1, sizeof *added->tokens);
    added->tokens[added->n++] = *token;
    add_length(added, (unsigned char)text[0], n);
    return true;
}

/* The character that ends before `at`: its length, 0 if there is none or it is ill-formed. */
static int char_before(const char *text, size_t at, uint32_t *c)
{
    for (int len = 1; len <= 4 && (size_t)len <= at; len++)
        if (str_utf8_char(text + at - len, (size_t)len, c) == len) return len;
    return 0;
}

static bool is_blank(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return (c >= '\t' && c <= '\r') || c == 0x85 ||
           (category >= UTF8PROC_CATEGORY_ZS && category <= UTF8PROC_CATEGORY_ZP);
}

/* Letters, marks, digits and connectors, which are neighbours in the enumeration. */
static bool is_word(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_PC;
}

static bool stands_alone(const char *text, size_t n, size_t start, size_t end)
{
    uint32_t c;
    if (char_before(text, start, &c) && is_word(c)) return false;
    return !(str_utf8_char(text + end, n - end, &c) && is_word(c));
}

/* The longest token that starts the text and may be matched, or NULL. */
static const AddedToken *token_at(const AddedTokens *added, const char *text, size_t n,
                                  bool parse_special, size_t *len)
{
    unsigned char first = (unsigned char)text[0];
    for (size_t i = 0; i < added->by_first[first].n; i++) {
        *len = added->by_first[first].lengths[i];
        int32_t found = *len > n ? -1 : vocab_find(&added->index, text, *len);
        if (found >= 0 && (parse_special || !added->tokens[found].is_special))
            return &added->tokens[found];
    }
    return NULL;
}

static void take_blanks(const AddedToken *token, const char *text, size_t n, size_t from,
                        AddedMatch *match)
{
    uint32_t c;
    int len;
    while (token->strips_left && match->start > from &&
           (len = char_before(text, match->start, &c)) && is_blank(c) &&
           match->start - from >= (size_t)len)
        match->start -= (size_t)len;
    while (token->strips_right && (len = str_utf8_char(text + match->end, n - match->end, &c)) &&
           is_blank(c))
        match->end += (size_t)len;
}

bool added_tokens_next(const AddedTokens *added, const char *text, size_t n, size_t from,
                       bool parse_special, AddedMatch *match)
{
    for (size_t at = from; added->n && at < n; at++) {
        size_t len;
        const AddedToken *token = token_at(added, text + at, n - at, parse_special, &len);
        if (!token) continue;
        if (token->single_word && !stands_alone(text, n, at, at + len)) continue;
        *match = (AddedMatch){at, at + len, token->id};
        take_blanks(token, text, n, from, match);
        return true;
    }
    return false;
}

void added_tokens_free(AddedTokens *added)
{
    free(added->tokens);
    vocab_free(&added->index);
    for (size_t i = 0; i < COUNT_OF(added->by_first); i++)
        free(added->by_first[i].lengths);
    *added = (AddedTokens){0};
}
