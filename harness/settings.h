/* From --method, --lambda, --factor, --alpha and the rest to the settings to be measured. */
#ifndef HARNESS_SETTINGS_H
#define HARNESS_SETTINGS_H

#include "harness/cli.h"
#include "models/rope.h"

/* The method name that stands for the scaling in the model's own file. */
#define SETTING_METHOD_MODEL "model"

/* Resolved specs, in the order of the command line. Free with setting_list_free. */
typedef struct {
    RopeSpec *items;
    size_t n;
} SettingList;

/* Multiplies methods and parameter axes out for one model and resolves each (`auto` becomes a
 * number). own: the rotation as the model's file has it (config.rope); n_ctx_orig 0 means
 * unknown, and settings that need it are refused. --theta and --n-ctx-orig replace own's values.
 * An axis goes to every chosen method that reads it and does not set that parameter itself;
 * lambda and alpha are alternatives. Without --method the axes choose it (lambda, alpha: ntk;
 * factor: linear), and without axes it is `fallback`, a list as --method takes it. length: what
 * `auto` aims at where neither --target nor --n-ctx is given; 0: nothing. Several settings may
 * have equal tables.
 * Errors: USAGE (an axis that no method reads, a model that is scaled already and no --on-scaled,
 * a parameter out of range), INPUT, UNSUPPORTED (--on-scaled stack where two scalings do not
 * combine into one). */
bool settings_make(const Options *options, const RopeSpec *own, const char *fallback,
                   int64_t length, SettingList *out, Err *err) MUST_USE;
void setting_list_free(SettingList *list);

/* Whether any setting is below the model's base: lambda < 1 is legal, and worth a note. */
bool setting_raises_frequencies(const RopeSpec *spec, int64_t n_ctx);

#endif
