#include "tests/openai_fixture.h"

#include "base/mem.h"
#include "models/kernel_path.h"
#include "tests/test_util.h"

static void set_plain(Backend *backend, const Model *model)
{
    Err err;
    assert_ok(backend_set_rope(backend, &model->config.rope, OPENAI_FIXTURE_N_CTX, &err), &err);
}

int openai_fixture_setup(void **state)
{
    Err err;
    SessionOptions options = {.n_threads = 1};
    OpenaiFixture *f = mem_zalloc(1, sizeof *f);
    *state = f;
    f->model = model_load("models/walker", &err);
    assert_ok(f->model, &err);
    assert_ok(backend_open_engine(&f->engine, f->model, OPENAI_FIXTURE_N_CTX, &options, &err),
              &err);
    assert_ok(backend_open_engine(&f->behind, f->model, OPENAI_FIXTURE_N_CTX, &options, &err),
              &err);
    set_plain(&f->engine, f->model);
    set_plain(&f->behind, f->model);
    f->fake = fake_completions_start(&f->behind, 0);
    assert_ok(openai_address_parse(f->fake->url, &f->address, &err), &err);
    f->config = (OpenaiConfig){
        .address = &f->address,
        .user_agent = "test/1",
        .tokenizer = f->model->tokenizer,
        .vocab_size = f->model->config.vocab_size,
        .timeout_s = 20.0,
        .max_retries = 3,
        .backoff_s = 0.01,
    };
    return 0;
}

int openai_fixture_teardown(void **state)
{
    OpenaiFixture *f = *state;
    backend_close(&f->backend);
    fake_completions_stop(f->fake);
    backend_close(&f->engine);
    backend_close(&f->behind);
    model_free(f->model);
    free(f);
    return 0;
}

void openai_fixture_open(OpenaiFixture *f)
{
    Err err;
    backend_close(&f->backend);
    assert_ok(openai_probe(&f->config, &f->server, &err), &err);
    assert_ok(backend_open_openai(&f->backend, &f->config, &f->server, OPENAI_FIXTURE_N_CTX, &err),
              &err);
    f->fake->n_completions = 0;
}
