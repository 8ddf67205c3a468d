/* Servers that this program starts and stops, one for each setting. */
#ifndef HARNESS_LAUNCH_H
#define HARNESS_LAUNCH_H

#include <sys/types.h>

#include "harness/plan.h"

/* The words that a --server-cmd may hold in braces: "port", "model", "n_ctx", "method" and every format of `export`, as {vllm}. */
typedef struct {
    const char *url;   /* whose port is meant */
    const char *model; /* name of the model */
    const PlanModel *planned;
    const PlanSetting *setting;
    int64_t
        n_ctx; /* to launch for: one token more than the longest cell, which servers generate at the least */
} LaunchWords;

/* The command with its words put in. Free with free(). NULL and err: USAGE (an unknown word), UNSUPPORTED (a format that cannot hold the setting). */
char *launch_line(const char *command, const LaunchWords *words, Err *err) MUST_USE;

/* Starts a shell command in a process group of its own, what it prints going to standard error. Errors: NET. */
bool launch_start(const char *line, pid_t *process, Err *err) MUST_USE;

/* Whether it still runs; where it has ended, says how in why. */
bool launch_runs(pid_t process, char why[64]);

/* Ends the process group: asks, and after ten seconds does not ask. */
void launch_stop(pid_t process);

#endif
