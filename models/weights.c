/* What all formats share: which reader takes a path, the sorted index of tensors, and the verdict on the config.
 *
 * weights_open reads the config once and keeps the answer, refusal included: `inspect` can then show the tensors and
 * the tokenizer of a model that the engine would refuse, and notes are written once. Two things that no config says are
 * settled here for every format: how many ids there are (the rows of the embedding decide, whatever vocab_size claims),
 * and whether a tensor that no slot of the architecture takes may be left out. An unused tensor is
 * harmless (inv_freq, an optimiser's leftovers) unless it is a term of the forward pass: a bias or a norm on the queries that is skipped
 * would give wrong numbers without a word. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "models/arch.h"
#include "models/gguf_rope.h"
#include "models/weights_internal.h"

const WeightFormat weight_formats[] = {
    {"safetensors", "Hugging Face folder, or one .safetensors file beside its config.json",
     safetensors_detect,                                                                                    safetensors_open, safetensors_config, safetensors_tokenizer, NULL},
    {"gguf",        "GGUF version 3 (F32, F16, BF16)",                                         gguf_detect, gguf_open,        gguf_config,        gguf_tokenizer,
     gguf_close                                                                                                                                                              },
    {"llama2c",     "llama2.c version 0 .bin, with tokenizer.bin or tok<vocab>.bin beside it",
     llama2c_detect,                                                                                        llama2c_open,     llama2c_config,     llama2c_tokenizer,     NULL},
    {NULL,          NULL,                                                                      NULL,        NULL,             NULL,               NULL,                  NULL},
};

enum { HEAD_BYTES = 512 };

/* Files that are often saved under a weight file's name. */
static const struct {
    const char *start;
    ErrCode code;
    const char *what;
} disguises[] = {
    {"<!",           ERR_INPUT,       "HTML, perhaps an error page that a download saved; fetch the file again" },
    {"<h",           ERR_INPUT,       "HTML, perhaps an error page that a download saved; fetch the file again" },
    {"<H",           ERR_INPUT,       "HTML, perhaps an error page that a download saved; fetch the file again" },
    {"<?",           ERR_INPUT,       "XML, perhaps an error answer that a download saved; fetch the file again"},
    {"\x1f\x8b\x08", ERR_INPUT,       "gzip-compressed; unpack it first"                                        },
    {"PK\x03\x04",   ERR_UNSUPPORTED, "a zip archive, as PyTorch writes; convert it to safetensors"             },
    {"\x80\x02",     ERR_UNSUPPORTED,
     "a Python pickle, which can run code when it is read; convert it to safetensors"                           },
};

static const char lfs_start[] = "version https://git-lfs.github.com/spec/";

/* The word after `key` in a small text; "?" if there is none. */
static void word_after(const char *text, const char *key, char *out, size_t cap)
{
    const char *at = strstr(text, key);
    size_t n = at ? strcspn(at + strlen(key), " \r\n") : 0;
    snprintf(out, cap, "%.*s", n ? (int)min_i64((int64_t)n, 80) : 1, n ? at + strlen(key) : "?");
}

static bool refuse_lfs_pointer(const char *path, const char *text, size_t size, Err *err)
{
    char oid[96];
    char bytes[96];
    word_after(text, "\noid ", oid, sizeof oid);
    word_after(text, "\nsize ", bytes, sizeof bytes);
    return err_set(err, ERR_INPUT,
                   "%s: is a git-lfs pointer (%zu bytes) for %s of %s bytes; run `git lfs pull`",
                   path, size, oid, bytes);
}

static bool refuse_disguise(const char *path, const unsigned char *data, size_t n, Err *err)
{
    char head[HEAD_BYTES + 1] = {0};
    if (n) memcpy(head, data, n < HEAD_BYTES ? n : HEAD_BYTES);
    if (str_starts_with(head, lfs_start)) return refuse_lfs_pointer(path, head, n, err);
    for (size_t i = 0; i < COUNT_OF(disguises); i++)
        if (str_starts_with(head, disguises[i].start))
            return err_set(err, disguises[i].code, "%s: is %s", path, disguises[i].what);
    return true;
}

WeightFile *weights_new(const char *path)
{
    WeightFile *file = mem_zalloc(1, sizeof *file);
    file->path = str_dup(path);
    err_set(&file->config_err, ERR_INPUT, "%s: no config was read", path);
    return file;
}

static WeightMap *add_map(WeightFile *file)
{
    file->maps = mem_realloc(file->maps, file->n_maps + 1, sizeof *file->maps);
    WeightMap *map = &file->maps[file->n_maps++];
    *map = (WeightMap){0};
    return map;
}

bool weights_map(WeightFile *file, const char *path, Err *err)
{
    FileMap bytes;
    if (!file_map(path, &bytes, err)) return false;
    *add_map(file) = (WeightMap){.bytes = bytes, .path = str_dup(path)};
    return refuse_disguise(path, bytes.data, bytes.size, err);
}

void weights_lend(WeightFile *file, const void *bytes, size_t n)
{
    *add_map(file) = (WeightMap){
        .bytes = {.data = bytes, .size = n},
          .path = str_dup(file->path), .lent = true
    };
}

void weights_add(WeightFile *file, const char *name, const Tensor *tensor)
{
    assert(file->n_maps > 0);
    if (file->n_entries == file->cap_entries) {
        file->cap_entries = file->cap_entries ? 2 * file->cap_entries : 64;
        file->entries = mem_realloc(file->entries, file->cap_entries, sizeof *file->entries);
    }
    file->entries[file->n_entries++] =
        (WeightEntry){.name = str_dup(name), .tensor = *tensor, .map = file->n_maps - 1};
}

void weights_add_side_file(WeightFile *file, char *path)
{
    file->side_files =
        mem_realloc(file->side_files, file->n_side_files + 1, sizeof *file->side_files);
    file->side_files[file->n_side_files++] = path;
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const WeightEntry *)a)->name, ((const WeightEntry *)b)->name);
}

bool weights_sort(WeightFile *file, Err *err)
{
    if (file->n_entries == 0) return true;
    qsort(file->entries, file->n_entries, sizeof *file->entries, compare_entries);
    for (size_t i = 1; i < file->n_entries; i++) {
        const WeightEntry *a = &file->entries[i - 1];
        const WeightEntry *b = &file->entries[i];
        if (str_equal(a->name, b->name))
            return err_set(err, ERR_INPUT, "tensor %s is there twice: in %s and in %s", a->name,
                           file->maps[a->map].path, file->maps[b->map].path);
    }
    return true;
}

static int compare_name(const void *name, const void *entry)
{
    return strcmp(name, ((const WeightEntry *)entry)->name);
}

const WeightEntry *weights_entry(const WeightFile *file, const char *name)
{
    if (file->n_entries == 0) return NULL;
    return bsearch(name, file->entries, file->n_entries, sizeof *file->entries, compare_name);
}

/* Tensors that take no part in the forward pass. */
static bool is_ignorable(const char *name)
{
    static const char *const ends[] = {"rotary_emb.inv_freq", ".attention.bias",
                                       ".attention.masked_bias"}; /* GPT-NeoX's causal mask */
    for (size_t i = 0; i < COUNT_OF(ends); i++)
        if (str_ends_with(name, ends[i])) return true;
    return false;
}

/* A tensor that the format's config reader has taken its numbers from. */
static bool is_read_by_config(const WeightFile *file, const char *name)
{
    return file->format->read_config == gguf_config && gguf_rope_reads_tensor(name);
}

/* A tensor of this name would be a term of the forward pass. */
static bool has_effect(const char *name)
{
    static const char *const parts[] = {".bias", "q_norm",     "k_norm",       "expert", "_exps.",
                                        "_inp.", "rope_freqs", "rope_factors", "_scale", "lora_"};
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        if (strstr(name, parts[i])) return true;
    return false;
}

/* One byte a tensor: whether some slot takes it. */
static unsigned char *mark_used(const WeightFile *file)
{
    unsigned char *used = mem_zalloc(file->n_entries, 1);
    const Arch *arch = arch_find(file->config.arch);
    for (int slot = 0; slot < N_SLOTS; slot++) {
        int n_layers = slot < N_LAYER_SLOTS ? file->config.n_layers : 1;
        for (int layer = 0; layer < n_layers; layer++) {
            char name[ARCH_NAME_SIZE];
            if (!arch_has_slot(&file->config, (Slot)slot)) continue;
            arch_slot_name(arch, (Slot)slot, layer, name);
            const WeightEntry *entry = weights_entry(file, name);
            if (entry) used[entry - file->entries] = 1;
        }
    }
    return used;
}

/* Refuses unused tensors that would change the numbers; notes the others once. */
static bool check_extras(WeightFile *file, Err *err)
{
    enum { N_NAMED = 3 };
    unsigned char *used = mark_used(file);
    Buf names = {0};
    size_t n_extra = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < file->n_entries; i++) {
        const char *name = file->entries[i].name;
        if (used[i] || is_ignorable(name) || is_read_by_config(file, name)) continue;
        if (has_effect(name))
            ok = err_set(err, ERR_UNSUPPORTED,
                         "%s: tensor %s is a part that the engine does not compute for %s",
                         file->path, name, file->config.arch);
        else if (n_extra++ < N_NAMED)
            buf_printf(&names, "%s%s", n_extra > 1 ? ", " : "", name);
    }
    if (ok && n_extra)
        buf_printf(&file->notes, "%zu tensors are not used: %s%s\n", n_extra, buf_text(&names),
                   n_extra > N_NAMED ? ", …" : "");
    buf_free(&names);
    free(used);
    return ok;
}

/* The rows of the embedding are the ids there are. */
static void settle_vocab_size(WeightFile *file)
{
    const Arch *arch = arch_find(file->config.arch);
    char name[ARCH_NAME_SIZE];
    arch_slot_name(arch, SLOT_EMBEDDING, 0, name);
    const Tensor *table = weights_find(file, name);
    if (!table) {
        arch_slot_name(arch, SLOT_HEAD, 0, name);
        table = weights_find(file, name);
    }
    if (!table || table->n_dims != 2 || table->dims[0] == file->config.vocab_size) return;
    if (table->dims[0] < 1 || table->dims[0] > CONFIG_MAX_VOCAB) return;
    buf_printf(&file->notes, "vocab_size is %d but %s has %lld rows: the rows decide\n",
               file->config.vocab_size, name, (long long)table->dims[0]);
    file->config.vocab_size = (int)table->dims[0];
}

static void settle_config(WeightFile *file)
{
    Err *err = &file->config_err;
    if (!file->format->read_config(file, &file->config, &file->notes, err)) return;
    settle_vocab_size(file);
    file->has_config = check_extras(file, err);
}

/* The first row that claims the path; NULL and err when there is none. */
static const WeightFormat *choose_format(const char *path, Err *err)
{
    FileMap map = {0};
    if (!file_is_dir(path) && !file_map(path, &map, err)) return NULL;
    const WeightFormat *format = weight_formats;
    size_t n_head = map.size < HEAD_BYTES ? map.size : HEAD_BYTES;
    while (format->name && !format->detect(path, map.data, n_head))
        format++;
    if (!format->name && refuse_disguise(path, map.data, map.size, err))
        err_set(
            err, ERR_INPUT,
            "%s: no model format is known by this name or these first bytes; a Hugging Face folder, "
            ".safetensors, .gguf or llama2.c .bin is needed",
            path);
    file_unmap(&map);
    return format->name ? format : NULL;
}

WeightFile *weights_open(const char *path, Err *err)
{
    const WeightFormat *format = choose_format(path, err);
    if (!format) return NULL;
    WeightFile *file = weights_new(path);
    file->format = format;
    if (!format->open(file, err) || !weights_sort(file, err)) {
        weights_close(file);
        return NULL;
    }
    settle_config(file);
    buf_text(&file->notes);
    return file;
}

void weights_close(WeightFile *file)
{
    if (!file) return;
    if (file->format && file->format->close) file->format->close(file);
    for (size_t i = 0; i < file->n_maps; i++) {
        if (!file->maps[i].lent) file_unmap(&file->maps[i].bytes);
        free(file->maps[i].path);
    }
    for (size_t i = 0; i < file->n_entries; i++)
        free(file->entries[i].name);
    for (size_t i = 0; i < file->n_side_files; i++)
        free(file->side_files[i]);
    free(file->maps);
    free(file->entries);
    free(file->side_files);
    free(file->path);
    buf_free(&file->notes);
    free(file);
}

const WeightFormat *weights_format(const WeightFile *file)
{
    return file->format;
}

const char *weights_path(const WeightFile *file)
{
    return file->path;
}

bool weights_read_config(const WeightFile *file, ModelConfig *config, Err *err)
{
    if (file->has_config)
        *config = file->config;
    else
        *err = file->config_err;
    return file->has_config;
}

bool weights_read_tokenizer(const WeightFile *file, Tokenizer **tokenizer, char why[256], Err *err)
{
    *tokenizer = NULL;
    why[0] = '\0';
    if (!file->format->read_tokenizer(file, tokenizer, why, err)) return false;
    if (!*tokenizer || !file->has_config) return true;
    int n = tokenizer_vocab_size(*tokenizer);
    if (n <= file->config.vocab_size) return true;
    tokenizer_free(*tokenizer);
    *tokenizer = NULL;
    return err_set(err, ERR_INPUT,
                   "%s: the tokenizer has ids up to %d but the embedding has %d rows: they do not "
                   "belong together",
                   file->path, n - 1, file->config.vocab_size);
}

size_t weights_count(const WeightFile *file)
{
    return file->n_entries;
}

const char *weights_name(const WeightFile *file, size_t i)
{
    return file->entries[i].name;
}

const Tensor *weights_tensor(const WeightFile *file, size_t i)
{
    return &file->entries[i].tensor;
}

const Tensor *weights_find(const WeightFile *file, const char *name)
{
    const WeightEntry *entry = weights_entry(file, name);
    return entry ? &entry->tensor : NULL;
}

/* Parts are told apart by their length, so that no two sets of files give the same stream. */
static void hash_part(HashStream *hash, const void *bytes, size_t n)
{
    uint64_t length = n;
    hash_add(hash, &length, sizeof length);
    if (n) hash_add(hash, bytes, n);
}

bool weights_hash(const WeightFile *file, char hex[HASH_HEX_SIZE], Err *err)
{
    ModelConfig config;
    if (!weights_read_config(file, &config, err)) return false;
    HashStream *hash = hash_open();
    Buf text = {0};
    bool ok = true;
    for (size_t i = 0; i < file->n_maps; i++)
        hash_part(hash, file->maps[i].bytes.data, file->maps[i].bytes.size);
    config_key(&config, &text);
    hash_part(hash, buf_text(&text), text.len);
    for (size_t i = 0; ok && i < file->n_side_files; i++) {
        FileMap map;
        ok = file_map(file->side_files[i], &map, err);
        if (ok) hash_part(hash, map.data, map.size);
        file_unmap(&map);
    }
    hash_close(hash, hex);
    buf_free(&text);
    return ok;
}

const char *weights_notes(const WeightFile *file)
{
    return file->notes.data;
}
