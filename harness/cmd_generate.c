/* `generate`: the greedy continuation of a text, to see that a model is loaded right. */
#include <stdio.h>

#include "base/buf.h"
#include "harness/commands.h"
#include "harness/load.h"
#include "harness/terminal.h"

static void print_ids(const TokenList *tokens)
{
    for (size_t i = 0; i < tokens->n; i++)
        printf("%s%d", i ? " " : "", tokens->ids[i]);
    printf("\n");
}

/* Control tokens that the model wrote are shown. The BOS before the text is not part of it, and neither is the EOS at
 * which the model stopped. */
static void print_text(const Prompt *prompt)
{
    Buf text = {0};
    size_t first = prompt->added_bos;
    tokenizer_decode(prompt->model->tokenizer, prompt->tokens.ids + first, prompt->tokens.n - first,
                     true, false, &text);
    terminal_print(buf_text(&text), text.len);
    putchar('\n');
    buf_free(&text);
}

int cmd_generate(const Command *command, const Options *options, Err *err)
{
    (void)command;
    Prompt prompt;
    if (!load_prompt(options, options->n_new, true, &prompt, err))
        return cli_exit_status(err->code);
    TokenList out = {0};
    bool ok = session_generate(prompt.session, prompt.tokens.ids, (int64_t)prompt.tokens.n,
                               options->n_new, &out, err);
    bool stopped = out.n > 0 && out.ids[out.n - 1] == prompt.model->config.eos_id;
    token_list_append(&prompt.tokens, out.ids, out.n - stopped);
    if (out.n > 0 || ok) {
        if (prompt.model->tokenizer)
            print_text(&prompt);
        else
            print_ids(&prompt.tokens);
    }
    token_list_free(&out);
    load_prompt_free(&prompt);
    return ok ? EXIT_OK : cli_exit_status(err->code);
}
