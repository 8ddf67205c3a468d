/* Patterns of tokenizer.json are written for Oniguruma with Ruby's syntax. pcre2 reads nearly all of it alike; what differs is
 * either brought over or refused, never taken silently in another sense:
 *
 *     ^ and $          match at every line in Ruby: PCRE2_MULTILINE, lines end at \n only
 *     \w               has marks and connectors in Oniguruma, not in pcre2 10.42 with UCP: written out as a class
 *     [a&&b], [a[b]]   intersections and nested classes: pcre2 would take the characters literally: refused
 *     \h, \W in [ ]    refused
 *
 * Patterns are hostile input: length, nesting and match steps are bounded. */
#include "models/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

enum {
    MAX_PATTERN = 32768,         /* bytes */
    MATCH_STEPS = 10000000,      /* backtracking steps of one match */
    HEAP_KIB = 256 * 1024,       /* where the compiled code cannot run */
    JIT_STACK_BYTES = 32 * 1024, /* to begin with */
    JIT_STACK_MAX_BYTES = 4 * 1024 * 1024,
};

struct Regex {
    pcre2_code *code;
};

struct RegexScratch {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack; /* NULL: the 32 KB of the machine's stack have sufficed so far */
};

static bool refuse(const char *what, const char *pattern, size_t n, Err *err)
{
    char shown[128];
    str_escape(pattern, n, shown, sizeof shown);
    return err_set(err, ERR_UNSUPPORTED, "the pattern \"%s\" has %s, which is not supported", shown,
                   what);
}

/* Appends the escape at text[0..1], brought over to pcre2. Returns NULL, or what of it is not supported. */
static const char *translate_escape(const char *text, bool in_class, Buf *out)
{
    static const char word[] = "\\p{L}\\p{M}\\p{N}\\p{Pc}";
    if (text[1] == 'w') {
        buf_printf(out, in_class ? "%s" : "[%s]", word);
        return NULL;
    }
    if (text[1] == 'W' && !in_class) {
        buf_printf(out, "[^%s]", word);
        return NULL;
    }
    if (text[1] == 'W') return "\\W in a class";
    if (text[1] == 'h' || text[1] == 'H') return "\\h";
    buf_append(out, text, 2);
    return NULL;
}

/* Bytes of the named class "[:alpha:]" at text, 0 if there is none. */
static size_t named_class(const char *text, size_t n)
{
    if (n < 4 || text[1] != ':') return 0;
    for (size_t i = 2; i + 1 < n; i++)
        if (text[i] == ':' && text[i + 1] == ']') return i + 2;
    return 0;
}

/* Appends what stands at text (outside of escapes), keeping track of classes; *used is its length. Returns NULL, or what of it is not
 * supported. */
static const char *translate_plain(const char *text, size_t n, bool *in_class, size_t *used,
                                   Buf *out)
{
    *used = 1;
    if (*in_class && *text == '&' && n > 1 && text[1] == '&')
        return "an intersection of classes (&&)";
    if (*in_class && *text == '[') {
        *used = named_class(text, n);
        if (!*used) return "a class in a class";
    } else if (*text == '[') {
        *in_class = true;
        if (n > 1 && text[1] == '^') *used = 2;
    } else if (*text == ']') {
        *in_class = false;
    }
    buf_append(out, text, *used);
    return NULL;
}

static bool translate(const char *pattern, size_t n, Buf *out, Err *err)
{
    bool in_class = false;
    size_t used;
    for (size_t i = 0; i < n; i += used) {
        bool is_escape = pattern[i] == '\\' && i + 1 < n;
        used = 2;
        const char *unsupported = is_escape
                                      ? translate_escape(pattern + i, in_class, out)
                                      : translate_plain(pattern + i, n - i, &in_class, &used, out);
        if (unsupported) return refuse(unsupported, pattern, n, err);
    }
    return true;
}

static pcre2_code *compile(const char *pattern, size_t n, bool is_literal, Err *err)
{
    uint32_t options = is_literal
                           ? PCRE2_UTF | PCRE2_LITERAL
                           : PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context) mem_exhausted(0);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    int code;
    PCRE2_SIZE where;
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)pattern, n, options, &code, &where, context);
    pcre2_compile_context_free(context);
    if (!compiled) {
        char shown[128];
        PCRE2_UCHAR text[128];
        str_escape(pattern, n, shown, sizeof shown);
        pcre2_get_error_message(code, text, sizeof text);
        err_set(err, ERR_INPUT, "the pattern \"%s\" is ill-formed at byte %zu: %s", shown, where,
                (const char *)text);
    }
    return compiled;
}

Regex *regex_compile(const char *pattern, size_t n, bool is_literal, Err *err)
{
    if (n == 0 || n > MAX_PATTERN) {
        err_set(err, ERR_INPUT, "a pattern of %zu bytes, allowed are 1 to %d", n, MAX_PATTERN);
        return NULL;
    }
    Buf translated = {0};
    Regex *regex = NULL;
    pcre2_code *code = NULL;
    if (is_literal)
        code = compile(pattern, n, true, err);
    else if (translate(pattern, n, &translated, err))
        code = compile(translated.data, translated.len, false, err);
    if (code) {
        /* Without compiled code (a hardened kernel forbids it) matching is slower and the same. */
        (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
        regex = mem_alloc(1, sizeof *regex);
        regex->code = code;
    }
    buf_free(&translated);
    return regex;
}

void regex_free(Regex *regex)
{
    if (!regex) return;
    pcre2_code_free(regex->code);
    free(regex);
}

RegexScratch *regex_scratch_new(void)
{
    RegexScratch *scratch = mem_zalloc(1, sizeof *scratch);
    scratch->data = pcre2_match_data_create(1, NULL);
    scratch->context = pcre2_match_context_create(NULL);
    if (!scratch->data || !scratch->context) mem_exhausted(0);
    pcre2_set_match_limit(scratch->context, MATCH_STEPS);
    pcre2_set_heap_limit(scratch->context, HEAP_KIB);
    return scratch;
}

void regex_scratch_free(RegexScratch *scratch)
{
    if (!scratch) return;
    pcre2_match_data_free(scratch->data);
    pcre2_match_context_free(scratch->context);
    pcre2_jit_stack_free(scratch->stack);
    free(scratch);
}

RegexSearch regex_search(const Regex *regex, RegexScratch *scratch, const char *text, size_t n)
{
    return (RegexSearch){
        .regex = regex, .scratch = scratch, .text = text, .n = n, .last_end = SIZE_MAX};
}

/* One match from `at`: pcre2's return code. */
static int match_at(const RegexSearch *search, uint32_t options)
{
    return pcre2_match(search->regex->code, (PCRE2_SPTR)search->text, search->n, search->at,
                       PCRE2_NO_UTF_CHECK | options, search->scratch->data,
                       search->scratch->context);
}

/* Gives compiled code a stack of its own: mapping one costs more than most texts take, so only those that need it pay. */
static bool grow_stack(RegexScratch *scratch)
{
    if (scratch->stack) return false;
    scratch->stack = pcre2_jit_stack_create(JIT_STACK_BYTES, JIT_STACK_MAX_BYTES, NULL);
    if (!scratch->stack) return false;
    pcre2_jit_stack_assign(scratch->context, NULL, scratch->stack);
    return true;
}

static size_t after_char(const RegexSearch *search, size_t at)
{
    int len = str_utf8_char(search->text + at, search->n - at, NULL);
    return at + (size_t)(len ? len : 1);
}

bool regex_next(RegexSearch *search, RegexMatch *match, bool *found, Err *err)
{
    *found = false;
    while (search->at <= search->n) {
        int rc = match_at(search, 0);
        if (rc == PCRE2_ERROR_JIT_STACKLIMIT && grow_stack(search->scratch))
            rc = match_at(search, 0);
        if (rc == PCRE2_ERROR_JIT_STACKLIMIT) rc = match_at(search, PCRE2_NO_JIT);
        if (rc == PCRE2_ERROR_NOMATCH) return true;
        if (rc < 0) {
            PCRE2_UCHAR text[128];
            pcre2_get_error_message(rc, text, sizeof text);
            return err_set(err, ERR_INPUT,
                           "the pre-tokenizer's pattern gave up at byte %zu of %zu: %s", search->at,
                           search->n, (const char *)text);
        }
        const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(search->scratch->data);
        /* \K in a lookahead can put the start behind the end, or before what is already split. */
        size_t end = ends[1] < search->at ? search->at : ends[1];
        size_t start = ends[0] < search->at ? search->at : ends[0] > end ? end : ends[0];
        bool is_empty = start == end;
        search->at = is_empty ? after_char(search, end) : end;
        if (is_empty && end == search->last_end) continue;
        search->last_end = end;
        *match = (RegexMatch){start, end};
        *found = true;
        return true;
    }
    return true;
}
