/* Pieces are counted once each; learning then works on the different ones, of which a text of millions has some ten thousand.
 * counts[left * n + right] is how often a pair stands in all pieces; after a merge only the pieces that hold the pair are counted
 * anew. The commonest pair is looked for in the whole table: at 512 entries that is a quarter of a million numbers a merge.
 *
 * No two merges spell the same. A merge is applied wherever its pair stands, so which symbols a stretch of text has become, when none
 * crosses its ends, depends on that stretch alone; once it is one symbol somewhere it is one symbol everywhere. */
#include "datasets/bpe_learn.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "datasets/text_file.h"
#include "models/byte_level.h"
#include "models/vocab.h"

struct BpeLearner {
    Vocab pieces;
    int64_t *times; /* by id of a piece */
    size_t cap;
};

BpeLearner *bpe_learner_new(void)
{
    return mem_zalloc(1, sizeof(BpeLearner));
}

void bpe_learner_free(BpeLearner *learner)
{
    if (!learner) return;
    vocab_free(&learner->pieces);
    free(learner->times);
    free(learner);
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Bytes of the piece at the start of a text of n > 0. The pattern in the skeleton below says the same. */
static size_t piece_len(const char *text, size_t n)
{
    size_t len = text[0] == ' ' ? 1 : 0;
    while (len < n && is_letter(text[len]))
        len++;
    return len ? len : 1;
}

static bool count_piece(BpeLearner *learner, const char *text, size_t n, int64_t times, Err *err)
{
    Vocab *pieces = &learner->pieces;
    int32_t id = vocab_find(pieces, text, n);
    if (id < 0) {
        id = (int32_t)pieces->n_entries;
        if (!vocab_add(pieces, id, text, n, TOKEN_NORMAL, err)) return false;
        if ((size_t)id == learner->cap) {
            learner->cap = learner->cap ? 2 * learner->cap : 1024;
            learner->times = mem_realloc(learner->times, learner->cap, sizeof *learner->times);
        }
        learner->times[id] = 0;
    }
    learner->times[id] += times;
    return true;
}

bool bpe_learner_add(BpeLearner *learner, const char *text, size_t n, int64_t times, Err *err)
{
    assert(times > 0);
    for (size_t at = 0, len; at < n; at += len) {
        len = piece_len(text + at, n - at);
        if (!count_piece(learner, text + at, len, times, err))
            return err_prefix(err, "the piece at byte %zu", at);
    }
    return true;
}

static bool add_once(void *context, const char *text, size_t n, Err *err)
{
    return bpe_learner_add(context, text, n, 1, err);
}

static bool add_file(void *context, const char *path, Err *err)
{
    TextFile file;
    if (!text_open(path, &file, err)) return false;
    bool ok = file.is_jsonl ? text_each_record(file.bytes, file.n, NULL, add_once, context, err)
                            : add_once(context, file.bytes, file.n, err);
    text_close(&file);
    return ok || err_prefix(err, "%s", path);
}

bool bpe_learner_add_path(BpeLearner *learner, const char *path, Err *err)
{
    return text_each_path(path, add_file, learner, err);
}

/* A piece as symbols, which merges make fewer. */
typedef struct {
    int32_t *ids;
    size_t n;
    int64_t times;
} Symbols;

typedef struct {
    int64_t n_ids; /* entries of the vocabulary that is wanted */
    int64_t *counts;
    Symbols *pieces;
    size_t n_pieces;
    int32_t *ids; /* of all pieces, one behind the other */
} Table;

static void count_pairs(Table *table, const Symbols *piece, int64_t times)
{
    for (size_t i = 0; i + 1 < piece->n; i++)
        table->counts[piece->ids[i] * table->n_ids + piece->ids[i + 1]] += times;
}

static void fill_pieces(Table *table, const BpeLearner *learner)
{
    const Vocab *pieces = &learner->pieces;
    int32_t *next = table->ids = mem_alloc(pieces->text.len + 1, sizeof *table->ids);
    table->n_pieces = pieces->n_entries;
    table->pieces = mem_alloc(table->n_pieces + 1, sizeof *table->pieces);
    for (size_t i = 0; i < table->n_pieces; i++) {
        size_t n;
        const char *text = vocab_text(pieces, (int32_t)i, &n);
        table->pieces[i] = (Symbols){next, n, learner->times[i]};
        for (size_t j = 0; j < n; j++)
            *next++ = (unsigned char)text[j];
        count_pairs(table, &table->pieces[i], learner->times[i]);
    }
}

static bool table_open(Table *table, const BpeLearner *learner, int vocab_size, Err *err)
{
    table->n_ids = vocab_size;
    table->counts = mem_alloc_large((size_t)vocab_size * (size_t)vocab_size, sizeof *table->counts,
                                    "counts of pairs", err);
    if (table->counts) fill_pieces(table, learner);
    return table->counts != NULL;
}

static void table_close(Table *table)
{
    free(table->counts);
    free(table->pieces);
    free(table->ids);
}

/* The commonest pair, among equals the one with the lowest ids. False when there is none. */
static bool find_commonest(const Table *table, BpeMerge *merge)
{
    int64_t most = 0, at = 0;
    for (int64_t i = 0; i < table->n_ids * table->n_ids; i++) {
        if (table->counts[i] <= most) continue;
        most = table->counts[i];
        at = i;
    }
    merge->left = (int32_t)(at / table->n_ids);
    merge->right = (int32_t)(at % table->n_ids);
    return most > 0;
}

static bool holds_pair(const Symbols *piece, const BpeMerge *merge)
{
    for (size_t i = 0; i + 1 < piece->n; i++)
        if (piece->ids[i] == merge->left && piece->ids[i + 1] == merge->right) return true;
    return false;
}

static void merge_in_piece(Symbols *piece, const BpeMerge *merge, int32_t product)
{
    size_t n = 0;
    for (size_t i = 0; i < piece->n; i++) {
        bool is_pair =
            i + 1 < piece->n && piece->ids[i] == merge->left && piece->ids[i + 1] == merge->right;
        piece->ids[n++] = is_pair ? product : piece->ids[i];
        if (is_pair) i++;
    }
    piece->n = n;
}

static void apply(Table *table, const BpeMerge *merge, int32_t product)
{
    for (size_t i = 0; i < table->n_pieces; i++) {
        Symbols *piece = &table->pieces[i];
        if (!holds_pair(piece, merge)) continue;
        count_pairs(table, piece, -piece->times);
        merge_in_piece(piece, merge, product);
        count_pairs(table, piece, piece->times);
    }
}

static bool learn(Table *table, BpeMerges *out, Err *err)
{
    for (; out->n + BPE_N_FIXED < (size_t)table->n_ids; out->n++) {
        BpeMerge *merge = &out->list[out->n];
        int32_t product = BPE_N_FIXED + (int32_t)out->n;
        if (!find_commonest(table, merge))
            return err_set(err, ERR_INPUT,
                           "the text gives a vocabulary of %d entries, %lld are wanted: give more "
                           "text or ask for fewer",
                           product, (long long)table->n_ids);
        apply(table, merge, product);
    }
    return true;
}

bool bpe_learn(const BpeLearner *learner, int vocab_size, BpeMerges *out, Err *err)
{
    *out = (BpeMerges){0};
    if (vocab_size <= BPE_N_FIXED || vocab_size > BPE_MAX_VOCAB)
        return err_set(err, ERR_USAGE, "a vocabulary of %d entries; allowed are %d to %d",
                       vocab_size, BPE_N_FIXED + 1, BPE_MAX_VOCAB);
    Table table = {0};
    out->list = mem_zalloc((size_t)vocab_size - BPE_N_FIXED, sizeof *out->list);
    bool ok = table_open(&table, learner, vocab_size, err) && learn(&table, out, err);
    table_close(&table);
    if (!ok) bpe_merges_free(out);
    return ok;
}

void bpe_merges_free(BpeMerges *merges)
{
    free(merges->list);
    *merges = (BpeMerges){0};
}

static const char skeleton[] =
    "{'version': '1.0', 'truncation': null, 'padding': null,"
    " 'added_tokens': [{'id': 256, 'content': '<|bos|>', 'single_word': false, 'lstrip': false,"
    "   'rstrip': false, 'normalized': false, 'special': true}],"
    " 'normalizer': null,"
    " 'pre_tokenizer': {'type': 'Sequence', 'pretokenizers': ["
    "   {'type': 'Split', 'pattern': {'Regex': ' ?[A-Za-z]+|[0-9]|\\\\s|[^A-Za-z0-9\\\\s]'},"
    "    'behavior': 'Isolated', 'invert': false},"
    "   {'type': 'ByteLevel', 'add_prefix_space': false, 'trim_offsets': true,"
    "    'use_regex': false}]},"
    " 'post_processor': {'type': 'TemplateProcessing',"
    "   'single': [{'SpecialToken': {'id': '<|bos|>', 'type_id': 0}},"
    "              {'Sequence': {'id': 'A', 'type_id': 0}}],"
    "   'pair': [{'SpecialToken': {'id': '<|bos|>', 'type_id': 0}},"
    "            {'Sequence': {'id': 'A', 'type_id': 0}},"
    "            {'Sequence': {'id': 'B', 'type_id': 1}}],"
    "   'special_tokens': {'<|bos|>': {'id': '<|bos|>', 'ids': [256], 'tokens': ['<|bos|>']}}},"
    " 'decoder': {'type': 'ByteLevel', 'add_prefix_space': true, 'trim_offsets': true,"
    "   'use_regex': true},"
    " 'model': {'type': 'BPE', 'dropout': null, 'unk_token': null,"
    "   'continuing_subword_prefix': null, 'end_of_word_suffix': null, 'fuse_unk': false,"
    "   'byte_fallback': false, 'ignore_merges': false}}";

/* The skeleton with the quotes that JSON wants. */
static json_t *parse_skeleton(void)
{
    Buf text = {0};
    Err err;
    JsonLimits limits = {.origin = "skeleton", .max_bytes = sizeof skeleton};
    for (const char *c = skeleton; *c; c++)
        buf_putc(&text, *c == '\'' ? '"' : *c);
    json_t *root = json_parse(text.data, text.len, &limits, &err);
    assert(root);
    buf_free(&text);
    return root;
}

/* What each entry is called: its bytes in the alphabet of byte-level BPE, so that a merge's name is that of its parts, joined. */
static void name_entries(const BpeMerges *merges, Buf *names)
{
    for (int byte = 0; byte < BPE_BOS; byte++) {
        char c = (char)byte;
        byte_level_spell(&c, 1, &names[byte]);
    }
    for (size_t i = 0; i < merges->n; i++) {
        const Buf *left = &names[merges->list[i].left], *right = &names[merges->list[i].right];
        buf_append(&names[BPE_N_FIXED + i], left->data, left->len);
        buf_append(&names[BPE_N_FIXED + i], right->data, right->len);
    }
}

void bpe_write_json(const BpeMerges *merges, Buf *out)
{
    size_t n = BPE_N_FIXED + merges->n;
    Buf *names = mem_zalloc(n, sizeof *names);
    json_t *root = parse_skeleton(), *vocab = json_object(), *pairs = json_array();
    json_t *model = json_object_get(root, "model");
    name_entries(merges, names);
    for (size_t id = 0; id < n; id++)
        if (id != BPE_BOS)
            json_object_set_new(vocab, buf_text(&names[id]), json_integer((json_int_t)id));
    for (size_t i = 0; i < merges->n; i++)
        json_array_append_new(pairs, json_pack("[s, s]", buf_text(&names[merges->list[i].left]),
                                               buf_text(&names[merges->list[i].right])));
    json_object_set_new(model, "vocab", vocab);
    json_object_set_new(model, "merges", pairs);
    char *text = json_dumps(root, JSON_INDENT(1));
    buf_puts(out, text);
    free(text);
    json_decref(root);
    for (size_t id = 0; id < n; id++)
        buf_free(&names[id]);
    free(names);
}
