/* A tokenizer.json, a NUL, and a text to encode and decode with it. */
#include <string.h>

#include "models/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(const Tokenizer *tokenizer, const char *text, size_t n, bool parse_special)
{
    TokenList ids = {0};
    Buf back = {0};
    Err err;
    if (tokenizer_encode(tokenizer, text, n, parse_special, &ids, &err)) {
        for (size_t i = 0; i < ids.n; i++)
            assert(ids.ids[i] >= 0 && ids.ids[i] < tokenizer_vocab_size(tokenizer));
        tokenizer_decode(tokenizer, ids.ids, ids.n, true, false, &back);
    }
    buf_free(&back);
    token_list_free(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = memchr(data, 0, size);
    size_t n = nul ? (size_t)(nul - data) : size;
    size_t n_text = nul ? size - n - 1 : 0;
    Err err;
    Tokenizer *tokenizer = tokenizer_parse_json((const char *)data, n, NULL, 0, "fuzz", &err);
    if (!tokenizer) return 0;
    round_trip(tokenizer, n_text ? (const char *)nul + 1 : "", n_text, false);
    round_trip(tokenizer, n_text ? (const char *)nul + 1 : "", n_text, true);
    tokenizer_free(tokenizer);
    return 0;
}
