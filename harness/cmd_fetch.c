/* `fetch`: brings a model or a text from the hub into its cache and prints where it is. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "harness/commands.h"
#include "harness/fetch.h"
#include "harness/terminal.h"

/* A file as a line: what there is to it. */
static void put_file(const HubFile *file, Buf *out)
{
    char size[BYTES_TEXT_SIZE];
    bytes_text((double)file->size, size);
    buf_printf(out, "  %10s  %-8s  %s\n", size, file->is_here ? "here" : "to fetch", file->name);
}

static void print_plan(const Fetched *fetched)
{
    const HubSnapshot *snapshot = &fetched->snapshot;
    char missing[BYTES_TEXT_SIZE], total[BYTES_TEXT_SIZE];
    Buf out = {0};
    bytes_text((double)fetched->n_missing, missing);
    bytes_text((double)fetched->n_bytes, total);
    buf_printf(&out, "%s\n", fetched->origin);
    for (size_t i = 0; i < snapshot->n_files; i++)
        if (snapshot->files[i].wanted) put_file(&snapshot->files[i], &out);
    buf_printf(&out, "%s to fetch of %s, into %s\n", missing, total, snapshot->folder);
    terminal_print(buf_text(&out), out.len);
    buf_free(&out);
}

static void print_json(const Fetched *fetched)
{
    const HubSnapshot *snapshot = &fetched->snapshot;
    json_t *files = json_array();
    for (size_t i = 0; i < snapshot->n_files; i++) {
        const HubFile *file = &snapshot->files[i];
        if (file->wanted)
            json_array_append_new(files, json_pack("{s:s, s:I, s:b}", "name", file->name, "bytes",
                                                   (json_int_t)file->size, "here", file->is_here));
    }
    json_t *root =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:o}", "address", fetched->origin, "commit",
                  snapshot->commit, "path", fetched->path, "bytes", (json_int_t)fetched->n_bytes,
                  "missing_bytes", (json_int_t)fetched->n_missing, "files", files);
    json_dumpf(root, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(root);
}

/* An address with or without its "hf://". */
static char *full_address(const char *given)
{
    return hub_is_address(given) ? str_dup(given) : str_format("hf://%s", given);
}

static void print_result(const Options *options, const Fetched *fetched)
{
    if (options->json)
        print_json(fetched);
    else if (options->dry_run)
        print_plan(fetched);
    else
        printf("%s\n", fetched->path);
}

int cmd_fetch(const Command *command, const Options *options, Err *err)
{
    if (options->arguments.n != 1) {
        err_set(err, ERR_USAGE, "what is to be fetched? usage: ropewalk %s", command->usage);
        return EXIT_USAGE;
    }
    Fetched fetched;
    char *address = full_address(options->arguments.items[0]);
    FetchAsk ask = {
        .address = address,
        .revision = options->revision,
        .kind = str_starts_with(address, "hf://datasets/") ? FETCH_TEXT : FETCH_MODEL,
        .include = &options->include,
        .dry_run = options->dry_run,
        .quiet = options->quiet,
    };
    bool ok = fetch_open(&ask, &fetched, err);
    if (ok) {
        print_result(options, &fetched);
        fetch_close(&fetched);
    } else if (err->code == ERR_CANCELLED) {
        fetch_print_stopped(options);
    }
    free(address);
    return ok ? EXIT_OK : cli_exit_status(err->code);
}
