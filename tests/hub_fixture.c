#include "tests/hub_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "tests/test_util.h"

/* Bytes without a period that a mistake of offsets could hide behind. */
static void add_large(FakeHub *hub)
{
    char *bytes = malloc(FIXTURE_LARGE_BYTES);
    uint32_t x = 12345;
    for (size_t i = 0; i < FIXTURE_LARGE_BYTES; i++) {
        x = x * 1664525 + 1013904223;
        bytes[i] = (char)(x >> 24);
    }
    fake_hub_add(hub, "large.safetensors", bytes, FIXTURE_LARGE_BYTES, true);
    free(bytes);
}

int hub_fixture_set_up(void **state)
{
    static int n;
    HubFixture *f = calloc(1, sizeof *f);
    f->hub = fake_hub_start();
    fake_hub_add(f->hub, "config.json", "{}", 2, false);
    fake_hub_add(f->hub, "empty", "", 0, false);
    fake_hub_add(f->hub, "deep/er/notes.txt", "hello", 5, false);
    add_large(f->hub);
    f->config = (HubConfig){
        .cache = str_format("%s/cache-%d", test_folder(), n++),
        .endpoint = str_dup(f->hub->endpoint),
        .token_path = str_dup("/nowhere"),
        .etag_timeout_s = 5,
        .download_timeout_s = 1,
    };
    *state = f;
    return 0;
}

int hub_fixture_tear_down(void **state)
{
    HubFixture *f = *state;
    hub_snapshot_free(&f->snapshot);
    hub_config_free(&f->config);
    buf_free(&f->notes);
    fake_hub_stop(f->hub);
    free(f);
    return 0;
}

static bool keep_going(void *context)
{
    return !((HubFixture *)context)->stopped;
}

static void on_progress(void *context, const HubProgress *progress)
{
    HubFixture *f = context;
    assert_true(progress->n_bytes <= progress->n_total);
    f->stopped = f->stop_at && progress->n_bytes >= f->stop_at;
    if (f->stopped && f->kill) kill(getpid(), SIGKILL);
}

static void on_note(void *context, const char *text)
{
    HubFixture *f = context;
    buf_printf(&f->notes, "%s\n", text);
    f->stopped = f->stop_when_noted;
}

bool hub_fixture_fetch(HubFixture *f, const char *text)
{
    HubAddress address;
    HubHooks hooks = {.keep_going = keep_going,
                      .progress = on_progress,
                      .note = on_note,
                      .context = f,
                      .backoff_s = 0.005};
    f->stopped = false;
    f->err = (Err){0};
    buf_clear(&f->notes);
    hub_snapshot_free(&f->snapshot);
    if (!hub_address_parse(text, &address, &f->err)) return false;
    Hub *hub = hub_open(&f->config, &hooks);
    bool ok = hub_find(hub, &address, &f->snapshot, &f->err);
    for (size_t i = 0; ok && i < f->snapshot.n_files; i++)
        f->snapshot.files[i].wanted = true;
    ok = ok && hub_look(hub, &f->snapshot, &f->err) && hub_fetch(hub, &f->snapshot, &f->err) &&
         hub_finish(hub, &f->snapshot, &f->err);
    hub_close(hub);
    hub_address_free(&address);
    assert_int_equal(f->err.code == ERR_NONE, ok); /* main prints what is set */
    return ok;
}

void hub_fixture_expect_bytes(const HubFixture *f, const char *path, const void *bytes, size_t n)
{
    Buf got = {0};
    Err err;
    char *full = file_join(f->config.cache, path);
    assert_ok(file_read(full, 1 << 24, &got, &err), &err);
    assert_int_equal(got.len, n);
    if (n) assert_memory_equal(got.data, bytes, n);
    buf_free(&got);
    free(full);
}

void hub_fixture_expect_large(const HubFixture *f)
{
    const FakeFile *file = &f->hub->files[FIXTURE_LARGE];
    hub_fixture_expect_bytes(f, "models--org--name/snapshots/" FAKE_COMMIT "/large.safetensors",
                             file->bytes, file->n);
    assert_int_equal(hub_fixture_count(f, "models--org--name/blobs"), f->hub->n_files);
}

int hub_fixture_count(const HubFixture *f, const char *folder)
{
    char **names;
    size_t n;
    Err absent;
    char *full = file_join(f->config.cache, folder);
    bool there = file_list_dir(full, &names, &n, &absent);
    free(full);
    if (!there) return 0;
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
    return (int)n;
}
