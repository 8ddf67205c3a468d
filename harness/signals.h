/* Stopping: the first SIGINT, SIGTERM or SIGHUP asks, the second ends the program at once. A closed pipe
 * and a file-size limit are no signals but errors of writing; SIGBUS (a mapped model that another process cut) ends with the status of
 * bad input, SIGABRT with that of a bug. */
#ifndef HARNESS_SIGNALS_H
#define HARNESS_SIGNALS_H

#include "base/base.h"

/* Catches SIGINT, SIGTERM and SIGHUP, except those that the parent ignores (nohup), and ignores SIGPIPE. A failed assertion ends
 * the program with EXIT_BUG. */
void signals_install(void);

/* False once a signal has come. For SessionOptions.keep_going; context is not used. */
bool signals_keep_going(void *context);

/* The signal that came, 0 if none. */
int signals_caught(void);

#endif
