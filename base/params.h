/* Named numbers of a struct of doubles, each with its range and its default: what a recipe may set. */
#ifndef BASE_PARAMS_H
#define BASE_PARAMS_H

#include "base/err.h"

typedef struct {
    const char *name;
    size_t offset; /* of the double in the struct */
    double low;
    double high;
    bool is_whole;
    double value; /* the default */
    const char *help;
} Param;

typedef struct {
    const char *owner; /* "the mixture", for messages */
    const Param *rows;
    size_t n;
} ParamTable;

/* Gives every number its default. */
void params_default(const ParamTable *table, void *values);

/* Sets one by its name. Errors: USAGE (no such name: says the nearest; a value out of range). */
bool params_set(const ParamTable *table, void *values, const char *name, double value,
                Err *err) MUST_USE;

/* Sets what a text "name=value,name=value" names. Errors: USAGE. */
bool params_read(const ParamTable *table, void *values, const char *text, Err *err) MUST_USE;

/* The number of a row. */
double params_value(const Param *row, const void *values);

#endif
