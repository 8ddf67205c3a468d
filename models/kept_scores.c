#include "models/kept_scores.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* One block a text: this, then its scores, then its tokens. */
typedef struct Text {
    struct Text *next; /* younger */
    int64_t n;
    TokenScore scores[];
} Text;

struct KeptScores {
    size_t max_bytes;
    size_t bytes;
    Text *oldest;
    Text **youngest; /* where the next one is hung */
};

size_t kept_scores_bytes(int64_t n)
{
    return sizeof(Text) + (size_t)n * (sizeof(TokenScore) + sizeof(int32_t));
}

/* n scores lie before the tokens, though the last token's is not known. */
static int32_t *tokens_of(Text *text)
{
    return (int32_t *)(void *)(text->scores + text->n);
}

KeptScores *kept_scores_new(size_t max_bytes)
{
    KeptScores *kept = mem_zalloc(1, sizeof *kept);
    kept->max_bytes = max_bytes;
    kept->youngest = &kept->oldest;
    return kept;
}

static void forget_oldest(KeptScores *kept)
{
    Text *text = kept->oldest;
    kept->oldest = text->next;
    if (!kept->oldest) kept->youngest = &kept->oldest;
    kept->bytes -= kept_scores_bytes(text->n);
    free(text);
}

void kept_scores_clear(KeptScores *kept)
{
    while (kept->oldest)
        forget_oldest(kept);
}

void kept_scores_free(KeptScores *kept)
{
    if (kept) kept_scores_clear(kept);
    free(kept);
}

const TokenScore *kept_scores_find(const KeptScores *kept, const int32_t *tokens, int64_t n)
{
    for (Text *text = kept->oldest; text; text = text->next)
        if (text->n >= n && memcmp(tokens_of(text), tokens, (size_t)n * sizeof *tokens) == 0)
            return text->scores;
    return NULL;
}

void kept_scores_add(KeptScores *kept, const int32_t *tokens, int64_t n, const TokenScore *scores)
{
    size_t bytes = kept_scores_bytes(n);
    if (bytes > kept->max_bytes) return;
    while (kept->bytes > kept->max_bytes - bytes)
        forget_oldest(kept);
    Text *text = malloc(bytes);
    if (!text) return; /* it would only have saved work */
    *text = (Text){.n = n};
    memcpy(text->scores, scores, (size_t)(n - 1) * sizeof *scores);
    memcpy(tokens_of(text), tokens, (size_t)n * sizeof *tokens);
    *kept->youngest = text;
    kept->youngest = &text->next;
    kept->bytes += bytes;
}
