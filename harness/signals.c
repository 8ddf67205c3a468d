#include "harness/signals.h"

#include <signal.h>
#include <unistd.h>

#include "harness/cli.h"

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    if (caught) _exit(128 + number);
    caught = number;
}

/* Ends the program from a signal handler, where only write and _exit are safe. */
static _Noreturn void end_with(const char *text, size_t n, int status)
{
    ssize_t unused = write(STDERR_FILENO, text, n);
    (void)unused;
    _exit(status);
}

/* A failed assertion has said where; what is left to say is whose fault it is. */
static void on_abort(int number)
{
    static const char text[] =
        "ropewalk: this is a bug of ropewalk; please report the line above\n";
    (void)number;
    end_with(text, sizeof text - 1, EXIT_BUG);
}

/* Weights are read where the file is mapped: another process can take the file's end away. */
static void on_bus_error(int number)
{
    static const char text[] =
        "ropewalk: a model file became shorter, or unreadable, while it was in use; finished cells are "
        "safe: restore the file and run the command again\n";
    (void)number;
    end_with(text, sizeof text - 1, EXIT_INPUT);
}

void signals_install(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        struct sigaction old;
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a write beyond the file-size limit then fails with an error */
    signal(SIGABRT, on_abort);
    signal(SIGBUS, on_bus_error);
}

bool signals_keep_going(void *context)
{
    (void)context;
    return caught == 0;
}

int signals_caught(void)
{
    return caught;
}
