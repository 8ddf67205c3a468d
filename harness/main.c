/* The program: finds the command, runs it, says once what went wrong, and turns it into the exit status. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "harness/commands.h"
#include "harness/signals.h"
#include "harness/source.h"
#include "harness/version.h"
#include "models/kernels.h"

/* Replaces base's: what a person can act on, and the status of input that does not fit. */
_Noreturn void mem_exhausted(size_t bytes)
{
    dprintf(STDERR_FILENO, "ropewalk: out of memory: %zu bytes more are not there\n", bytes);
    _exit(EXIT_INPUT);
}

/* Occupies descriptors 0 to 2 where the parent closed them, so that no database gets one of them; writing there still fails. */
static void hold_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
        int held = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
        assert(held < 0 || held == fd);
        (void)held;
    }
}

static void print_error(const Err *err)
{
    char text[4 * ERR_TEXT_MAX + 1];
    str_escape(err->text, strlen(err->text), text, sizeof text);
    fprintf(stderr, "ropewalk: %s\n", text);
}

static bool reader_is_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && out.revents & POLLERR;
}

/* Writes out what stdout still holds. A reader that has seen enough (`| head`) is no error. */
static int close_output(int status)
{
    bool failed_before = ferror(stdout);
    errno = 0;
    bool failed = fflush(stdout) != 0 || failed_before;
    if (!failed) return status;
    int cause = errno;
    if (cause == EPIPE || reader_is_gone()) return EXIT_OK;
    fprintf(stderr, "ropewalk: standard output cannot be written: %s\n",
            cause ? strerror(cause) : "an earlier write failed");
    return status == EXIT_OK ? EXIT_STORE : status;
}

static int print_help(const Command *command)
{
    Buf text = {0};
    cli_help(command, &text);
    fwrite(text.data, 1, text.len, stdout);
    buf_free(&text);
    return EXIT_OK;
}

static int print_version(void)
{
    char *text = version_text();
    fputs(text, stdout);
    free(text);
    return EXIT_OK;
}

static int unknown_command(const char *name, Err *err)
{
    const char *nearest = NULL;
    int least = (int)strlen(name) / 3 + 2; /* what is further off is another word */
    for (const Command *command = commands; command->name; command++) {
        int distance = str_distance(command->name, name);
        if (distance >= least) continue;
        least = distance;
        nearest = command->name;
    }
    if (name[0] == '-')
        err_set(err, ERR_USAGE, "%s: the command comes first: ropewalk COMMAND [options]", name);
    else
        err_set(err, ERR_USAGE, "unknown command \"%s\"; %s%s%s`ropewalk --help` lists all", name,
                nearest ? "did you mean " : "", nearest ? nearest : "", nearest ? "? " : "");
    return EXIT_USAGE;
}

/* argv[0] is the first word after the command's name. */
static int run_command(const Command *command, int argc, char **argv, Err *err)
{
    Options options;
    if (!cli_parse(command, argc, argv, &options, err)) return cli_exit_status(err->code);
    int status = EXIT_OK;
    if (options.help)
        print_help(command);
    else if ((command->runs_model && !kernels_start(err)) || !sources_open(command, &options, err))
        status = cli_exit_status(err->code);
    else
        status = command->run(command, &options, err);
    cli_free(&options);
    return status;
}

static int run(int argc, char **argv, Err *err)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (!*name) {
        err_set(err, ERR_USAGE, "which command? `ropewalk --help` lists them");
        return EXIT_USAGE;
    }
    if (str_equal(name, "--version")) return print_version();
    bool wants_help = str_equal(name, "help");
    if (str_equal(name, "--help") || str_equal(name, "-h") || (wants_help && argc == 2))
        return print_help(NULL);
    if (wants_help) name = argv[2];
    const Command *command = cli_find_command(name);
    if (!command) return unknown_command(name, err);
    return wants_help ? print_help(command) : run_command(command, argc - 2, argv + 2, err);
}

int main(int argc, char **argv)
{
    Err err = {0};
    hold_standard_files();
    signals_install();
    int status = run(argc, argv, &err);
    if (err.code != ERR_NONE && !(err.code == ERR_CANCELLED && signals_caught())) print_error(&err);
    status = close_output(status);
    return signals_caught() ? 128 + signals_caught() : status;
}
