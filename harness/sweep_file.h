/* Sweep files: options written down, one YAML key each. */
#ifndef HARNESS_SWEEP_FILE_H
#define HARNESS_SWEEP_FILE_H

#include "harness/cli_options.h"

enum { SWEEP_FILE_MAX_BYTES = 1 << 20 };

typedef struct {
    const char *origin; /* the file's name, for messages */
    unsigned command;   /* bit of the command whose options are allowed */
    Options *options;
    bool given[OPTION_MAX_ROWS]; /* becomes true for each option_rows[i] that the text has */
} SweepFile;

/* Sets the options of a YAML text of n bytes. Errors: USAGE, with the line. */
bool sweep_file_parse(const char *text, size_t n, SweepFile *file, Err *err) MUST_USE;

/* The same from a file; origin is its path. Errors: USAGE, INPUT (absent, larger than SWEEP_FILE_MAX_BYTES). */
bool sweep_file_read(const char *path, SweepFile *file, Err *err) MUST_USE;

#endif
