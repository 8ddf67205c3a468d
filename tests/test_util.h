/* What every test program needs: cmocka, numeric checks that show what was wrong, and the shared
 * data folder. */
#ifndef TESTS_TEST_UTIL_H
#define TESTS_TEST_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/err.h"

#include <cmocka.h>

/* Fails with both values and the bound unless |got - want| <= atol + rtol * |want|. */
#define assert_close(got, want, rtol, atol) \
 assert_close_at((got), (want), (rtol), (atol), __FILE__, __LINE__)
void assert_close_at(double got, double want, double rtol, double atol, const char *file, int line);

/* Fails with the error's text unless the call returned true (or a pointer that is not NULL). */
#define assert_ok(call, err) assert_ok_at((call) ? true : false, (err), #call, __FILE__, __LINE__)
void assert_ok_at(bool ok, const Err *err, const char *what, const char *file, int line);

/* Fails unless the call returned false (or NULL) with this code and a text that holds `part`. */
#define assert_err(call, err, want_code, part) \
 assert_err_at((call) ? true : false, (err), (want_code), (part), __FILE__, __LINE__)
void assert_err_at(bool ok, const Err *err, ErrCode want_code, const char *part, const char *file,
                   int line);

/* How often `part` begins in a text. */
size_t test_count(const char *text, const char *part);

/* Path of a file of the shared data folder ($SHARED, by default ../shared); the result is valid
 * until the next call but three. Skips the running test, by name, when the folder is absent;
 * fails instead when REQUIRE_SHARED is set. */
const char *shared_path(const char *relative);

/* A new empty folder for this test program; removed at exit. */
const char *test_folder(void);

/* Writes bytes to a file of test_folder() and lends its path, valid until the next call but
 * three. */
const char *test_file(const char *name, const void *bytes, size_t n);

/* Rounds to bf16 by its definition: 8 significant bits, ties to the even one. */
void round_to_bf16(float *x, size_t n);

#endif
