/* `generate`: the greedy continuation of a text, to see that a model is loaded right. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "harness/commands.h"
#include "harness/load.h"

static void print_ids(const TokenList *tokens)
{
    for (size_t i = 0; i < tokens->n; i++)
        printf("%s%d", i ? " " : "", tokens->ids[i]);
    printf("\n");
}

/* A line for a terminal, which must not obey what a model says. */
static void print_escaped(const char *line, size_t n)
{
    size_t cap = 4 * n + 1;
    char *shown = mem_alloc(cap, 1);
    str_escape(line, n, shown, cap);
    fputs(shown, stdout);
    free(shown);
}

static void print_lines(const char *text, size_t n)
{
    bool to_terminal = isatty(STDOUT_FILENO);
    for (const char *line = text, *end = text + n; line <= end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((stop ? stop : end) - line);
        if (to_terminal)
            print_escaped(line, length);
        else
            fwrite(line, 1, length, stdout);
        putchar('\n');
        line += length + 1;
    }
}

/* Control tokens that the model wrote are shown. The BOS before the text is not part of it, and neither is the EOS at
 * which the model stopped. */
static void print_text(const Prompt *prompt)
{
    Buf text = {0};
    size_t first = prompt->added_bos;
    tokenizer_decode(prompt->model->tokenizer, prompt->tokens.ids + first, prompt->tokens.n - first,
                     true, false, &text);
    print_lines(buf_text(&text), text.len);
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
