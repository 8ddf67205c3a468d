/* safetensors, and the Hugging Face folder around it.
 *
 *   bytes 0 … 7     n, length of the header, little-endian
 *   bytes 8 … 8+n-1 the header: a JSON object {name: {dtype, shape, data_offsets: [begin, end]}, …, "__metadata__": {…}}
 *   the rest        the data; offsets count from its first byte
 *
 * Source: github.com/huggingface/safetensors, README "Format". Checked in this order, as the reference does: 8 bytes are there;
 * n ≤ 100 000 000; the header fits the file; it starts with '{' and is JSON without duplicate keys; every tensor's
 * shape × type is its byte range; the ranges, sorted, meet without hole or overlap; the last ends the file. Nothing is allocated
 * from n, and after these checks no byte outside the map can be named.
 *
 * A folder with model.safetensors.index.json is sharded. The index belongs to no specification, so the headers are the truth:
 * their union is the model, and an index that names a missing shard or puts a tensor elsewhere is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/dequant.h"
#include "models/weights_internal.h"

enum {
    LENGTH_BYTES = 8,
    MAX_HEADER_BYTES = 100000000,
    MAX_INDEX_BYTES = 64 << 20,
    MAX_SHARDS = 10000,
    N_NAMED = 5, /* names that a message lists */
};

static const char single_name[] = "model.safetensors";
static const char index_name[] = "model.safetensors.index.json";

bool safetensors_detect(const char *path, const unsigned char *head, size_t n_head)
{
    (void)head;
    return file_is_dir(path) || (n_head > 0 && str_ends_with(path, ".safetensors"));
}

/* Where a tensor's bytes lie in the data. */
typedef struct {
    const char *name;
    Tensor tensor;
    size_t begin;
    size_t end;
} Range;

static int compare_ranges(const void *a, const void *b)
{
    const Range *x = a;
    const Range *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* A non-negative integer of a JSON list. */
static bool read_size(const json_t *list, size_t i, size_t *out)
{
    const json_t *value = json_array_get(list, i);
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *out = (size_t)json_integer_value(value);
    return true;
}

static bool read_shape(const json_t *shape, Range *range, Err *err)
{
    size_t n_dims = json_array_size(shape);
    if (!json_is_array(shape))
        return err_set(err, ERR_INPUT, "tensor %s: shape is not a list", range->name);
    if (n_dims > TENSOR_MAX_DIMS)
        return err_set(err, ERR_UNSUPPORTED, "tensor %s: %zu dimensions, at most %d are supported",
                       range->name, n_dims, TENSOR_MAX_DIMS);
    Tensor *tensor = &range->tensor;
    size_t n_bytes = (size_t)dtype_info(tensor->dtype)->block_bytes;
    for (size_t i = 0; i < n_dims; i++) {
        size_t dim;
        if (!read_size(shape, i, &dim))
            return err_set(err, ERR_INPUT, "tensor %s: dimension %zu is not a non-negative integer",
                           range->name, i);
        tensor->dims[tensor->n_dims++] = (int64_t)dim;
        if (size_mul(n_bytes, dim, &n_bytes)) continue;
        char text[96];
        tensor_shape_text(tensor, text);
        return err_set(err, ERR_INPUT, "tensor %s: shape %s… needs more bytes than 2^64",
                       range->name, text);
    }
    tensor->n_bytes = n_bytes;
    return true;
}

static bool read_dtype(const json_t *value, Range *range, Err *err)
{
    const char *name = json_string_value(value);
    if (!name) return err_set(err, ERR_INPUT, "tensor %s: dtype is not a string", range->name);
    if (dtype_find(name, &range->tensor.dtype)) return true;
    char known[128];
    dtype_names(known);
    return err_set(err, ERR_UNSUPPORTED, "tensor %s has dtype %s, supported: %s", range->name, name,
                   known);
}

static bool read_offsets(const json_t *offsets, Range *range, Err *err)
{
    if (json_array_size(offsets) != 2 || !read_size(offsets, 0, &range->begin) ||
        !read_size(offsets, 1, &range->end))
        return err_set(err, ERR_INPUT, "tensor %s: data_offsets is not [begin, end]", range->name);
    if (range->begin > range->end)
        return err_set(err, ERR_INPUT, "tensor %s: data_offsets begin %zu is after end %zu",
                       range->name, range->begin, range->end);
    if (range->end - range->begin == range->tensor.n_bytes) return true;
    char shape[96];
    tensor_shape_text(&range->tensor, shape);
    return err_set(err, ERR_INPUT,
                   "tensor %s: shape %s of %s needs %zu bytes, data_offsets give %zu", range->name,
                   shape, dtype_info(range->tensor.dtype)->name, range->tensor.n_bytes,
                   range->end - range->begin);
}

static bool read_range(const char *name, const json_t *entry, Range *range, Err *err)
{
    *range = (Range){.name = name};
    if (!json_is_object(entry))
        return err_set(err, ERR_INPUT, "tensor %s: the entry is not an object", name);
    return read_dtype(json_object_get(entry, "dtype"), range, err) &&
           read_shape(json_object_get(entry, "shape"), range, err) &&
           read_offsets(json_object_get(entry, "data_offsets"), range, err);
}

/* The sorted ranges must tile the data exactly. */
static bool check_tiling(const Range *ranges, size_t n, size_t n_data, Err *err)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const Range *r = &ranges[i];
        if (r->begin != at)
            return err_set(err, ERR_INPUT, "tensor %s: bytes %zu to %zu %s %s, which ends at %zu",
                           r->name, r->begin, r->end,
                           r->begin < at ? "overlap" : "leave a hole after",
                           i ? ranges[i - 1].name : "the header", at);
        at = r->end;
    }
    if (at > n_data)
        return err_set(err, ERR_INPUT,
                       "truncated: the tensors need %zu bytes of data, the file has %zu", at,
                       n_data);
    if (at < n_data)
        return err_set(err, ERR_INPUT, "%zu bytes follow the last tensor", n_data - at);
    return true;
}

/* Adds the tensors of a parsed header. */
static bool add_tensors(WeightFile *file, json_t *header, const unsigned char *data, size_t n_data,
                        Err *err)
{
    size_t n = 0;
    Range *ranges = mem_alloc(json_object_size(header), sizeof *ranges);
    const char *name;
    json_t *entry;
    bool ok = true;
    json_object_foreach(header, name, entry)
    {
        if (str_equal(name, "__metadata__")) continue;
        ok = read_range(name, entry, &ranges[n], err);
        if (!ok) break;
        n++;
    }
    if (ok && n) qsort(ranges, n, sizeof *ranges, compare_ranges);
    ok = ok && check_tiling(ranges, n, n_data, err);
    for (size_t i = 0; ok && i < n; i++) {
        ranges[i].tensor.data = data + ranges[i].begin;
        weights_add(file, ranges[i].name, &ranges[i].tensor);
    }
    free(ranges);
    return ok;
}

static bool check_metadata(const json_t *header, Err *err)
{
    json_t *metadata = json_object_get(header, "__metadata__");
    if (metadata && !json_is_object(metadata))
        return err_set(err, ERR_INPUT, "__metadata__ is not an object");
    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value) if (!json_is_string(value)) return err_set(
        err, ERR_INPUT, "__metadata__: value of \"%s\" is not a string", key);
    return true;
}

/* The header's length, once it is known to be inside the file. */
static bool read_length(const FileMap *map, const char *path, size_t *length, Err *err)
{
    if (map->size < LENGTH_BYTES)
        return err_set(err, ERR_INPUT, "%s: %zu bytes, a safetensors file has at least %d", path,
                       map->size, LENGTH_BYTES);
    uint64_t n = 0;
    for (int i = LENGTH_BYTES - 1; i >= 0; i--)
        n = n << 8 | map->data[i];
    if (n > MAX_HEADER_BYTES)
        return err_set(err, ERR_INPUT, "%s: header length is %llu, at most %d is allowed", path,
                       (unsigned long long)n, MAX_HEADER_BYTES);
    if (n > map->size - LENGTH_BYTES)
        return err_set(err, ERR_INPUT,
                       "%s: header length is %llu but the file has %zu bytes: truncated?", path,
                       (unsigned long long)n, map->size);
    *length = (size_t)n;
    return true;
}

bool safetensors_index(WeightFile *file, Err *err)
{
    const WeightMap *map = &file->maps[file->n_maps - 1];
    size_t length;
    if (!read_length(&map->bytes, map->path, &length, err)) return false;
    const unsigned char *start = map->bytes.data + LENGTH_BYTES;
    if (length == 0 || start[0] != '{')
        return err_set(err, ERR_INPUT, "%s: byte 8: the header does not start with '{'", map->path);
    JsonLimits limits = {.origin = map->path, .max_bytes = MAX_HEADER_BYTES};
    json_t *header = json_parse((const char *)start, length, &limits, err);
    if (!header) return false;
    bool ok =
        check_metadata(header, err) &&
        add_tensors(file, header, start + length, map->bytes.size - LENGTH_BYTES - length, err);
    json_decref(header);
    return ok || err_prefix(err, "%s", map->path);
}

static bool open_one(WeightFile *file, const char *path, Err *err)
{
    return weights_map(file, path, err) && safetensors_index(file, err);
}

/* A shard's name comes from a downloaded file and must stay in the folder. */
static bool is_safe_name(const char *name)
{
    return name[0] && name[0] != '.' && !strpbrk(name, "/\\:") &&
           str_ends_with(name, ".safetensors");
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The distinct shard names of an index, sorted; lent by the JSON. Free the array. */
static bool list_shards(json_t *map, const char ***names, size_t *n, Err *err)
{
    const char **list = mem_alloc(json_object_size(map), sizeof *list);
    size_t count = 0;
    const char *tensor;
    json_t *value;
    json_object_foreach(map, tensor, value)
    {
        const char *name = json_string_value(value);
        if (!name || !is_safe_name(name)) {
            free(list);
            return err_set(err, ERR_INPUT, "weight_map: tensor %s lies in \"%s\": unsafe file name",
                           tensor, name ? name : "(not a string)");
        }
        list[count++] = name;
    }
    if (count) qsort(list, count, sizeof *list, compare_strings);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (i == 0 || !str_equal(list[i], list[kept - 1])) list[kept++] = list[i];
    *names = list;
    *n = kept;
    if (kept > 0 && kept <= MAX_SHARDS) return true;
    free(list);
    return err_set(err, ERR_INPUT, "weight_map names %zu shards; 1 to %d are allowed", kept,
                   MAX_SHARDS);
}

/* Refuses a folder that lacks shards, before anything is read. */
static bool check_shards_exist(const char *folder, const char *const *names, size_t n, Err *err)
{
    Buf missing = {0};
    size_t n_missing = 0;
    for (size_t i = 0; i < n; i++) {
        char *path = file_join(folder, names[i]);
        if (!file_exists(path) && n_missing++ < N_NAMED)
            buf_printf(&missing, "%s%s", n_missing > 1 ? ", " : "", names[i]);
        free(path);
    }
    if (n_missing)
        err_set(err, ERR_INPUT, "%s: %zu of %zu shards are missing: %s%s: incomplete download?",
                folder, n_missing, n, buf_text(&missing), n_missing > N_NAMED ? ", …" : "");
    buf_free(&missing);
    return n_missing == 0;
}

/* Every tensor of the index must be in the shard that the index names. Names are not sorted yet, so a sorted view is made. */
static bool check_index(WeightFile *file, json_t *map, Err *err)
{
    if (!weights_sort(file, err)) return false;
    const char *name;
    json_t *shard;
    json_object_foreach(map, name, shard)
    {
        const WeightEntry *entry = weights_entry(file, name);
        const char *holder = entry ? file_base_name(file->maps[entry->map].path) : "none";
        if (!str_equal(holder, json_string_value(shard)))
            return err_set(
                err, ERR_INPUT,
                "weight_map puts tensor %s into %s, but %s of the shards holds it: a stale index?",
                name, json_string_value(shard), holder);
    }
    size_t n_unlisted = 0;
    for (size_t i = 0; i < file->n_entries; i++)
        n_unlisted += !json_object_get(map, file->entries[i].name);
    if (n_unlisted)
        buf_printf(&file->notes, "%zu tensors are in the shards but not in %s: read all the same\n",
                   n_unlisted, index_name);
    return true;
}

static bool open_shards(WeightFile *file, json_t *index, Err *err)
{
    json_t *map = json_object_get(index, "weight_map");
    if (!json_is_object(map)) return err_set(err, ERR_INPUT, "weight_map is not an object");
    const char **names;
    size_t n;
    if (!list_shards(map, &names, &n, err)) return false;
    bool ok = check_shards_exist(file->path, names, n, err);
    for (size_t i = 0; ok && i < n; i++) {
        char *path = file_join(file->path, names[i]);
        ok = open_one(file, path, err);
        free(path);
    }
    free(names);
    return ok && check_index(file, map, err);
}

static bool open_index(WeightFile *file, const char *path, Err *err)
{
    JsonLimits limits = {.max_bytes = MAX_INDEX_BYTES};
    json_t *index = json_parse_file(path, &limits, err);
    if (!index) return false;
    bool ok = open_shards(file, index, err);
    json_decref(index);
    return ok || err_prefix(err, "%s", path);
}

/* The folder of the model as a new string. */
static char *folder_of(const WeightFile *file)
{
    if (file_is_dir(file->path)) return str_dup(file->path);
    const char *slash = strrchr(file->path, '/');
    return slash ? str_dup_n(file->path, (size_t)(slash - file->path) + 1) : str_dup(".");
}

static void find_side_files(WeightFile *file)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json"};
    char *folder = folder_of(file);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char *path = file_join(folder, names[i]);
        if (file_exists(path))
            weights_add_side_file(file, path);
        else
            free(path);
    }
    free(folder);
}

static bool open_folder(WeightFile *file, Err *err)
{
    char *single = file_join(file->path, single_name);
    char *index = file_join(file->path, index_name);
    bool ok;
    if (file_exists(single))
        ok = open_one(file, single, err);
    else if (file_exists(index))
        ok = open_index(file, index, err);
    else
        ok = err_set(err, ERR_INPUT, "%s: the folder has neither %s nor %s", file->path,
                     single_name, index_name);
    free(single);
    free(index);
    return ok;
}

bool safetensors_open(WeightFile *file, Err *err)
{
    find_side_files(file);
    return file_is_dir(file->path) ? open_folder(file, err) : open_one(file, file->path, err);
}

bool safetensors_config(const WeightFile *file, ModelConfig *config, Buf *notes, Err *err)
{
    char *folder = folder_of(file);
    char *path = file_join(folder, "config.json");
    JsonLimits limits = {.max_bytes = CONFIG_MAX_BYTES, .ints_as_reals = true};
    json_t *root = json_parse_file(path, &limits, err);
    bool ok = root && config_from_json(root, path, config, notes, err);
    json_decref(root);
    free(path);
    free(folder);
    return ok;
}

/* Lends the side file of that name, or NULL. */
static const char *side_file(const WeightFile *file, const char *name)
{
    for (size_t i = 0; i < file->n_side_files; i++)
        if (str_equal(file_base_name(file->side_files[i]), name)) return file->side_files[i];
    return NULL;
}

bool safetensors_tokenizer(const WeightFile *file, Tokenizer **tokenizer, char why[256], Err *err)
{
    const char *path = side_file(file, "tokenizer.json");
    if (!path) {
        snprintf(why, 256, "there is no tokenizer.json beside the weights");
        return true;
    }
    Err local = {0};
    *tokenizer = tokenizer_open_json(path, side_file(file, "tokenizer_config.json"), &local);
    if (*tokenizer) return true;
    if (local.code != ERR_UNSUPPORTED) {
        *err = local;
        return false;
    }
    snprintf(why, 256, "%.255s", local.text);
    return true;
}
