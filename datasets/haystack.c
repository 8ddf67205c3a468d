/* A prompt is put together from token lists that were made once:
 *
 *     [BOS] [preface] filler[0 … j) needle filler[j … F) question | answer
 *
 * Parts are tokenised one by one, never the whole prompt: only so is its length exact and the filler's tokens the same in
 * every prompt. Two things keep the seams clean. Tokenizers that put a space before the first word of a text (SentencePiece)
 * get parts without blanks at their ends. The others get one blank token at each seam: after the needle where the filler
 * before it ends in a blank, before it otherwise, and before the question. The answer begins with the first token that
 * holds a digit of the key, so a vocabulary with a piece " 123" is asked for that piece.
 *
 * F follows from the length asked for; a needle's tokens are counted before F is known, so nothing is grown by trial.
 * The control is the same with filler[0 … F + needle). Since seams are a matter of the tokenizer, the text of each
 * finished prompt is decoded and checked: needle and question are there, and the key is nowhere else.
 *
 * A document to train on is a prompt with its answer and a full stop, on a filler of the caller's. It is made by the same
 * functions, on a copy of the haystack that differs in the filler, the key's width and class, and the preface. */
#include "datasets/haystack.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static const char preface_text[] =
    "There is a pass key hidden in this text. Find it and remember it.";
static const char line_text[] =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";
static const char needle_format[] = "The pass key is %s. Remember it. %s is the pass key.";
static const char question_text[] = "What is the pass key? The pass key is ";

enum {
    STREAM_KEY = 1U << 28, /* random streams of this module; the low bits hold n_ctx */
    STREAM_FILLER = 2U << 28,
    STREAM_KEY_CLASS = 3U << 28,
    N_KEY_TRIES = 64,
    MAX_SENTENCE = 64, /* tokens that a needle is moved at most to stand between sentences */
    NEEDLE_BYTES = 128,
};

struct Haystack {
    HaystackOptions options;
    bool
        makes_documents; /* what is made ends in the answer and a full stop; keys are those for training */
    const Backend *backend;
    TokenList blank;   /* what stands at a seam; empty where parts bring their own */
    TokenList preface; /* with BOS before it */
    size_t
        n_fixed; /* tokens of needle, question and the blanks around them, for a key of one digit */
    TokenList line;
    const int32_t *filler; /* a cycle of n_filler tokens, begun at `start` */
    int64_t n_filler;
    int64_t start;
};

static bool encode(const Haystack *h, const char *text, TokenList *out, Err *err)
{
    return backend_encode(h->backend, text, strlen(text), out, err);
}

static int32_t filler_token(const Haystack *h, int64_t i)
{
    return h->filler[(h->start + i) % h->n_filler];
}

/* The text of filler token i when it follows others. */
static void filler_text(const Haystack *h, int64_t i, Buf *out)
{
    int32_t id = filler_token(h, i);
    buf_clear(out);
    backend_decode(h->backend, &id, 1, false, out);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static bool ends_sentence(char c)
{
    return c == '.' || c == '!' || c == '?' || c == '\n';
}

/* The end of the filler before token j, as far as cutting there needs to know. */
typedef struct {
    bool ends_blank; /* the text before j ends in a blank */
    bool
        ends_sentence; /* … in a full stop, question or exclamation mark, or a new line, blanks aside */
    bool next_blank; /* the text from j on starts with a blank */
} Seam;

static Seam look_at_seam(const Haystack *h, int64_t j)
{
    Seam seam = {0};
    Buf text = {0};
    filler_text(h, j, &text);
    seam.next_blank = text.len > 0 && is_blank(text.data[0]);
    for (int64_t i = j - 1; i >= 0 && i >= j - 2; i--) {
        filler_text(h, i, &text);
        size_t n = text.len;
        if (i == j - 1) seam.ends_blank = n > 0 && is_blank(text.data[n - 1]);
        while (n > 0 && is_blank(text.data[n - 1]) && text.data[n - 1] != '\n')
            n--;
        if (n == 0) continue;
        seam.ends_sentence = ends_sentence(text.data[n - 1]);
        break;
    }
    buf_free(&text);
    return seam;
}

static bool is_word_end(Seam seam)
{
    return seam.ends_blank || seam.next_blank;
}

static bool is_sentence_end(Seam seam)
{
    return seam.ends_sentence && is_word_end(seam);
}

/* The place nearest to j, among 0 … n, where `is_end` holds; -1 when none is within MAX_SENTENCE. Both ends always do. */
static int64_t nearest_end(const Haystack *h, int64_t j, int64_t n, bool (*is_end)(Seam))
{
    for (int64_t shift = 0; shift <= MAX_SENTENCE; shift++) {
        for (int side = -1; side <= 1; side += 2) {
            int64_t at = j + side * shift;
            if (at < 0 || at > n) continue;
            if (at == 0 || at == n || is_end(look_at_seam(h, at))) return at;
        }
    }
    return -1;
}

static int64_t place_needle(const Haystack *h, double depth, int64_t n_filler)
{
    int64_t j = llround(depth * (double)n_filler);
    int64_t at = nearest_end(h, j, n_filler, is_sentence_end);
    if (at < 0) at = nearest_end(h, j, n_filler, is_word_end);
    return at < 0 ? j : at;
}

/* Where the stream begins in a text: the first sentence after a place that the seed draws. */
static int64_t draw_start(const Haystack *h)
{
    Rng rng = rng_open(h->options.seed, STREAM_FILLER, 0, 0);
    int64_t at = rng_below(&rng, (uint32_t)min_i64(h->n_filler, UINT32_MAX));
    for (int64_t i = 0; i < 4 * MAX_SENTENCE; i++) {
        int64_t j = at + i;
        if (j >= 2 && is_sentence_end(look_at_seam(h, j))) return j % h->n_filler;
    }
    return at;
}

/* Whether encode puts a space before the first word, as SentencePiece does. */
static bool brings_blank(const Haystack *h, Err *err, bool *out)
{
    TokenList ids = {0};
    Buf text = {0};
    bool ok = encode(h, "The", &ids, err);
    if (ok) backend_decode(h->backend, ids.ids, ids.n, false, &text);
    *out = text.len > 0 && text.data[0] == ' ';
    buf_free(&text);
    token_list_free(&ids);
    return ok;
}

static bool encode_parts(Haystack *h, Err *err)
{
    bool brings;
    if (!brings_blank(h, err, &brings)) return false;
    if (!brings && !encode(h, " ", &h->blank, err)) return false;
    if (h->options.with_bos) token_list_add(&h->preface, h->backend->bos_id);
    if (h->options.with_preface) {
        if (!encode(h, preface_text, &h->preface, err)) return false;
        token_list_append(&h->preface, h->blank.ids, h->blank.n);
    }
    if (!encode(h, line_text, &h->line, err)) return false;
    token_list_append(&h->line, h->blank.ids, h->blank.n);
    return true;
}

/* Which tokens spell bytes first … end-1 of the text that n tokens spell. */
static TokenSpan find_span(const Haystack *h, const int32_t *ids, size_t n, size_t first,
                           size_t end)
{
    TokenSpan span = {-1, 0};
    Buf text = {0};
    for (size_t i = 0; i < n && text.len < end; i++) {
        backend_decode(h->backend, ids + i, 1, i == 0, &text);
        if (text.len > first && span.first < 0) span.first = (int64_t)i;
        if (span.first >= 0) span.n++;
    }
    buf_free(&text);
    return span;
}

/* What ends the text of a document or of a prompt with its answer. */
static char *ending_text(const Haystack *h, const char *key)
{
    return str_format("%s%s%s", question_text, key, h->makes_documents ? "." : "");
}

/* Question and key as tokens; *answer is where the key's stand among those added. */
static bool encode_question(const Haystack *h, const char *key, TokenList *out, TokenSpan *answer,
                            Err *err)
{
    size_t before = out->n, n_bytes = sizeof question_text - 1;
    char *text = ending_text(h, key);
    bool ok = encode(h, text, out, err);
    free(text);
    *answer = (TokenSpan){0};
    if (!ok) return false;
    *answer = find_span(h, out->ids + before, out->n - before, n_bytes, n_bytes + strlen(key));
    return answer->first >= 0 ||
           err_set(err, ERR_INPUT, "the tokenizer has no tokens for the key %s", key);
}

static bool measure_parts(Haystack *h, Err *err)
{
    TokenList needle = {0}, question = {0};
    TokenSpan answer;
    char text[NEEDLE_BYTES];
    snprintf(text, sizeof text, needle_format, "1", "1");
    bool ok = encode(h, text, &needle, err) && encode_question(h, "1", &question, &answer, err);
    if (ok) h->n_fixed = needle.n + 2 * h->blank.n + (size_t)answer.first;
    token_list_free(&needle);
    token_list_free(&question);
    return ok;
}

Haystack *haystack_open(const HaystackOptions *options, const Backend *backend, Err *err)
{
    assert(options->n_digits >= 1 && options->n_digits <= HAYSTACK_MAX_DIGITS);
    if (options->with_bos && backend->bos_id < 0) {
        err_set(err, ERR_UNSUPPORTED, "bos=always: the model's tokenizer has no BOS token");
        return NULL;
    }
    Haystack *h = mem_zalloc(1, sizeof *h);
    h->options = *options;
    h->backend = backend;
    if (!encode_parts(h, err) || !measure_parts(h, err)) {
        haystack_close(h);
        return NULL;
    }
    h->filler = options->text ? options->text->tokens : h->line.ids;
    h->n_filler = options->text ? options->text->n_tokens : (int64_t)h->line.n;
    if (options->text) h->start = draw_start(h);
    return h;
}

void haystack_close(Haystack *h)
{
    if (!h) return;
    token_list_free(&h->blank);
    token_list_free(&h->preface);
    token_list_free(&h->line);
    free(h);
}

int64_t haystack_min_n_ctx(const Haystack *h)
{
    /* A longer key takes at most one token more for each digit and place. */
    return (int64_t)(h->preface.n + h->n_fixed) + 2 * (h->options.n_digits - 1) +
           haystack_answer_budget(h);
}

int64_t haystack_lead(const Haystack *h)
{
    return (int64_t)h->preface.n;
}

int64_t haystack_answer_budget(const Haystack *h)
{
    return h->options.n_digits + 1;
}

/* Parts of one prompt whose key is settled. */
typedef struct {
    char needle_text[NEEDLE_BYTES];
    TokenList needle;   /* with its blank */
    size_t n_lead;      /* tokens of that blank, where it goes first */
    TokenList question; /* with the answer */
    TokenSpan answer;
    int64_t n_filler; /* filler tokens around the needle */
    int64_t at;       /* filler tokens before it */
} Parts;

static void parts_free(Parts *parts)
{
    token_list_free(&parts->needle);
    token_list_free(&parts->question);
}

static void append_filler(const Haystack *h, int64_t first, int64_t end, TokenList *out)
{
    for (int64_t i = first; i < end; i++)
        token_list_add(out, filler_token(h, i));
}

/* The text of tokens, free of NUL bytes, so that string functions see all of it. Lends until out changes. */
static const char *spell(const Haystack *h, const TokenList *tokens, bool at_start, Buf *out)
{
    backend_decode(h->backend, tokens->ids, tokens->n, at_start, out);
    for (size_t i = 0; i < out->len; i++)
        if (out->data[i] == '\0') out->data[i] = ' ';
    return buf_text(out);
}

/* Whether the key stands in the filler that needle prompt and control use. */
static bool filler_holds(const Haystack *h, const Parts *parts, const char *key)
{
    TokenList tokens = {0};
    Buf text = {0};
    append_filler(h, 0, parts->n_filler + (int64_t)parts->needle.n, &tokens);
    bool holds = strstr(spell(h, &tokens, false, &text), key) != NULL;
    buf_free(&text);
    token_list_free(&tokens);
    return holds;
}

/* Needle, its blank on the side that has none yet. */
static bool encode_needle(const Haystack *h, Parts *parts, double depth, Err *err)
{
    TokenList body = {0};
    if (!encode(h, parts->needle_text, &body, err)) return false;
    parts->n_filler -= (int64_t)(body.n + h->blank.n);
    bool ok = true;
    if (parts->n_filler < 0) {
        ok = err_set(err, ERR_INPUT,
                     "the length is below the %lld tokens that a passkey prompt takes",
                     (long long)haystack_min_n_ctx(h));
    } else {
        parts->at = place_needle(h, depth, parts->n_filler);
        bool leads = parts->at > 0 && !look_at_seam(h, parts->at).ends_blank;
        if (leads) token_list_append(&parts->needle, h->blank.ids, h->blank.n);
        parts->n_lead = parts->needle.n;
        token_list_append(&parts->needle, body.ids, body.n);
        if (!leads) token_list_append(&parts->needle, h->blank.ids, h->blank.n);
    }
    token_list_free(&body);
    return ok;
}

static bool make_parts(const Haystack *h, const HaystackAsk *ask, const char *key, Parts *parts,
                       Err *err)
{
    *parts = (Parts){0};
    snprintf(parts->needle_text, sizeof parts->needle_text, needle_format, key, key);
    token_list_append(&parts->question, h->blank.ids, h->blank.n);
    if (!encode_question(h, key, &parts->question, &parts->answer, err)) return false;
    parts->answer.first += (int64_t)h->blank.n;
    int64_t n_tail = h->makes_documents ? (int64_t)parts->question.n
                                        : parts->answer.first + haystack_answer_budget(h);
    parts->n_filler = ask->n_ctx - (int64_t)h->preface.n - n_tail;
    return encode_needle(h, parts, ask->depth, err);
}

bool haystack_key_is_for_training(const char *key)
{
    size_t n = strlen(key);
    uint32_t value = 0;
    if (n < HAYSTACK_MIN_TRAINING_DIGITS || n > HAYSTACK_MAX_DIGITS) return false;
    for (size_t i = 0; i < n; i++)
        value = 10 * value + (uint32_t)(key[i] - '0');
    Rng rng = rng_open(0, STREAM_KEY_CLASS, (uint32_t)n, value);
    return rng_u32(&rng) % 2 == 0;
}

/* A key of the class that is asked for. */
static void draw_key(const Haystack *h, Rng *rng, char *key)
{
    int n = h->options.n_digits;
    do {
        for (int i = 0; i < n; i++)
            key[i] = (char)(i == 0 ? '1' + rng_below(rng, 9) : '0' + rng_below(rng, 10));
        key[n] = '\0';
    } while (haystack_key_is_for_training(key) != h->makes_documents);
}

/* Draws keys until one is not in the filler. */
static bool settle_key(const Haystack *h, const HaystackAsk *ask, Rng *rng, char *key, Parts *parts,
                       Err *err)
{
    for (int i = 0; i < N_KEY_TRIES; i++) {
        draw_key(h, rng, key);
        if (!make_parts(h, ask, key, parts, err)) return false;
        if (!filler_holds(h, parts, key)) return true;
        parts_free(parts);
    }
    *parts = (Parts){0};
    return err_set(err, ERR_INPUT, "the filler holds each of %d keys of %d digits; use more digits",
                   N_KEY_TRIES, h->options.n_digits);
}

static void join_parts(const Haystack *h, bool is_control, const Parts *parts, HaystackPrompt *out)
{
    TokenList *tokens = &out->tokens;
    token_list_append(tokens, h->preface.ids, h->preface.n);
    if (is_control) {
        append_filler(h, 0, parts->n_filler + (int64_t)parts->needle.n, tokens);
        out->needle_first = -1;
    } else {
        append_filler(h, 0, parts->at, tokens);
        out->needle_first = (int64_t)tokens->n;
        out->needle_n = (int64_t)parts->needle.n;
        token_list_append(tokens, parts->needle.ids, parts->needle.n);
        append_filler(h, parts->at, parts->n_filler, tokens);
    }
    token_list_append(tokens, parts->question.ids, parts->question.n);
    out->n_answer = parts->answer.n;
    out->n_prompt = (int64_t)(tokens->n - parts->question.n) + parts->answer.first;
}

static int count_in(const char *text, const char *part)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        n++;
    return n;
}

/* What the tokens spell must be the text that was meant. */
static bool check_text(const Haystack *h, const Parts *parts, const HaystackPrompt *out, Err *err)
{
    bool is_control = out->needle_first < 0;
    Buf text = {0};
    char *end = ending_text(h, out->key);
    const char *s = spell(h, &out->tokens, true, &text);
    bool ok = str_ends_with(s, end) && count_in(s, out->key) == (is_control ? 1 : 3) &&
              (is_control || strstr(s, parts->needle_text));
    if (!ok)
        err_set(err, ERR_INPUT,
                "the tokenizer does not spell the passkey prompt back: \"%s\" or \"%s\" is changed",
                parts->needle_text, end);
    free(end);
    buf_free(&text);
    return ok;
}

static bool build(const Haystack *h, const HaystackAsk *ask, Rng *rng, Parts *parts,
                  HaystackPrompt *out, Err *err)
{
    *parts = (Parts){0};
    *out = (HaystackPrompt){0};
    if (ask->n_ctx < haystack_min_n_ctx(h))
        return err_set(err, ERR_INPUT,
                       "n_ctx %lld is below the %lld tokens that a passkey prompt takes",
                       (long long)ask->n_ctx, (long long)haystack_min_n_ctx(h));
    if (!settle_key(h, ask, rng, out->key, parts, err)) return false;
    join_parts(h, ask->is_control, parts, out);
    return check_text(h, parts, out, err);
}

bool haystack_build(const Haystack *h, const HaystackAsk *ask, HaystackPrompt *out, Err *err)
{
    Parts parts;
    Rng rng = rng_open(h->options.seed, STREAM_KEY ^ (uint32_t)ask->n_ctx,
                       (uint32_t)llround(ask->depth * 1e6), (uint32_t)ask->trial);
    bool ok = build(h, ask, &rng, &parts, out, err);
    assert(!ok || out->n_prompt == ask->n_ctx - haystack_answer_budget(h));
    parts_free(&parts);
    if (!ok) haystack_prompt_free(out);
    return ok;
}

void haystack_prompt_free(HaystackPrompt *prompt)
{
    token_list_free(&prompt->tokens);
    *prompt = (HaystackPrompt){0};
}

/* A haystack for documents: the same parts on another filler. What it owns stays h's. */
static Haystack view_for(const Haystack *h, const HaystackOrder *order)
{
    Haystack view = *h;
    view.makes_documents = true;
    view.options.n_digits = order->n_digits;
    if (!order->with_preface) view.preface.n = h->options.with_bos ? 1 : 0;
    view.filler = order->filler ? order->filler : h->line.ids;
    view.n_filler = order->filler ? order->n_tokens : (int64_t)h->line.n;
    view.start = 0;
    return view;
}

int64_t haystack_min_document(const Haystack *h, const HaystackOrder *order)
{
    Haystack view = view_for(h, order);
    return haystack_min_n_ctx(&view);
}

/* The key's first and second place in the needle, and the answer. */
static void find_keys(const Haystack *h, const Parts *parts, HaystackDocument *out)
{
    const HaystackPrompt *prompt = &out->prompt;
    const int32_t *body = parts->needle.ids + parts->n_lead;
    size_t n_key = strlen(prompt->key);
    const char *at = parts->needle_text;
    for (int i = 0; i < 2; i++) {
        at = strstr(at, prompt->key);
        size_t first = (size_t)(at - parts->needle_text);
        out->keys[i] = find_span(h, body, parts->needle.n - parts->n_lead, first, first + n_key);
        out->keys[i].first += prompt->needle_first + (int64_t)parts->n_lead;
        at += n_key;
    }
    out->keys[2] = (TokenSpan){prompt->n_prompt, prompt->n_answer};
}

bool haystack_write(const Haystack *h, const HaystackOrder *order, Rng *rng, HaystackDocument *out,
                    Err *err)
{
    assert(order->n_digits >= HAYSTACK_MIN_TRAINING_DIGITS &&
           order->n_digits <= HAYSTACK_MAX_DIGITS);
    assert(h->options.with_preface || !order->with_preface);
    Haystack view = view_for(h, order);
    if (!order->filler) view.start = rng_below(rng, (uint32_t)h->line.n);
    HaystackAsk ask = {.n_ctx = order->n_tokens, .depth = order->depth};
    Parts parts;
    *out = (HaystackDocument){0};
    bool ok = build(&view, &ask, rng, &parts, &out->prompt, err);
    assert(!ok || (int64_t)out->prompt.tokens.n == order->n_tokens);
    if (ok) find_keys(&view, &parts, out);
    parts_free(&parts);
    if (!ok) haystack_prompt_free(&out->prompt);
    return ok;
}

void haystack_document_free(HaystackDocument *document)
{
    haystack_prompt_free(&document->prompt);
}

void haystack_add_fixed_text(Buf *out)
{
    buf_printf(out, "%s ", preface_text);
    buf_printf(out, "%s ", line_text);
    buf_printf(out, needle_format, "", "");
    buf_printf(out, " %s", question_text);
}

AnswerVerdict haystack_judge(const char *answer, const char *key, bool is_complete)
{
    const char *number = answer + strcspn(answer, "0123456789");
    size_t n = strspn(number, "0123456789");
    size_t n_key = strlen(key);
    bool begins = n <= n_key && strncmp(number, key, n) == 0;
    if (number[n] == '\0' && !is_complete && begins) return ANSWER_OPEN;
    return begins && n == n_key ? ANSWER_HIT : ANSWER_MISS;
}
