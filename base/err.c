#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void err_set_text(Err *err, ErrCode code, const char *format, ...)
{
    va_list args;
    err->code = code;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
}

void err_prefix_text(Err *err, const char *format, ...)
{
    char old[ERR_TEXT_MAX];
    memcpy(old, err->text, sizeof old);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof err->text)
        snprintf(err->text + n, sizeof err->text - (size_t)n, ": %.*s",
                 (int)(sizeof old - (size_t)n), old);
}
