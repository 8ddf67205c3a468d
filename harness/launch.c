#include "harness/launch.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "models/arch.h"
#include "models/rope_export.h"

enum { STOP_STEPS = 200, STEP_MS = 50 };

/* Appends the digits after the last colon of the address, or the scheme's port. */
static void add_port(const char *url, Buf *out)
{
    const char *host = strstr(url, "://");
    const char *end = host ? host + 3 + strcspn(host + 3, "/") : url;
    const char *port = end;
    while (port > url && port[-1] >= '0' && port[-1] <= '9')
        port--;
    if (port < end && port > url && port[-1] == ':')
        buf_append(out, port, (size_t)(end - port));
    else
        buf_puts(out, str_starts_with(url, "https") ? "443" : "80");
}

static void add_quoted(const char *text, Buf *out)
{
    char *word = str_dup(text);
    char *quoted = cli_quote(1, &word);
    buf_puts(out, quoted);
    free(quoted);
    free(word);
}

static bool add_format(const char *name, const LaunchWords *words, Buf *out, Err *err)
{
    const ModelConfig *config = &words->planned->config;
    const RopeExportTarget target = {.arch = arch_find(config->arch),
                                     .head_dim = config->head_dim,
                                     .own = config->rope,
                                     .n_ctx = words->n_ctx};
    for (const RopeExport *format = rope_exports; format->name; format++)
        if (str_equal(format->name, name))
            return format->write(&words->setting->spec, &target, out, err);
    Buf names = {0};
    for (const RopeExport *format = rope_exports; format->name; format++)
        buf_printf(&names, " {%s}", format->name);
    err_set(err, ERR_USAGE,
            "--server-cmd: {%s} is no word of it; they are {port} {model} {n_ctx} {method}%s", name,
            buf_text(&names));
    buf_free(&names);
    return false;
}

static bool add_word(const char *name, const LaunchWords *words, Buf *out, Err *err)
{
    if (str_equal(name, "port"))
        add_port(words->url, out);
    else if (str_equal(name, "model"))
        add_quoted(words->model, out);
    else if (str_equal(name, "method"))
        add_quoted(words->setting->label, out);
    else if (str_equal(name, "n_ctx"))
        buf_printf(out, "%lld", (long long)words->n_ctx);
    else
        return add_format(name, words, out, err);
    return true;
}

/* Length of the word's name when a word in braces begins here, else 0. */
static size_t word_length(const char *at)
{
    size_t n = *at == '{' ? strspn(at + 1, "abcdefghijklmnopqrstuvwxyz0123456789_.-") : 0;
    return n > 0 && at[n + 1] == '}' ? n : 0;
}

char *launch_line(const char *command, const LaunchWords *words, Err *err)
{
    Buf line = {0};
    for (const char *at = command; *at;) {
        size_t n = word_length(at);
        if (n == 0) {
            buf_putc(&line, *at++);
            continue;
        }
        char *name = str_dup_n(at + 1, n);
        bool ok = add_word(name, words, &line, err);
        free(name);
        if (!ok) {
            buf_free(&line);
            return NULL;
        }
        at += n + 2;
    }
    return buf_steal(&line);
}

bool launch_start(const char *line, pid_t *process, Err *err)
{
    *process = fork();
    if (*process < 0) return err_set(err, ERR_NET, "--server-cmd: no process could be started");
    if (*process > 0) {
        setpgid(*process, *process);
        return true;
    }
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    execl("/bin/sh", "sh", "-c", line, (char *)NULL);
    _exit(127);
}

bool launch_runs(pid_t process, char why[64])
{
    int status;
    siginfo_t info = {0};
    /* The process is left to be waited for, so that its number stays its own. */
    if (waitid(P_PID, (id_t)process, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
        return true;
    status = info.si_status;
    snprintf(why, 64, info.si_code == CLD_EXITED ? "ended with status %d" : "ended by signal %d",
             status);
    return false;
}

void launch_stop(pid_t process)
{
    char why[64];
    kill(-process, SIGTERM);
    for (int i = 0; i < STOP_STEPS && launch_runs(process, why); i++)
        nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
    kill(-process, SIGKILL);
    waitpid(process, NULL, 0);
}
