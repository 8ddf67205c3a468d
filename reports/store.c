/* One file, one writer, many readers.
 *
 * A writer holds <file>.lock (store_lock.c) from before SQLite opens the file until after it is closed. In between the journal is a WAL, so
 * that reports can be made while a sweep runs; synchronous=FULL makes a committed cell durable. Clean close folds the WAL back and
 * returns to a rollback journal: the file then travels alone. On a network file system, where the shared memory of a WAL
 * does not work, the rollback journal stays.
 *
 *   absent, empty --create schema--> ours --WAL--> writing --close--> ours
 *   ours + WAL of a dead writer --open: SQLite recovers what was committed--> writing
 *
 * With one writer there is no second connection that checkpoints, which older SQLite libraries need in order to meet their WAL-reset race.
 *
 * Every change is in a transaction (store_begin, store_end); they nest, so that cells can be finished while a plan is written. */
#include "reports/store.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "reports/store_internal.h"

enum { BUSY_MS = 30000, BUSY_AT_CLOSE_MS = 1000, MAX_VALUE_BYTES = 64 << 20 };

static const char memory_name[] = ":memory:";

/* Treats the file as data that may be hostile. Source: sqlite.org, "Defense against the dark arts". */
static bool harden(sqlite3 *db, Err *err)
{
    sqlite3_busy_timeout(db, BUSY_MS);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES);
    sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
    return sql_exec(db,
                    "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA foreign_keys = ON;"
                    "PRAGMA temp_store = MEMORY",
                    err);
}

static bool open_handle(Store *store, const char *path, int flags, Err *err)
{
    /* A name that starts with "file:" would be read as a URI. */
    char *plain = str_starts_with(path, "file:") ? str_format("./%s", path) : str_dup(path);
    int rc = sqlite3_open_v2(plain, &store->db, flags, NULL);
    free(plain);
    if (!store->db) return err_set(err, ERR_STORE, "%s: out of memory", path);
    if (rc != SQLITE_OK) return sql_error(store->db, "", err);
    return harden(store->db, err);
}

static bool check_pages(Store *store, const char *path, Err *err)
{
    Stmt stmt;
    bool row;
    bool ok =
        stmt_open(store->db, "PRAGMA quick_check(1)", &stmt, err) && stmt_next(&stmt, &row, err);
    if (ok && !(row && stmt_text(&stmt, 0) && str_equal(stmt_text(&stmt, 0), "ok")))
        ok = err_set(err, ERR_STORE,
                     "%s: the database is damaged (%.200s); recover what is left with sqlite3's "
                     ".recover into a new file",
                     path, row && stmt_text(&stmt, 0) ? stmt_text(&stmt, 0) : "no answer");
    stmt_close(&stmt);
    return ok;
}

/* Creates the schema in an empty file, upgrades an older one, checks any. */
static bool prepare_schema(Store *store, const char *path, Err *err)
{
    int64_t n_objects;
    if (!sql_i64(store->db, "SELECT count(*) FROM sqlite_schema", &n_objects, err)) return false;
    if (n_objects == 0) return store_create_schema(store->db, err);
    return check_pages(store, path, err) && store_upgrade_schema(store->db, path, err) &&
           store_check_schema(store->db, path, err);
}

static bool choose_journal(Store *store, const char *path, Err *err)
{
    struct statfs fs;
    store->network_fs = statfs(path, &fs) == 0 && store_is_network_fs((uint32_t)fs.f_type);
    return sql_exec(
        store->db, store->network_fs ? "PRAGMA journal_mode = DELETE" : "PRAGMA journal_mode = WAL",
        err);
}

static bool prepare_writer(Store *store, const char *path, Err *err)
{
    return prepare_schema(store, path, err) && choose_journal(store, path, err) &&
           sql_exec(store->db, "PRAGMA synchronous = FULL", err) &&
           sql_exec(store->db, "UPDATE run SET status = 'died' WHERE status = 'running'", err);
}

static bool open_writer(Store *store, const char *path, Err *err)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (str_equal(path, memory_name))
        return open_handle(store, path, flags, err) && store_create_schema(store->db, err);
    bool is_new;
    return store_check_header(path, &is_new, err) && store_lock_take(path, &store->lock, err) &&
           open_handle(store, path, flags, err) && prepare_writer(store, path, err);
}

Store *store_open(const char *path, Err *err)
{
    if (!*path) {
        err_set(err, ERR_STORE, "the name of the database is empty");
        return NULL;
    }
    /* Two names of one file must lead to one lock. */
    char real[PATH_MAX];
    const char *name = realpath(path, real) ? real : path;
    Store *store = mem_zalloc(1, sizeof *store);
    if (open_writer(store, str_equal(path, memory_name) ? path : name, err)) return store;
    store_close(store);
    return NULL;
}

static bool copy_pages(sqlite3 *from, sqlite3 *to, Err *err)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    if (!backup) return sql_error(to, "copy", err);
    sqlite3_backup_step(backup, -1);
    return sqlite3_backup_finish(backup) == SQLITE_OK || sql_error(to, "copy", err);
}

/* Replaces the handle of a file by that of its upgraded copy in memory. */
static bool read_copy(Store *store, const char *path, Err *err)
{
    sqlite3 *memory = NULL;
    bool ok = sqlite3_open(memory_name, &memory) == SQLITE_OK || sql_error(memory, "", err);
    ok = ok && copy_pages(store->db, memory, err);
    sqlite3_close(store->db);
    store->db = memory;
    return ok && harden(memory, err) && store_upgrade_schema(memory, path, err);
}

/* Whether the file's pages fit the memory that is free. */
static bool check_fits(Store *store, const char *path, Err *err)
{
    int64_t n_pages;
    int64_t page_bytes;
    if (!sql_i64(store->db, "PRAGMA page_count", &n_pages, err) ||
        !sql_i64(store->db, "PRAGMA page_size", &page_bytes, err))
        return false;
    if ((double)n_pages * (double)page_bytes < 0.5 * (double)mem_available()) return true;
    return err_set(
        err, ERR_STORE,
        "%s: has an older schema and is too large to be read through memory; run its sweep again, "
        "which brings it up to date",
        path);
}

static bool open_current(Store *store, const char *path, Err *err)
{
    int64_t version;
    if (!open_handle(store, path, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, err) ||
        !sql_i64(store->db, "PRAGMA user_version", &version, err))
        return false;
    return version == STORE_SCHEMA_VERSION ||
           (check_fits(store, path, err) && read_copy(store, path, err));
}

static bool open_reader(Store *store, const char *path, Err *err)
{
    bool is_new;
    if (!store_check_header(path, &is_new, err)) return false;
    if (is_new)
        return err_set(
            err, ERR_STORE,
            "%s: there is no database of this name, or it is empty; `ropewalk sweep --db` makes one",
            path);
    /* One transaction over all queries of a report: they then see one state while a sweep writes. */
    return open_current(store, path, err) &&
           sql_exec(store->db, "PRAGMA query_only = ON; BEGIN", err) &&
           store_check_schema(store->db, path, err);
}

Store *store_open_read_only(const char *path, Err *err)
{
    Store *store = mem_zalloc(1, sizeof *store);
    if (open_reader(store, path, err)) return store;
    store_close(store);
    return NULL;
}

void store_close(Store *store)
{
    if (!store) return;
    store_close_stmts(store);
    if (store->lock.fd > 0 && store->db) {
        /* A reader may hold the WAL; the file is whole with it, so failing here loses nothing. */
        sqlite3_busy_timeout(store->db, BUSY_AT_CLOSE_MS);
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
        sqlite3_exec(store->db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    }
    sqlite3_close(store->db);
    store_lock_release(&store->lock);
    free(store);
}

sqlite3 *store_sqlite(Store *store)
{
    return store->db;
}

bool store_begin(Store *store, Err *err)
{
    if (store->depth == 0 && !sql_exec(store->db, "BEGIN IMMEDIATE", err)) return false;
    store->depth++;
    return true;
}

/* Undoes the open transaction; says how much is safe when the disk is full. */
static bool undo(Store *store, Err *err)
{
    bool full = sql_disk_full(store->db);
    store->depth = 0;
    if (!sqlite3_get_autocommit(store->db)) sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    int64_t n_safe;
    Err ignored;
    if (full && sql_i64(store->db, "SELECT count(*) FROM cell WHERE status <> 'pending'", &n_safe,
                        &ignored))
        err_set(err, ERR_STORE, "disk full writing %s; %lld cells are safe; free space and rerun",
                sqlite3_db_filename(store->db, "main"), (long long)n_safe);
    return false;
}

bool store_end(Store *store, bool ok, Err *err)
{
    if (!ok) return undo(store, err);
    assert(store->depth > 0);
    if (store->depth > 1) {
        store->depth--;
        return true;
    }
    if (!sql_exec(store->db, "COMMIT", err)) return undo(store, err);
    store->depth = 0;
    return true;
}
