/* Options that pair names or lengths with numbers: the lengths of --mix with their shares, the probes of --fail-if with their margins. */
#ifndef HARNESS_CLI_PAIRS_H
#define HARNESS_CLI_PAIRS_H

#include "base/base.h"
#include "base/err.h"
#include "reports/yardstick.h"

/* By how much B may be worse. */
typedef struct {
    char *probe; /* NULL: any probe that has no margin of its own */
    double value;
} Margin;

typedef struct {
    Margin *items;
    size_t n;
} MarginList;

/* Reads "512:0.5,2048:0.5", as given: not sorted, repeats left in. Sets *parts and *n either way; the caller frees *parts. Errors: USAGE. */
bool cli_read_mix(const char *text, MixPart **parts, size_t *n, Err *err) MUST_USE;

/* Reads "0.05" or "passkey=0.1,perplexity=0.02" onto the end of a list, which is to be freed either way. Errors: USAGE. */
bool cli_read_margins(const char *text, MarginList *out, Err *err) MUST_USE;
void cli_free_margins(MarginList *margins);

#endif
