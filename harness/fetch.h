/* Models and texts that are named by an address of the hub: which of a repository's files are needed, and fetching them. */
#ifndef HARNESS_FETCH_H
#define HARNESS_FETCH_H

#include "base/hub.h"
#include "harness/cli.h"

typedef enum {
    FETCH_MODEL,     /* what the engine reads of it: config, tokenizer, weights */
    FETCH_TEXT,      /* one text file */
    FETCH_TOKENIZER, /* tokenizer.json and the configurations beside it */
    FETCH_SERVED,    /* the same, else a .gguf: what is read of a model behind a server */
} FetchKind;

typedef struct {
    const char *address;       /* "hf://…" */
    const char *revision;      /* NULL: the address's, else "main" */
    FetchKind kind;            /* not looked at with include */
    const StringList *include; /* patterns of file names instead; NULL or empty: none */
    bool dry_run;              /* only looks what there is and what is here */
    bool quiet;                /* no progress, no notes */
} FetchAsk;

typedef struct {
    HubSnapshot snapshot;
    char *path;        /* on this machine: the file, or the folder that the files are in */
    char *origin;      /* the address with the commit in it, as it can be given again */
    char *name;        /* "org/name[/file]" */
    int64_t n_bytes;   /* of the files that are needed */
    int64_t n_missing; /* of those that are not here */
} Fetched;

/* Finds, fetches, verifies and links the files. A dry run ends before the fetching.
 * Errors: USAGE (no address, two revisions, several files could be meant), UNSUPPORTED (only formats that are not read), INPUT (nothing
 * that is read), NET, OUTPUT, CANCELLED. */
bool fetch_open(const FetchAsk *ask, Fetched *fetched, Err *err) MUST_USE;
void fetch_close(Fetched *fetched);

/* Says on stderr, after a signal, that what has come is kept and how to go on. */
void fetch_print_stopped(const Options *options);

/* Marks the files of the snapshot that are read of what kind says, and gives what to open: "" for the whole
 * snapshot, else a name in it; free with free(). NULL and err as fetch_open. */
char *fetch_choose(HubSnapshot *snapshot, FetchKind kind, Err *err) MUST_USE;

/* Marks the shards that the index of a snapshot's model names, once the index is here; *more: there were some not marked before.
 * Errors: NET (a shard that the repository has not), and as hub_name_check. */
bool fetch_add_shards(HubSnapshot *snapshot, const char *index_path, const char *folder, bool *more,
                      Err *err) MUST_USE;

#endif
