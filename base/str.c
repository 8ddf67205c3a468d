#include "base/str.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

char *str_dup(const char *s)
{
    return str_dup_n(s, strlen(s));
}

char *str_dup_n(const char *s, size_t n)
{
    char *copy = mem_alloc(n + 1, 1);
    memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *str_format(const char *format, ...)
{
    va_list args;
    va_list again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(n >= 0);
    char *text = mem_alloc((size_t)n + 1, 1);
    vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return text;
}

bool str_equal(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

bool str_starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends_with(const char *s, const char *suffix)
{
    size_t n = strlen(s);
    size_t m = strlen(suffix);
    return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

static int min_of_3(int a, int b, int c)
{
    int m = a < b ? a : b;
    return m < c ? m : c;
}

int str_distance(const char *a, const char *b)
{
    enum { MAX = 63, FAR_APART = 1000 };
    size_t n = strlen(a);
    size_t m = strlen(b);
    if (n > MAX || m > MAX) return FAR_APART;
    int row[MAX + 1];
    for (size_t j = 0; j <= m; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int above = row[j];
            row[j] = min_of_3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[m];
}

/* strtod and friends skip leading blanks; a value with blanks is not one we accept. */
static bool starts_like_number(const char *s)
{
    return *s == '-' || *s == '+' || *s == '.' || (*s >= '0' && *s <= '9');
}

bool str_to_double(const char *s, double *out)
{
    if (!starts_like_number(s)) return false;
    /* main never calls setlocale, so strtod reads the C locale's decimal point. Hexadecimal,
     * "inf" and "nan" are refused. */
    if (strpbrk(s, "xXnNpP")) return false;
    char *end;
    double v = strtod(s, &end);
    if (*end || !isfinite(v)) return false;
    *out = v;
    return true;
}

bool str_to_i64(const char *s, int64_t *out)
{
    if (!starts_like_number(s)) return false;
    errno = 0;
    char *end;
    long long v = strtoll(s, &end, 10);
    if (*end || end == s || errno == ERANGE) return false;
    *out = v;
    return true;
}

bool str_to_size(const char *s, int64_t *out)
{
    size_t n = strlen(s);
    if (n == 0 || n > 31) return false;
    int64_t scale = 1;
    char last = s[n - 1];
    if (last == 'k' || last == 'K') scale = 1024;
    if (last == 'm' || last == 'M') scale = 1024 * 1024;
    char digits[32];
    memcpy(digits, s, n + 1);
    if (scale > 1) digits[n - 1] = '\0';
    int64_t v;
    if (!str_to_i64(digits, &v) || __builtin_mul_overflow(v, scale, &v)) return false;
    *out = v;
    return true;
}

int str_utf8_char(const char *s, size_t n, uint32_t *codepoint)
{
    const unsigned char *u = (const unsigned char *)s;
    if (n == 0) return 0;
    uint32_t c = u[0];
    int len = c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;
    if (len == 0 || (size_t)len > n) return 0;
    static const unsigned char lead_mask[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    c &= lead_mask[len];
    for (int i = 1; i < len; i++) {
        if ((u[i] & 0xC0) != 0x80) return 0;
        c = c << 6 | (u[i] & 0x3F);
    }
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (c < smallest[len] || (c >= 0xD800 && c <= 0xDFFF) || c > 0x10FFFF) return 0;
    if (codepoint) *codepoint = c;
    return len;
}

int str_utf8_put(uint32_t c, char out[4])
{
    assert(c <= 0x10FFFF);
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    int len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (int i = len - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (c & 0x3F));
        c >>= 6;
    }
    out[0] = (char)(lead[len] | c);
    return len;
}

/* Characters that change what a terminal or a reader shows without being seen. */
static bool is_unprintable(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x061C || (c >= 0x200B && c <= 0x200F) ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF;
}

/* Writes what is shown for the character at bytes, of which n are readable; returns its length. */
static int escape_char(const char *bytes, size_t n, char piece[17], int *piece_len)
{
    uint32_t c;
    int len = str_utf8_char(bytes, n, &c);
    if (len && !is_unprintable(c)) {
        memcpy(piece, bytes, (size_t)len);
        *piece_len = len;
        return len;
    }
    if (len == 0) len = 1;
    for (int i = 0; i < len; i++)
        snprintf(piece + (ptrdiff_t)4 * i, 5, "\\x%02x", (unsigned char)bytes[i]);
    *piece_len = 4 * len;
    return len;
}

void str_escape(const char *bytes, size_t n, char *out, size_t cap)
{
    static const char ellipsis[] = "…";
    if (cap == 0) return;
    size_t used = 0;
    size_t cut = 0; /* where the last piece ends that leaves room for an ellipsis */
    for (size_t i = 0; i < n;) {
        char piece[17];
        int piece_len;
        i += (size_t)escape_char(bytes + i, n - i, piece, &piece_len);
        if (used + (size_t)piece_len + 1 > cap) {
            used = cut;
            if (cap >= sizeof ellipsis) {
                memcpy(out + cut, ellipsis, sizeof ellipsis - 1);
                used += sizeof ellipsis - 1;
            }
            break;
        }
        memcpy(out + used, piece, (size_t)piece_len);
        used += (size_t)piece_len;
        if (used + sizeof ellipsis <= cap) cut = used;
    }
    out[used] = '\0';
}

void str_from_double(double v, char out[32])
{
    int digits = 1;
    for (; digits < 17; digits++) {
        snprintf(out, 32, "%.*e", digits - 1, v);
        if (strtod(out, NULL) == v) break;
    }
    snprintf(out, 32, "%.*g", digits, v);
    /* %g turns to exponents as soon as they save a zero; "10" and "2048" read better than "1e+01". */
    const char *exponent = strchr(out, 'e');
    if (!exponent || fabs(v) < 1.0 || fabs(v) >= 1e15) return;
    int n_decimals = digits - 1 - (int)strtol(exponent + 1, NULL, 10);
    snprintf(out, 32, "%.*f", n_decimals > 0 ? n_decimals : 0, v);
}
