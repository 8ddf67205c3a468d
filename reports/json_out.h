/* Values for JSON that is written: what JSON has no word for becomes null. */
#ifndef REPORTS_JSON_OUT_H
#define REPORTS_JSON_OUT_H

#include <jansson.h>

#include "base/buf.h"

/* A new reference: null where the number is not finite. */
json_t *json_out_number(double value);

/* A new reference: null for NULL; bytes that are not UTF-8 are said to be so. */
json_t *json_out_text(const char *value);

/* Appends an object on one line, numbers with every bit. */
void json_out_line(const json_t *object, Buf *out);

#endif
