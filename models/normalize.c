#include "models/normalize.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "base/str.h"

void normalizer_add(Normalizer *normalizer, NormalizeKind kind, const char *from, const char *to)
{
    assert(kind != NORMALIZE_REPLACE || (from && *from));
    normalizer->steps =
        mem_realloc(normalizer->steps, normalizer->n + 1, sizeof *normalizer->steps);
    normalizer->steps[normalizer->n++] =
        (NormalizeStep){kind, from ? str_dup(from) : NULL, to ? str_dup(to) : NULL};
}

void normalize_replace(const char *text, size_t n, const char *from, const char *to, Buf *out)
{
    size_t n_from = strlen(from);
    size_t n_to = strlen(to);
    size_t at = 0;
    while (n - at >= n_from) {
        const char *hit = memchr(text + at, from[0], n - at - n_from + 1);
        if (!hit) break;
        size_t start = (size_t)(hit - text);
        bool is_match = memcmp(hit, from, n_from) == 0;
        buf_append(out, text + at, start - at);
        buf_append(out, is_match ? to : hit, is_match ? n_to : 1);
        at = start + (is_match ? n_from : 1);
    }
    buf_append(out, text + at, n - at);
}

/* Length of the well-formed UTF-8 at the start of a text; *is_ascii tells whether it is all ASCII. */
static size_t well_formed_run(const char *text, size_t n, bool *is_ascii)
{
    size_t i = 0;
    *is_ascii = true;
    for (int len; i < n && (len = str_utf8_char(text + i, n - i, NULL)); i += (size_t)len)
        *is_ascii = *is_ascii && len == 1;
    return i;
}

static utf8proc_option_t form_of(NormalizeKind kind)
{
    static const utf8proc_option_t forms[] = {
        [NORMALIZE_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
        [NORMALIZE_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        [NORMALIZE_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        [NORMALIZE_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };
    return forms[kind];
}

static bool apply_form(NormalizeKind kind, const char *text, size_t n, Buf *out, Err *err)
{
    for (size_t i = 0; i < n;) {
        bool is_ascii;
        size_t run = well_formed_run(text + i, n - i, &is_ascii);
        if (is_ascii) {
            /* ASCII is normal in every form. One byte that is not UTF-8 goes with it. */
            run += i + run < n;
            buf_append(out, text + i, run);
        } else {
            utf8proc_uint8_t *normal = NULL;
            utf8proc_ssize_t len = utf8proc_map((const utf8proc_uint8_t *)text + i,
                                                (utf8proc_ssize_t)run, &normal, form_of(kind));
            if (len < 0)
                return err_set(err, ERR_INPUT, "byte %zu of the text cannot be normalised: %s", i,
                               utf8proc_errmsg(len));
            buf_append(out, normal, (size_t)len);
            free(normal);
        }
        i += run;
    }
    return true;
}

static bool apply_step(const NormalizeStep *step, const Buf *in, Buf *out, Err *err)
{
    buf_clear(out);
    if (step->kind == NORMALIZE_PREPEND) {
        if (in->len) buf_puts(out, step->to);
        buf_append(out, in->data, in->len);
        return true;
    }
    if (step->kind == NORMALIZE_REPLACE) {
        normalize_replace(in->data, in->len, step->from, step->to, out);
        return true;
    }
    return apply_form(step->kind, in->data, in->len, out, err);
}

bool normalizer_apply(const Normalizer *normalizer, const char *text, size_t n, Buf *out, Err *err)
{
    Buf next = {0};
    bool ok = true;
    buf_clear(out);
    buf_append(out, text, n);
    for (size_t i = 0; ok && i < normalizer->n; i++) {
        ok = apply_step(&normalizer->steps[i], out, &next, err);
        Buf swap = *out;
        *out = next;
        next = swap;
    }
    buf_free(&next);
    return ok;
}

void normalizer_free(Normalizer *normalizer)
{
    for (size_t i = 0; i < normalizer->n; i++) {
        free(normalizer->steps[i].from);
        free(normalizer->steps[i].to);
    }
    free(normalizer->steps);
    *normalizer = (Normalizer){0};
}
