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

/* A failed assertion has said where; what is left to say is whose fault it is. */
static void on_abort(int number)
{
    static const char text[] =
        "ropewalk: this is a bug of ropewalk; please report the line above\n";
    (void)number;
    ssize_t unused = write(STDERR_FILENO, text, sizeof text - 1);
    (void)unused;
    _exit(EXIT_BUG);
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
    signal(SIGABRT, on_abort);
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
