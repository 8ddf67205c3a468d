/* `report`: a database in, one format out; nothing is measured and the database is not written. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/str.h"
#include "harness/commands.h"
#include "harness/terminal.h"
#include "reports/report.h"

/* Whether two names lead to one file. */
static bool same_file(const char *a, const char *b)
{
    struct stat a_st;
    struct stat b_st;
    return stat(a, &a_st) == 0 && stat(b, &b_st) == 0 && a_st.st_ino == b_st.st_ino &&
           a_st.st_dev == b_st.st_dev;
}

/* Refuses an output that would replace the database, or a file that belongs to it while a sweep runs. */
static bool check_output(const char *db, const char *output, bool is_folder, Err *err)
{
    static const char *const parts[] = {"", "-wal", "-shm", "-journal", ".lock"};
    if (is_folder && file_exists(output) && !file_is_dir(output))
        return err_set(err, ERR_USAGE, "-o %s: is a file; give the name of a folder", output);
    if (!is_folder && file_is_dir(output))
        return err_set(err, ERR_USAGE, "-o %s: is a folder; give the name of a file", output);
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        char *name = str_format("%s%s", db, parts[i]);
        bool same = same_file(name, output) || str_equal(name, output);
        free(name);
        if (same)
            return err_set(err, ERR_USAGE,
                           "-o %s: belongs to the database %s, which a report never replaces; give "
                           "another name",
                           output, db);
    }
    return true;
}

/* --format, else what the output's name ends in, else csv. */
static const ReportFormat *choose_format(const Options *options, Err *err)
{
    const char *name = options->format;
    const char *dot = options->output ? strrchr(options->output, '.') : NULL;
    if (!name && dot && report_find(dot + 1)) name = dot + 1;
    const ReportFormat *format = report_find(name ? name : "csv");
    if (format) return format;
    Buf known = {0};
    for (const ReportFormat *row = report_formats; row->name; row++)
        buf_printf(&known, "%s%s", known.len ? ", " : "", row->name);
    err_set(err, ERR_USAGE, "--format %s: is not a format of reports; there are %s", name,
            buf_text(&known));
    buf_free(&known);
    return NULL;
}

/* Writes the files of a report into a folder, which is made where it is missing. */
static bool write_files(const char *folder, const ReportFiles *files, Err *err)
{
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return err_set(err, ERR_OUTPUT, "-o %s: cannot be made: %s", folder, strerror(errno));
    bool ok = true;
    for (size_t i = 0; ok && i < files->n; i++) {
        const ReportFile *file = &files->items[i];
        char *path = file_join(folder, file->name);
        ok = file_write_atomic(path, file->content.data, file->content.len, err);
        if (ok) printf("%s\n", path);
        free(path);
    }
    return ok;
}

static bool write_text(const char *path, Buf *text, Err *err)
{
    if (path) return file_write_atomic(path, text->data, text->len, err);
    terminal_print(buf_text(text), text->len);
    return true;
}

static bool write_report(const Options *options, const ReportFormat *format, Err *err)
{
    Store *store = store_open_read_only(options->db, err);
    if (!store) return false;
    size_t n_formulas = 0;
    ReportOptions report = {.provenance = options->provenance,
                            .wide = options->wide,
                            .run_id = options->run,
                            .n_formulas = &n_formulas};
    Buf text = {0};
    ReportFiles files = {0};
    bool ok = report_check_run(store, options->run, err) &&
              (format->write ? format->write(store, &report, &text, err)
                             : format->write_files(store, &report, &files, err));
    store_close(store);
    ok = ok && (format->write ? write_text(options->output, &text, err)
                              : write_files(options->output, &files, err));
    buf_free(&text);
    report_free_files(&files);
    if (ok) terminal_warn_of_formulas(n_formulas);
    return ok;
}

/* What only some formats have. */
static bool check_format(const Options *options, const ReportFormat *format, Err *err)
{
    if (options->wide && !str_equal(format->name, "csv"))
        return err_set(err, ERR_USAGE, "--wide is of --format csv, not of %s", format->name);
    if (!format->write && !options->output)
        return err_set(err, ERR_USAGE,
                       "--format %s writes several files: name a folder for them with -o DIR",
                       format->name);
    return !options->output || check_output(options->db, options->output, !format->write, err);
}

int cmd_report(const Command *command, const Options *options, Err *err)
{
    (void)command;
    const ReportFormat *format = choose_format(options, err);
    if (!format) return cli_exit_status(err->code);
    if (!options->db)
        err_set(err, ERR_USAGE,
                "report: which database? Give --db FILE, as `ropewalk sweep` was given");
    else if (check_format(options, format, err) && write_report(options, format, err))
        return EXIT_OK;
    return cli_exit_status(err->code);
}
