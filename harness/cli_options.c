#include "harness/cli_options.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "harness/cli_axis.h"
#include "harness/commands.h"
#include "harness/probe.h"
#include "harness/settings.h"
#include "models/rope.h"

/* Commands that choose settings by options, all that measure under one, those that run sweeps, and those that read a text. */
#define CHOOSES_SETTING \
 (COMMAND_SWEEP | COMMAND_THETA | COMMAND_EXPORT | COMMAND_AUDIT | COMMAND_SCORE | COMMAND_GENERATE)
#define SETTING    (CHOOSES_SETTING | COMMAND_COMPARE)
#define SWEEPS     (COMMAND_SWEEP | COMMAND_COMPARE)
#define READS_TEXT (COMMAND_SCORE | COMMAND_GENERATE)
#define RUNS_MODEL (SWEEPS | COMMAND_AUDIT | COMMAND_SCORE | COMMAND_GENERATE)

#define FIELD(name) offsetof(Options, name)

const OptionRow option_rows[] = {
    {.name = "model",
     .type = OPTION_TEXTS,
     .offset = FIELD(model),
     .argument = "PATH",
     .help = "folder, .safetensors, .gguf, llama2.c .bin or hf://org/name",
     .commands = SETTING | COMMAND_INSPECT | COMMAND_RECOMMEND | COMMAND_VERIFY},
    {.name = "recipe",
     .type = OPTION_TEXT,
     .offset = FIELD(recipe),
     .argument = "FILE",
     .help = "options as YAML keys; flags win",
     .commands = COMMAND_TRAIN},
    {.name = "out",
     .type = OPTION_TEXT,
     .offset = FIELD(out),
     .argument = "DIR",
     .help = "folder of the trained model",
     .commands = COMMAND_TRAIN},
    {.name = "resume",
     .type = OPTION_FLAG,
     .offset = FIELD(resume),
     .help = "go on from the checkpoint in DIR",
     .commands = COMMAND_TRAIN},
    {.name = "init",
     .type = OPTION_TEXT,
     .offset = FIELD(init),
     .argument = "PATH",
     .help = "model to train on, a Hugging Face folder",
     .commands = COMMAND_TRAIN},
    {.name = "steps",
     .type = OPTION_SIZE,
     .offset = FIELD(n_steps),
     .low = 1,
     .high = 1 << 30,
     .argument = "N",
     .help = "one phase of N steps of 2048 tokens, in rows of n-ctx",
     .commands = COMMAND_TRAIN},
    {.name = "phase",
     .type = OPTION_TEXTS,
     .offset = FIELD(phase),
     .argument = "STEPS:ROWS:LENGTH,…",
     .help = "steps of so many rows of so many tokens",
     .commands = COMMAND_TRAIN},
    {.name = "shape",
     .type = OPTION_TEXTS,
     .offset = FIELD(shape),
     .argument = "NAME=N,…",
     .help = "d_model, n_layers, n_heads, d_ff, …: docs/training.md",
     .commands = COMMAND_TRAIN},
    {.name = "optimizer",
     .type = OPTION_TEXTS,
     .offset = FIELD(optimizer),
     .argument = "NAME=N,…",
     .help = "rate, warm_up, decay, weight_decay, clip, …: docs/training.md",
     .commands = COMMAND_TRAIN},
    {.name = "mixture",
     .type = OPTION_TEXTS,
     .offset = FIELD(mixture),
     .argument = "NAME=N,…",
     .help = "shares and weights of the rows: docs/training-data.md",
     .commands = COMMAND_TRAIN},
    {.name = "tokenizer",
     .type = OPTION_TEXT,
     .offset = FIELD(tokenizer),
     .argument = "FILE",
     .help = "a tokenizer.json; else one is learnt from the corpus",
     .commands = COMMAND_TRAIN},
    {.name = "held-out",
     .type = OPTION_TEXT,
     .offset = FIELD(held_out),
     .argument = "PATH",
     .help = "text that is only measured on, a file or a folder",
     .commands = COMMAND_TRAIN},
    {.name = "every",
     .type = OPTION_SIZE,
     .offset = FIELD(every),
     .low = 1,
     .high = 1 << 30,
     .default_text = "200",
     .argument = "N",
     .help = "steps between two measurements",
     .commands = COMMAND_TRAIN},
    {.name = "dtype",
     .type = OPTION_WORD,
     .offset = FIELD(dtype),
     .choices = "bf16 f16 f32",
     .default_text = "bf16",
     .argument = "NAME",
     .help = "of the weights written: bf16, f16, f32",
     .commands = COMMAND_TRAIN},
    {.name = "method",
     .type = OPTION_METHODS,
     .offset = FIELD(method),
     .argument = "NAME[:k=v],…",
     .help = "scaling: `ropewalk list methods`",
     .commands = CHOOSES_SETTING | COMMAND_TRAIN},
    {.name = "lambda",
     .type = OPTION_NUMBERS,
     .offset = FIELD(lambda),
     .argument = "N,…",
     .help = "multiplies the base; auto, auto-each",
     .commands = CHOOSES_SETTING | COMMAND_TRAIN},
    {.name = "factor",
     .aliases = "rope-scale",
     .type = OPTION_NUMBERS,
     .offset = FIELD(factor),
     .low = 1,
     .argument = "N,…",
     .help = "n_ctx / n_ctx_orig; auto, auto-each",
     .commands = CHOOSES_SETTING | COMMAND_TRAIN},
    {.name = "alpha",
     .type = OPTION_NUMBERS,
     .offset = FIELD(alpha),
     .low = 1,
     .argument = "N,…",
     .help = "lambda = alpha^(d/(d-2))",
     .commands = CHOOSES_SETTING},
    {.name = "n-ctx",
     .aliases = "ctx",
     .type = OPTION_SIZES,
     .offset = FIELD(n_ctx),
     .low = 1,
     .high = ROPE_MAX_POSITION,
     .argument = "N,…",
     .help = "context lengths",
     .commands = SETTING | COMMAND_RECOMMEND | COMMAND_TRAIN},
    {.name = "theta",
     .aliases = "base rope-freq-base",
     .type = OPTION_NUMBER,
     .offset = FIELD(theta),
     .argument = "B",
     .help = "the base b instead of the model's",
     .commands = SETTING | COMMAND_TRAIN},
    {.name = "dim",
     .type = OPTION_INTEGER,
     .offset = FIELD(dim),
     .low = 2,
     .high = 2 * ROPE_MAX_PAIRS,
     .argument = "D",
     .help = "rotary width, where no model is given",
     .commands = COMMAND_THETA | COMMAND_EXPORT | COMMAND_AUDIT},
    {.name = "n-ctx-orig",
     .type = OPTION_SIZE,
     .offset = FIELD(n_ctx_orig),
     .low = 1,
     .high = ROPE_MAX_POSITION,
     .argument = "N",
     .help = "trained length, where the file is wrong",
     .commands = SETTING | COMMAND_TRAIN},
    {.name = "mix",
     .type = OPTION_TEXT,
     .offset = FIELD(mix),
     .argument = "N:SHARE,…",
     .help = "lengths and the share of each, for one answer",
     .commands = COMMAND_RECOMMEND},
    {.name = "target",
     .type = OPTION_SIZE,
     .offset = FIELD(target),
     .low = 1,
     .high = ROPE_MAX_POSITION,
     .argument = "N",
     .help = "length that auto aims at; else the largest",
     .commands = SETTING},
    {.name = "target-max",
     .type = OPTION_SIZE,
     .offset = FIELD(target_max),
     .low = 1,
     .high = ROPE_MAX_POSITION,
     .default_text = "8k",
     .argument = "N",
     .help = "length windows are laid out for",
     .commands = SWEEPS},
    {.name = "on-scaled",
     .type = OPTION_WORD,
     .offset = FIELD(on_scaled),
     .choices = "refuse replace stack",
     .default_text = "refuse",
     .argument = "HOW",
     .help = "a method on a scaled model: refuse, replace, stack",
     .commands = SETTING | COMMAND_TRAIN},
    {.name = "probe",
     .type = OPTION_PROBES,
     .offset = FIELD(probe),
     .argument = "NAME[:k=v],…",
     .help = "what to measure: `ropewalk list probes`",
     .commands = SWEEPS},
    {.name = "corpus",
     .type = OPTION_TEXT,
     .offset = FIELD(corpus),
     .argument = "PATH",
     .help = "text: a file, a folder, hf://…, `ropewalk list corpora`",
     .commands = SWEEPS | COMMAND_VERIFY | COMMAND_TRAIN},
    {.name = "documents",
     .type = OPTION_TEXT,
     .offset = FIELD(documents),
     .default_text = "file",
     .argument = "RULE",
     .help = "file, blank-line, tokens=N, field=NAME of .jsonl records",
     .commands = SWEEPS},
    {.name = "db",
     .type = OPTION_TEXT,
     .offset = FIELD(db),
     .argument = "FILE",
     .help = "results database",
     .commands = SWEEPS | COMMAND_REPORT | COMMAND_AUDIT | COMMAND_RECOMMEND | COMMAND_VERIFY},
    {.name = "seed",
     .type = OPTION_INTEGER,
     .offset = FIELD(seed),
     .high = INT64_MAX,
     .default_text = "1",
     .argument = "N",
     .help = "of keys, places and draws; of weights and rows",
     .commands = SWEEPS | COMMAND_AUDIT | COMMAND_VERIFY | COMMAND_TRAIN},
    {.name = "sample",
     .type = OPTION_INTEGER,
     .offset = FIELD(sample),
     .low = 1,
     .high = 1000000,
     .default_text = "5",
     .argument = "N",
     .help = "cells to draw",
     .commands = COMMAND_VERIFY},
    {.name = "jobs",
     .type = OPTION_INTEGER,
     .offset = FIELD(jobs),
     .high = 1024,
     .default_text = "0",
     .argument = "N",
     .help = "sessions side by side; 0: as is faster",
     .commands = SWEEPS | COMMAND_VERIFY},
    {.name = "threads",
     .type = OPTION_INTEGER,
     .offset = FIELD(threads),
     .high = 1024,
     .default_text = "0",
     .argument = "N",
     .help = "threads; 0: all cores",
     .commands = RUNS_MODEL | COMMAND_VERIFY | COMMAND_TRAIN},
    {.name = "precision",
     .type = OPTION_WORD,
     .offset = FIELD(precision),
     .choices = "f32 bf16",
     .default_text = "f32",
     .argument = "NAME",
     .help = "f32, or bf16: faster, prints its drift",
     .commands = RUNS_MODEL},
    {.name = "fail-if",
     .type = OPTION_TEXT,
     .offset = FIELD(fail_if),
     .argument = "[PROBE=]N,…",
     .help = "exit 1 if B is worse by more: nats/token, share",
     .commands = COMMAND_COMPARE},
    {.name = "config",
     .type = OPTION_TEXT,
     .offset = FIELD(config),
     .argument = "FILE",
     .help = "sweep file: options as YAML keys; flags win",
     .commands = COMMAND_SWEEP},
    {.name = "dry-run",
     .type = OPTION_FLAG,
     .offset = FIELD(dry_run),
     .help = "show what it would take; do nothing",
     .commands = SWEEPS | COMMAND_FETCH | COMMAND_TRAIN},
    {.name = "limit",
     .type = OPTION_INTEGER,
     .offset = FIELD(limit),
     .low = 1,
     .high = INT64_MAX,
     .argument = "N",
     .help = "at most N trials or windows a cell; marks results",
     .commands = SWEEPS},
    {.name = "fresh",
     .type = OPTION_FLAG,
     .offset = FIELD(fresh),
     .help = "run all cells anew; deletes nothing",
     .commands = SWEEPS},
    {.name = "no-reuse",
     .type = OPTION_FLAG,
     .offset = FIELD(no_reuse),
     .help = "compute each prompt whole: slow, the same numbers",
     .commands = SWEEPS | COMMAND_VERIFY},
    {.name = "yes",
     .short_name = 'y',
     .type = OPTION_FLAG,
     .offset = FIELD(yes),
     .help = "do not ask",
     .commands = SWEEPS},
    {.name = "quiet",
     .short_name = 'q',
     .type = OPTION_FLAG,
     .offset = FIELD(quiet),
     .help = "no progress, no notes",
     .commands = SWEEPS | COMMAND_FETCH | COMMAND_TRAIN},
    {.name = "kernels",
     .type = OPTION_WORD,
     .offset = FIELD(kernels),
     .choices = "auto avx512 avx2 blas generic",
     .default_text = "auto",
     .argument = "NAME",
     .help = "inner loops; auto: the machine's best",
     .commands = RUNS_MODEL},
    {.name = "profile",
     .type = OPTION_FLAG,
     .offset = FIELD(profile),
     .help = "say where the time went",
     .commands = COMMAND_SWEEP | COMMAND_SCORE},
    {.name = "allow-nan",
     .type = OPTION_FLAG,
     .offset = FIELD(allow_nan),
     .help = "load weights that are NaN or infinite",
     .commands = RUNS_MODEL},
    {.name = "format",
     .type = OPTION_TEXT,
     .offset = FIELD(format),
     .argument = "NAME",
     .help = "of what is printed; see above",
     .commands = COMMAND_REPORT | COMMAND_THETA | COMMAND_EXPORT},
    {.name = "output",
     .short_name = 'o',
     .type = OPTION_TEXT,
     .offset = FIELD(output),
     .argument = "PATH",
     .help = "write there instead of to standard output; svg: a folder",
     .commands = COMMAND_REPORT},
    {.name = "run",
     .type = OPTION_SIZE,
     .offset = FIELD(run),
     .low = 1,
     .high = INT64_MAX,
     .argument = "N",
     .help = "only the cells that run N asked for",
     .commands = COMMAND_REPORT | COMMAND_RECOMMEND},
    {.name = "wide",
     .type = OPTION_FLAG,
     .offset = FIELD(wide),
     .help = "csv: a row a cell, a column a metric",
     .commands = COMMAND_REPORT},
    {.name = "provenance",
     .type = OPTION_FLAG,
     .offset = FIELD(provenance),
     .help = "add run, time and host",
     .commands = COMMAND_REPORT},
    {.name = "text",
     .aliases = "prompt",
     .type = OPTION_TEXT,
     .offset = FIELD(text),
     .argument = "TEXT",
     .help = "the text",
     .commands = READS_TEXT},
    {.name = "file",
     .type = OPTION_TEXT,
     .offset = FIELD(file),
     .argument = "FILE",
     .help = "the text, byte for byte, from a file",
     .commands = READS_TEXT},
    {.name = "ids",
     .type = OPTION_TEXT,
     .offset = FIELD(ids),
     .argument = "\"N N …\"",
     .help = "token ids instead, taken as they are",
     .commands = READS_TEXT},
    {.name = "n-new",
     .type = OPTION_SIZE,
     .offset = FIELD(n_new),
     .low = 1,
     .high = INT64_C(1) << 24,
     .default_text = "200",
     .argument = "N",
     .help = "most tokens to generate",
     .commands = COMMAND_GENERATE},
    {.name = "parse-special",
     .type = OPTION_FLAG,
     .offset = FIELD(parse_special),
     .help = "read the names of control tokens as such tokens",
     .commands = READS_TEXT},
    {.name = "revision",
     .type = OPTION_TEXT,
     .offset = FIELD(revision),
     .argument = "REV",
     .help = "branch, tag or commit of the hub; else main",
     .commands = COMMAND_FETCH},
    {.name = "include",
     .type = OPTION_TEXTS,
     .offset = FIELD(include),
     .argument = "GLOB",
     .help = "fetch the files that match instead; repeatable",
     .commands = COMMAND_FETCH},
    {.name = "json",
     .type = OPTION_FLAG,
     .offset = FIELD(json),
     .help = "print JSON",
     .commands = COMMAND_COMPARE | COMMAND_THETA | COMMAND_AUDIT | COMMAND_INSPECT | COMMAND_SCORE |
                 COMMAND_RECOMMEND | COMMAND_VERIFY | COMMAND_FETCH},
    {.name = "help",
     .short_name = 'h',
     .type = OPTION_FLAG,
     .offset = FIELD(help),
     .help = "show this",
     .commands = COMMAND_ALL},
    {.name = NULL                                               },
};

bool option_names_file(const OptionRow *row)
{
    return row->offset == FIELD(config) || row->offset == FIELD(recipe);
}

bool option_is_key(const OptionRow *row)
{
    return !option_names_file(row) && row->offset != FIELD(help);
}

/* Whether n bytes are the name, where "-" and "_" are alike. */
static bool same_name(const char *name, const char *text, size_t n)
{
    if (strlen(name) != n) return false;
    for (size_t i = 0; i < n; i++)
        if (name[i] != (text[i] == '_' ? '-' : text[i])) return false;
    return true;
}

/* Calls visit with the row's name and each alias, until it returns true; what it then returned. */
static bool each_name(const OptionRow *row, bool (*visit)(void *context, const char *name),
                      void *context)
{
    if (visit(context, row->name)) return true;
    char *aliases = str_dup(row->aliases ? row->aliases : "");
    bool found = false;
    char *state = NULL;
    for (char *alias = strtok_r(aliases, " ", &state); alias && !found;
         alias = strtok_r(NULL, " ", &state))
        found = visit(context, alias);
    free(aliases);
    return found;
}

typedef struct {
    const char *text;
    size_t n;
} Wanted;

static bool is_wanted(void *context, const char *name)
{
    const Wanted *wanted = context;
    return same_name(name, wanted->text, wanted->n);
}

const OptionRow *option_find(const char *name, size_t n)
{
    Wanted wanted = {name, n};
    for (const OptionRow *row = option_rows; row->name; row++)
        if (each_name(row, is_wanted, &wanted)) return row;
    return NULL;
}

/* A word is near when at most a third of its letters, and one at least, are wrong. */
typedef struct {
    const char *text;
    int distance;
    bool is_nearer;
} Nearest;

static bool look_nearer(void *context, const char *name)
{
    Nearest *nearest = context;
    int distance = str_distance(name, nearest->text);
    if (distance < nearest->distance) {
        nearest->distance = distance;
        nearest->is_nearer = true;
    }
    return false;
}

const OptionRow *option_nearest(const char *name, unsigned command)
{
    const OptionRow *best = NULL;
    Nearest nearest = {name, (int)strlen(name) / 3 + 2, false};
    for (const OptionRow *row = option_rows; row->name; row++) {
        if (!(row->commands & command)) continue;
        nearest.is_nearer = false;
        each_name(row, look_nearer, &nearest);
        if (nearest.is_nearer) best = row;
    }
    return best;
}
