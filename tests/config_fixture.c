#include "tests/config_fixture.h"

#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "tests/test_util.h"

bool config_read_text(const char *text, ModelConfig *config, Buf *notes, Err *err)
{
    JsonLimits limits = {.origin = "c.json", .max_bytes = CONFIG_MAX_BYTES, .ints_as_reals = true};
    json_t *root = json_parse(text, strlen(text), &limits, err);
    if (!root) return false;
    bool ok = config_from_json(root, "c.json", config, notes, err);
    json_decref(root);
    return ok;
}

ModelConfig config_read_good(const char *keys, const char *note)
{
    ModelConfig config;
    Err err = {0};
    Buf notes = {0};
    char *text = str_format("{%s}", keys);
    assert_ok(config_read_text(text, &config, &notes, &err), &err);
    if (*note ? !strstr(buf_text(&notes), note) : notes.len > 0)
        fail_msg("notes are \"%s\", wanted is \"%s\"", buf_text(&notes), note);
    buf_free(&notes);
    free(text);
    return config;
}

void config_assert_refused(const char *keys, ErrCode code, const char *part)
{
    ModelConfig config;
    Err err = {0};
    Buf notes = {0};
    char *text = str_format("{%s}", keys);
    assert_err(config_read_text(text, &config, &notes, &err), &err, code, part);
    if (!str_starts_with(err.text, "c.json: ")) fail_msg("no file name in: %s", err.text);
    buf_free(&notes);
    free(text);
}
