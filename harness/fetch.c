/* A fetch from the command line's side: what a person sees of it. */
#include "harness/fetch.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "harness/progress.h"
#include "harness/signals.h"
#include "harness/terminal.h"
#include "harness/version.h"

enum { LINE_WIDTH = 78 };

#define RATE_PERIOD_S 1.0 /* over which a rate is taken */

typedef struct {
    bool quiet;
    bool shows; /* a line that is drawn again and again */
    bool drawn;
    double last_drawn;
    double period_start;
    int64_t period_bytes;
    double rate;                 /* bytes/s; 0: not known yet */
    char name[HUB_MAX_NAME + 1]; /* of the file under way */
} Watch;

static void clear_line(Watch *watch)
{
    if (watch->drawn) fprintf(stderr, "\r\033[K");
    watch->drawn = false;
}

static void on_note(void *context, const char *text)
{
    Watch *watch = context;
    char shown[ERR_TEXT_MAX];
    if (watch->quiet) return;
    clear_line(watch);
    str_escape(text, strlen(text), shown, sizeof shown);
    fprintf(stderr, "note: %s\n", shown);
}

/* A running mean, so that one slow minute does not colour the rest. */
static void measure(Watch *watch, int64_t n_bytes, double now)
{
    double seconds = now - watch->period_start;
    if (watch->period_start > 0.0 && seconds < RATE_PERIOD_S) return;
    if (watch->period_start > 0.0) {
        double rate = (double)(n_bytes - watch->period_bytes) / seconds;
        watch->rate = fmax(1.0, watch->rate > 0.0 ? 0.7 * watch->rate + 0.3 * rate : rate);
    }
    watch->period_start = now;
    watch->period_bytes = n_bytes;
}

static void draw(Watch *watch, const HubProgress *progress)
{
    char done[BYTES_TEXT_SIZE], total[BYTES_TEXT_SIZE], rate[BYTES_TEXT_SIZE];
    char left[PROGRESS_TEXT_SIZE], name[64];
    bytes_text((double)progress->n_bytes, done);
    bytes_text((double)progress->n_total, total);
    bytes_text(watch->rate, rate);
    str_escape(progress->name, strlen(progress->name), name, 32);
    char *line = str_format("%s of %s: %s", done, total, name);
    if (watch->rate > 0.0) {
        progress_time_text((double)(progress->n_total - progress->n_bytes) / watch->rate, left);
        free(line);
        line = str_format("%s of %s, %s/s, %s left: %s", done, total, rate, left, name);
    }
    fprintf(stderr, "\r\033[K%.*s", LINE_WIDTH, line);
    fflush(stderr);
    watch->drawn = true;
    free(line);
}

/* On no terminal: a line for each file. */
static void tell_file(Watch *watch, const HubProgress *progress)
{
    if (str_equal(watch->name, progress->name)) return;
    snprintf(watch->name, sizeof watch->name, "%s", progress->name);
    fprintf(stderr, "fetching %s\n", progress->name);
}

static void on_progress(void *context, const HubProgress *progress)
{
    Watch *watch = context;
    double now = clock_monotonic_s();
    if (watch->quiet) return;
    if (!watch->shows) {
        tell_file(watch, progress);
        return;
    }
    measure(watch, progress->n_bytes, now);
    if (now - watch->last_drawn < 0.1) return;
    watch->last_drawn = now;
    draw(watch, progress);
}

static Watch open_watch(bool quiet)
{
    const char *terminal = getenv("TERM");
    bool can_move = terminal && !str_equal(terminal, "dumb") && isatty(STDERR_FILENO);
    return (Watch){.quiet = quiet,
                   .shows = !quiet && can_move && !hub_flag("HF_HUB_DISABLE_PROGRESS_BARS")};
}

/* An address with --revision in it. */
static bool read_address(const FetchAsk *ask, HubAddress *address, Err *err)
{
    if (!hub_address_parse(ask->address, address, err)) return false;
    bool same = !ask->revision || !address->revision || str_equal(ask->revision, address->revision);
    bool ok = same ? !ask->revision || hub_revision_check(ask->revision, err)
                   : err_set(err, ERR_USAGE, "%s names revision %s, --revision names %s",
                             ask->address, address->revision, ask->revision);
    if (ok && ask->revision) {
        free(address->revision);
        address->revision = str_dup(ask->revision);
    }
    if (!ok) hub_address_free(address);
    return ok;
}

static bool matches_any(const char *name, const StringList *patterns)
{
    for (size_t i = 0; i < patterns->n; i++)
        if (fnmatch(patterns->items[i], name, 0) == 0) return true;
    return false;
}

static char *choose_included(HubSnapshot *snapshot, const StringList *patterns, Err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < snapshot->n_files; i++) {
        HubFile *file = &snapshot->files[i];
        file->wanted = matches_any(file->name, patterns);
        n += file->wanted;
    }
    if (n > 0) return str_dup("");
    err_set(err, ERR_USAGE, "--include: none of the %zu files of %s matches", snapshot->n_files,
            snapshot->address.repo);
    return NULL;
}

static char *choose(const FetchAsk *ask, HubSnapshot *snapshot, Err *err)
{
    bool included = ask->include && ask->include->n > 0;
    return included ? choose_included(snapshot, ask->include, err)
                    : fetch_choose(snapshot, ask->kind, err);
}

/* The index that is wanted, or NULL. */
static const HubFile *wanted_index(const HubSnapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->n_files; i++)
        if (snapshot->files[i].wanted &&
            str_ends_with(snapshot->files[i].name, "model.safetensors.index.json"))
            return &snapshot->files[i];
    return NULL;
}

/* Fetches, asks the index for shards of other names, and fetches those. */
static bool fetch_all(Hub *hub, const FetchAsk *ask, HubSnapshot *snapshot, Err *err)
{
    if (!hub_fetch(hub, snapshot, err)) return false;
    const HubFile *index = wanted_index(snapshot);
    if (!index || ask->kind != FETCH_MODEL || (ask->include && ask->include->n)) return true;
    const char *slash = strrchr(index->name, '/');
    char *folder = str_dup_n(index->name, slash ? (size_t)(slash - index->name) + 1 : 0);
    char *path = hub_file_path(snapshot, index);
    bool more = false;
    bool ok = fetch_add_shards(snapshot, path, folder, &more, err);
    if (ok && more) ok = hub_look(hub, snapshot, err) && hub_fetch(hub, snapshot, err);
    free(folder);
    free(path);
    return ok;
}

static void add_up(Fetched *fetched)
{
    const HubSnapshot *snapshot = &fetched->snapshot;
    fetched->n_bytes = fetched->n_missing = 0;
    for (size_t i = 0; i < snapshot->n_files; i++) {
        const HubFile *file = &snapshot->files[i];
        if (!file->wanted || file->size < 0) continue;
        fetched->n_bytes += file->size;
        if (!file->is_here) fetched->n_missing += file->size;
    }
}

/* Paths and names of what was chosen. */
static void name_result(const char *chosen, Fetched *fetched)
{
    const HubSnapshot *snapshot = &fetched->snapshot;
    const HubAddress *address = &snapshot->address;
    const char *slash = *chosen ? "/" : "";
    fetched->path = str_format("%s%s%s", snapshot->folder, slash, chosen);
    fetched->name = str_format("%s%s%s", address->repo, slash, chosen);
    fetched->origin = str_format("hf://%s%s@%s%s%s", address->is_dataset ? "datasets/" : "",
                                 address->repo, snapshot->commit, slash, chosen);
}

static bool run(Hub *hub, const FetchAsk *ask, const HubAddress *address, Watch *watch,
                Fetched *fetched, Err *err)
{
    HubSnapshot *snapshot = &fetched->snapshot;
    if (!hub_find(hub, address, snapshot, err)) return false;
    if (snapshot->why) {
        char *text =
            str_format("%s; commit %.12s from the cache is used", snapshot->why, snapshot->commit);
        on_note(watch, text);
        free(text);
    }
    char *chosen = choose(ask, snapshot, err);
    bool ok = chosen && hub_look(hub, snapshot, err);
    if (ok && !ask->dry_run)
        ok = fetch_all(hub, ask, snapshot, err) && hub_finish(hub, snapshot, err);
    if (ok) name_result(chosen, fetched);
    if (ok) add_up(fetched);
    free(chosen);
    return ok;
}

static bool open_with(const HubConfig *config, const FetchAsk *ask, Fetched *fetched, Err *err)
{
    HubAddress address;
    Watch watch = open_watch(ask->quiet);
    if (!read_address(ask, &address, err)) return false;
    char *agent = version_agent();
    HubHooks hooks = {.user_agent = agent,
                      .keep_going = signals_keep_going,
                      .progress = on_progress,
                      .note = on_note,
                      .context = &watch};
    Hub *hub = hub_open(config, &hooks);
    bool ok = run(hub, ask, &address, &watch, fetched, err);
    clear_line(&watch);
    hub_close(hub);
    hub_address_free(&address);
    free(agent);
    return ok;
}

bool fetch_open(const FetchAsk *ask, Fetched *fetched, Err *err)
{
    HubConfig config;
    *fetched = (Fetched){0};
    if (!hub_config_read(&config, err)) return false;
    bool ok = open_with(&config, ask, fetched, err);
    hub_config_free(&config);
    if (!ok) fetch_close(fetched);
    return ok;
}

void fetch_close(Fetched *fetched)
{
    hub_snapshot_free(&fetched->snapshot);
    free(fetched->path);
    free(fetched->origin);
    free(fetched->name);
    *fetched = (Fetched){0};
}

void fetch_print_stopped(const Options *options)
{
    if (!signals_caught()) return;
    fprintf(stderr, "stopped: what has come is kept; to go on:\n%s\n", options->command_line);
}
