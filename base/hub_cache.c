/* The cache on disk: what is there, and links. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hub_internal.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

enum {
    MAX_DEPTH = 16,           /* of folders in a snapshot */
    MAX_TREE_BYTES = 64 << 20 /* of trees/<commit>.json */
};

char *hub_repo_folder(const HubConfig *config, const HubAddress *address)
{
    const char *slash = strchr(address->repo, '/');
    size_t n_owner = slash ? (size_t)(slash - address->repo) : 0;
    char *name =
        str_format("%s--%.*s%s%s", address->is_dataset ? "datasets" : "models", (int)n_owner,
                   address->repo, slash ? "--" : "", slash ? slash + 1 : address->repo);
    char *folder = file_join(config->cache, name);
    free(name);
    return folder;
}

char *hub_blob_path(const HubConfig *config, const HubAddress *address, const char *etag)
{
    char *repo = hub_repo_folder(config, address);
    char *path = str_format("%s/blobs/%s", repo, etag);
    free(repo);
    return path;
}

bool hub_has_blob(const HubConfig *config, const HubAddress *address, const char *etag,
                  int64_t size)
{
    struct stat st;
    char *path = hub_blob_path(config, address, etag);
    bool is_here = stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == size;
    free(path);
    return is_here;
}

static bool is_hex(const char *text, size_t n)
{
    return strlen(text) == n && strspn(text, "0123456789abcdef") == n;
}

bool hub_is_commit(const char *text)
{
    return is_hex(text, HUB_COMMIT_SIZE - 1);
}

void hub_set_commit(const HubConfig *config, HubSnapshot *snapshot, const char *commit)
{
    assert(hub_is_commit(commit));
    char *repo = hub_repo_folder(config, &snapshot->address);
    memcpy(snapshot->commit, commit, HUB_COMMIT_SIZE);
    free(snapshot->folder);
    snapshot->folder = str_format("%s/snapshots/%s", repo, commit);
    free(repo);
}

static char *path_in_snapshot(const HubSnapshot *snapshot, const char *name)
{
    return file_join(snapshot->folder, name);
}

bool hub_add_file(HubSnapshot *snapshot, const char *name, int64_t size, Err *err)
{
    if (!hub_name_check(name, err)) return false;
    size_t n = snapshot->n_files;
    if ((n & (n - 1)) == 0) /* grows at the powers of two */
        snapshot->files = mem_realloc(snapshot->files, n ? 2 * n : 1, sizeof *snapshot->files);
    HubFile *file = &snapshot->files[snapshot->n_files++];
    *file = (HubFile){.name = str_dup(name), .size = size};
    char *path = path_in_snapshot(snapshot, name);
    struct stat st;
    file->is_here = stat(path, &st) == 0 && S_ISREG(st.st_mode);
    if (file->is_here) file->size = st.st_size;
    free(path);
    return true;
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const HubFile *)a)->name, ((const HubFile *)b)->name);
}

bool hub_sort_files(HubSnapshot *snapshot, Err *err)
{
    if (snapshot->n_files == 0) return true;
    qsort(snapshot->files, snapshot->n_files, sizeof *snapshot->files, compare_files);
    for (size_t i = 1; i < snapshot->n_files; i++)
        if (str_equal(snapshot->files[i - 1].name, snapshot->files[i].name))
            return err_set(err, ERR_NET, "the list of files names %s twice",
                           snapshot->files[i].name);
    return true;
}

HubFile *hub_file(const HubSnapshot *snapshot, const char *name)
{
    for (size_t i = 0; i < snapshot->n_files; i++)
        if (str_equal(snapshot->files[i].name, name)) return &snapshot->files[i];
    return NULL;
}

void hub_snapshot_free(HubSnapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->n_files; i++)
        free(snapshot->files[i].name);
    free(snapshot->files);
    free(snapshot->folder);
    free(snapshot->why);
    hub_address_free(&snapshot->address);
    *snapshot = (HubSnapshot){0};
}

/* Adds the files of a snapshot's folder; prefix: the folders under it, with a slash at the end, or "". */
static bool add_folder(HubSnapshot *snapshot, const char *prefix, int depth, Err *err)
{
    char *folder = path_in_snapshot(snapshot, prefix);
    DIR *dir = opendir(folder);
    struct dirent *entry;
    bool ok = true;
    while (ok && dir && (entry = readdir(dir))) {
        if (str_equal(entry->d_name, ".") || str_equal(entry->d_name, "..")) continue;
        char *name = str_format("%s%s", prefix, entry->d_name);
        char *path = path_in_snapshot(snapshot, name);
        char *below = str_format("%s/", name);
        if (file_is_dir(path))
            ok = depth == MAX_DEPTH || add_folder(snapshot, below, depth + 1, err);
        else
            ok = hub_add_file(snapshot, name, -1,
                              err); /* a link that leads nowhere too: it is missing */
        free(below);
        free(path);
        free(name);
    }
    if (dir) closedir(dir);
    free(folder);
    return ok;
}

/* Adds the files of the commit's list where the hub's client has left one, so that a missing one is noticed. */
static bool add_tree(const HubConfig *config, HubSnapshot *snapshot, Err *err)
{
    JsonLimits limits = {.max_bytes = MAX_TREE_BYTES};
    char *repo = hub_repo_folder(config, &snapshot->address);
    char *path = str_format("%s/trees/%s.json", repo, snapshot->commit);
    Err unreadable; /* a list that cannot be read is none, as its own reader takes it */
    json_t *tree = file_exists(path) ? json_parse_file(path, &limits, &unreadable) : NULL;
    const char *name;
    json_t *entry;
    bool ok = true;
    json_object_foreach(json_object_get(tree, "files"), name, entry)
    {
        const json_t *size = json_object_get(entry, "size");
        ok = ok && hub_add_file(snapshot, name,
                                json_is_integer(size) ? json_integer_value(size) : -1, err);
    }
    json_decref(tree);
    free(path);
    free(repo);
    return ok;
}

static bool read_ref(const HubConfig *config, const HubAddress *address,
                     char commit[HUB_COMMIT_SIZE])
{
    char *repo = hub_repo_folder(config, address);
    char *path = str_format("%s/refs/%s", repo, address->revision);
    Buf text = {0};
    Err absent;
    bool ok = file_read(path, 64, &text, &absent);
    if (ok) {
        while (text.len > 0 && strchr(" \r\n", text.data[text.len - 1]))
            text.len--;
        ok = hub_is_commit(buf_text(&text));
    }
    if (ok) memcpy(commit, text.data, HUB_COMMIT_SIZE);
    buf_free(&text);
    free(path);
    free(repo);
    return ok;
}

bool hub_find_cached(const HubConfig *config, HubSnapshot *snapshot, Err *err)
{
    const HubAddress *address = &snapshot->address;
    char commit[HUB_COMMIT_SIZE] = "";
    if (hub_is_commit(address->revision))
        memcpy(commit, address->revision, HUB_COMMIT_SIZE);
    else if (!read_ref(config, address, commit))
        return err_set(err, ERR_NET, "%s: revision %s is not in the cache %s", address->repo,
                       address->revision, config->cache);
    hub_set_commit(config, snapshot, commit);
    if (!file_is_dir(snapshot->folder))
        return err_set(err, ERR_NET, "%s: commit %s is not in the cache %s", address->repo, commit,
                       config->cache);
    snapshot->from_cache = true;
    if (!add_tree(config, snapshot, err)) return false;
    if (snapshot->n_files == 0 && !add_folder(snapshot, "", 0, err)) return false;
    return hub_sort_files(snapshot, err);
}

char *hub_file_path(const HubSnapshot *snapshot, const HubFile *file)
{
    char *path = path_in_snapshot(snapshot, file->name);
    if (file_exists(path) || !file->etag[0]) return path;
    free(path);
    size_t n_repo = strlen(snapshot->folder) - strlen("/snapshots/") - strlen(snapshot->commit);
    return str_format("%.*s/blobs/%s", (int)n_repo, snapshot->folder, file->etag);
}

bool hub_make_cache(const HubConfig *config, const char *folder, Err *err)
{
    static const char tag[] = "Signature: 8a477f597d28d172789f06886806bc55\n"
                              "# This folder is a cache of files from the Hugging Face hub.\n";
    if (!file_make_dirs(config->cache, err)) return false;
    char *path = file_join(config->cache, "CACHEDIR.TAG");
    bool ok = file_exists(path) || file_write_atomic(path, tag, strlen(tag), err);
    free(path);
    return ok && file_make_dirs(folder, err);
}

/* Makes the folders of a file under the snapshot, one by one: what is there must be a folder and no link to one. */
static bool make_folders(const HubSnapshot *snapshot, const char *name, Err *err)
{
    bool ok = file_make_dirs(snapshot->folder, err);
    char *path = path_in_snapshot(snapshot, name);
    size_t first = strlen(snapshot->folder) + 1;
    for (char *slash = strchr(path + first, '/'); ok && slash; slash = strchr(slash + 1, '/')) {
        struct stat st;
        *slash = '\0';
        ok = (mkdir(path, 0777) == 0 || errno == EEXIST) && lstat(path, &st) == 0 &&
             S_ISDIR(st.st_mode);
        if (!ok) err_set(err, ERR_OUTPUT, "%s: a folder is needed there", path);
        *slash = '/';
    }
    free(path);
    return ok;
}

/* "../../blobs/<etag>", with as many more steps up as the name has folders. */
static char *link_text(const HubFile *file)
{
    Buf text = {0};
    for (const char *slash = strchr(file->name, '/'); slash; slash = strchr(slash + 1, '/'))
        buf_puts(&text, "../");
    buf_printf(&text, "../../blobs/%s", file->etag);
    return buf_steal(&text);
}

static bool make_link(const char *text, const char *path, Err *err)
{
    char *temporary = str_format("%s.%ld", path, (long)getpid());
    unlink(temporary);
    bool ok = (symlink(text, temporary) == 0 && rename(temporary, path) == 0) ||
              err_set(err, ERR_OUTPUT,
                      "%s: the link cannot be made: %s; the cache needs a file system with links",
                      path, strerror(errno));
    if (!ok) unlink(temporary);
    free(temporary);
    return ok;
}

static bool link_file(const HubSnapshot *snapshot, const HubFile *file, Err *err)
{
    if (!file->is_here)
        return err_set(err, ERR_NET, "%s of %s is not here", file->name, snapshot->address.repo);
    char *path = path_in_snapshot(snapshot, file->name);
    bool ok = file_exists(path); /* of a commit, so it cannot have changed */
    if (!ok && make_folders(snapshot, file->name, err)) {
        char *text = link_text(file);
        ok = make_link(text, path, err);
        free(text);
    }
    free(path);
    return ok;
}

static bool write_ref(const HubConfig *config, const HubSnapshot *snapshot, Err *err)
{
    const char *revision = snapshot->address.revision;
    if (hub_is_commit(revision) || snapshot->from_cache) return true;
    char *repo = hub_repo_folder(config, &snapshot->address);
    char *path = str_format("%s/refs/%s", repo, revision);
    char *folder = str_dup_n(path, (size_t)(strrchr(path, '/') - path));
    bool ok = file_make_dirs(folder, err) &&
              file_write_atomic(path, snapshot->commit, strlen(snapshot->commit), err);
    free(folder);
    free(path);
    free(repo);
    return ok;
}

bool hub_finish(Hub *hub, const HubSnapshot *snapshot, Err *err)
{
    for (size_t i = 0; i < snapshot->n_files; i++)
        if (snapshot->files[i].wanted && !link_file(snapshot, &snapshot->files[i], err))
            return false;
    return write_ref(hub->config, snapshot, err);
}
