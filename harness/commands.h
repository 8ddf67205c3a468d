/* The commands: one function a file and one row each in commands.c. Every one returns the exit status, and when it fails sets err. */
#ifndef HARNESS_COMMANDS_H
#define HARNESS_COMMANDS_H

#include "harness/cli.h"

/* Bits of Command.bit: which option rows a command takes. */
enum {
    COMMAND_SWEEP = 1 << 0,
    COMMAND_REPORT = 1 << 1,
    COMMAND_THETA = 1 << 2,
    COMMAND_INSPECT = 1 << 3,
    COMMAND_LIST = 1 << 4,
    COMMAND_SCORE = 1 << 5,
    COMMAND_GENERATE = 1 << 6,
    COMMAND_EXPORT = 1 << 7,
    COMMAND_AUDIT = 1 << 8,
    COMMAND_RECOMMEND = 1 << 9,
    COMMAND_VERIFY = 1 << 10,
    COMMAND_COMPARE = 1 << 11,
    COMMAND_FETCH = 1 << 12,
    COMMAND_TRAIN = 1 << 13,
    COMMAND_ALL = (1 << 14) - 1,
};

int cmd_sweep(const Command *command, const Options *options, Err *err);
int cmd_compare(const Command *command, const Options *options, Err *err);
int cmd_report(const Command *command, const Options *options, Err *err);
int cmd_recommend(const Command *command, const Options *options, Err *err);
int cmd_verify(const Command *command, const Options *options, Err *err);
int cmd_theta(const Command *command, const Options *options, Err *err);
int cmd_inspect(const Command *command, const Options *options, Err *err);
int cmd_export(const Command *command, const Options *options, Err *err);
int cmd_audit(const Command *command, const Options *options, Err *err);
int cmd_fetch(const Command *command, const Options *options, Err *err);
int cmd_list(const Command *command, const Options *options, Err *err);
int cmd_score(const Command *command, const Options *options, Err *err);
int cmd_train(const Command *command, const Options *options, Err *err);
int cmd_generate(const Command *command, const Options *options, Err *err);

#endif
