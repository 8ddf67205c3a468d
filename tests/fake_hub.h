/* A hub of models on loopback for tests: one server that answers about repositories and a second, its store, that large files
 * are redirected to. Faults are switched on by fields. Needs nothing of the program, so that shell tests can build it too. */
#ifndef TESTS_FAKE_HUB_H
#define TESTS_FAKE_HUB_H

#include "tests/fake_server.h"

#define FAKE_COMMIT "0123456789abcdef0123456789abcdef01234567"

enum { FAKE_MAX_FILES = 64 };

typedef struct {
    char *name;
    char *bytes;
    size_t n;
    bool is_large; /* lies in the store, named by SHA-256 */
    char etag[65];
} FakeFile;

/* What goes wrong. Zeroed: nothing. */
typedef struct {
    /* of the list */
    int list_status;       /* instead of 200 */
    const char *list_word; /* X-Error-Code of it */
    const char *list_body; /* instead of the list */
    /* of HEADs */
    int head_status;
    const char *location; /* of large files, instead of the store */
    const char *etag;     /* instead of the right one */
    const char *size;     /* instead of the right one */
    const char *commit;   /* X-Repo-Commit */
    /* of the store's GETs; each happens for the first so many of them */
    int n_cut; /* closes after cut_at bytes of the answer */
    size_t cut_at;
    int n_flipped; /* one byte is wrong */
    int n_status;  /* answers with get_status */
    int get_status;
    int n_dripped;          /* sends a byte now and then */
    bool ignores_ranges;    /* answers 200 */
    bool lies_of_ranges;    /* says another range than it sends */
    bool refuses_ranges;    /* answers 416 */
    bool changes_validator; /* an ETag of its own to each answer */
    bool weak_validator;
    bool omits_length; /* and never ends */
    bool compresses;
    int pause_ms; /* after each block of 4096 bytes */
} FakeFaults;

typedef struct {
    FakeServer *hub;
    FakeServer *store;
    char endpoint[64];
    FakeFile files[FAKE_MAX_FILES];
    int n_files;
    FakeFaults faults;
    const char *token; /* that is needed; NULL: none */
    int n_gets;        /* of the store */
} FakeHub;

FakeHub *fake_hub_start(void);
void fake_hub_stop(FakeHub *hub);

/* Adds a copy of a file to every repository; its name may be hostile. */
void fake_hub_add(FakeHub *hub, const char *name, const void *bytes, size_t n, bool is_large);

/* Adds the files of a folder; those above 4096 bytes are large. */
void fake_hub_add_folder(FakeHub *hub, const char *folder);

/* Switches all faults off and forgets what was asked. */
void fake_hub_reset(FakeHub *hub);

#endif
