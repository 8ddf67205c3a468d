#include "tests/test_util.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

void assert_close_at(double got, double want, double rtol, double atol, const char *file, int line)
{
    double bound = atol + rtol * fabs(want);
    if (fabs(got - want) <= bound) return;
    print_error("got %.17g, want %.17g, off by %.3g, allowed %.3g\n", got, want, got - want, bound);
    _fail(file, line);
}

void assert_ok_at(bool ok, const Err *err, const char *what, const char *file, int line)
{
    if (ok) return;
    print_error("%s failed: %s\n", what, err->text);
    _fail(file, line);
}

void assert_err_at(bool ok, const Err *err, ErrCode want_code, const char *part, const char *file,
                   int line)
{
    if (ok) {
        print_error("succeeded, an error about \"%s\" was wanted\n", part);
        _fail(file, line);
    } else if (err->code != want_code || !strstr(err->text, part)) {
        print_error("got code %d, \"%s\"; wanted code %d and \"%s\"\n", (int)err->code, err->text,
                    (int)want_code, part);
        _fail(file, line);
    }
}

/* A ring of path buffers, so that a few lent paths can be used in one call. */
static char *next_path_buffer(void)
{
    enum { N_BUFFERS = 4, PATH_BYTES = 1024 };
    static char buffers[N_BUFFERS][PATH_BYTES];
    static int next;
    next = (next + 1) % N_BUFFERS;
    return buffers[next];
}

size_t test_count(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
        n++;
    return n;
}

const char *shared_path(const char *relative)
{
    const char *root = getenv("SHARED");
    if (!root || !*root) root = "../shared";
    char *path = next_path_buffer();
    snprintf(path, 1024, "%s/%s", root, relative);
    if (!file_is_dir(root)) {
        if (getenv("REQUIRE_SHARED")) fail_msg("%s is absent and REQUIRE_SHARED is set", root);
        print_message("skipped: %s is absent\n", root);
        skip();
    }
    return path;
}

static char folder[64];

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_folder(void)
{
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *test_folder(void)
{
    if (!folder[0]) {
        strcpy(folder, "/tmp/ropewalk-test-XXXXXX");
        if (!mkdtemp(folder)) fail_msg("no temporary folder");
        atexit(remove_folder);
    }
    return folder;
}

const char *test_file(const char *name, const void *bytes, size_t n)
{
    char *path = next_path_buffer();
    snprintf(path, 1024, "%s/%s", test_folder(), name);
    FILE *f = fopen(path, "wb");
    if (!f) fail_msg("cannot write %s", path);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
    return path;
}

void round_to_bf16(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int exponent;
        double part = frexp((double)x[i], &exponent);
        x[i] = (float)ldexp(nearbyint(part * 256.0), exponent - 8);
    }
}
