/* Models and texts from the Hugging Face hub, kept in the cache that its own client reads and writes:
 *
 *     <cache>/models--org--name/refs/main                 the commit that a branch or a tag meant last
 *     <cache>/models--org--name/blobs/<etag>              bytes; named by SHA-256 (64 digits) or by git's id (40)
 *     <cache>/models--org--name/snapshots/<commit>/<path> a relative link to a blob
 *     <cache>/.locks/models--org--name/<etag>.lock        held by whoever writes that blob
 *
 * (datasets--org--name likewise.) What is there already is used, and what is fetched serves others. Every byte that is fetched is
 * verified against the hash that the hub names it by. A name from the hub is data of a stranger: see hub_name_check.
 * Source: huggingface_hub, file_download.py, _snapshot_download.py, _tree_cache.py, constants.py. */
#ifndef BASE_HUB_H
#define BASE_HUB_H

#include "base/err.h"
#include "base/hash.h"

enum {
    HUB_COMMIT_SIZE = 41, /* 40 hexadecimal digits and a terminator */
    HUB_MAX_NAME = 1024,  /* bytes of a file's name in a repository */
};

/* Where and as whom. Strings are owned; see hub_config_free. */
typedef struct {
    char *cache;           /* folder of the repositories */
    char *endpoint;        /* "https://huggingface.co", without a slash at the end */
    char *token;           /* NULL: none */
    char *token_path;      /* file that it is looked for in, for messages */
    char *ca_file;         /* certificates to trust; NULL: the system's */
    bool offline;          /* opens no connection */
    double etag_timeout_s; /* for an answer about a file */
    double
        download_timeout_s; /* without bytes worth mentioning, before a download is taken up again; 0: 60 */
} HubConfig;

/* Reads the variables that the hub's own client reads: HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH, the file
 * $HF_HOME/token, HF_HUB_DISABLE_IMPLICIT_TOKEN, HF_HUB_OFFLINE, HF_HUB_ETAG_TIMEOUT, HF_HUB_DOWNLOAD_TIMEOUT, their older names, and
 * SSL_CERT_FILE, REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE.
 * Errors: USAGE (a value that cannot be used). */
bool hub_config_read(HubConfig *config, Err *err) MUST_USE;
void hub_config_free(HubConfig *config);

/* Whether a variable of the environment says yes, as the hub's own client reads it: 1, ON, YES, TRUE in any case. */
bool hub_flag(const char *variable);

/* hf://[datasets/]org/name[@revision][/path] */
typedef struct {
    bool is_dataset;
    char *repo;     /* "org/name", or "name" of the few that have no owner */
    char *revision; /* branch, tag or commit; NULL: "main" */
    char *path;     /* of a file or a folder; NULL: all of it */
} HubAddress;

bool hub_is_address(const char *text);

/* Reads an address; a "%2F" in the revision is a slash. Errors: USAGE. */
bool hub_address_parse(const char *text, HubAddress *address, Err *err) MUST_USE;
void hub_address_free(HubAddress *address);

/* Whether a text may be a revision: no "..", no empty parts, nothing but letters, digits and "._-+/". Errors: USAGE. */
bool hub_revision_check(const char *revision, Err *err) MUST_USE;

/* Whether a file's name from the hub can be made under a folder without leaving it or doing harm there: relative, without ".",
 * "..", ".git", backslashes, control characters, names of devices, and not too long. Errors: NET, with the name escaped. */
bool hub_name_check(const char *name, Err *err) MUST_USE;

typedef struct {
    char *name;               /* path in the repository */
    int64_t size;             /* -1: not known yet */
    char etag[HASH_HEX_SIZE]; /* the blob's name; "": not known yet */
    bool wanted;  /* set by the caller: hub_look, hub_fetch and hub_finish work on these */
    bool is_here; /* the blob is in the cache */
} HubFile;

/* One commit of a repository. */
typedef struct {
    HubAddress address; /* a copy; revision is never NULL */
    char commit[HUB_COMMIT_SIZE];
    char *folder;   /* snapshots/<commit> in the cache */
    HubFile *files; /* by name */
    size_t n_files;
    bool from_cache; /* files are what the cache knows; the hub was not asked */
    char *
        why; /* the hub could not be asked, for a note; NULL: it was, or we are offline on purpose */
} HubSnapshot;

/* How far a download is. */
typedef struct {
    const char *name; /* of the file under way */
    int64_t n_bytes;  /* of all wanted files, what was here included */
    int64_t n_total;
} HubProgress;

typedef struct {
    const char *user_agent;                               /* "name/version" */
    bool (*keep_going)(void *context);                    /* NULL: always */
    void (*progress)(void *context, const HubProgress *); /* NULL: not wanted */
    void (*note)(void *context, const char *text); /* what a person should know; NULL: not wanted */
    void *context;
    double backoff_s; /* before a second attempt; 0: 0.5 */
} HubHooks;

typedef struct Hub Hub;

/* Opens no connection yet. Config and hooks must outlive it. */
Hub *hub_open(const HubConfig *config, const HubHooks *hooks);
void hub_close(Hub *hub);

/* Finds the commit that an address means and the names of its files: from the hub; from the cache when offline, or
 * when the hub cannot be reached and the cache knows the revision (snapshot->why then says so).
 * Errors: NET (no such repository or revision, no access, a hostile name, not in the cache), CANCELLED. */
bool hub_find(Hub *hub, const HubAddress *address, HubSnapshot *snapshot, Err *err) MUST_USE;
void hub_snapshot_free(HubSnapshot *snapshot);

/* The file of a name, or NULL. */
HubFile *hub_file(const HubSnapshot *snapshot, const char *name);

/* Learns size and hash of the wanted files, and which are here. Errors: NET, CANCELLED. */
bool hub_look(Hub *hub, HubSnapshot *snapshot, Err *err) MUST_USE;

/* Fetches the wanted files that are not here, after hub_look. What an earlier run began is continued.
 * Errors: NET (all missing ones are named when offline; both hashes when the bytes are wrong), OUTPUT (no room, no permission), CANCELLED. */
bool hub_fetch(Hub *hub, HubSnapshot *snapshot, Err *err) MUST_USE;

/* Links the wanted files into the snapshot's folder, and notes the revision. Errors: NET (one is not here), OUTPUT. */
bool hub_finish(Hub *hub, const HubSnapshot *snapshot, Err *err) MUST_USE;

/* Path of a file's bytes that are here, in the snapshot or among the blobs; free with free(). */
char *hub_file_path(const HubSnapshot *snapshot, const HubFile *file);

#endif
