/* A row's random numbers are one Philox stream: key = seed, counter = (this module, step, row). The first says which part the
 * row is of; each part draws what it needs in a fixed order. With L the length, uniform draws throughout:
 *
 *     passkey  a document of haystack_write of L tokens, or of the least … L and text after it
 *     repeat   segment, [gap], segment, [gap], … cut at L; a segment has 4 … L/2 - 1 tokens, gaps are text of 0 … L - 2 m - 1
 *              tokens at first, then, half of the time, of a new number of 0 … L/3 - 1
 *     recall   "key=value; " for each of some pairs, then for pairs at random until L; keys of 1 … 3 letters, values of 1 … 5
 *              digits, all of one width in a row
 *     text     a window
 *
 * What is random and said for the first time weighs nothing, since it can only be guessed; so does the first token of a copy, for
 * nothing tells that the copy begins. Synthetic rows are spelt by the vocabulary's tokens of single characters. */
#include "datasets/mixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "datasets/haystack.h"

enum {
    STREAM_ROW = 4U << 28,
    MIN_SEGMENT = 4,
    MIN_BYTES_ALPHABET = 4, /* of random characters */
    MAX_BYTES_ALPHABET = 59,
    MIN_TOKENS_ALPHABET = 8, /* of random tokens */
    MAX_TOKENS_ALPHABET = 199,
    MAX_KEY_LETTERS = 3,
    MAX_VALUE_DIGITS = 5,
    MAX_PAIRS = 20, /* below the number of letters, so that keys of one are enough */
    MIN_LENGTH = 16,
};

struct Mixture {
    MixtureOptions options;
    const Backend *backend;
    const Corpus *text;
    uint64_t seed;
    Haystack *haystack;
    int32_t char_ids[128]; /* the token that is this character; -1: none */
    TokenList digits;      /* alphabets of repeated segments */
    TokenList characters;  /* … all that is printable but the blank */
    TokenList printable;   /* … all tokens that spell printable ASCII */
    int64_t min_length;
};

/* A row on its way. What is added past the length is left out. */
typedef struct {
    const Mixture *mixture;
    Rng rng;
    int64_t length;
    int64_t n; /* tokens behind BOS so far */
    MixtureRow *out;
} Row;

static bool is_printable(const Buf *text)
{
    for (size_t i = 0; i < text->len; i++)
        if (text->data[i] < ' ' || text->data[i] > '~') return false;
    return text->len > 0;
}

/* Sorts the vocabulary. Control tokens spell nothing. Where two tokens are one character, the later is the plain one: byte pieces
 * come first. */
static void read_vocabulary(Mixture *m)
{
    Buf text = {0};
    for (int c = 0; c < 128; c++)
        m->char_ids[c] = -1;
    for (int32_t id = 0; id < m->backend->vocab_size; id++) {
        buf_clear(&text);
        if (id != m->backend->bos_id) backend_decode(m->backend, &id, 1, false, &text);
        if (!is_printable(&text)) continue;
        token_list_add(&m->printable, id);
        if (text.len == 1) m->char_ids[(int)text.data[0]] = id;
    }
    buf_free(&text);
    for (int c = '!'; c <= '~'; c++)
        if (m->char_ids[c] >= 0) token_list_add(&m->characters, m->char_ids[c]);
}

/* Refuses a vocabulary without one of the characters that a part of the mixture is spelt with. */
static bool need_chars(const Mixture *m, const char *part, double share, const char *chars,
                       Err *err)
{
    for (const char *c = chars; share > 0.0 && *c; c++)
        if (m->char_ids[(int)*c] < 0)
            return err_set(err, ERR_UNSUPPORTED,
                           "the vocabulary has no token for \"%c\" alone, which the part \"%s\" of "
                           "the mixture is spelt with: set its share to 0",
                           *c, part);
    return true;
}

static bool read_alphabets(Mixture *m, Err *err)
{
    static const char digits[] = "0123456789";
    read_vocabulary(m);
    for (const char *c = digits; *c; c++)
        token_list_add(&m->digits, m->char_ids[(int)*c]);
    return need_chars(m, "repeat", m->options.repeat, digits, err) &&
           need_chars(m, "recall", m->options.recall, "0123456789abcdefghijklmnopqrstuvwxyz=; ",
                      err);
}

static bool open_haystack(Mixture *m, Err *err)
{
    HaystackOptions options = {.seed = m->seed,
                               .n_digits = (int)m->options.digits,
                               .with_bos = true,
                               .with_preface = true};
    m->haystack = haystack_open(&options, m->backend, err);
    if (!m->haystack) return false;
    double widest =
        m->options.digits > m->options.digits_high ? m->options.digits : m->options.digits_high;
    HaystackOrder order = {.n_digits = (int)widest};
    m->min_length = max_i64(MIN_LENGTH, haystack_min_document(m->haystack, &order) - 1);
    return true;
}

Mixture *mixture_open(const MixtureOptions *options, const Backend *backend, const Corpus *text,
                      uint64_t seed, Err *err)
{
    if (!mixture_options_check(options, err)) return NULL;
    if (backend->bos_id < 0) {
        err_set(err, ERR_UNSUPPORTED,
                "the model's tokenizer has no BOS token, which every training row starts with");
        return NULL;
    }
    Mixture *m = mem_zalloc(1, sizeof *m);
    m->options = *options;
    m->backend = backend;
    m->text = text;
    m->seed = seed;
    if (open_haystack(m, err) && read_alphabets(m, err)) return m;
    mixture_close(m);
    return NULL;
}

void mixture_close(Mixture *m)
{
    if (!m) return;
    haystack_close(m->haystack);
    token_list_free(&m->digits);
    token_list_free(&m->characters);
    token_list_free(&m->printable);
    free(m);
}

int64_t mixture_min_length(const Mixture *m)
{
    return m->min_length;
}

/* low … high, both included. */
static int64_t draw_between(Rng *rng, int64_t low, int64_t high)
{
    return low + rng_below(rng, (uint32_t)(high - low + 1));
}

static void add(Row *row, int32_t id, double weight)
{
    if (row->n == row->length) return;
    row->out->weights[row->n] = (float)weight;
    row->out->tokens[++row->n] = id;
}

static void add_all(Row *row, const int32_t *ids, int64_t n, double weight)
{
    for (int64_t i = 0; i < n; i++)
        add(row, ids[i], weight);
}

/* Windows of n tokens that the document holds. */
static int64_t count_windows(const Document *document, int64_t n)
{
    return max_i64(0, document->n - n + 1);
}

/* A window of n tokens within one document, all as likely; lends. */
static const int32_t *draw_text(Row *row, int64_t n, Err *err)
{
    const Corpus *text = row->mixture->text;
    int64_t n_windows = 0;
    for (int64_t i = 0; i < text->n_documents; i++)
        n_windows += count_windows(&text->documents[i], n);
    if (n_windows == 0 || n_windows > UINT32_MAX) {
        err_set(err, ERR_INPUT,
                "%s: there are %lld stretches of %lld tokens to train on, allowed are 1 to %u",
                text->path, (long long)n_windows, (long long)n, UINT32_MAX);
        return NULL;
    }
    int64_t at = rng_below(&row->rng, (uint32_t)n_windows);
    const Document *document = text->documents;
    for (; at >= count_windows(document, n); document++)
        at -= count_windows(document, n);
    return text->tokens + document->first + at;
}

static bool add_text(Row *row, int64_t n, double weight, Err *err)
{
    n = min_i64(n, row->length - row->n);
    if (n == 0) return true;
    const int32_t *ids = draw_text(row, n, err);
    if (!ids) return false;
    add_all(row, ids, n, weight);
    return true;
}

static bool fill_text(Row *row, Err *err)
{
    return add_text(row, row->length, 1.0, err);
}

static void weigh_span(Row *row, TokenSpan span, double weight)
{
    for (int64_t i = 0; i < span.n; i++)
        row->out->weights[span.first - 1 + i] = (float)weight;
}

static void draw_order(Row *row, HaystackOrder *order)
{
    const Mixture *m = row->mixture;
    const MixtureOptions *options = &m->options;
    bool is_usual = rng_unit(&row->rng) < options->digits_share;
    order->n_digits = is_usual ? (int)options->digits
                               : (int)draw_between(&row->rng, (int64_t)options->digits_low,
                                                   (int64_t)options->digits_high);
    bool is_full = rng_unit(&row->rng) < options->passkey_full;
    int64_t least = haystack_min_document(m->haystack, order);
    order->n_tokens = is_full ? row->length + 1 : draw_between(&row->rng, least, row->length + 1);
    order->with_preface = rng_unit(&row->rng) < options->passkey_preface;
    if (haystack_min_document(m->haystack, order) > order->n_tokens) order->with_preface = false;
    order->depth = rng_unit(&row->rng);
}

static bool fill_passkey(Row *row, Err *err)
{
    const Mixture *m = row->mixture;
    HaystackOrder order = {0};
    HaystackDocument document;
    draw_order(row, &order);
    if (rng_unit(&row->rng) >= m->options.passkey_line &&
        !(order.filler = draw_text(row, order.n_tokens, err)))
        return false;
    if (!haystack_write(m->haystack, &order, &row->rng, &document, err)) return false;
    add_all(row, document.prompt.tokens.ids + 1, order.n_tokens - 1, 1.0);
    weigh_span(row, document.keys[0], m->options.weight_said);
    weigh_span(row, document.keys[1], m->options.weight_restated);
    weigh_span(row, document.keys[2], m->options.weight_answer);
    haystack_document_free(&document);
    return add_text(row, row->length, 1.0, err);
}

/* n of the tokens of a list, each at most once. */
static TokenList draw_alphabet(Rng *rng, const TokenList *from, int64_t n)
{
    TokenList all = {0};
    token_list_append(&all, from->ids, from->n);
    n = min_i64(n, (int64_t)all.n);
    for (int64_t i = 0; i < n; i++) {
        int64_t j = draw_between(rng, i, (int64_t)all.n - 1);
        int32_t id = all.ids[i];
        all.ids[i] = all.ids[j];
        all.ids[j] = id;
    }
    all.n = (size_t)n;
    return all;
}

static TokenList draw_random_segment(Row *row, int64_t n, double kind)
{
    const Mixture *m = row->mixture;
    Rng *rng = &row->rng;
    double digits = m->options.repeat_text + m->options.repeat_digits;
    TokenList alphabet, segment = {0};
    if (kind < digits)
        alphabet = draw_alphabet(rng, &m->digits, (int64_t)m->digits.n);
    else if (kind < digits + m->options.repeat_bytes)
        alphabet = draw_alphabet(rng, &m->characters,
                                 draw_between(rng, MIN_BYTES_ALPHABET, MAX_BYTES_ALPHABET));
    else
        alphabet = draw_alphabet(rng, &m->printable,
                                 draw_between(rng, MIN_TOKENS_ALPHABET, MAX_TOKENS_ALPHABET));
    for (int64_t i = 0; i < n; i++)
        token_list_add(&segment, alphabet.ids[rng_below(rng, (uint32_t)alphabet.n)]);
    token_list_free(&alphabet);
    return segment;
}

static bool add_copies(Row *row, const TokenList *segment, double first_weight, int64_t gap,
                       Err *err)
{
    const MixtureOptions *options = &row->mixture->options;
    int64_t n = (int64_t)segment->n;
    add_all(row, segment->ids, n, first_weight);
    while (row->n < row->length) {
        if (!add_text(row, gap, options->weight_gap, err)) return false;
        if (rng_below(&row->rng, 2) == 0) gap = rng_below(&row->rng, (uint32_t)row->length / 3);
        add(row, segment->ids[0], 0.0);
        add_all(row, segment->ids + 1, n - 1, 1.0);
    }
    return true;
}

static bool fill_repeat(Row *row, Err *err)
{
    int64_t n = draw_between(&row->rng, MIN_SEGMENT, row->length / 2 - 1);
    int64_t gap = rng_below(&row->rng, (uint32_t)(row->length - 2 * n));
    double kind = rng_unit(&row->rng);
    bool is_text = kind < row->mixture->options.repeat_text;
    TokenList segment = {0};
    if (is_text) {
        const int32_t *ids = draw_text(row, n, err);
        if (!ids) return false;
        token_list_append(&segment, ids, (size_t)n);
    } else {
        segment = draw_random_segment(row, n, kind);
    }
    bool ok = add_copies(row, &segment, is_text ? 1.0 : 0.0, gap, err);
    token_list_free(&segment);
    return ok;
}

typedef struct {
    char key[MAX_KEY_LETTERS + 1];
    char value[MAX_VALUE_DIGITS + 1];
} Pair;

/* A value that is not a passkey of a test. */
static void draw_value(Rng *rng, int64_t n, char *value)
{
    bool may_be_asked;
    do {
        for (int64_t i = 0; i < n; i++)
            value[i] = (char)('0' + rng_below(rng, 10));
        value[n] = '\0';
        may_be_asked = n >= HAYSTACK_MIN_TRAINING_DIGITS && value[0] != '0' &&
                       !haystack_key_is_for_training(value);
    } while (may_be_asked);
}

static void draw_pairs(Rng *rng, int64_t n_letters, int64_t n_digits, Pair *pairs, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        bool is_new = true;
        for (int64_t c = 0; c < n_letters; c++)
            pairs[i].key[c] = (char)('a' + rng_below(rng, 26));
        pairs[i].key[n_letters] = '\0';
        for (int64_t j = 0; j < i; j++)
            is_new = is_new && strcmp(pairs[i].key, pairs[j].key) != 0;
        draw_value(rng, n_digits, pairs[i].value);
        if (!is_new) i--;
    }
}

static void add_chars(Row *row, const char *text, double weight)
{
    for (; *text; text++)
        add(row, row->mixture->char_ids[(int)*text], weight);
}

static void add_pair(Row *row, const Pair *pair, double value_weight)
{
    add_chars(row, pair->key, 0.0);
    add_chars(row, "=", 1.0);
    add_chars(row, pair->value, value_weight);
    add_chars(row, "; ", 1.0);
}

static bool fill_recall(Row *row, Err *err)
{
    (void)err;
    Pair pairs[MAX_PAIRS];
    int64_t n_letters = draw_between(&row->rng, 1, MAX_KEY_LETTERS);
    int64_t n_digits = draw_between(&row->rng, 1, MAX_VALUE_DIGITS);
    int64_t half = row->length / (n_letters + n_digits + 3) / 2; /* pairs that fill half a row */
    int64_t n = min_i64(MAX_PAIRS, draw_between(&row->rng, 2, max_i64(2, half)));
    draw_pairs(&row->rng, n_letters, n_digits, pairs, n);
    for (int64_t i = 0; i < n; i++)
        add_pair(row, &pairs[i], 0.0);
    while (row->n < row->length)
        add_pair(row, &pairs[rng_below(&row->rng, (uint32_t)n)],
                 row->mixture->options.weight_recalled);
    return true;
}

static MixturePart draw_part(Row *row)
{
    const MixtureOptions *options = &row->mixture->options;
    double u = rng_unit(&row->rng);
    if (u < options->passkey) return MIXTURE_PASSKEY;
    if (u < options->passkey + options->repeat) return MIXTURE_REPEAT;
    if (u < options->passkey + options->repeat + options->recall) return MIXTURE_RECALL;
    return MIXTURE_TEXT;
}

bool mixture_row(const Mixture *m, const MixtureAsk *ask, MixtureRow *out, Err *err)
{
    static bool (*const fill[MIXTURE_N_PARTS])(Row * row, Err * err) = {
        [MIXTURE_PASSKEY] = fill_passkey,
        [MIXTURE_REPEAT] = fill_repeat,
        [MIXTURE_RECALL] = fill_recall,
        [MIXTURE_TEXT] = fill_text,
    };
    if (ask->length < m->min_length || ask->length > INT32_MAX)
        return err_set(err, ERR_INPUT, "rows of %lld tokens; allowed are %lld and more",
                       (long long)ask->length, (long long)m->min_length);
    Row row = {
        .mixture = m,
        .rng = rng_open(m->seed, STREAM_ROW, ask->step, ask->row),
        .length = ask->length,
        .out = out,
    };
    out->tokens[0] = m->backend->bos_id;
    out->part = draw_part(&row);
    if (!fill[out->part](&row, err))
        return err_prefix(err, "row %u of step %u", ask->row, ask->step);
    assert(row.n == row.length);
    return true;
}
