/* Bytes that are printable in Latin-1 (0x21-0x7E, 0xA1-0xAC, 0xAE-0xFF) stand for themselves as code points; the other 68, in
 * rising order, are U+0100, U+0101, …: a space is U+0120 "Ġ", a newline U+010A "Ċ". */
#include "models/byte_level.h"

#include "base/str.h"

static bool stands_for_itself(uint32_t byte)
{
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
}

static uint32_t code_point_of(uint32_t byte)
{
    if (stands_for_itself(byte)) return byte;
    if (byte <= 0x20) return 0x100 + byte;
    return byte == 0xAD ? 0x143 : 0x121 + byte - 0x7F;
}

void byte_level_spell(const char *bytes, size_t n, Buf *out)
{
    for (size_t i = 0; i < n; i++) {
        char spelling[4];
        int len = str_utf8_put(code_point_of((unsigned char)bytes[i]), spelling);
        buf_append(out, spelling, (size_t)len);
    }
}

/* The byte of a code point, or -1. */
static int byte_of(uint32_t c)
{
    if (c < 0x100) return stands_for_itself(c) ? (int)c : -1;
    if (c <= 0x120) return (int)(c - 0x100);
    if (c <= 0x142) return (int)(c - 0x121 + 0x7F);
    return c == 0x143 ? 0xAD : -1;
}

bool byte_level_read(const char *spelling, size_t n, Buf *out)
{
    size_t before = out->len;
    for (size_t i = 0; i < n;) {
        uint32_t c;
        int len = str_utf8_char(spelling + i, n - i, &c);
        int byte = len ? byte_of(c) : -1;
        if (byte < 0) {
            out->len = before;
            return false;
        }
        buf_putc(out, (char)byte);
        i += (size_t)len;
    }
    return true;
}
