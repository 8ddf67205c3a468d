/* Axes of a sweep as people type them: comma lists, repeats, ranges "1:64:*2" and "256:4096:+256", sizes "4k". */
#ifndef HARNESS_CLI_AXIS_H
#define HARNESS_CLI_AXIS_H

#include "harness/cli.h"

/* Most values of one axis. */
enum { AXIS_MAX_VALUES = 100000 };

/* Takes the string. */
void string_list_add(StringList *list, char *owned);
void string_list_free(StringList *list);

/* Adds sizes within low … high; the list stays rising and without repeats. Errors: USAGE. */
bool axis_add_sizes(const char *text, int64_t low, int64_t high, SizeList *list, Err *err) MUST_USE;

/* Adds finite numbers above 0 and not below low, "auto" and "auto-each"; the list stays rising, words last, without repeats.
 * Errors: USAGE. */
bool axis_add_numbers(const char *text, double low, StringList *list, Err *err) MUST_USE;

/* Adds items "NAME[:key=value,…]". In the text, an item "key=value" goes on with the name before it, and so does a bare value
 * with the key before it ("ntk:lambda=1,2" is two items); ranges and lists multiply out. Errors: USAGE. */
bool axis_add_specs(const char *text, StringList *list, Err *err) MUST_USE;

#endif
