#include "models/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

/* Source: FNV-1a, 64 bits; the multiplication at the end spreads the high bits into the low ones that pick the slot. */
static uint64_t hash_text(const char *text, size_t n)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)text[i]) * 0x100000001B3u;
    return h ^ h >> 29;
}

/* The slot that holds the text, or the empty one where it belongs. */
static size_t slot_of(const Vocab *vocab, const char *text, size_t n)
{
    size_t mask = vocab->n_slots - 1;
    size_t i = hash_text(text, n) & mask;
    for (; vocab->slots[i]; i = (i + 1) & mask) {
        const VocabEntry *entry = &vocab->entries[vocab->slots[i] - 1];
        if (entry->n == n && memcmp(vocab->text.data + entry->start, text, n) == 0) break;
    }
    return i;
}

/* Keeps the table at most half full. */
static void grow_slots(Vocab *vocab)
{
    if (2 * (vocab->n_texts + 1) <= vocab->n_slots) return;
    int32_t *old = vocab->slots;
    size_t n_old = vocab->n_slots;
    vocab->n_slots = n_old ? 2 * n_old : 64;
    vocab->slots = mem_zalloc(vocab->n_slots, sizeof *vocab->slots);
    for (size_t i = 0; i < n_old; i++) {
        if (!old[i]) continue;
        const VocabEntry *entry = &vocab->entries[old[i] - 1];
        vocab->slots[slot_of(vocab, vocab->text.data + entry->start, entry->n)] = old[i];
    }
    free(old);
}

static void grow_entries(Vocab *vocab, size_t n)
{
    if (n > vocab->cap_entries) {
        size_t cap = 2 * vocab->cap_entries > n ? 2 * vocab->cap_entries : n;
        vocab->entries = mem_realloc(vocab->entries, cap, sizeof *vocab->entries);
        vocab->cap_entries = cap;
    }
    if (n > vocab->n_entries) {
        memset(vocab->entries + vocab->n_entries, 0, (n - vocab->n_entries) * sizeof(VocabEntry));
        vocab->n_entries = n;
    }
}

bool vocab_add(Vocab *vocab, int64_t id, const char *text, size_t n, TokenKind kind, Err *err)
{
    char shown[64];
    str_escape(text, n, shown, sizeof shown);
    if (id < 0 || id >= VOCAB_MAX_IDS)
        return err_set(err, ERR_INPUT, "token \"%s\" has id %lld, allowed are 0 to %d", shown,
                       (long long)id, VOCAB_MAX_IDS - 1);
    if (n > VOCAB_MAX_PIECE)
        return err_set(err, ERR_INPUT, "token %lld has a text of %zu bytes, at most %d are read",
                       (long long)id, n, VOCAB_MAX_PIECE);
    if (vocab_kind(vocab, (int32_t)id))
        return err_set(err, ERR_INPUT, "token \"%s\" has id %lld, which another token has", shown,
                       (long long)id);
    if (vocab->text.len + n > UINT32_MAX)
        return err_set(err, ERR_INPUT, "the vocabulary's texts are longer than %u bytes",
                       UINT32_MAX);
    grow_entries(vocab, (size_t)id + 1);
    grow_slots(vocab);
    vocab->entries[id] = (VocabEntry){(uint32_t)vocab->text.len, (uint32_t)n, (int)kind};
    buf_append(&vocab->text, text, n);
    size_t slot = slot_of(vocab, text, n);
    if (!vocab->slots[slot]) {
        vocab->slots[slot] = (int32_t)id + 1;
        vocab->n_texts++;
    }
    return true;
}

int32_t vocab_find(const Vocab *vocab, const char *text, size_t n)
{
    return vocab->n_slots ? vocab->slots[slot_of(vocab, text, n)] - 1 : -1;
}

int32_t vocab_find_plain(const Vocab *vocab, const char *text, size_t n)
{
    int32_t id = vocab_find(vocab, text, n);
    int kind = vocab_kind(vocab, id);
    return kind == TOKEN_NORMAL || kind == TOKEN_USER_DEFINED ? id : -1;
}

const char *vocab_text(const Vocab *vocab, int32_t id, size_t *n)
{
    assert(vocab_kind(vocab, id));
    *n = vocab->entries[id].n;
    return vocab->text.data + vocab->entries[id].start;
}

int vocab_kind(const Vocab *vocab, int32_t id)
{
    return id >= 0 && (size_t)id < vocab->n_entries ? vocab->entries[id].kind : 0;
}

void vocab_set_kind(Vocab *vocab, int32_t id, TokenKind kind)
{
    assert(vocab_kind(vocab, id));
    vocab->entries[id].kind = (int)kind;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

int vocab_byte_value(const char *text, size_t n)
{
    if (n != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
    int high = hex_digit(text[3]);
    int low = hex_digit(text[4]);
    return high < 0 || low < 0 ? -1 : 16 * high + low;
}

void vocab_free(Vocab *vocab)
{
    buf_free(&vocab->text);
    free(vocab->entries);
    free(vocab->slots);
    *vocab = (Vocab){0};
}
