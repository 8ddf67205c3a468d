/* Libraries are asked at run time: what counts is the one that is loaded. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "harness/version.h"

#include <curl/curl.h>
#include <jansson.h>
#include <pcre2.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "models/kernels.h"

/* The Makefile gives these to this file alone. */
#if !defined BUILD_VERSION || !defined BUILD_FLAGS
# error "BUILD_VERSION and BUILD_FLAGS must be defined"
#endif

#ifdef __clang__
# define COMPILER "clang " __clang_version__
#else
# define COMPILER "gcc " __VERSION__
#endif

/* OpenBLAS pads its configuration with blanks. */
static char *blas_text(void)
{
    Buf text = {0};
    for (const char *c = kernels_blas_config(); *c; c++)
        if (*c != ' ' || c[1] != '\0') buf_putc(&text, *c);
    if (text.len == 0) buf_puts(&text, "a CBLAS that does not name itself");
    const char *core = kernels_blas_core();
    if (*core) buf_printf(&text, ", core %s", core);
    return buf_steal(&text);
}

char *version_text(void)
{
    Buf text = {0};
    char pcre[64];
    pcre2_config(PCRE2_CONFIG_VERSION, pcre);
    char paths[128];
    char *blas = blas_text();
    kernel_path_names(paths);
    buf_printf(&text, "ropewalk %s\n", BUILD_VERSION);
    buf_printf(&text, "compiler  %s\n", COMPILER);
    buf_printf(&text, "flags     %s\n", BUILD_FLAGS);
    buf_printf(&text, "kernels   %s, of %s\n", kernel_path_best()->name, paths);
    const KernelPath *bf16 = kernel_path_best_of("bf16");
    buf_printf(&text, "bf16      %s\n", bf16 ? bf16->name : "no: needs AVX512-BF16");
    buf_printf(&text, "blas      %s\n", blas);
    buf_printf(&text, "sqlite    %s\n", sqlite3_libversion());
    buf_printf(&text, "jansson   %s\n", jansson_version_str());
    buf_printf(&text, "pcre2     %s\n", pcre);
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    buf_printf(&text, "libcurl   %s, %s\n", curl->version,
               curl->ssl_version ? curl->ssl_version : "without TLS");
    free(blas);
    return buf_steal(&text);
}

char *version_line(void)
{
    const char *core = kernels_blas_core();
    return str_format("ropewalk %s, %s, blas core %s", BUILD_VERSION, COMPILER,
                      *core ? core : "unknown");
}

char *version_agent(void)
{
    return str_format("ropewalk/%.*s", (int)strcspn(BUILD_VERSION, " "), BUILD_VERSION);
}
