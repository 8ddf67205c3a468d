/* The fake server of completions as a program, for shell tests: server_main MODEL PORT METHOD [OPTION…]
 *
 * Serves a model by the engine under a setting, on a port or, with 0, on any that it then writes to standard output. It ends at SIGTERM, or when
 * standard input does with "stdin". Other options: "llama" and "echo" (the shape), "key=K" (that is wanted), "n_ctx=N" (that is told), "name=N"
 * (of the model), "other_tokenizer", "drift=N" (every nll is larger by N thousandths of it),
 * "dies=N" (closes every connection after N completions), "hangs=N" (from the Nth on), "changes=N" (answers as another
 * system from the Nth on), "fails" (ends at once). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "models/kernels.h"
#include "models/model.h"
#include "tests/fake_completions.h"

enum { N_CTX_MAX = 4096 };

static int stop(const Err *err)
{
    fprintf(stderr, "server_main: %s\n", err->text);
    return 1;
}

static bool set_method(Backend *backend, const Model *model, const char *method, Err *err)
{
    RopeSpec spec = model->config.rope;
    return rope_spec_parse(method, &spec, err) && rope_spec_resolve(&spec, 0, err) &&
           backend_set_rope(backend, &spec, N_CTX_MAX, err);
}

/* 0 where the text is no number. */
static int number(const char *text)
{
    int64_t n = 0;
    return str_to_i64(text, &n) ? (int)n : 0;
}

static void set_fault(FakeCompletions *fake, FakeFault fault, const char *first)
{
    fake->fault = fault;
    fake->first_fault = number(first);
}

static void set_option(FakeCompletions *fake, const char *option)
{
    const char *value = strchr(option, '=');
    value = value ? value + 1 : "";
    if (str_equal(option, "llama")) fake->shape = FAKE_LLAMA;
    if (str_equal(option, "echo")) fake->shape = FAKE_ECHO;
    if (str_starts_with(option, "key=")) fake->key = value;
    if (str_equal(option, "other_tokenizer")) fake->other_tokenizer = true;
    if (str_starts_with(option, "name=")) fake->name = value;
    if (str_starts_with(option, "drift=")) fake->drift = 1e-3 * number(value);
    if (str_starts_with(option, "n_ctx=")) fake->n_ctx = number(value);
    if (str_starts_with(option, "dies=")) set_fault(fake, FAULT_DEAD, value);
    if (str_starts_with(option, "changes=")) set_fault(fake, FAULT_OTHER_SYSTEM, value);
    if (str_starts_with(option, "hangs=")) set_fault(fake, FAULT_HANG, value);
}

static void serve(Backend *backend, int argc, char **argv)
{
    char byte;
    bool reads = false;
    FakeCompletions *fake = fake_completions_start(backend, number(argv[2]));
    for (int i = 4; i < argc; i++) {
        set_option(fake, argv[i]);
        reads = reads || str_equal(argv[i], "stdin");
    }
    printf("%s\n", fake->url);
    fflush(stdout);
    while (!reads || read(STDIN_FILENO, &byte, 1) > 0)
        if (!reads) pause();
    fake_completions_stop(fake);
}

int main(int argc, char **argv)
{
    Err err = {0};
    Backend backend;
    const SessionOptions options = {.n_threads = 1};
    if (argc < 4) return 2;
    if (str_equal(argv[argc - 1], "fails")) return 3;
    Model *model = kernels_start(&err) ? model_load(argv[1], &err) : NULL;
    if (!model || !backend_open_engine(&backend, model, N_CTX_MAX, &options, &err))
        return stop(&err);
    if (!set_method(&backend, model, argv[3], &err)) return stop(&err);
    serve(&backend, argc, argv);
    backend_close(&backend);
    model_free(model);
    return 0;
}
