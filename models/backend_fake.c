/* A pretend model whose every answer can be worked out by hand.
 *
 * Tokens are bytes and 256 is BOS. What it knows is one trick: where the text so far ends in "The pass key is " and the first j
 * digits of the number that first followed these words, digit j+1 is the likeliest next token ('.' after the last), as long as
 * the text is no longer than the setting's reach, n_ctx_orig times λ (or the factor). Everywhere else the likeliest token is a letter
 * drawn from a hash of (rotation table, position, last token), and the nll of a token is a hash of (table, position, token): equal inputs,
 * equal numbers, whatever ran before. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "models/backend.h"

enum { FAKE_BOS = 256, FAKE_VOCAB = 257 };

static const char stem[] = "The pass key is ";
enum { STEM_LEN = sizeof stem - 1 };

typedef struct {
    uint64_t setting; /* hash of the rotation table */
    double reach;     /* longest text from which a key is retrieved */
    int64_t n_computed;
    int64_t n_ctx_max;
} Fake;

/* Source: splitmix64, Steele, Lea and Flood 2014. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
    x = (x ^ x >> 27) * 0x94d049bb133111ebU;
    return x ^ x >> 31;
}

static uint64_t mix_double(uint64_t hash, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return mix(hash ^ bits);
}

static bool fake_set_rope(void *self, const RopeSpec *spec, int64_t n_ctx, Err *err)
{
    Fake *fake = self;
    RopeTable table;
    if (!rope_table_make(spec, n_ctx, &table, err)) return false;
    uint64_t hash = mix((uint64_t)table.rule);
    for (int i = 0; i < table.n_pairs; i++)
        hash = mix_double(hash, table.query[0].inv_freq[i]);
    fake->setting = mix_double(mix_double(hash, table.query[0].position.divisor), table.amplitude);
    double lambda, factor;
    rope_spec_axes(spec, n_ctx, &lambda, &factor);
    fake->reach = (double)spec->n_ctx_orig * (isnan(lambda) ? factor : lambda);
    return true;
}

static bool fake_encode(const void *self, const char *text, size_t n, TokenList *out, Err *err)
{
    (void)self, (void)err;
    for (size_t i = 0; i < n; i++)
        token_list_add(out, (unsigned char)text[i]);
    return true;
}

static void fake_decode(const void *self, const int32_t *ids, size_t n, bool at_start, Buf *out)
{
    (void)self, (void)at_start;
    for (size_t i = 0; i < n; i++)
        if (ids[i] < FAKE_BOS) buf_putc(out, (char)ids[i]);
}

static bool is_digit(int32_t id)
{
    return id >= '0' && id <= '9';
}

static bool stem_ends_at(const int32_t *tokens, int64_t end)
{
    if (end < STEM_LEN) return false;
    for (int64_t i = 0; i < STEM_LEN; i++)
        if (tokens[end - STEM_LEN + i] != stem[i]) return false;
    return true;
}

/* The next token of an answer that the text tokens[0 … n-1] has begun, or -1. */
static int32_t recall(const int32_t *tokens, int64_t n)
{
    int64_t begin = n;
    while (begin > 0 && is_digit(tokens[begin - 1]))
        begin--;
    if (!stem_ends_at(tokens, begin)) return -1;
    int64_t first = STEM_LEN;
    while (first < begin && !(stem_ends_at(tokens, first) && is_digit(tokens[first])))
        first++;
    if (first >= begin) return -1;
    int64_t n_given = n - begin;
    for (int64_t j = 0; j < n_given; j++)
        if (tokens[first + j] != tokens[begin + j]) return -1;
    return is_digit(tokens[first + n_given]) ? tokens[first + n_given] : '.';
}

/* The likeliest token after tokens[0 … n-1]; *knows is whether it was recalled. */
static int32_t predict(const Fake *fake, const int32_t *tokens, int64_t n, bool *knows)
{
    int32_t recalled = (double)n <= fake->reach ? recall(tokens, n) : -1;
    *knows = recalled >= 0;
    if (*knows) return recalled;
    uint64_t hash = mix(fake->setting ^ mix((uint64_t)n) ^ (uint64_t)tokens[n - 1]);
    return (int32_t)('a' + hash % 26);
}

static TokenScore score_one(const Fake *fake, const int32_t *tokens, int64_t n)
{
    bool knows;
    int32_t argmax = predict(fake, tokens, n, &knows);
    if (knows && argmax == tokens[n]) return (TokenScore){.nll = 0.05, .argmax = argmax};
    uint64_t hash = mix(fake->setting ^ mix((uint64_t)n << 20 ^ (uint64_t)tokens[n]));
    return (TokenScore){
        .nll = (double)(hash >> 11) * 0x1p-53 * 6.0,
        .rank = argmax == tokens[n] ? 0 : (int32_t)(1 + hash % (FAKE_VOCAB - 1)),
        .argmax = argmax,
    };
}

static bool check_tokens(const Fake *fake, const int32_t *tokens, int64_t n, Err *err)
{
    if (n > fake->n_ctx_max)
        return err_set(err, ERR_INPUT, "%lld tokens do not fit a context of %lld", (long long)n,
                       (long long)fake->n_ctx_max);
    for (int64_t i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= FAKE_VOCAB)
            return err_set(err, ERR_INPUT, "token %lld is id %d, outside a vocabulary of %d",
                           (long long)i, tokens[i], FAKE_VOCAB);
    return true;
}

static bool fake_score(void *self, const int32_t *tokens, int64_t n, const uint8_t *want,
                       TokenScore *out, Err *err)
{
    Fake *fake = self;
    if (!check_tokens(fake, tokens, n, err)) return false;
    for (int64_t i = 0; i + 1 < n; i++)
        if (want[i]) out[i] = score_one(fake, tokens, i + 1);
    fake->n_computed += n;
    return true;
}

static bool fake_generate(void *self, const int32_t *tokens, int64_t n, int64_t n_new,
                          TokenList *out, Err *err)
{
    Fake *fake = self;
    if (!check_tokens(fake, tokens, n, err)) return false;
    int32_t *all = mem_alloc((size_t)(n + n_new), sizeof *all);
    memcpy(all, tokens, (size_t)n * sizeof *all);
    for (int64_t i = 0; i < n_new; i++) {
        bool knows;
        all[n + i] = predict(fake, all, n + i, &knows);
    }
    token_list_append(out, all + n, (size_t)n_new);
    free(all);
    fake->n_computed += n + n_new;
    return true;
}

static int64_t fake_n_prefilled(const void *self)
{
    const Fake *fake = self;
    return fake->n_computed;
}

static const BackendOps fake_ops = {
    .name = "fake",
    .set_rope = fake_set_rope,
    .encode = fake_encode,
    .decode = fake_decode,
    .score = fake_score,
    .generate = fake_generate,
    .n_prefilled = fake_n_prefilled,
    .close = free,
};

void backend_open_fake(Backend *backend, int64_t n_ctx_max)
{
    Fake *fake = mem_zalloc(1, sizeof *fake);
    fake->n_ctx_max = n_ctx_max;
    *backend = (Backend){
        .ops = &fake_ops,
        .self = fake,
        .bos_id = FAKE_BOS,
        .adds_bos = true,
        .has_text = true,
        .vocab_size = FAKE_VOCAB,
        .n_ctx_max = n_ctx_max,
    };
}
