/* The command line: one table of option rows gives parsing, help, did-you-mean and the sweep file's keys.
 *
 * A default is a string that goes through the same parser as the user's words. */
#ifndef HARNESS_CLI_H
#define HARNESS_CLI_H

#include "base/buf.h"
#include "base/err.h"

/* A list of strings, in the order given. */
typedef struct {
    char **items;
    size_t n;
} StringList;

/* Sizes of an axis, rising and without repeats. */
typedef struct {
    int64_t *items;
    size_t n;
} SizeList;

typedef struct HubSource HubSource;

/* Every option of every command. Strings that were not given are NULL, lists empty, n_ctx_orig and target 0. */
typedef struct {
    StringList model;
    StringList method; /* each "NAME[:key=value,…]", ranges already multiplied out */
    StringList lambda; /* numbers, rising and without repeats, then "auto", "auto-each" */
    StringList factor;
    StringList alpha;
    SizeList n_ctx;
    StringList probe; /* each "NAME[:key=value,…]" */
    char *corpus;
    char *documents;
    char *field;        /* of a .jsonl's records; NULL: "text" */
    double theta;       /* 0: the model's */
    int64_t dim;        /* 0: the model's */
    int64_t n_ctx_orig; /* 0: the model's */
    int64_t target;     /* 0: the largest n_ctx */
    int64_t target_max; /* longest n_ctx that windows are laid out for */
    char *on_scaled;
    char *mix; /* "512:0.5,2048:0.5" */
    char *db;
    int64_t seed;
    int64_t sample;  /* --sample: cells to draw */
    int64_t run;     /* --run: of the database; 0: all */
    int64_t jobs;    /* 0: as many as is faster */
    int64_t threads; /* 0: as many as there are cores */
    char *precision;
    bool as_served;     /* a server runs under the setting that is given */
    char *server_cmd;   /* launches one for each setting */
    char *api_key_file; /* NULL: OPENAI_API_KEY */
    int64_t num_concurrent;
    int64_t max_retries;
    double timeout; /* seconds of a request to a server */
    char *fail_if;  /* "0.05", "passkey=0.1,perplexity=0.02" */
    char *config;
    bool dry_run;
    int64_t limit; /* 0: none */
    bool fresh;
    bool no_reuse;
    bool yes;
    bool quiet;
    bool allow_nan;
    bool profile;
    const char *kernels;
    char *format;
    char *output;
    bool provenance;
    bool wide;
    bool json;
    char *text;    /* --text / --prompt */
    char *file;    /* --file: text of a file */
    char *ids;     /* token ids instead of a text */
    int64_t n_new; /* --n-new: tokens to generate */
    bool parse_special;
    char *recipe;
    char *out;  /* folder of a trained model */
    char *init; /* model to train on */
    bool resume;
    StringList shape; /* each "name=value,…", as the next two */
    StringList optimizer;
    StringList mixture;
    StringList phase; /* each "STEPS:ROWS:LENGTH,…" */
    char *held_out;
    char *tokenizer;
    char *dtype;
    int64_t n_steps; /* --steps; 0: as the phases say */
    int64_t every;
    bool help;
    StringList arguments; /* what is not an option */
    char *revision;       /* of the hub, for fetch */
    StringList include;   /* patterns of file names, for fetch */
    HubSource *sources;   /* where addresses of the hub lead; see harness/source.h */
    size_t n_sources;
    char *command_line; /* "ropewalk sweep …", as one can paste it into a shell: set by cli_parse */
} Options;

typedef struct Command Command;

/* A command: a row of the table in commands.c. run returns the exit status. */
struct Command {
    const char *name;
    const char *help;     /* one line */
    const char *usage;    /* "theta [options]" */
    const char *about;    /* a few lines more, ending in a newline, or NULL */
    const char *examples; /* lines that work as they stand, each ending in a newline */
    int (*run)(const Command *command, const Options *options, Err *err);
    unsigned bit;     /* which option rows it takes */
    int n_arguments;  /* most words that are not options */
    bool opens_model; /* reads the files of --model, which are fetched where it names the hub */
    bool runs_model;  /* the same, and multiplies matrices: BLAS is checked first */
};

/* All commands. Ends with a row whose name is NULL. */
extern const Command commands[];

/* Exit statuses; a program that a signal stops ends with 128 + the signal. */
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

/* Fills options from a text of cli_write_spec and defaults, as if the command had been given them. origin names the text in messages. A
 * call that fails leaves options zeroed. Errors: USAGE. */
bool cli_read_spec(const Command *command, const char *spec, const char *origin, Options *options,
                   Err *err) MUST_USE;

/* Appends to out every option that the command's options hold, as a sweep file that gives the same options back;
 * an address of the hub with its commit. */
void cli_write_spec(const Command *command, const Options *options, Buf *out);

/* The command of a name, or NULL. */
const Command *cli_find_command(const char *name);

/* Appends the help of one command, or of the program when command is NULL. */
void cli_help(const Command *command, Buf *out);

/* The exit status of an error's code. */
int cli_exit_status(ErrCode code);

/* The command line as one can paste it into a shell; free with free(). */
char *cli_quote(int argc, char **argv);

#endif
