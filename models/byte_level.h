/* The byte alphabet of byte-level BPE: every byte as one printable character. Source: GPT-2's bytes_to_unicode. */
#ifndef MODELS_BYTE_LEVEL_H
#define MODELS_BYTE_LEVEL_H

#include "base/buf.h"

/* Appends the UTF-8 spelling of n bytes. */
void byte_level_spell(const char *bytes, size_t n, Buf *out);

/* Appends the bytes that a spelling stands for. Returns false, with nothing appended, when a character is not of the
 * alphabet. */
bool byte_level_read(const char *spelling, size_t n, Buf *out);

#endif
