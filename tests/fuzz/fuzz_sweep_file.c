/* Any bytes as a sweep file: read, or refused with one line that names a line. What was read can be written and read again. */
#include <stdlib.h>
#include <string.h>

#include "harness/commands.h"
#include "harness/sweep_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool parse(const char *text, size_t n, Options *options, Err *err)
{
    *options = (Options){0};
    SweepFile file = {.origin = "fuzz.yaml", .command = COMMAND_SWEEP, .options = options};
    bool ok = sweep_file_parse(text, n, &file, err);
    if (!ok) cli_free(options);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Options options;
    Err err = {0};
    Buf spec = {0};
    if (size > SWEEP_FILE_MAX_BYTES) return 0;
    if (!parse((const char *)data, size, &options, &err)) {
        if (err.code == ERR_NONE || !strstr(err.text, "fuzz.yaml:")) abort();
        return 0;
    }
    cli_write_spec(cli_find_command("sweep"), &options, &spec);
    cli_free(&options);
    if (spec.len > 0) {
        if (!parse(buf_text(&spec), spec.len, &options, &err)) abort();
        cli_free(&options);
    }
    buf_free(&spec);
    return 0;
}
