/* Any text as a mix of lengths and as margins: read within their bounds, or refused as usage. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/str.h"
#include "harness/cli_pairs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok) abort();
}

static void read_mix(const char *text)
{
    Err err;
    MixPart *parts;
    size_t n;
    if (cli_read_mix(text, &parts, &n, &err)) {
        check(n > 0);
        for (size_t i = 0; i < n; i++)
            check(parts[i].n_ctx > 0 && parts[i].weight >= 1e-6 && parts[i].weight <= 1e6);
    } else {
        check(err.code == ERR_USAGE && *err.text);
    }
    free(parts);
}

static void read_margins(const char *text)
{
    Err err;
    MarginList margins = {0};
    if (cli_read_margins(text, &margins, &err)) {
        check(margins.n > 0);
        for (size_t i = 0; i < margins.n; i++)
            check(isfinite(margins.items[i].value) && margins.items[i].value >= 0.0);
    } else {
        check(err.code == ERR_USAGE && *err.text);
    }
    cli_free_margins(&margins);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = str_dup_n((const char *)data, size);
    read_mix(text);
    read_margins(text);
    free(text);
    return 0;
}
