#include "tests/walker_fixture.h"

#include <stdlib.h>

#include "base/rng.h"
#include "base/str.h"
#include "harness/cli_axis.h"
#include "tests/test_util.h"

Plan *walker_plan(Options *options, const char *probe, const char *method, const char *documents)
{
    Err err = {0};
    static int64_t n_ctx[] = {192, 256, 512};
    char text[40001];
    Rng rng = rng_open(1, 0, 0, 0); /* no two documents are alike */
    for (size_t i = 0; i + 1 < sizeof text; i++)
        text[i] = "the sun is in the sky. "[rng_below(&rng, 23)];
    *options = (Options){
        .n_ctx = {n_ctx, COUNT_OF(n_ctx)},
          .target_max = 512
    };
    string_list_add(&options->probe, str_dup(probe));
    string_list_add(&options->method, str_dup(method));
    string_list_add(&options->method, str_dup("ntk:lambda=auto-each"));
    options->corpus = str_dup(test_file("text.txt", text, sizeof text - 1));
    options->documents = str_dup(documents);
    Plan *plan = plan_new(options, &err);
    assert_ok(plan, &err);
    assert_ok(plan_add_model(plan, "models/walker", false, &err), &err);
    assert_ok(plan_lay_out(plan, &err), &err);
    return plan;
}

void walker_plan_free(Plan *plan, Options *options)
{
    plan_free(plan);
    string_list_free(&options->probe);
    string_list_free(&options->method);
    free(options->corpus);
    free(options->documents);
}
