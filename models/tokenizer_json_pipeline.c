/* normalizer, pre_tokenizer and decoder of tokenizer.json: objects with a "type", of which "Sequence" holds a list of others. Each
 * section has a table of types; a type that is not in it is refused by name, with what would be read.
 *
 * Source: the serialised forms of Hugging Face tokenizers 0.20. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "models/tokenizer_internal.h"

enum {
    MAX_STEPS = 32,       /* of one section */
    MAX_REPLACEMENT = 16, /* bytes; a replacement applies to every character */
    MAX_STRIPPED = 16,
};

typedef bool StepReader(Tokenizer *tokenizer, const json_t *step, Err *err);

typedef struct {
    const char *type;
    StepReader *read;
} StepRow;

typedef struct {
    const char *key;      /* of tokenizer.json */
    const char *list_key; /* of a Sequence */
    const StepRow *rows;
    size_t n_rows;
} Section;

/* A string that is there, not empty and short. */
static bool need_short_string(const json_t *step, const char *key, const char **out, Err *err)
{
    *out = NULL;
    if (!json_get_string(step, key, out, err)) return false;
    if (*out && strlen(*out) >= 1 && strlen(*out) <= MAX_REPLACEMENT) return true;
    return err_set(err, ERR_INPUT, "key \"%s\" has %zu bytes, allowed are 1 to %d", key,
                   *out ? strlen(*out) : 0, MAX_REPLACEMENT);
}

/* {"String": "…"} or {"Regex": "…"}. */
static bool read_pattern(const json_t *step, const char **text, bool *is_literal, Err *err)
{
    const json_t *pattern = json_find(step, "pattern");
    const char *regex = NULL;
    *text = NULL;
    if (!json_get_string(pattern, "String", text, err) ||
        !json_get_string(pattern, "Regex", &regex, err))
        return false;
    *is_literal = *text != NULL;
    if (!*text) *text = regex;
    return *text || err_set(err, ERR_INPUT, "key \"pattern\" has neither \"String\" nor \"Regex\"");
}

/* A Replace of one fixed text by another. content may be empty. */
static bool read_replace(const json_t *step, const char **from, const char **to, Err *err)
{
    bool is_literal;
    *to = "";
    if (!read_pattern(step, from, &is_literal, err) || !json_get_string(step, "content", to, err))
        return false;
    if (!is_literal)
        return err_set(err, ERR_UNSUPPORTED, "a Replace by a regular expression is not supported");
    if (**from && strlen(*to) <= MAX_REPLACEMENT) return true;
    return err_set(err, ERR_INPUT, "a Replace needs a pattern and a content of at most %d bytes",
                   MAX_REPLACEMENT);
}

/* The four normal forms of Unicode, by the step's own type. */
static bool normalize_form(Tokenizer *tokenizer, const json_t *step, Err *err)
{
    static const char *const names[] = {[NORMALIZE_NFC] = "NFC",
                                        [NORMALIZE_NFD] = "NFD",
                                        [NORMALIZE_NFKC] = "NFKC",
                                        [NORMALIZE_NFKD] = "NFKD"};
    const char *type = "";
    if (!json_get_string(step, "type", &type, err)) return false;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_equal(type, names[i]))
            normalizer_add(&tokenizer->normalizer, (NormalizeKind)i, NULL, NULL);
    return true;
}

static bool normalize_prepend(Tokenizer *tokenizer, const json_t *step, Err *err)
{
    const char *text;
    if (!need_short_string(step, "prepend", &text, err)) return false;
    normalizer_add(&tokenizer->normalizer, NORMALIZE_PREPEND, NULL, text);
    return true;
}

static bool normalize_by_replace(Tokenizer *tokenizer, const json_t *step, Err *err)
{
    const char *from;
    const char *to;
    if (!read_replace(step, &from, &to, err)) return false;
    normalizer_add(&tokenizer->normalizer, NORMALIZE_REPLACE, from, to);
    return true;
}

static bool add_split(Tokenizer *tokenizer, const char *pattern, bool is_literal,
                      SplitBehavior behavior, bool invert, Err *err)
{
    Regex *regex = regex_compile(pattern, strlen(pattern), is_literal, err);
    if (!regex) return false;
    pretokenizer_add_split(&tokenizer->pre, regex, behavior, invert);
    return true;
}

static bool read_behavior(const json_t *step, SplitBehavior *behavior, Err *err)
{
    static const char *const names[] = {[SPLIT_ISOLATED] = "Isolated",
                                        [SPLIT_REMOVED] = "Removed",
                                        [SPLIT_MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
                                        [SPLIT_MERGED_WITH_NEXT] = "MergedWithNext",
                                        [SPLIT_CONTIGUOUS] = "Contiguous"};
    const char *name = "Isolated";
    if (!json_get_string(step, "behavior", &name, err)) return false;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (!str_equal(name, names[i])) continue;
        *behavior = (SplitBehavior)i;
        return true;
    }
    char shown[64];
    str_escape(name, strlen(name), shown, sizeof shown);
    return err_set(err, ERR_UNSUPPORTED, "behavior \"%s\" is not known", shown);
}

static bool cut_split(Tokenizer *tokenizer, const json_t *step, Err *err)
{
    SplitBehavior behavior = SPLIT_ISOLATED;
    const char *pattern;
    bool is_literal;
    bool invert = false;
    return read_behavior(step, &behavior, err) && read_pattern(step, &pattern, &is_literal, err) &&
           json_get_bool(step, "invert", &invert, err) &&
           add_split(tokenizer, pattern, is_literal, behavior, invert, err);
}

static bool cut_digits(Tokenizer *tokenizer, const json_t *step, Err *err)
{
    bool individual = false;
    return json_get_bool(step, "individual_digits", &individual, err) &&
           add_split(tokenizer, individual ? "\\p{N}" : "\\p{N}+", false, SPLIT_ISOLATED, false,
                     err);
}

static bool cut_punctuation(Tokenizer *tokenizer, const json_t *step, Err *err)
{
    SplitBehavior behavior = SPLIT_ISOLATED;
    return read_behavior(step, &behavior, err) &&
           add_split(tokenizer, "[\\p{P}$+<=>^`|~]", false, behavior, false, err);
}

static bool cut_whitespace(Tokenizer *tokenizer, const json_t *step, Err *err)
{
    (void)step;
    return add_split(tokenizer, "\\w+|[^\\w\\s]+", false, SPLIT_REMOVED, true, err);
}

static bool cut_whitespace_split(Tokenizer *tokenizer, const json_t *step, Err *err)
{
    (void)step;
    return add_split(tokenizer, "\\s", false, SPLIT_REMOVED, false, err);
}

static bool cut_byte_level(Tokenizer *tokenizer, const json_t *step, Err *err)
{
    bool prefix_space = true;
    bool use_regex = true;
    if (!json_get_bool(step, "add_prefix_space", &prefix_space, err) ||
        !json_get_bool(step, "use_regex", &use_regex, err))
        return false;
    if (prefix_space) pretokenizer_add_prefix_space(&tokenizer->pre);
    if (use_regex &&
        !add_split(tokenizer, pretokenizer_gpt2_pattern, false, SPLIT_ISOLATED, false, err))
        return false;
    pretokenizer_add_byte_level(&tokenizer->pre);
    return true;
}

/* Older files say add_prefix_space instead of prepend_scheme. */
static bool read_metaspace(const json_t *step, const char **mark, PrependScheme *scheme, Err *err)
{
    static const char *const names[] = {
        [PREPEND_ALWAYS] = "always", [PREPEND_FIRST] = "first", [PREPEND_NEVER] = "never"};
    const char *name = NULL;
    bool prefix_space = true;
    if (!need_short_string(step, "replacement", mark, err) ||
        !json_get_string(step, "prepend_scheme", &name, err) ||
        !json_get_bool(step, "add_prefix_space", &prefix_space, err))
        return false;
    *scheme = prefix_space ? PREPEND_ALWAYS : PREPEND_NEVER;
    for (size_t i = 0; name && i < COUNT_OF(names); i++) {
        if (!str_equal(name, names[i])) continue;
        *scheme = (PrependScheme)i;
        return true;
    }
    if (!name) return true;
    char shown[64];
    str_escape(name, strlen(name), shown, sizeof shown);
    return err_set(err, ERR_UNSUPPORTED, "prepend_scheme \"%s\" is not known", shown);
}

static bool cut_metaspace(Tokenizer *tokenizer, const json_t *step, Err *err)
{
    const char *mark;
    PrependScheme scheme;
    bool split = true;
    if (!read_metaspace(step, &mark, &scheme, err) || !json_get_bool(step, "split", &split, err))
        return false;
    pretokenizer_add_metaspace(&tokenizer->pre, mark, scheme);
    return !split || add_split(tokenizer, mark, true, SPLIT_MERGED_WITH_NEXT, false, err);
}

/* Steps work token by token here. Behind Fuse a step would see the joined text, which only Strip can do. */
static bool add_decode(Tokenizer *tokenizer, DecodeKind kind, const char *from, const char *to,
                       Err *err)
{
    if (tokenizer->decoder.is_fused)
        return err_set(err, ERR_UNSUPPORTED, "behind Fuse only Strip is supported");
    tokenizer_add_decode(tokenizer, kind, from, to);
    return true;
}

static void strip_start(Decoder *decoder, const char *text, size_t n)
{
    free(decoder->strip);
    decoder->strip = str_dup(text);
    decoder->n_strip = n;
}

static bool decode_byte_level(Tokenizer *tokenizer, const json_t *step, Err *err)
{
    (void)step;
    return add_decode(tokenizer, DECODE_BYTE_LEVEL, NULL, NULL, err);
}

static bool decode_byte_fallback(Tokenizer *tokenizer, const json_t *step, Err *err)
{
    (void)step;
    return add_decode(tokenizer, DECODE_BYTE_FALLBACK, NULL, NULL, err);
}

static bool decode_replace(Tokenizer *tokenizer, const json_t *step, Err *err)
{
    const char *from;
    const char *to;
    return read_replace(step, &from, &to, err) &&
           add_decode(tokenizer, DECODE_REPLACE, from, to, err);
}

static bool decode_metaspace(Tokenizer *tokenizer, const json_t *step, Err *err)
{
    const char *mark;
    PrependScheme scheme;
    if (!read_metaspace(step, &mark, &scheme, err)) return false;
    if (scheme != PREPEND_NEVER) strip_start(&tokenizer->decoder, " ", 1);
    return add_decode(tokenizer, DECODE_REPLACE, mark, " ", err);
}

static bool decode_fuse(Tokenizer *tokenizer, const json_t *step, Err *err)
{
    (void)step;
    (void)err;
    tokenizer->decoder.is_fused = true;
    return true;
}

static bool decode_strip(Tokenizer *tokenizer, const json_t *step, Err *err)
{
    const char *content;
    int64_t start = 0;
    int64_t stop = 0;
    if (!need_short_string(step, "content", &content, err) ||
        !json_get_i64(step, "start", 0, MAX_STRIPPED, &start, err) ||
        !json_get_i64(step, "stop", 0, MAX_STRIPPED, &stop, err))
        return false;
    if (stop || !tokenizer->decoder.is_fused)
        return err_set(err, ERR_UNSUPPORTED,
                       "Strip is supported at the start of a text only, behind Fuse");
    strip_start(&tokenizer->decoder, content, (size_t)start);
    return true;
}

static const StepRow normalizer_rows[] = {
    {"NFC",     normalize_form      },
    {"NFD",     normalize_form      },
    {"NFKC",    normalize_form      },
    {"NFKD",    normalize_form      },
    {"Prepend", normalize_prepend   },
    {"Replace", normalize_by_replace},
};

static const StepRow pre_tokenizer_rows[] = {
    {"ByteLevel",       cut_byte_level      },
    {"Metaspace",       cut_metaspace       },
    {"Split",           cut_split           },
    {"Digits",          cut_digits          },
    {"Punctuation",     cut_punctuation     },
    {"Whitespace",      cut_whitespace      },
    {"WhitespaceSplit", cut_whitespace_split},
};

static const StepRow decoder_rows[] = {
    {"ByteLevel",    decode_byte_level   },
    {"Metaspace",    decode_metaspace    },
    {"Replace",      decode_replace      },
    {"ByteFallback", decode_byte_fallback},
    {"Fuse",         decode_fuse         },
    {"Strip",        decode_strip        },
};

static const Section normalizer_section = {"normalizer", "normalizers", normalizer_rows,
                                           COUNT_OF(normalizer_rows)};
static const Section pre_tokenizer_section = {"pre_tokenizer", "pretokenizers", pre_tokenizer_rows,
                                              COUNT_OF(pre_tokenizer_rows)};
static const Section decoder_section = {"decoder", "decoders", decoder_rows,
                                        COUNT_OF(decoder_rows)};

static bool refuse_type(const Section *section, const char *type, Err *err)
{
    char shown[64];
    Buf known = {0};
    str_escape(type, strlen(type), shown, sizeof shown);
    for (size_t i = 0; i < section->n_rows; i++)
        buf_printf(&known, "%s, ", section->rows[i].type);
    err_set(err, ERR_UNSUPPORTED, "%s \"%s\" is not supported; supported are %sSequence",
            section->key, shown, buf_text(&known));
    buf_free(&known);
    return false;
}

/* Reads a step or a Sequence of them; *n_left bounds how many there are. */
static bool read_step(Tokenizer *tokenizer, const Section *section, const json_t *step, int *n_left,
                      Err *err)
{
    const char *type = NULL;
    if (!json_is_object(step) || !json_get_string(step, "type", &type, err) || !type)
        return err_set(err, ERR_INPUT, "%s: not an object with a \"type\"", section->key);
    if (--*n_left < 0)
        return err_set(err, ERR_INPUT, "%s: more than %d steps", section->key, MAX_STEPS);
    if (str_equal(type, "Sequence")) {
        const json_t *list = json_find(step, section->list_key);
        if (!json_is_array(list))
            return err_set(err, ERR_INPUT, "%s: \"%s\" is not a list", section->key,
                           section->list_key);
        for (size_t i = 0; i < json_array_size(list); i++)
            if (!read_step(tokenizer, section, json_array_get(list, i), n_left, err)) return false;
        return true;
    }
    for (size_t i = 0; i < section->n_rows; i++)
        if (str_equal(type, section->rows[i].type))
            return section->rows[i].read(tokenizer, step, err) ||
                   err_prefix(err, "%s %s", section->key, type);
    return refuse_type(section, type, err);
}

static bool read_section(Tokenizer *tokenizer, const Section *section, const json_t *root, Err *err)
{
    int n_left = MAX_STEPS;
    const json_t *step = json_find(root, section->key);
    return !step || read_step(tokenizer, section, step, &n_left, err);
}

bool tokenizer_json_read_pipeline(Tokenizer *tokenizer, const json_t *root, Err *err)
{
    if (!read_section(tokenizer, &normalizer_section, root, err) ||
        !read_section(tokenizer, &pre_tokenizer_section, root, err) ||
        !read_section(tokenizer, &decoder_section, root, err))
        return false;
    if (!json_find(root, "decoder") && pretokenizer_spells_bytes(&tokenizer->pre))
        tokenizer_add_decode(tokenizer, DECODE_BYTE_LEVEL, NULL, NULL);
    return true;
}
