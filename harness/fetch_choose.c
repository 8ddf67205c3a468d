/* Which files of a repository are read. Repositories hold the same weights in several formats, pictures, and
 * code; what the engine does not read is not fetched.
 *
 *     a folder, or all of it   config.json + model.safetensors, or + its index and shards; else its one .gguf
 *     a file of weights        that file, and the config and tokenizer beside it
 *     a text                   that file; without a name the only .txt or .jsonl there is
 *     a tokenizer              tokenizer.json and the configurations beside it; of a model behind a server else its one .gguf */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "datasets/text_file.h"
#include "harness/fetch.h"

enum {
    MAX_INDEX_BYTES = 64 << 20,
    N_NAMED = 8, /* names that a message lists */
};

static const char index_name[] = "model.safetensors.index.json";
static const char *const beside_safetensors[] = {"config.json", "tokenizer.json",
                                                 "tokenizer_config.json"};
static const char *const gguf[] = {"*.gguf"};
static const char *const beside_llama2c[] = {"tokenizer.bin", "tok*.bin"};

/* Text files that are read. */
static const char *const texts[] = {"*.txt", "*.jsonl", "*.txt.gz", "*.jsonl.gz"};

/* Weights that are found instead, and what to do about it. */
static const struct {
    const char *pattern;
    const char *what;
} unread_weights[] = {
    {"*.bin",
     "weights are Python pickles, which can run code when they are read; convert them to safetensors"},
    {"*.pth",
     "weights are Python pickles, which can run code when they are read; convert them to safetensors"},
    {"*.onnx",    "ONNX is not read; safetensors or GGUF is"                                         },
    {"*.msgpack", "Flax weights are not read; safetensors or GGUF is"                                },
};

/* What is needed of each kind. */
static const char *const needs[] = {
    [FETCH_MODEL] = "model that is read: config.json with .safetensors, or a .gguf, is needed",
    [FETCH_TEXT] = "text that is read: .txt or .jsonl, also .gz, is needed",
    [FETCH_TOKENIZER] = "tokenizer that is read: tokenizer.json is needed",
    [FETCH_SERVED] =
        "tokenizer that is read: config.json with tokenizer.json, or a .gguf, is needed",
};

static const char *why_unread(const char *name, FetchKind kind)
{
    if (kind == FETCH_TEXT) return text_unread(name);
    if (kind != FETCH_MODEL) return NULL;
    for (size_t i = 0; i < COUNT_OF(unread_weights); i++)
        if (fnmatch(unread_weights[i].pattern, name, 0) == 0) return unread_weights[i].what;
    return NULL;
}

/* Whether a file lies in a folder ("" or one that ends in a slash), itself and not below it, and its name matches. */
static bool lies_in(const HubFile *file, const char *folder, const char *pattern)
{
    if (!str_starts_with(file->name, folder)) return false;
    const char *rest = file->name + strlen(folder);
    return !strchr(rest, '/') && fnmatch(pattern, rest, 0) == 0;
}

/* Marks what matches; how many there are. */
static size_t want(HubSnapshot *snapshot, const char *folder, const char *pattern)
{
    size_t n = 0;
    for (size_t i = 0; i < snapshot->n_files; i++) {
        if (!lies_in(&snapshot->files[i], folder, pattern)) continue;
        snapshot->files[i].wanted = true;
        n++;
    }
    return n;
}

static bool has(const HubSnapshot *snapshot, const char *folder, const char *name)
{
    char *path = str_format("%s%s", folder, name);
    bool found = hub_file(snapshot, path) != NULL;
    free(path);
    return found;
}

/* "a/b/" of "a/b/c", "" of "c". */
static char *folder_of(const char *name)
{
    const char *slash = strrchr(name, '/');
    return str_dup_n(name, slash ? (size_t)(slash - name) + 1 : 0);
}

/* "a/b" of "a/b/", "" of "". */
static char *without_slash(const char *folder)
{
    size_t n = strlen(folder);
    return str_dup_n(folder, n ? n - 1 : 0);
}

static void want_configs(HubSnapshot *snapshot, const char *folder)
{
    for (size_t i = 0; i < COUNT_OF(beside_safetensors); i++)
        want(snapshot, folder, beside_safetensors[i]);
}

static void want_beside(HubSnapshot *snapshot, const char *name, FetchKind kind)
{
    char *folder = folder_of(name);
    if (kind == FETCH_MODEL && str_ends_with(name, ".bin"))
        for (size_t i = 0; i < COUNT_OF(beside_llama2c); i++)
            want(snapshot, folder, beside_llama2c[i]);
    else if (str_ends_with(name, kind == FETCH_MODEL ? ".safetensors" : ".json"))
        want_configs(snapshot, folder);
    free(folder);
}

/* Says why nothing of a repository can be read. Always NULL. */
static char *refuse(const HubSnapshot *snapshot, const char *folder, FetchKind kind, Err *err)
{
    const char *repo = snapshot->address.repo;
    for (size_t i = 0; i < snapshot->n_files; i++) {
        const char *name = snapshot->files[i].name;
        const char *why = str_starts_with(name, folder) ? why_unread(name, kind) : NULL;
        if (!why) continue;
        err_set(err, ERR_UNSUPPORTED, "%s holds %s: %s", repo, name, why);
        return NULL;
    }
    err_set(err, snapshot->from_cache ? ERR_NET : ERR_INPUT, "%s%s%s at %s holds no %s", repo,
            *folder ? "/" : "", folder, snapshot->commit, needs[kind]);
    return NULL;
}

/* Several could be meant. Always NULL. */
static char *ask_which(const HubSnapshot *snapshot, const char *folder, const char *const *patterns,
                       size_t n_patterns, Err *err)
{
    Buf names = {0};
    size_t n = 0;
    for (size_t i = 0; i < snapshot->n_files; i++) {
        bool matches = false;
        for (size_t p = 0; p < n_patterns; p++)
            matches = matches || lies_in(&snapshot->files[i], folder, patterns[p]);
        if (matches && n++ < N_NAMED)
            buf_printf(&names, "%s%s", n > 1 ? ", " : "", snapshot->files[i].name);
    }
    err_set(err, ERR_USAGE,
            "%s holds %zu files that could be meant; name one, as in hf://%s%s/%s: %s%s",
            snapshot->address.repo, n, snapshot->address.is_dataset ? "datasets/" : "",
            snapshot->address.repo, "FILE", buf_text(&names), n > N_NAMED ? ", …" : "");
    buf_free(&names);
    return NULL;
}

/* The name of the one marked file. */
static char *only_wanted(const HubSnapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->n_files; i++)
        if (snapshot->files[i].wanted) return str_dup(snapshot->files[i].name);
    return NULL;
}

/* One file of several patterns in a folder. */
static char *choose_one(HubSnapshot *snapshot, const char *folder, const char *const *patterns,
                        size_t n_patterns, FetchKind kind, Err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < n_patterns; i++)
        n += want(snapshot, folder, patterns[i]);
    if (n == 0) return refuse(snapshot, folder, kind, err);
    return n == 1 ? only_wanted(snapshot) : ask_which(snapshot, folder, patterns, n_patterns, err);
}

static char *choose_model(HubSnapshot *snapshot, const char *folder, Err *err)
{
    bool whole = has(snapshot, folder, "model.safetensors");
    bool sharded = !whole && has(snapshot, folder, index_name);
    if (!has(snapshot, folder, "config.json") || (!whole && !sharded))
        return choose_one(snapshot, folder, gguf, 1, FETCH_MODEL, err);
    want_configs(snapshot, folder);
    want(snapshot, folder, whole ? "model.safetensors" : index_name);
    /* As they are always called; fetch_add_shards asks the index itself. */
    if (sharded) want(snapshot, folder, "model-[0-9][0-9][0-9][0-9][0-9]-of-*.safetensors");
    return without_slash(folder);
}

static char *choose_tokenizer(HubSnapshot *snapshot, const char *folder, FetchKind kind, Err *err)
{
    bool is_served = kind == FETCH_SERVED;
    bool whole = has(snapshot, folder, "tokenizer.json") &&
                 (!is_served || has(snapshot, folder, "config.json"));
    if (!whole)
        return choose_one(snapshot, folder, gguf, is_served ? COUNT_OF(gguf) : 0, kind, err);
    want_configs(snapshot, folder);
    return without_slash(folder);
}

static char *choose_file(HubSnapshot *snapshot, HubFile *file, FetchKind kind, Err *err)
{
    const char *why = kind == FETCH_TEXT ? text_unread(file->name) : NULL;
    if (why) {
        err_set(err, ERR_UNSUPPORTED, "%s: %s", file->name, why);
        return NULL;
    }
    file->wanted = true;
    if (kind != FETCH_TEXT) want_beside(snapshot, file->name, kind);
    return str_dup(file->name);
}

char *fetch_choose(HubSnapshot *snapshot, FetchKind kind, Err *err)
{
    const char *path = snapshot->address.path;
    HubFile *file = path ? hub_file(snapshot, path) : NULL;
    if (file) return choose_file(snapshot, file, kind, err);
    char *folder = str_format("%s%s", path ? path : "", path ? "/" : "");
    size_t n = 0;
    for (size_t i = 0; i < snapshot->n_files; i++)
        n += str_starts_with(snapshot->files[i].name, folder);
    char *chosen = NULL;
    if (path && n == 0)
        err_set(err, ERR_NET, "%s at %s has no file or folder %s%s", snapshot->address.repo,
                snapshot->commit, path, snapshot->from_cache ? " in the cache" : "");
    else if (kind == FETCH_MODEL)
        chosen = choose_model(snapshot, folder, err);
    else if (kind != FETCH_TEXT)
        chosen = choose_tokenizer(snapshot, folder, kind, err);
    else
        chosen = choose_one(snapshot, folder, texts, COUNT_OF(texts), kind, err);
    free(folder);
    return chosen;
}

static bool add_shard(HubSnapshot *snapshot, const char *folder, const char *shard, bool *more,
                      Err *err)
{
    char *name = str_format("%s%s", folder, shard);
    HubFile *file = hub_file(snapshot, name);
    bool ok = hub_name_check(shard, err) &&
              (file || err_set(err, ERR_NET, "%s: %s names the shard %s, which is not there",
                               snapshot->address.repo, index_name, shard));
    free(name);
    if (!ok) return false;
    *more = *more || !file->wanted;
    file->wanted = true;
    return true;
}

bool fetch_add_shards(HubSnapshot *snapshot, const char *index_path, const char *folder, bool *more,
                      Err *err)
{
    JsonLimits limits = {.max_bytes = MAX_INDEX_BYTES, .ints_as_reals = true};
    json_t *index = json_parse_file(index_path, &limits, err);
    const char *tensor;
    json_t *shard;
    bool ok = index != NULL;
    *more = false;
    json_object_foreach(json_object_get(index, "weight_map"), tensor, shard)
    {
        const char *name = json_string_value(shard);
        /* What is no name is the reader's to refuse. */
        if (ok && name) ok = add_shard(snapshot, folder, name, more, err);
    }
    json_decref(index);
    return ok;
}
