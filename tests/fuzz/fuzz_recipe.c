/* A recipe: YAML, then everything that is worked out of it without reading another file. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "harness/commands.h"
#include "harness/recipe.h"
#include "harness/sweep_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    Options options = {0};
    SweepFile file = {.origin = "fuzz", .command = COMMAND_TRAIN, .options = &options};
    Err err;
    Recipe recipe;
    Buf key = {0};
    bool ok = sweep_file_parse((const char *)bytes, n, &file, &err);
    free(options.init);
    options.init = NULL;
    if (ok && options.dtype && options.on_scaled && recipe_make(&options, &recipe, &err)) {
        if (recipe.schedule.n_phases < 1 || recipe.n_ctx < 1 || recipe_flop(&recipe) <= 0.0)
            abort();
        recipe_key(&recipe, &key);
    }
    buf_free(&key);
    cli_free(&options);
    return 0;
}
