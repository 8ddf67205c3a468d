/* What a file must be before it is read or written.
 *
 * The header is read without SQLite, since opening a database may roll back a journal and so write to a file that we then refuse. The
 * first 100 bytes hold what is needed (SQLite file format, section 1.3): bytes 0-15 the magic, 60-63 user_version, 68-71
 * application_id, both big-endian. They are there from the first commit on, because the schema is created in rollback-journal mode.
 *
 * A file that passes is still only data: a table could be a view over something else, or a view could call functions. So the text of every
 * object that we use must equal, byte for byte, what a fresh database has. Other objects in the file are left alone and never touched.
 *
 * An upgrade drops what an older version has and this one does not, adds what a fresh database has besides, and must then pass the same
 * check. Version 1 left its tables prediction and audit empty; they are made anew. Version 2 lacks
 * model_shape and verification, version 3 reply. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "reports/store_internal.h"

/* reports/schema.sql, put into the program by the linker. */
extern const char schema_sql_start[] __asm__("_binary_reports_schema_sql_start");
extern const char schema_sql_end[] __asm__("_binary_reports_schema_sql_end");

enum { HEADER_BYTES = 100, USER_VERSION_AT = 60, APPLICATION_ID_AT = 68 };

static uint32_t read_be32(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static bool check_bytes(const char *path, const unsigned char *header, ssize_t n, Err *err)
{
    if (n < HEADER_BYTES || memcmp(header, "SQLite format 3", 16) != 0)
        return err_set(
            err, ERR_STORE,
            "%s: is not a database; nothing was written to it, choose another name for --db", path);
    if (read_be32(header + APPLICATION_ID_AT) != STORE_APPLICATION_ID)
        return err_set(
            err, ERR_STORE,
            "%s: is another program's database (application id 0x%08x, ropewalk's is 0x%08x); "
            "nothing was written to it, choose another name for --db",
            path, (unsigned)read_be32(header + APPLICATION_ID_AT), (unsigned)STORE_APPLICATION_ID);
    uint32_t version = read_be32(header + USER_VERSION_AT);
    if (version > STORE_SCHEMA_VERSION)
        return err_set(
            err, ERR_STORE,
            "%s: was written by a newer ropewalk (schema version %u, this one knows %d); "
            "nothing was written to it, use the newer program",
            path, (unsigned)version, STORE_SCHEMA_VERSION);
    return true;
}

bool store_check_header(const char *path, bool *is_new, Err *err)
{
    *is_new = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        *is_new = errno == ENOENT;
        return *is_new ||
               err_set(err, ERR_STORE, "%s: cannot be opened: %s", path, strerror(errno));
    }
    struct stat st;
    unsigned char header[HEADER_BYTES];
    bool ok;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        ok = err_set(err, ERR_STORE, "%s: is not a regular file and cannot hold a database", path);
    } else if (st.st_size == 0) {
        *is_new = true;
        ok = true;
    } else {
        ok = check_bytes(path, header, pread(fd, header, sizeof header, 0), err);
    }
    close(fd);
    return ok;
}

bool store_create_schema(sqlite3 *db, Err *err)
{
    size_t n = (size_t)(schema_sql_end - schema_sql_start);
    char *schema = str_dup_n(schema_sql_start, n);
    char *sql = str_format("BEGIN IMMEDIATE;\n%s\nCOMMIT;", schema);
    bool ok = sql_exec(db, sql, err);
    if (!ok && !sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    free(sql);
    free(schema);
    return ok;
}

/* Whether db holds an object of this name with this type and this text. */
static bool has_object(Stmt *find, Stmt *wanted, bool *same, Err *err)
{
    bool row;
    stmt_reset(find);
    stmt_put_text(find, stmt_text(wanted, 1));
    if (!stmt_next(find, &row, err)) return false;
    *same = row && stmt_text(find, 0) && stmt_text(find, 1) &&
            str_equal(stmt_text(find, 0), stmt_text(wanted, 0)) &&
            str_equal(stmt_text(find, 1), stmt_text(wanted, 2));
    return true;
}

static bool compare_objects(sqlite3 *fresh, sqlite3 *db, const char *path, Err *err)
{
    Stmt wanted;
    Stmt find = {0};
    bool row;
    bool same = true;
    bool ok = stmt_open(fresh, "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL",
                        &wanted, err) &&
              stmt_open(db, "SELECT type, sql FROM sqlite_schema WHERE name = ?", &find, err);
    while (ok && same && (ok = stmt_next(&wanted, &row, err)) && row) {
        ok = has_object(&find, &wanted, &same, err);
        if (ok && !same)
            ok = err_set(
                err, ERR_STORE,
                "%s: %s %s is not as this program makes it; the file was changed or comes from "
                "another build, choose another name for --db",
                path, stmt_text(&wanted, 0), stmt_text(&wanted, 1));
    }
    stmt_close(&wanted);
    stmt_close(&find);
    return ok;
}

bool store_check_schema(sqlite3 *db, const char *path, Err *err)
{
    sqlite3 *fresh = NULL;
    bool ok = sqlite3_open(":memory:", &fresh) == SQLITE_OK || sql_error(fresh, "", err);
    ok = ok && store_create_schema(fresh, err) && compare_objects(fresh, db, path, err);
    sqlite3_close(fresh);
    return ok;
}

/* Makes the objects of a fresh database that db lacks. */
static bool add_missing(sqlite3 *fresh, sqlite3 *db, Err *err)
{
    Stmt wanted;
    Stmt find = {0};
    bool row;
    bool there;
    bool ok = stmt_open(fresh, "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL", &wanted,
                        err) &&
              stmt_open(db, "SELECT 1 FROM sqlite_schema WHERE name = ?", &find, err);
    while (ok && (ok = stmt_next(&wanted, &row, err)) && row) {
        stmt_reset(&find);
        stmt_put_text(&find, stmt_text(&wanted, 0));
        ok = stmt_next(&find, &there, err);
        stmt_reset(&find);
        if (ok && !there) ok = sql_exec(db, stmt_text(&wanted, 1), err);
    }
    stmt_close(&wanted);
    stmt_close(&find);
    return ok;
}

static bool upgrade(sqlite3 *fresh, sqlite3 *db, int64_t version, const char *path, Err *err)
{
    const char *drop =
        version < 2 ? "DROP TABLE IF EXISTS prediction; DROP TABLE IF EXISTS audit" : "";
    char *raise = str_format("PRAGMA user_version = %d", STORE_SCHEMA_VERSION);
    bool ok = sql_exec(db, "BEGIN IMMEDIATE", err) && sql_exec(db, drop, err) &&
              add_missing(fresh, db, err) && compare_objects(fresh, db, path, err) &&
              sql_exec(db, raise, err) && sql_exec(db, "COMMIT", err);
    if (!ok && !sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    free(raise);
    return ok;
}

bool store_upgrade_schema(sqlite3 *db, const char *path, Err *err)
{
    int64_t version;
    if (!sql_i64(db, "PRAGMA user_version", &version, err)) return false;
    if (version == STORE_SCHEMA_VERSION) return true;
    sqlite3 *fresh = NULL;
    bool ok = sqlite3_open(":memory:", &fresh) == SQLITE_OK || sql_error(fresh, "", err);
    ok = ok && store_create_schema(fresh, err) && upgrade(fresh, db, version, path, err);
    sqlite3_close(fresh);
    return ok;
}

bool store_is_network_fs(uint32_t type)
{
    static const uint32_t types[] = {
        0x00006969, /* NFS */
        0x0000517b, /* SMB */
        0xff534d42, /* CIFS */
        0xfe534d42, /* SMB2 */
        0x0bd00bd0, /* Lustre */
        0x47504653, /* GPFS */
        0x19830326, /* BeeGFS */
        0x00c36400, /* Ceph */
        0x5346414f, /* AFS */
        0x65735546, /* FUSE: sshfs and others */
        0x01021997, /* 9P */
        0xaad7aaea, /* PanFS */
        0x7461636f, /* OCFS2 */
    };
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (types[i] == type) return true;
    return false;
}
