/* One error, carried by value from where it happened to `main`, which prints it once.
 *
 * A function that can fail returns bool (or a pointer that may be NULL) and takes `Err *err`
 * last. err may not be NULL. The code decides what the program does next and nothing else; the
 * text is for a person and says what was wrong, where (file, key or byte offset), what was found,
 * what was allowed and what to do. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/base.h"

typedef enum {
    ERR_NONE = 0,
    ERR_USAGE,       /* the command line or the sweep file asks for something impossible */
    ERR_INPUT,       /* a file that was read is bad */
    ERR_OUTPUT,      /* a file could not be written */
    ERR_UNSUPPORTED, /* a well-formed request for something this program does not do */
    ERR_NOMEM,       /* a planned allocation does not fit */
    ERR_NET,         /* network or server */
    ERR_STORE,       /* the results database */
    ERR_CANCELLED,   /* the caller's stop request was honoured */
    ERR_NONFINITE,   /* the model produced a NaN or an infinity */
    ERR_TOO_LONG,    /* a prompt is longer than the server takes */
    ERR_TRUNCATED,   /* the server read another prompt than the one it was sent */
} ErrCode;

enum { ERR_TEXT_MAX = 1024 };

typedef struct {
    ErrCode code;
    char text[ERR_TEXT_MAX];
} Err;

/* Sets the error; a text that is too long is cut. Always false, so that `return err_set(…)` reads
 * well; a macro, so that the compiler sees it and does not take a failed call's results for set. */
#define err_set(...) (err_set_text(__VA_ARGS__), err_false())
void err_set_text(Err *err, ErrCode code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Puts "prefix: " before the text of an error that is already set. Always false. */
#define err_prefix(...) (err_prefix_text(__VA_ARGS__), err_false())
void err_prefix_text(Err *err, const char *format, ...) PRINTF_LIKE(2, 3);

static inline bool err_false(void)
{
    return false;
}

#endif
