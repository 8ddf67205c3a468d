/* What the files of the hub share. Included by base/hub*.c only. */
#ifndef BASE_HUB_INTERNAL_H
#define BASE_HUB_INTERNAL_H

#include "base/buf.h"
#include "base/http.h"
#include "base/hub.h"

struct Hub {
    const HubConfig *config;
    HubHooks hooks;
    Http *http;      /* asks the endpoint, with the token; NULL until it is needed */
    Http *anonymous; /* fetches from other hosts; never sees the token */
};

bool hub_goes_on(const Hub *hub);
void hub_note(const Hub *hub, const char *format, ...) PRINTF_LIKE(2, 3);

/* Opens the handles that are not open. Errors: NET. */
bool hub_connect(Hub *hub, Err *err) MUST_USE;

/* "https://huggingface.co/datasets/org/name"; free with free(). */
char *hub_page(const Hub *hub, const HubAddress *address);

/* Says what a status other than 2xx means, from the answer's headers. Always false. */
bool hub_refused(const Hub *hub, const Http *http, const HubAddress *address, const char *what,
                 int status, Err *err);

/* What the hub says of a file, and where its bytes are. */
typedef struct {
    char *location; /* to GET */
    char etag[HASH_HEX_SIZE];
    int64_t size;
} HubMetadata;

/* Asks for it. Errors: NET, CANCELLED. */
bool hub_metadata(Hub *hub, const HubSnapshot *snapshot, const char *name, HubMetadata *metadata,
                  Err *err) MUST_USE;
void hub_metadata_free(HubMetadata *metadata);

/* base/hub_cache.c */

/* <cache>/models--org--name; free with free(). */
char *hub_repo_folder(const HubConfig *config, const HubAddress *address);

/* Sets commit and folder. */
void hub_set_commit(const HubConfig *config, HubSnapshot *snapshot, const char *commit);

bool hub_is_commit(const char *text);

/* Adds a file; the name is checked. Errors: NET. */
bool hub_add_file(HubSnapshot *snapshot, const char *name, int64_t size, Err *err) MUST_USE;

/* Sorts the files by name. Errors: NET (a name twice). */
bool hub_sort_files(HubSnapshot *snapshot, Err *err) MUST_USE;

/* Fills the snapshot from the cache alone. Errors: NET (it knows no such revision). */
bool hub_find_cached(const HubConfig *config, HubSnapshot *snapshot, Err *err) MUST_USE;

/* Path of a blob; free with free(). */
char *hub_blob_path(const HubConfig *config, const HubAddress *address, const char *etag);

/* Whether a blob is there whole. */
bool hub_has_blob(const HubConfig *config, const HubAddress *address, const char *etag,
                  int64_t size);

/* Makes a folder of the cache; marks the cache for programs that make backups. Errors: OUTPUT. */
bool hub_make_cache(const HubConfig *config, const char *folder, Err *err) MUST_USE;

/* base/hub_part.c */

/* A blob as far as it has come: <etag>.<host>-<pid>.rw.incomplete, beside it ….rw.json.incomplete with the server's validator. */
typedef struct {
    char *path;
    char *sidecar;
    char *etag;   /* what the whole must hash to */
    int64_t size; /* of the whole */
    int fd;
    int64_t n_bytes;  /* written and hashed */
    HashStream *hash; /* of them */
    char *validator;  /* strong ETag of the server that they came from; NULL: none */
} HubPart;

/* Takes up the longest part that a dead process left of this blob, or begins one. Errors: OUTPUT. */
bool hub_part_open(const char *blobs, const char *etag, int64_t size, HubPart *part,
                   Err *err) MUST_USE;

/* Forgets all bytes. Errors: OUTPUT. */
bool hub_part_restart(HubPart *part, Err *err) MUST_USE;

/* Notes the validator of the bytes to come; NULL or a weak one: none. Errors: OUTPUT. */
bool hub_part_note(HubPart *part, const char *validator, Err *err) MUST_USE;

/* Adds bytes. Errors: OUTPUT, NET (more than size). */
bool hub_part_add(HubPart *part, const void *bytes, size_t n, Err *err) MUST_USE;

/* Ends the hash: true when it is the etag. got: the bytes' own hash. Only restart or close may follow when it is not. */
bool hub_part_verify(HubPart *part, char got[HASH_HEX_SIZE]) MUST_USE;

/* Makes a verified part durable and renames it to its blob. Errors: OUTPUT. */
bool hub_part_finish(HubPart *part, const char *blob, Err *err) MUST_USE;

/* Closes the file, which stays for the next run if it holds bytes and keep is set. */
void hub_part_close(HubPart *part, bool keep);

#endif
