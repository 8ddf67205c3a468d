/* What the environment and the command line say: variables, addresses, revisions, names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/http.h"
#include "base/hub_internal.h"
#include "base/mem.h"
#include "base/str.h"

static const char default_endpoint[] = "https://huggingface.co";
static const char scheme[] = "hf://";
static const char datasets[] = "datasets/";

enum {
    ETAG_TIMEOUT_S = 10,
    MAX_TOKEN_BYTES = 4096,
    MAX_REPO = 96, /* bytes of an owner's or a repository's name */
    MAX_REVISION = 200,
};

/* The first of these variables that is set and not empty, or NULL. */
static const char *first_set(const char *a, const char *b, const char *c)
{
    const char *names[] = {a, b, c};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *value = names[i] ? getenv(names[i]) : NULL;
        if (value && *value) return value;
    }
    return NULL;
}

/* As the hub's own client reads a flag. */
static bool is_true(const char *value)
{
    static const char *const yes[] = {"1", "ON", "YES", "TRUE"};
    for (size_t i = 0; value && i < COUNT_OF(yes); i++)
        if (strcasecmp(value, yes[i]) == 0) return true;
    return false;
}

bool hub_flag(const char *variable)
{
    return is_true(getenv(variable));
}

/* A path with its first ~ made out. */
static char *expand(const char *path)
{
    const char *home = getenv("HOME");
    if (path[0] != '~' || (path[1] != '/' && path[1] != '\0') || !home) return str_dup(path);
    return str_format("%s%s", home, path + 1);
}

/* $HF_HOME, or where it is by default. */
static bool find_home(char **home, Err *err)
{
    const char *given = first_set("HF_HOME", NULL, NULL);
    const char *base = first_set("XDG_CACHE_HOME", NULL, NULL);
    *home = NULL;
    if (given)
        *home = expand(given);
    else if (base)
        *home = file_join(base, "huggingface");
    else if (first_set("HOME", NULL, NULL))
        *home = expand("~/.cache/huggingface");
    return *home || err_set(err, ERR_USAGE,
                            "there is no home folder to keep models in: set HF_HOME to a folder");
}

static bool read_seconds(const char *name, double *seconds, Err *err)
{
    const char *text = first_set(name, NULL, NULL);
    if (!text) return true;
    return (str_to_double(text, seconds) && *seconds > 0.0 && *seconds <= 86400.0) ||
           err_set(err, ERR_USAGE, "%s=%s: a number of seconds above 0 is needed", name, text);
}

/* A header must not be made of it that holds another. */
static bool check_token(const char *token, const char *from, Err *err)
{
    for (const char *c = token; *c; c++)
        if (*c <= ' ' || *c > '~')
            return err_set(err, ERR_USAGE, "%s: holds characters that no token has", from);
    return true;
}

static char *trimmed(const char *text)
{
    static const char blanks[] = " \t\r\n";
    text += strspn(text, blanks);
    size_t n = strlen(text);
    while (n > 0 && strchr(blanks, text[n - 1]))
        n--;
    return str_dup_n(text, n);
}

/* HF_TOKEN, else the file; a file that is not there is no token. */
static bool read_token(HubConfig *config, Err *err)
{
    const char *given = first_set("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", NULL);
    const char *from = given ? "HF_TOKEN" : config->token_path;
    Buf text = {0};
    if (hub_flag("HF_HUB_DISABLE_IMPLICIT_TOKEN")) return true;
    if (given)
        buf_puts(&text, given);
    else if (!file_exists(config->token_path))
        return true;
    else if (!file_read(config->token_path, MAX_TOKEN_BYTES, &text, err))
        return false;
    config->token = trimmed(buf_text(&text));
    explicit_bzero(text.data, text.len);
    buf_free(&text);
    if (*config->token) return check_token(config->token, from, err);
    free(config->token);
    config->token = NULL;
    return true;
}

static bool read_endpoint(HubConfig *config, Err *err)
{
    const char *given = first_set("HF_ENDPOINT", NULL, NULL);
    config->endpoint = str_dup(given ? given : default_endpoint);
    size_t n = strlen(config->endpoint);
    while (n > 0 && config->endpoint[n - 1] == '/')
        config->endpoint[--n] = '\0';
    if (http_check_url(config->endpoint, err)) return true;
    err->code = ERR_USAGE;
    return err_prefix(err, "HF_ENDPOINT");
}

bool hub_config_read(HubConfig *config, Err *err)
{
    char *home;
    *config = (HubConfig){.etag_timeout_s = ETAG_TIMEOUT_S};
    if (!find_home(&home, err)) return false;
    const char *cache = first_set("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", NULL);
    const char *token_path = first_set("HF_TOKEN_PATH", NULL, NULL);
    const char *ca_file = first_set("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE");
    config->cache = cache ? expand(cache) : file_join(home, "hub");
    config->token_path = token_path ? expand(token_path) : file_join(home, "token");
    config->ca_file = ca_file ? str_dup(ca_file) : NULL;
    config->offline = is_true(first_set("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", NULL));
    free(home);
    bool ok = read_endpoint(config, err) && read_token(config, err) &&
              read_seconds("HF_HUB_ETAG_TIMEOUT", &config->etag_timeout_s, err) &&
              read_seconds("HF_HUB_DOWNLOAD_TIMEOUT", &config->download_timeout_s, err);
    if (!ok) hub_config_free(config);
    return ok;
}

void hub_config_free(HubConfig *config)
{
    if (config->token) explicit_bzero(config->token, strlen(config->token));
    free(config->cache);
    free(config->endpoint);
    free(config->token);
    free(config->token_path);
    free(config->ca_file);
    *config = (HubConfig){0};
}

static bool is_word(const char *text, size_t n, const char *more)
{
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && !strchr(more, c)) return false;
    }
    return n > 0;
}

/* "org" or "name" of a repository: as the hub allows it, and never a part of a path that leads elsewhere. */
static bool is_repo_part(const char *text, size_t n)
{
    if (!is_word(text, n, "._-") || n > MAX_REPO) return false;
    if (strchr(".-", text[0]) || strchr(".-", text[n - 1])) return false;
    for (size_t i = 0; i + 1 < n; i++)
        if ((text[i] == '.' || text[i] == '-') && text[i] == text[i + 1]) return false;
    return true;
}

/* What follows the next slash of a path, or NULL. */
static const char *part_after(const char *part)
{
    const char *slash = strchr(part, '/');
    return slash ? slash + 1 : NULL;
}

bool hub_revision_check(const char *revision, Err *err)
{
    bool ok = strlen(revision) <= MAX_REVISION && is_word(revision, strlen(revision), "._-+/");
    for (const char *part = revision; ok && part; part = part_after(part))
        ok = !strchr("./-", part[0]);
    ok = ok && !strstr(revision, "..");
    if (ok) return true;
    char shown[128];
    str_escape(revision, strlen(revision), shown, sizeof shown);
    return err_set(err, ERR_USAGE,
                   "\"%s\" is no revision; a branch, a tag or a commit of 40 digits is", shown);
}

bool hub_is_address(const char *text)
{
    return str_starts_with(text, scheme);
}

/* Cuts "name[@revision][/path]", the last parts of an address. */
static void split_tail(const char *tail, size_t *n_name, HubAddress *address)
{
    *n_name = strcspn(tail, "@/");
    const char *at = tail + *n_name;
    if (*at == '@') {
        /* refs/pr/N is the one revision that is written with its slashes. */
        size_t slashes = str_starts_with(at, "@refs/pr/") ? strlen("@refs/pr/") : 1;
        size_t n = slashes + strcspn(at + slashes, "/");
        address->revision = str_dup_n(at + 1, n - 1);
        at += n;
    }
    if (*at == '/' && at[1]) address->path = str_dup(at + 1);
}

static void unquote_slashes(char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++) {
        bool slash = strncasecmp(from, "%2f", 3) == 0;
        *to = slash ? '/' : *from;
        from += slash ? 3 : 1;
    }
    *to = '\0';
}

static bool read_parts(const char *text, HubAddress *address)
{
    const char *first = text + strlen(scheme);
    address->is_dataset = str_starts_with(first, datasets);
    if (address->is_dataset) first += strlen(datasets);
    size_t n_owner = strcspn(first, "/@"), n_name;
    bool owned = first[n_owner] == '/' && first[n_owner + 1];
    const char *name = owned ? first + n_owner + 1 : first;
    split_tail(name, &n_name, address);
    address->repo = str_dup_n(first, (size_t)(name + n_name - first));
    return is_repo_part(name, n_name) && (!owned || is_repo_part(first, n_owner));
}

bool hub_address_parse(const char *text, HubAddress *address, Err *err)
{
    *address = (HubAddress){0};
    bool ok = hub_is_address(text) && read_parts(text, address);
    if (!ok) {
        char shown[256];
        str_escape(text, strlen(text), shown, sizeof shown);
        err_set(err, ERR_USAGE,
                "%s: is no address of the hub; hf://org/name[@revision][/file] is, and "
                "hf://datasets/org/name…",
                shown);
    }
    if (ok && address->revision) {
        unquote_slashes(address->revision);
        ok = hub_revision_check(address->revision, err);
    }
    if (ok && address->path) {
        size_t n = strlen(address->path);
        if (address->path[n - 1] == '/') address->path[n - 1] = '\0';
        ok = hub_name_check(address->path, err);
        if (!ok) err->code = ERR_USAGE;
    }
    if (!ok) hub_address_free(address);
    return ok;
}

void hub_address_free(HubAddress *address)
{
    free(address->repo);
    free(address->revision);
    free(address->path);
    *address = (HubAddress){0};
}

/* Names that Windows, where a cache may be looked at, takes for devices. */
static bool is_device(const char *part, size_t n)
{
    static const char *const names[] = {"CON", "PRN", "AUX", "NUL"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (n == 3 && strncasecmp(part, names[i], n) == 0) return true;
    return n == 4 && part[3] >= '1' && part[3] <= '9' &&
           (strncasecmp(part, "COM", 3) == 0 || strncasecmp(part, "LPT", 3) == 0);
}

static const char *fault_of_part(const char *part, size_t n)
{
    if (n == 0) return "has an empty part";
    if (n > 255) return "has a part of more than 255 bytes";
    if ((n == 1 && part[0] == '.') || (n == 2 && memcmp(part, "..", 2) == 0))
        return "leads out of its folder";
    if (n == 4 && strncasecmp(part, ".git", 4) == 0) return "is in a .git folder";
    return is_device(part, n) ? "is the name of a device" : NULL;
}

/* Control characters, and those that hide or reorder what is shown. */
static bool is_plain_text(const char *name)
{
    char shown[4 * HUB_MAX_NAME + 1];
    str_escape(name, strlen(name), shown, sizeof shown);
    return str_equal(name, shown);
}

static const char *fault_of(const char *name)
{
    if (strlen(name) > HUB_MAX_NAME) return "is too long";
    if (strchr(name, '\\')) return "holds a backslash";
    if (!is_plain_text(name)) return "holds control characters or is no UTF-8";
    const char *fault = NULL;
    for (const char *part = name; part && !fault; part = part_after(part))
        fault = fault_of_part(part, strcspn(part, "/"));
    return fault;
}

bool hub_name_check(const char *name, Err *err)
{
    const char *fault = fault_of(name);
    if (!fault) return true;
    char shown[256];
    str_escape(name, strlen(name), shown, sizeof shown);
    return err_set(err, ERR_NET, "the file name \"%s\" %s; nothing of that repository is touched",
                   shown, fault);
}
