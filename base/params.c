#include "base/params.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static double *field_of(const Param *row, void *values)
{
    return (double *)(void *)((char *)values + row->offset);
}

double params_value(const Param *row, const void *values)
{
    return *(const double *)(const void *)((const char *)values + row->offset);
}

void params_default(const ParamTable *table, void *values)
{
    for (size_t i = 0; i < table->n; i++)
        *field_of(&table->rows[i], values) = table->rows[i].value;
}

static bool refuse_name(const ParamTable *table, const char *name, Err *err)
{
    const Param *nearest = &table->rows[0];
    for (size_t i = 1; i < table->n; i++)
        if (str_distance(name, table->rows[i].name) < str_distance(name, nearest->name))
            nearest = &table->rows[i];
    char shown[64];
    str_escape(name, strlen(name), shown, sizeof shown);
    return err_set(err, ERR_USAGE, "%s has no option \"%s\"; the nearest is \"%s\"", table->owner,
                   shown, nearest->name);
}

bool params_set(const ParamTable *table, void *values, const char *name, double value, Err *err)
{
    const Param *row = NULL;
    for (size_t i = 0; i < table->n && !row; i++)
        if (str_equal(name, table->rows[i].name)) row = &table->rows[i];
    if (!row) return refuse_name(table, name, err);
    bool fits =
        value >= row->low && value <= row->high && (!row->is_whole || value == trunc(value));
    if (!fits)
        return err_set(err, ERR_USAGE, "%s is %g, allowed are %s of %g to %g", name, value,
                       row->is_whole ? "whole numbers" : "numbers", row->low, row->high);
    *field_of(row, values) = value;
    return true;
}

/* One "name=value", which is cut at the sign. */
static bool read_item(const ParamTable *table, void *values, char *item, Err *err)
{
    double value;
    char *sign = strchr(item, '=');
    if (sign) *sign = '\0';
    if (sign && str_to_double(sign + 1, &value)) return params_set(table, values, item, value, err);
    char shown[64];
    str_escape(item, strlen(item), shown, sizeof shown);
    return err_set(err, ERR_USAGE, "\"%s\": name=number is expected", shown);
}

bool params_read(const ParamTable *table, void *values, const char *text, Err *err)
{
    char *copy = str_dup(text);
    bool ok = true;
    char *state = NULL;
    for (char *item = strtok_r(copy, ",", &state); item && ok; item = strtok_r(NULL, ",", &state))
        ok = read_item(table, values, item, err);
    free(copy);
    return ok;
}
