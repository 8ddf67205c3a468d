/* What the hub is asked:
 *
 *     GET  /api/models/org/name/revision/REV          the commit, and the names of its files
 *     HEAD /org/name/resolve/COMMIT/FILE              hash and size of a file, and where its bytes are
 *     GET  there                                      (hub_download.c)
 *
 * (/api/datasets and /datasets/org/name for data sets.) A redirect of the HEAD is followed while it stays on the endpoint;
 * one that leads to another host is where the bytes are, and the headers of the answers so far tell the rest:
 * X-Repo-Commit, X-Linked-Etag or else ETag, X-Linked-Size or else Content-Length. */
#include "base/hub.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hub_internal.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

enum { MAX_LIST_BYTES = 64 << 20 };

/* Sums of sizes up to this, of as many files as a list can hold, fit. */
#define MAX_FILE_BYTES (INT64_C(1) << 42)

Hub *hub_open(const HubConfig *config, const HubHooks *hooks)
{
    Hub *hub = mem_zalloc(1, sizeof *hub);
    hub->config = config;
    if (hooks) hub->hooks = *hooks;
    return hub;
}

void hub_close(Hub *hub)
{
    if (!hub) return;
    http_close(hub->http);
    http_close(hub->anonymous);
    free(hub);
}

bool hub_goes_on(const Hub *hub)
{
    return !hub->hooks.keep_going || hub->hooks.keep_going(hub->hooks.context);
}

void hub_note(const Hub *hub, const char *format, ...)
{
    char text[ERR_TEXT_MAX];
    va_list args;
    if (!hub->hooks.note) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    hub->hooks.note(hub->hooks.context, text);
}

bool hub_connect(Hub *hub, Err *err)
{
    assert(!hub->config->offline);
    HttpConfig config = {
        .user_agent = hub->hooks.user_agent,
        .ca_file = hub->config->ca_file,
        .low_speed_s = hub->config->download_timeout_s,
        .backoff_s = hub->hooks.backoff_s,
        .keep_going = hub->hooks.keep_going,
        .context = hub->hooks.context,
    };
    if (!hub->http) hub->http = http_open(&config, err);
    if (!hub->anonymous) hub->anonymous = http_open(&config, err);
    return hub->http && hub->anonymous;
}

/* Appends a path with all bytes but letters, digits, "._-~" and, when keep_slashes, "/" as %XX. */
static void put_escaped(const char *path, bool keep_slashes, Buf *out)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-~";
    for (const char *c = path; *c; c++) {
        if (strchr(plain, *c) || (keep_slashes && *c == '/'))
            buf_putc(out, *c);
        else
            buf_printf(out, "%%%02X", (unsigned char)*c);
    }
}

char *hub_page(const Hub *hub, const HubAddress *address)
{
    return str_format("%s/%s%s", hub->config->endpoint, address->is_dataset ? "datasets/" : "",
                      address->repo);
}

static char *list_url(const Hub *hub, const HubAddress *address)
{
    Buf url = {0};
    buf_printf(&url, "%s/api/%s/%s/revision/", hub->config->endpoint,
               address->is_dataset ? "datasets" : "models", address->repo);
    put_escaped(address->revision, false, &url);
    return buf_steal(&url);
}

static char *file_url(const Hub *hub, const HubSnapshot *snapshot, const char *name)
{
    Buf url = {0};
    char *page = hub_page(hub, &snapshot->address);
    buf_printf(&url, "%s/resolve/%s/", page, snapshot->commit);
    put_escaped(name, true, &url);
    free(page);
    return buf_steal(&url);
}

/* The hub's own word for an error, "GatedRepo", "RevisionNotFound", …; "" if it says none. */
static const char *error_word(const Http *http)
{
    const char *word = http_header(http, "X-Error-Code");
    return word ? word : "";
}

bool hub_refused(const Hub *hub, const Http *http, const HubAddress *address, const char *what,
                 int status, Err *err)
{
    const char *word = error_word(http);
    char *page = hub_page(hub, address);
    char shown[256];
    str_escape(what, strlen(what), shown, sizeof shown);
    const char *token = hub->config->token ? "the token that is sent gives no access"
                                           : "no token is sent: set HF_TOKEN";
    if (str_equal(word, "GatedRepo") || (status == 403 && !str_equal(word, "DisabledRepo")))
        err_set(err, ERR_NET,
                "%s: access is granted by its owners: accept the terms at %s, then run again with "
                "HF_TOKEN (%s)",
                shown, page, token);
    else if (status == 401 || str_equal(word, "RepoNotFound"))
        err_set(err, ERR_NET, "%s: there is no such repository at %s, or it is private (%s)", shown,
                page, token);
    else if (str_equal(word, "RevisionNotFound"))
        err_set(err, ERR_NET, "%s: %s has no revision \"%s\"", shown, page, address->revision);
    else if (status == 404)
        err_set(err, ERR_NET, "%s: not found at %s, revision %s", shown, page, address->revision);
    else if (status == 429)
        err_set(err, ERR_NET, "%s: %s: too many requests; wait a few minutes, or set HF_TOKEN",
                shown, page);
    else
        err_set(err, ERR_NET, "%s: %s answers with status %d", shown, page, status);
    free(page);
    return false;
}

static bool forget(void *context, const HttpReply *reply, Err *err)
{
    (void)reply, (void)err;
    buf_clear(context);
    return true;
}

static bool append(void *context, const void *bytes, size_t n, Err *err)
{
    (void)err;
    buf_append(context, bytes, n);
    return true;
}

/* A server that answers with another thing than the hub's list is no hub: its fault is of the network's kind. */
static json_t *parse_list(const char *url, const Buf *text, Err *err)
{
    char shown[HTTP_URL_SHOWN];
    http_shown(url, shown);
    JsonLimits limits = {.origin = shown, .max_bytes = MAX_LIST_BYTES, .ints_as_reals = true};
    json_t *list = json_parse(text->data ? text->data : "", text->len, &limits, err);
    if (!list) err->code = ERR_NET;
    return list;
}

static bool read_list(const Hub *hub, json_t *list, HubSnapshot *snapshot, Err *err)
{
    const char *commit = json_string_value(json_object_get(list, "sha"));
    const json_t *siblings = json_object_get(list, "siblings");
    const HubAddress *address = &snapshot->address;
    if (!commit || !hub_is_commit(commit) || !json_is_array(siblings))
        return err_set(err, ERR_NET,
                       "%s: the hub's answer about %s holds no commit and list of files",
                       hub->config->endpoint, address->repo);
    if (hub_is_commit(address->revision) && !str_equal(address->revision, commit))
        return err_set(err, ERR_NET, "%s: asked for commit %s, the hub answers about %s",
                       address->repo, address->revision, commit);
    hub_set_commit(hub->config, snapshot, commit);
    for (size_t i = 0; i < json_array_size(siblings); i++) {
        const json_t *entry = json_array_get(siblings, i);
        const char *name = json_string_value(json_object_get(entry, "rfilename"));
        if (!name) return err_set(err, ERR_NET, "%s: a file without a name", address->repo);
        if (!hub_add_file(snapshot, name, -1, err)) return err_prefix(err, "%s", address->repo);
    }
    return hub_sort_files(snapshot, err);
}

/* Asks the hub. *unreachable: it did not answer, or not sensibly, and may later. */
static bool find_online(Hub *hub, HubSnapshot *snapshot, bool *unreachable, Err *err)
{
    const HubAddress *address = &snapshot->address;
    char *url = list_url(hub, address);
    Buf text = {0};
    HttpReply reply = {0};
    HttpRequest request = {
        .url = url,
        .token = hub->config->token,
        .timeout_s = hub->config->etag_timeout_s,
        .max_bytes = MAX_LIST_BYTES,
        .begin = forget,
        .body = append,
        .context = &text,
    };
    bool ok = hub_connect(hub, err) && http_send_patiently(hub->http, &request, &reply, err);
    *unreachable = (!ok && err->code == ERR_NET) || reply.transient;
    if (ok && reply.status != 200)
        ok = hub_refused(hub, hub->http, address, address->repo, reply.status, err);
    json_t *list = ok ? parse_list(url, &text, err) : NULL;
    ok = list && read_list(hub, list, snapshot, err);
    json_decref(list);
    buf_free(&text);
    free(url);
    return ok;
}

static HubAddress copy_address(const HubAddress *address)
{
    return (HubAddress){
        .is_dataset = address->is_dataset,
        .repo = str_dup(address->repo),
        .revision = str_dup(address->revision ? address->revision : "main"),
        .path = address->path ? str_dup(address->path) : NULL,
    };
}

/* What the cache knows, where the hub cannot be asked; its failure is told by what went before. */
static bool fall_back(Hub *hub, HubSnapshot *snapshot, const Err *failure)
{
    Err unknown;
    snapshot->why = str_dup(failure->text);
    return hub_find_cached(hub->config, snapshot, &unknown);
}

bool hub_find(Hub *hub, const HubAddress *address, HubSnapshot *snapshot, Err *err)
{
    Err failure = {0};
    bool unreachable = false;
    *snapshot = (HubSnapshot){.address = copy_address(address)};
    bool ok = hub->config->offline ? hub_find_cached(hub->config, snapshot, &failure) ||
                                         err_prefix(&failure, "HF_HUB_OFFLINE is set")
                                   : find_online(hub, snapshot, &unreachable, &failure);
    if (ok || (unreachable && fall_back(hub, snapshot, &failure))) return true;
    *err = failure;
    hub_snapshot_free(snapshot);
    return false;
}

/* An etag without quotes and the mark of a weak one; only hashes of known length are taken, since others verify nothing. */
static bool read_etag(const char *value, char out[HASH_HEX_SIZE])
{
    if (!value) return false;
    if (str_starts_with(value, "W/")) value += 2;
    size_t quoted = *value == '"';
    size_t n = strcspn(value + quoted, "\"");
    if (n != HASH_HEX_SIZE - 1 && n != HUB_COMMIT_SIZE - 1) return false;
    if (strspn(value + quoted, "0123456789abcdef") < n) return false;
    memcpy(out, value + quoted, n);
    out[n] = '\0';
    return true;
}

/* What the answers to the HEADs of one file have said so far. */
typedef struct {
    char etag[HASH_HEX_SIZE];
    int64_t size; /* -1: nothing */
} Said;

static void listen(const Http *http, const HttpReply *reply, Said *said)
{
    int64_t size;
    const char *linked_size = http_header(http, "X-Linked-Size");
    const char *linked = http_header(http, "X-Linked-Etag");
    if (linked_size && str_to_i64(linked_size, &size)) said->size = size;
    if (!linked || !read_etag(linked, said->etag)) linked = NULL;
    /* The length of a redirect's own page says nothing of the file. */
    if (reply->status != 200) return;
    if (!linked && !said->etag[0]) read_etag(http_header(http, "ETag"), said->etag);
    if (said->size < 0) said->size = reply->length;
}

static bool check_commit(const HubSnapshot *snapshot, const Http *http, const char *name, Err *err)
{
    char shown[64];
    const char *commit = http_header(http, "X-Repo-Commit");
    if (!commit || str_equal(commit, snapshot->commit)) return true;
    str_escape(commit, strlen(commit), shown, sizeof shown);
    return err_set(err, ERR_NET, "%s: asked for commit %s, the hub answers about %s", name,
                   snapshot->commit, shown);
}

/* Sends HEADs until the bytes' place is known: it goes to *location. */
static bool ask(Hub *hub, const HubSnapshot *snapshot, const char *name, char **location,
                Said *said, Err *err)
{
    for (int hops = 0; hops <= HTTP_MAX_REDIRECTS; hops++) {
        HttpReply reply;
        HttpRequest request = {.url = *location,
                               .token = hub->config->token,
                               .timeout_s = hub->config->etag_timeout_s,
                               .head = true};
        if (!http_send_patiently(hub->http, &request, &reply, err)) return false;
        if (!check_commit(snapshot, hub->http, name, err)) return false;
        if (reply.status == 200 || reply.location) listen(hub->http, &reply, said);
        if (reply.status == 200) return true;
        if (!reply.location)
            return hub_refused(hub, hub->http, &snapshot->address, name, reply.status, err);
        bool stays = http_same_origin(reply.location, hub->config->endpoint);
        if (!stays && !http_check_url(reply.location, err)) return err_prefix(err, "redirect");
        free(*location);
        *location = str_dup(reply.location);
        if (!stays) return true;
    }
    return err_set(err, ERR_NET, "%s: more than %d redirects", name, HTTP_MAX_REDIRECTS);
}

bool hub_metadata(Hub *hub, const HubSnapshot *snapshot, const char *name, HubMetadata *metadata,
                  Err *err)
{
    Said said = {.size = -1};
    *metadata = (HubMetadata){.location = file_url(hub, snapshot, name)};
    bool ok = ask(hub, snapshot, name, &metadata->location, &said, err);
    if (ok && !said.etag[0])
        ok = err_set(err, ERR_NET,
                     "%s: the server names no hash to verify it by (an ETag of 40 or 64 "
                     "hexadecimal digits)",
                     name);
    if (ok && (said.size < 0 || said.size > MAX_FILE_BYTES))
        ok = err_set(err, ERR_NET, "%s: the server names no length that can be believed", name);
    memcpy(metadata->etag, said.etag, sizeof said.etag);
    metadata->size = said.size;
    if (!ok) hub_metadata_free(metadata);
    return ok;
}

void hub_metadata_free(HubMetadata *metadata)
{
    free(metadata->location);
    *metadata = (HubMetadata){0};
}

bool hub_look(Hub *hub, HubSnapshot *snapshot, Err *err)
{
    for (size_t i = 0; i < snapshot->n_files; i++) {
        HubFile *file = &snapshot->files[i];
        HubMetadata metadata;
        if (!file->wanted || file->is_here || file->etag[0] || snapshot->from_cache) continue;
        if (!hub_connect(hub, err) || !hub_metadata(hub, snapshot, file->name, &metadata, err))
            return false;
        memcpy(file->etag, metadata.etag, sizeof file->etag);
        file->size = metadata.size;
        file->is_here = hub_has_blob(hub->config, &snapshot->address, file->etag, file->size);
        hub_metadata_free(&metadata);
    }
    return true;
}
