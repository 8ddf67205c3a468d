/* Regular expressions of tokenizer files, on pcre2. */
#ifndef MODELS_REGEX_H
#define MODELS_REGEX_H

#include "base/base.h"
#include "base/err.h"

typedef struct Regex Regex;

/* Compiles a pattern in the dialect of tokenizer.json (Oniguruma, Ruby's syntax); is_literal takes it as plain text.
 * Errors: INPUT (empty, ill-formed), UNSUPPORTED (a construct that means something else here). */
Regex *regex_compile(const char *pattern, size_t n, bool is_literal, Err *err) MUST_USE;
void regex_free(Regex *regex);

/* What a search needs besides the pattern; one a thread. */
typedef struct RegexScratch RegexScratch;
RegexScratch *regex_scratch_new(void);
void regex_scratch_free(RegexScratch *scratch);

typedef struct {
    size_t start;
    size_t end;
} RegexMatch;

/* A search through one well-formed UTF-8 text. */
typedef struct {
    const Regex *regex;
    RegexScratch *scratch;
    const char *text;
    size_t n;
    size_t at;       /* where the next search starts */
    size_t last_end; /* end of the last match; SIZE_MAX: none yet */
} RegexSearch;

RegexSearch regex_search(const Regex *regex, RegexScratch *scratch, const char *text, size_t n);

/* Finds the next match. *found is false at the end. An empty match that touches the last match is passed over.
 * Errors: INPUT (the pattern needs too many steps on this text). */
bool regex_next(RegexSearch *search, RegexMatch *match, bool *found, Err *err) MUST_USE;

#endif
