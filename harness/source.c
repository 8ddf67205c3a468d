#include "harness/source.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "datasets/catalog.h"
#include "harness/cli_axis.h"
#include "harness/commands.h"
#include "harness/fetch.h"
#include "harness/terminal.h"

/* What a dry run of another command says of a model that is not here. */
static bool refuse_missing(const Fetched *fetched, const char *given, FetchKind kind, Err *err)
{
    bool is_few = kind >= FETCH_TOKENIZER && !str_ends_with(fetched->path, ".gguf");
    char missing[BYTES_TEXT_SIZE], total[BYTES_TEXT_SIZE];
    bytes_text((double)fetched->n_missing, missing);
    bytes_text((double)fetched->n_bytes, total);
    return err_set(err, ERR_NET,
                   "%s: %s of %s are not here, and a dry run fetches nothing; to fetch them: "
                   "ropewalk fetch %s%s",
                   given, missing, total, given, is_few ? " --include '*.json'" : "");
}

static bool is_complete(const HubSnapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->n_files; i++)
        if (snapshot->files[i].wanted && !snapshot->files[i].is_here) return false;
    return true;
}

/* Takes the strings. */
static void add_source(Options *options, HubSource source)
{
    options->sources =
        mem_realloc(options->sources, options->n_sources + 1, sizeof *options->sources);
    options->sources[options->n_sources++] = source;
}

static bool fetch_one(Options *options, const char *given, FetchKind kind, Err *err)
{
    Fetched fetched;
    FetchAsk ask = {
        .address = given, .kind = kind, .quiet = options->quiet, .dry_run = options->dry_run};
    if (!fetch_open(&ask, &fetched, err)) {
        if (err->code == ERR_CANCELLED) fetch_print_stopped(options);
        return false;
    }
    bool ok = !options->dry_run || is_complete(&fetched.snapshot) ||
              refuse_missing(&fetched, given, kind, err);
    if (ok)
        add_source(options, (HubSource){.given = str_dup(given),
                                        .path = str_dup(fetched.path),
                                        .name = str_dup(fetched.name),
                                        .origin = str_dup(fetched.origin)});
    fetch_close(&fetched);
    return ok;
}

/* `given` may be NULL: an option that was not named. */
static bool open_one(Options *options, const char *given, FetchKind kind, Err *err)
{
    if (!given || !hub_is_address(given) || source_find(options, given)) return true;
    return fetch_one(options, given, kind, err);
}

char *source_texts_folder(void)
{
    const char *texts = getenv("ROPEWALK_TEXTS");
    const char *data = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");
    if (texts && *texts) return str_dup(texts);
    if (data && *data) return file_join(data, "ropewalk/texts");
    return str_format("%s/.local/share/ropewalk/texts", home ? home : "");
}

static bool refuse_absent(const CatalogRow *row, const char *folder, Err *err)
{
    return err_set(err, ERR_INPUT,
                   "%s is not here: put it into %s as %.*s (%lld bytes); it comes from %s",
                   row->name, folder, (int)strcspn(row->files, " "), row->files,
                   (long long)row->n_bytes, row->source);
}

/* A text of the catalog, unless a file of that name lies here. */
static bool open_known(Options *options, const char *given, Err *err)
{
    const CatalogRow *row = !given || file_exists(given) ? NULL : catalog_find(given);
    if (!row || source_find(options, given)) return true;
    char *folder = source_texts_folder();
    char *path = catalog_path(row, folder);
    bool ok = path ? catalog_check(row, path, err) : refuse_absent(row, folder, err);
    if (ok)
        add_source(options, (HubSource){.given = str_dup(given),
                                        .path = str_dup(path),
                                        .name = str_dup(row->name),
                                        .origin = str_dup(row->name)});
    free(path);
    free(folder);
    return ok;
}

static bool open_text(Options *options, const char *given, Err *err)
{
    return open_one(options, given, FETCH_TEXT, err) && open_known(options, given, err);
}

bool sources_open(const Command *command, Options *options, Err *err)
{
    if (!command->runs_model && !command->opens_model) return true;
    for (size_t i = 0; i < options->model.n; i++)
        if (!open_one(options, options->model.items[i], FETCH_MODEL, err)) return false;
    for (size_t i = 0; i < options->arguments.n; i++)
        if (!open_one(options, options->arguments.items[i], FETCH_MODEL, err)) return false;
    FetchKind texts = command->bit == COMMAND_TRAIN ? FETCH_TOKENIZER : FETCH_SERVED;
    return open_one(options, options->init, FETCH_MODEL, err) &&
           open_one(options, options->tokenizer, texts, err) &&
           open_text(options, options->corpus, err) && open_text(options, options->held_out, err);
}

void sources_free(Options *options)
{
    for (size_t i = 0; i < options->n_sources; i++) {
        free(options->sources[i].given);
        free(options->sources[i].path);
        free(options->sources[i].name);
        free(options->sources[i].origin);
    }
    free(options->sources);
    options->sources = NULL;
    options->n_sources = 0;
}

const HubSource *source_find(const Options *options, const char *given)
{
    for (size_t i = 0; i < options->n_sources; i++)
        if (str_equal(options->sources[i].given, given)) return &options->sources[i];
    return NULL;
}

const char *source_path(const Options *options, const char *given)
{
    const HubSource *source = source_find(options, given);
    return source ? source->path : given;
}

const char *source_origin(const Options *options, const char *given)
{
    const HubSource *source = source_find(options, given);
    return source ? source->origin : given;
}

Options sources_pin(const Options *options)
{
    Options pinned = *options;
    pinned.model = (StringList){0};
    for (size_t i = 0; i < options->model.n; i++)
        string_list_add(&pinned.model, str_dup(source_origin(options, options->model.items[i])));
    if (options->corpus) pinned.corpus = str_dup(source_origin(options, options->corpus));
    if (options->tokenizer) pinned.tokenizer = str_dup(source_origin(options, options->tokenizer));
    return pinned;
}

void sources_unpin(Options *pinned)
{
    string_list_free(&pinned->model);
    free(pinned->corpus);
    free(pinned->tokenizer);
}
