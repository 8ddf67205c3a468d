/* Where --model, --init, --tokenizer, --corpus and --held-out lead on this machine. A path is itself; an address of the hub is fetched first; a name of the
 * catalog is looked for in the folder of texts. */
#ifndef HARNESS_SOURCE_H
#define HARNESS_SOURCE_H

#include "harness/cli.h"

struct HubSource {
    char *given;  /* as it stands on the command line */
    char *path;   /* on this machine */
    char *name;   /* for tables: "org/name[/file]" */
    char *origin; /* for the record: the address with the commit in it */
};

/* Fetches every address among the options of a command that opens models. A dry run fetches nothing.
 * Errors: as fetch_open; NET (a dry run, and files are missing). */
bool sources_open(const Command *command, Options *options, Err *err) MUST_USE;
void sources_free(Options *options);

/* The folder that texts of the catalog are looked for in: $ROPEWALK_TEXTS, else ropewalk/texts under $XDG_DATA_HOME or ~/.local/share. Free
 * with free(). */
char *source_texts_folder(void);

/* A shallow copy of the options in which addresses of the hub are those with the commit: what a record of a run holds, so that it
 * can be run again. Free with sources_unpin; the options must outlive it. */
Options sources_pin(const Options *options);
void sources_unpin(Options *pinned);

/* The source of what was given, or NULL where that is a path. */
const HubSource *source_find(const Options *options, const char *given);

/* Path on this machine of what was given; lends. */
const char *source_path(const Options *options, const char *given);

/* The address with the commit of what was given, or that itself; lends. */
const char *source_origin(const Options *options, const char *given);

#endif
