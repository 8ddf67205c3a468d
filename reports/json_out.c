#include "reports/json_out.h"

#include <math.h>
#include <stdlib.h>

json_t *json_out_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *json_out_text(const char *value)
{
    json_t *string = value ? json_string(value) : NULL;
    if (!value) return json_null();
    return string ? string : json_string("(not UTF-8)");
}

void json_out_line(const json_t *object, Buf *out)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(17));
    buf_puts(out, text ? text : "null");
    free(text);
}
