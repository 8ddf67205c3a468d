/* The pre-tokenizers that GGUF files name in tokenizer.ggml.pre. Each is a row of patterns, applied one behind the other with every
 * match a piece of its own, then the spelling of bytes. The patterns are those of the tokenizers that the names stand for:
 * GPT-2 (encoder.py), cl100k and o200k (tiktoken), Llama 3, Qwen2, StarCoder, Falcon and DeepSeek (their tokenizer.json). */
#include "models/pretokenize.h"

#include <string.h>

#include "base/buf.h"
#include "base/str.h"

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define GPT2         "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define BREAKS       "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UPPER        "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER        "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define LEAD         "[^\\r\\n\\p{L}\\p{N}]?"

static const char gpt2[] = GPT2;
static const char llama3[] =
    CONTRACTIONS "|" LEAD "\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" BREAKS;
static const char qwen2[] =
    CONTRACTIONS "|" LEAD "\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" BREAKS;
static const char qwen35[] =
    CONTRACTIONS "|" LEAD "[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" BREAKS;
static const char o200k[] =
    LEAD UPPER "*" LOWER "+" CONTRACTIONS "?|" LEAD UPPER "+" LOWER "*" CONTRACTIONS
               "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" BREAKS;
static const char tekken[] = LEAD UPPER "*" LOWER "+|" LEAD UPPER "+" LOWER
                                        "*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" BREAKS;
static const char deepseek3_words[] =
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
    " ?[\\p{P}\\p{S}]+[\\r\\n]*|" BREAKS;

enum { MAX_PATTERNS = 4 };

static const struct {
    const char *name;
    const char *patterns[MAX_PATTERNS];
    bool ignore_merges;
} rows[] = {
    {"default",          {"[\\p{P}$+<=>^~|]+", gpt2, "\\p{N}+", "[0-9][0-9][0-9]"}, false},
    {"gpt-2",            {gpt2},                                                    false},
    {"gpt-neox",         {gpt2},                                                    false},
    {"olmo",             {gpt2},                                                    false},
    {"mpt",              {gpt2},                                                    false},
    {"phi-2",            {gpt2},                                                    false},
    {"llama-bpe",        {llama3},                                                  true },
    {"llama3",           {llama3},                                                  true },
    {"dbrx",             {llama3},                                                  false},
    {"smaug-bpe",        {llama3},                                                  false},
    {"qwen2",            {qwen2},                                                   false},
    {"stablelm2",        {qwen2},                                                   false},
    {"deepseek-r1-qwen", {qwen2},                                                   false},
    {"qwen35",           {qwen35},                                                  false},
    {"gpt-4o",           {o200k},                                                   false},
    {"llama4",           {o200k},                                                   false},
    {"tekken",           {tekken},                                                  true },
    {"starcoder",        {"\\p{N}", gpt2},                                          false},
    {"refact",           {"\\p{N}", gpt2},                                          false},
    {"command-r",        {"\\p{N}", gpt2},                                          false},
    {"smollm",           {"\\p{N}", gpt2},                                          false},
    {"codeshell",        {"\\p{N}", gpt2},                                          false},
    {"exaone",           {"\\p{N}", gpt2},                                          false},
    {"falcon",           {"[\\p{P}$+<=>^~|`]+", gpt2, "[0-9][0-9][0-9]"},           false},
    {"deepseek-coder",
     {"[\\r\\n]", "\\s?\\p{L}+|\\s?\\p{P}+",
      "[\\x{4E00}-\\x{9FA5}\\x{800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+", "\\p{N}"},
     false                                                                               },
    {"deepseek-v3",
     {"\\p{N}{1,3}", "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+",
      deepseek3_words},
     false                                                                               },
};

const char pretokenizer_gpt2_pattern[] = GPT2;

static bool refuse(const char *name, Err *err)
{
    Buf names = {0};
    char shown[64];
    str_escape(name, strlen(name), shown, sizeof shown);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        buf_printf(&names, "%s%s", i ? ", " : "", rows[i].name);
    err_set(err, ERR_UNSUPPORTED, "the pre-tokenizer \"%s\" is not known; known are %s", shown,
            buf_text(&names));
    buf_free(&names);
    return false;
}

bool pretokenizer_add_named(PreTokenizer *pre, const char *name, bool *ignore_merges, Err *err)
{
    size_t row = 0;
    while (row < COUNT_OF(rows) && !str_equal(rows[row].name, name))
        row++;
    if (row == COUNT_OF(rows)) return refuse(name, err);
    *ignore_merges = rows[row].ignore_merges;
    for (size_t i = 0; i < MAX_PATTERNS && rows[row].patterns[i]; i++) {
        const char *pattern = rows[row].patterns[i];
        Regex *regex = regex_compile(pattern, strlen(pattern), false, err);
        if (!regex) return false;
        pretokenizer_add_split(pre, regex, SPLIT_ISOLATED, false);
    }
    pretokenizer_add_byte_level(pre);
    return true;
}
