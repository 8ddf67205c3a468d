/* tokenizer.json of Hugging Face, BPE models:
 *
 *     model           vocab (text -> id), merges ("a b" or ["a", "b"], the first goes first), unk_token, byte_fallback, …
 *     added_tokens    tokens matched as a whole; special ones are control tokens
 *     normalizer, pre_tokenizer, decoder    see tokenizer_json_pipeline.c
 *     post_processor  whether BOS goes before a text, see tokenizer_json_bos.c
 *
 * What is not understood is refused by name: a tokenizer that is nearly right gives wrong numbers without a sign. */
#include "models/tokenizer.h"

#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "models/tokenizer_internal.h"

enum {
    MAX_TOKENIZER_BYTES = 64 << 20,
    MAX_CONFIG_BYTES = 16 << 20,
};

/* model.vocab; with byte_fallback, "<0x0A>" and its like are bytes. */
static bool read_vocab(Tokenizer *tokenizer, const json_t *model, bool byte_fallback, Err *err)
{
    json_t *vocab = json_object_get(model, "vocab");
    const char *text;
    json_t *id;
    if (!json_is_object(vocab) || json_object_size(vocab) == 0)
        return err_set(err, ERR_INPUT, "key \"model.vocab\" is not an object with tokens");
    json_object_foreach(vocab, text, id)
    {
        size_t n = strlen(text);
        int byte = byte_fallback ? vocab_byte_value(text, n) : -1;
        if (!json_is_integer(id)) {
            char shown[64];
            str_escape(text, n, shown, sizeof shown);
            return err_set(err, ERR_INPUT, "model.vocab: the id of \"%s\" is not an integer",
                           shown);
        }
        if (!vocab_add(&tokenizer->vocab, json_integer_value(id), text, n,
                       byte >= 0 ? TOKEN_BYTE : TOKEN_NORMAL, err))
            return err_prefix(err, "model.vocab");
        if (byte >= 0) tokenizer->byte_ids[byte] = (int32_t)json_integer_value(id);
    }
    return true;
}

/* "a b" or ["a", "b"]. */
static bool read_merge(Tokenizer *tokenizer, const json_t *merge, Err *err)
{
    if (json_is_string(merge)) {
        const char *text = json_string_value(merge);
        const char *space = strchr(text, ' ');
        if (!space || space == text || !space[1] || strchr(space + 1, ' '))
            return err_set(err, ERR_INPUT, "it is not two texts with one space between");
        return tokenizer_add_merge(tokenizer, text, (size_t)(space - text), space + 1,
                                   strlen(space + 1), err);
    }
    const char *left = json_string_value(json_array_get(merge, 0));
    const char *right = json_string_value(json_array_get(merge, 1));
    if (json_array_size(merge) != 2 || !left || !right)
        return err_set(err, ERR_INPUT, "it is neither a string nor a pair of strings");
    return tokenizer_add_merge(tokenizer, left, strlen(left), right, strlen(right), err);
}

static bool read_merges(Tokenizer *tokenizer, const json_t *model, Err *err)
{
    const json_t *merges = json_find(model, "merges");
    if (!json_is_array(merges))
        return err_set(err, ERR_INPUT, "key \"model.merges\" is not a list");
    for (size_t i = 0; i < json_array_size(merges); i++)
        if (!read_merge(tokenizer, json_array_get(merges, i), err))
            return err_prefix(err, "model.merges[%zu]", i);
    return tokenizer_check_merges(tokenizer, err);
}

static bool require_empty(const json_t *model, const char *key, Err *err)
{
    const char *value = "";
    if (!json_get_string(model, key, &value, err)) return false;
    if (*value == '\0') return true;
    char shown[64];
    str_escape(value, strlen(value), shown, sizeof shown);
    return err_set(err, ERR_UNSUPPORTED, "model.%s \"%s\" is not supported", key, shown);
}

static bool read_model_options(Tokenizer *tokenizer, const json_t *model, Err *err)
{
    double dropout = 0.0;
    if (!json_get_double(model, "dropout", &dropout, err)) return false;
    if (dropout != 0.0)
        return err_set(err, ERR_UNSUPPORTED,
                       "model.dropout %g makes ids random, which is not supported", dropout);
    return require_empty(model, "continuing_subword_prefix", err) &&
           require_empty(model, "end_of_word_suffix", err) &&
           json_get_bool(model, "fuse_unk", &tokenizer->fuse_unk, err) &&
           json_get_bool(model, "ignore_merges", &tokenizer->ignore_merges, err);
}

static bool read_unk(Tokenizer *tokenizer, const json_t *model, Err *err)
{
    const char *unk = NULL;
    if (!json_get_string(model, "unk_token", &unk, err)) return false;
    if (!unk) return true;
    tokenizer->unk_id = vocab_find(&tokenizer->vocab, unk, strlen(unk));
    if (tokenizer->unk_id >= 0) return true;
    char shown[64];
    str_escape(unk, strlen(unk), shown, sizeof shown);
    return err_set(err, ERR_INPUT, "model.unk_token \"%s\" is not in the vocabulary", shown);
}

/* Refuses other models by name. Files of before 2020 do not name theirs: only BPE has merges. */
static bool check_model_type(const json_t *model, Err *err)
{
    const char *type = json_find(model, "merges") ? "BPE" : "of an unknown kind";
    if (!json_is_object(model)) return err_set(err, ERR_INPUT, "key \"model\" is not an object");
    if (!json_get_string(model, "type", &type, err)) return false;
    if (str_equal(type, "BPE")) return true;
    char shown[64];
    str_escape(type, strlen(type), shown, sizeof shown);
    return err_set(err, ERR_UNSUPPORTED,
                   "the tokenizer is %s, supported is BPE: give token ids instead of text", shown);
}

/* Puts a token among those matched as a whole, in the form in which it will be looked for. */
static bool add_matched(Tokenizer *tokenizer, const AddedToken *token, const char *text,
                        bool normalized, Err *err)
{
    if (!normalized) return added_tokens_add(&tokenizer->added, token, text, strlen(text), err);
    Buf normal = {0};
    bool ok =
        normalizer_apply(&tokenizer->normalizer, text, strlen(text), &normal, err) &&
        added_tokens_add(&tokenizer->added_normalized, token, buf_text(&normal), normal.len, err);
    buf_free(&normal);
    return ok;
}

static bool read_added_token(Tokenizer *tokenizer, const json_t *entry, Err *err)
{
    AddedToken token = {.id = -1};
    const char *text = NULL;
    int64_t id = -1;
    bool normalized = false;
    if (!json_get_string(entry, "content", &text, err) ||
        !json_get_i64(entry, "id", 0, VOCAB_MAX_IDS - 1, &id, err) ||
        !json_get_bool(entry, "special", &token.is_special, err) ||
        !json_get_bool(entry, "single_word", &token.single_word, err) ||
        !json_get_bool(entry, "lstrip", &token.strips_left, err) ||
        !json_get_bool(entry, "rstrip", &token.strips_right, err) ||
        !json_get_bool(entry, "normalized", &normalized, err))
        return false;
    if (!text || id < 0) return err_set(err, ERR_INPUT, "key \"content\" or \"id\" is missing");
    token.id = (int32_t)id;
    TokenKind kind = token.is_special ? TOKEN_CONTROL : TOKEN_USER_DEFINED;
    int32_t present = vocab_find(&tokenizer->vocab, text, strlen(text));
    if (present >= 0 && present != id)
        return err_set(err, ERR_INPUT, "its id is %lld, in the vocabulary it is %d", (long long)id,
                       present);
    if (present >= 0)
        vocab_set_kind(&tokenizer->vocab, present, kind);
    else if (!vocab_add(&tokenizer->vocab, id, text, strlen(text), kind, err))
        return false;
    return add_matched(tokenizer, &token, text, normalized, err);
}

static bool read_added_tokens(Tokenizer *tokenizer, const json_t *root, Err *err)
{
    const json_t *list = json_find(root, "added_tokens");
    if (list && !json_is_array(list))
        return err_set(err, ERR_INPUT, "key \"added_tokens\" is not a list");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!read_added_token(tokenizer, json_array_get(list, i), err))
            return err_prefix(err, "added_tokens[%zu]", i);
    return true;
}

static void name_kind(Tokenizer *tokenizer, bool byte_fallback)
{
    if (pretokenizer_spells_bytes(&tokenizer->pre))
        tokenizer->kind = "byte-level BPE";
    else if (byte_fallback)
        tokenizer->kind = "BPE with byte fallback";
}

static bool fill(Tokenizer *tokenizer, const json_t *root, const json_t *config, Err *err)
{
    const json_t *model = json_find(root, "model");
    bool byte_fallback = false;
    if (!check_model_type(model, err) || !read_model_options(tokenizer, model, err) ||
        !json_get_bool(model, "byte_fallback", &byte_fallback, err) ||
        !read_vocab(tokenizer, model, byte_fallback, err) ||
        !tokenizer_json_read_pipeline(tokenizer, root, err) ||
        !read_added_tokens(tokenizer, root, err) || !read_unk(tokenizer, model, err))
        return false;
    tokenizer->n_ids = (int32_t)tokenizer->vocab.n_entries;
    name_kind(tokenizer, byte_fallback);
    return read_merges(tokenizer, model, err) &&
           tokenizer_json_read_bos(tokenizer, root, config, err) &&
           tokenizer_finish(tokenizer, err);
}

Tokenizer *tokenizer_parse_json(const char *text, size_t n, const char *config_text,
                                size_t n_config, const char *origin, Err *err)
{
    JsonLimits limits = {.origin = origin, .max_bytes = MAX_TOKENIZER_BYTES};
    JsonLimits config_limits = {
        .origin = "tokenizer_config.json", .max_bytes = MAX_CONFIG_BYTES, .ints_as_reals = true};
    json_t *config = NULL;
    Tokenizer *tokenizer = NULL;
    json_t *root = json_parse(text, n, &limits, err);
    if (!root) return NULL;
    if (config_text && !(config = json_parse(config_text, n_config, &config_limits, err)))
        goto done;
    tokenizer = tokenizer_new("BPE");
    if (!fill(tokenizer, root, config, err)) {
        err_prefix(err, "%s", origin);
        tokenizer_free(tokenizer);
        tokenizer = NULL;
    }
done:
    json_decref(config);
    json_decref(root);
    return tokenizer;
}

Tokenizer *tokenizer_open_json(const char *path, const char *config_path, Err *err)
{
    Buf text = {0};
    Buf config = {0};
    Tokenizer *tokenizer = NULL;
    if (file_read(path, MAX_TOKENIZER_BYTES, &text, err) &&
        (!config_path || file_read(config_path, MAX_CONFIG_BYTES, &config, err)))
        tokenizer =
            tokenizer_parse_json(buf_text(&text), text.len, config_path ? buf_text(&config) : NULL,
                                 config.len, path, err);
    buf_free(&text);
    buf_free(&config);
    return tokenizer;
}
