/* The table of option rows. Used by the parser, help and the sweep file. */
#ifndef HARNESS_CLI_OPTIONS_H
#define HARNESS_CLI_OPTIONS_H

#include "harness/cli.h"

/* What a value is; the field of Options that it goes to follows from it. */
typedef enum {
    OPTION_FLAG,    /* bool, without a value */
    OPTION_TEXT,    /* char * */
    OPTION_WORD,    /* char *, one of the row's choices */
    OPTION_INTEGER, /* int64_t within low … high */
    OPTION_SIZE,    /* the same, takes 4k */
    OPTION_NUMBER,  /* double above low */
    OPTION_TEXTS,   /* StringList, one item a value */
    OPTION_SIZES,   /* SizeList, an axis within low … high */
    OPTION_NUMBERS, /* StringList, an axis of numbers from low on, auto, auto-each */
    OPTION_METHODS, /* StringList of "NAME[:key=value,…]" */
    OPTION_PROBES,  /* the same */
    OPTION_N_TYPES
} OptionType;

typedef struct {
    const char *name;
    char short_name;     /* '\0': none */
    const char *aliases; /* parted by blanks; NULL: none */
    OptionType type;
    size_t offset; /* of the field of Options */
    int64_t low;
    int64_t high;
    const char *choices;      /* of OPTION_WORD, parted by blanks */
    const char *default_text; /* NULL: none */
    const char *argument;     /* "N,…", for help; NULL for a flag */
    const char *help;         /* one line */
    unsigned commands;        /* bits of those that take it */
} OptionRow;

/* All rows. Ends with one whose name is NULL. */
extern const OptionRow option_rows[];

enum { OPTION_MAX_ROWS = 80 };

/* The row of a name or alias (n bytes, without dashes, "-" and "_" alike), or NULL. */
const OptionRow *option_find(const char *name, size_t n);

/* The row whose name or alias is nearest to a misspelt one, among those that a command takes, or NULL when none is near. */
const OptionRow *option_nearest(const char *name, unsigned command);

/* Whether a file of options may set it: not what names such a file, or asks for help. */
bool option_is_key(const OptionRow *row);

/* Whether the row names a file of options. */
bool option_names_file(const OptionRow *row);

/* Whether values of this type add up when the option is repeated. */
bool option_is_list(OptionType type);

/* Reads a value into the row's field of options. A flag takes "true" or "false". Errors: USAGE, without the option's name. */
bool option_set(const OptionRow *row, const char *text, Options *options, Err *err) MUST_USE;

/* Frees what the row's field holds and zeroes it. */
void option_clear(const OptionRow *row, Options *options);

/* Appends the row's value as YAML; false, and nothing, when it was not given. */
bool option_write(const OptionRow *row, const Options *options, Buf *out);

#endif
