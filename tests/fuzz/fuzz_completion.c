/* Replies of a server: whatever they hold, what is read of them is about the prompt that was sent. */
#include <math.h>
#include <stdlib.h>

#include "models/completion.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_PROMPT = 4 };

static const int32_t ids[N_PROMPT] = {5, 7, 11, 13};

static void require(bool holds)
{
    if (!holds) abort();
}

static void check_scores(const Completion *reply, PromptScores scores)
{
    Err err;
    const CompletionPrompt prompt = {.ids = ids, .n = N_PROMPT};
    TokenScore rows[N_PROMPT] = {0};
    double top[N_PROMPT] = {0};
    const CompletionScores wanted = {.shape = scores, .out = rows, .top_logp = top};
    completion_has_scores(reply, scores, &prompt);
    if (!completion_read_scores(reply, &prompt, &wanted, &err)) return;
    for (int i = 0; i + 1 < N_PROMPT; i++)
        require(isfinite(rows[i].nll) && rows[i].rank >= -1 && rows[i].argmax >= -1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Err err;
    Completion reply;
    TokenList made = {0};
    const CompletionPrompt prompt = {.ids = ids, .n = N_PROMPT};
    if (!completion_parse((const char *)data, size, &reply, &err)) return 0;
    if (completion_check_prompt(&reply, &prompt, &err)) require(reply.n_prompt == N_PROMPT);
    check_scores(&reply, PROMPT_SCORES_IDS);
    check_scores(&reply, PROMPT_SCORES_ECHO);
    completion_first_logp(&reply);
    if (completion_read_tokens(&reply, &prompt, &made, &err))
        for (size_t i = 0; i < made.n; i++)
            require(made.ids[i] >= 0);
    token_list_free(&made);
    completion_free(&reply);
    return 0;
}
