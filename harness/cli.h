/* The command line: one table of option rows gives parsing, help, did-you-mean and the sweep file's keys.
 *
 * A default is a string that goes through the same parser as the user's words. */
#ifndef HARNESS_CLI_H
#define HARNESS_CLI_H

#include "base/err.h"

/* A list of strings, in the order given. */
typedef struct {
    char **items;
    size_t n;
} StringList;

/* Numbers of an axis, sorted and without repeats. */
typedef struct {
    double *items;
    size_t n;
} NumberList;

typedef struct {
    int64_t *items;
    size_t n;
} SizeList;

/* Every option of every command. Strings that were not given are NULL, lists empty, n_ctx_orig and target 0. */
typedef struct {
    StringList model;
    StringList method; /* each "NAME[:key=value,…]", ranges already multiplied out */
    StringList lambda; /* numbers, "auto", "auto-each" */
    StringList factor;
    StringList alpha;
    SizeList n_ctx;
    StringList probe; /* each "NAME[:key=value,…]" */
    char *corpus;
    char *documents;
    double theta;       /* 0: the model's */
    int64_t dim;        /* 0: the model's */
    int64_t n_ctx_orig; /* 0: the model's */
    int64_t target;     /* 0: the largest n_ctx */
    int64_t target_max;
    char *on_scaled;
    char *db;
    int64_t seed;
    int64_t jobs;    /* 0: as many as is faster */
    int64_t threads; /* 0: as many as there are cores */
    char *precision;
    char *config;
    bool dry_run;
    int64_t limit; /* 0: none */
    bool fresh;
    bool yes;
    bool quiet;
    bool allow_nan;
    char *format;
    char *output;
    bool provenance;
    bool json;
    char *text;    /* --text / --prompt */
    char *file;    /* --file: text of a file */
    char *ids;     /* token ids instead of a text */
    int64_t n_new; /* --n-new: tokens to generate */
    bool parse_special;
    bool help;
    StringList arguments; /* what is not an option */
} Options;

typedef struct Command Command;

/* A command: a row of the table in main.c. run returns the exit status. */
struct Command {
    const char *name;
    const char *help;     /* one line */
    const char *usage;    /* "ropewalk theta [options]" */
    const char *examples; /* lines that work as they stand */
    int (*run)(const Command *command, const Options *options, Err *err);
    unsigned bit; /* which option rows it takes */
};

/* All commands. Ends with a row whose name is NULL. */
extern const Command commands[];

/* Exit statuses. Source: docs/exit-status in README. */
enum {
    EXIT_OK = 0,
    EXIT_NOT_DONE = 1,
    EXIT_USAGE = 2,
    EXIT_INPUT = 3,
    EXIT_NET = 4,
    EXIT_STORE = 5,
    EXIT_UNSUPPORTED = 6,
    EXIT_BUG = 70,
};

/* Fills options from defaults, the sweep file (--config) and the words after the command's name, in this order; flags win.
 * Errors: USAGE (names the nearest option), INPUT (unreadable sweep file). */
bool cli_parse(const Command *command, int argc, char **argv, Options *options, Err *err) MUST_USE;
void cli_free(Options *options);

/* Prints help of one command, or of the program when command is NULL, on stdout. */
void cli_print_help(const Command *command);

/* The exit status of an error's code. */
int cli_exit_status(ErrCode code);

/* The command line as one can paste it into a shell; free with free(). */
char *cli_quote(int argc, char **argv);

#endif
