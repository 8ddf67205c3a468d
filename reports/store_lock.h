/* The writer's lock of a database: a file beside it that is locked while its writer lives and names that writer. */
#ifndef REPORTS_STORE_LOCK_H
#define REPORTS_STORE_LOCK_H

#include "base/err.h"

typedef struct {
    int fd;     /* 0: none is held */
    char *path; /* of the lock file */
} StoreLock;

/* Takes the lock of the database at db_path; the holder releases it with store_lock_release, which accepts a zeroed one.
 * Errors: STORE (in use by pid N on host H since T; the lock file cannot be made). */
bool store_lock_take(const char *db_path, StoreLock *lock, Err *err) MUST_USE;
void store_lock_release(StoreLock *lock);

#endif
