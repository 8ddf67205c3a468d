/* `inspect`: what a model file holds, and what the engine makes of it.
 *
 * Nothing is converted and no weight is read. A model that would be refused is still shown as far as it can be read; the
 * refusal comes last, as the command's error and exit status. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "harness/commands.h"
#include "harness/source.h"
#include "harness/terminal.h"
#include "models/dequant.h"
#include "models/model.h"

enum { LABEL_WIDTH = 12, NAME_SHOWN = 120 };

typedef struct {
    WeightFile *file;
    ModelConfig config;
    bool has_config;
    bool tied; /* no head of its own in the file */
    Tokenizer *tokenizer;
    char why[256]; /* no tokenizer */
    Err refusal;   /* code ERR_NONE: the engine takes it */
} Inspection;

/* How the trained rotation relates to the trained length. */
typedef struct {
    double fastest; /* wavelengths in tokens */
    double slowest;
    int n_pairs;
    int n_turned; /* pairs that complete a turn within the trained length */
} RopeFacts;

static void rope_facts(const ModelConfig *config, RopeFacts *facts)
{
    const double two_pi = 6.283185307179586;
    RopeSpec spec = config->rope;
    RopeTable table;
    Err unused;
    *facts = (RopeFacts){.fastest = (double)NAN, .slowest = (double)NAN};
    if (!rope_spec_resolve(&spec, config->n_ctx_train, &unused) ||
        !rope_table_make(&spec, config->n_ctx_train, &table, &unused))
        return;
    facts->n_pairs = table.n_pairs;
    facts->fastest = two_pi / rope_scaled_angle(&table, 0);
    facts->slowest = two_pi / rope_scaled_angle(&table, table.n_pairs - 1);
    for (int i = 0; i < table.n_pairs; i++)
        facts->n_turned += two_pi / rope_scaled_angle(&table, i) <= (double)config->rope.n_ctx_orig;
}

/* Number and bytes of the tensors of each type. */
typedef struct {
    size_t n[DTYPE_COUNT];
    size_t bytes[DTYPE_COUNT];
    size_t total;
} TensorSums;

static TensorSums sum_tensors(const WeightFile *file)
{
    TensorSums sums = {0};
    for (size_t i = 0; i < weights_count(file); i++) {
        const Tensor *tensor = weights_tensor(file, i);
        sums.n[tensor->dtype]++;
        sums.bytes[tensor->dtype] += tensor->n_bytes;
        sums.total += tensor->n_bytes;
    }
    return sums;
}

static bool open_inspection(const char *path, Inspection *in, Err *err)
{
    *in = (Inspection){0};
    in->file = weights_open(path, err);
    if (!in->file) return false;
    Err tokenizer_err = {0};
    in->has_config = weights_read_config(in->file, &in->config, &in->refusal);
    if (in->has_config) {
        const Arch *arch = arch_find(in->config.arch);
        in->tied = !weights_find(in->file, arch->slot_name[SLOT_HEAD]) ||
                   !weights_find(in->file, arch->slot_name[SLOT_EMBEDDING]);
        if (model_check(in->file, &in->refusal)) in->refusal.code = ERR_NONE;
    }
    if (!weights_read_tokenizer(in->file, &in->tokenizer, in->why, &tokenizer_err)) {
        snprintf(in->why, sizeof in->why, "%.255s", tokenizer_err.text);
        if (in->refusal.code == ERR_NONE) in->refusal = tokenizer_err;
    }
    return true;
}

static void close_inspection(Inspection *in)
{
    tokenizer_free(in->tokenizer);
    weights_close(in->file);
}

/* Starts a line with its padded label. */
static void put_label(Buf *out, const char *label)
{
    buf_printf(out, "%-*s", LABEL_WIDTH, label);
}

/* A line about what sets the block apart from Llama's, if anything does. */
static void put_features(const ModelConfig *c, Buf *out)
{
    static const struct {
        unsigned bit;
        const char *text;
    } rows[] = {
        {MODEL_QKV_BIAS,   "biases of q, k and v"},
        {MODEL_OUT_BIAS,   "bias of the output"  },
        {MODEL_FFN_BIAS,   "biases of the FFN"   },
        {MODEL_QK_NORM,    "norms of q and k"    },
        {MODEL_LAYER_NORM, "LayerNorm"           },
        {MODEL_UNGATED,    "GELU without a gate" },
        {MODEL_PARALLEL,   "parallel residual"   },
    };
    Buf text = {0};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (c->features & rows[i].bit)
            buf_printf(&text, "%s%s", text.len ? ", " : "", rows[i].text);
    if (c->window)
        buf_printf(&text, "%swindow of %lld tokens", text.len ? ", " : "", (long long)c->window);
    if (text.len) {
        put_label(out, "block");
        buf_printf(out, "%s\n", buf_text(&text));
    }
    buf_free(&text);
}

static void put_config(const Inspection *in, Buf *out)
{
    const ModelConfig *c = &in->config;
    char memory[BYTES_TEXT_SIZE];
    bytes_text((double)model_owned_bytes(in->file, kernel_path_best()), memory);
    put_label(out, "model");
    buf_printf(out, "%s, %lld parameters, head %s\n", c->arch,
               (long long)model_n_params(c, in->tied),
               in->tied ? "shares the embedding" : "of its own");
    put_label(out, "shape");
    buf_printf(out, "n_layers %d  d_model %d  d_ff %d  vocab_size %d\n", c->n_layers, c->d_model,
               c->d_ff, c->vocab_size);
    put_label(out, "attention");
    buf_printf(out, "n_heads %d  n_kv_heads %d  head_dim %d  rms_eps %g\n", c->n_heads,
               c->n_kv_heads, c->head_dim, c->rms_eps);
    put_features(c, out);
    put_label(out, "memory");
    buf_printf(out, "%s of floats are made when it is loaded; the rest is used in the file's map\n",
               memory);
}

static void put_rope(const ModelConfig *c, Buf *out)
{
    RopeFacts facts;
    char spec[ROPE_TEXT_SIZE];
    double trained = (double)c->rope.n_ctx_orig;
    rope_facts(c, &facts);
    rope_spec_text(&c->rope, spec);
    put_label(out, "RoPE found");
    buf_printf(out, "%s\n", c->rope_found);
    put_label(out, "RoPE");
    buf_printf(out, "%s  theta %.17g  n_rot %d  pairs %s\n", spec, c->rope.theta, c->n_rot,
               c->rope_layout == ROPE_HALVES ? "in halves (i, i + d/2)"
                                             : "interleaved (2i, 2i + 1)");
    put_label(out, "trained at");
    buf_printf(out, "%lld tokens as the file claims; n_ctx_orig %lld\n", (long long)c->n_ctx_train,
               (long long)c->rope.n_ctx_orig);
    put_label(out, "wavelengths");
    buf_printf(out, "fastest pair %.1f tokens (%.3g x trained), slowest %.1f (%.3g x trained)\n",
               facts.fastest, facts.fastest / trained, facts.slowest, facts.slowest / trained);
    put_label(out, "");
    buf_printf(out, "%d of %d pairs complete a turn within n_ctx_orig\n", facts.n_turned,
               facts.n_pairs);
}

static void put_id(const char *name, int id, Buf *out)
{
    if (id < 0)
        buf_printf(out, ", no %s", name);
    else
        buf_printf(out, ", %s %d", name, id);
}

static void put_tokenizer(const Inspection *in, Buf *out)
{
    const Tokenizer *t = in->tokenizer;
    put_label(out, "tokenizer");
    if (!t) {
        buf_printf(out, "none: %s; token ids only\n", in->why);
        return;
    }
    buf_printf(out, "%s, %d ids", tokenizer_kind(t), tokenizer_vocab_size(t));
    put_id("BOS", tokenizer_bos_id(t), out);
    if (tokenizer_bos_id(t) >= 0)
        buf_puts(out, tokenizer_adds_bos(t) ? " is added" : " is not added");
    put_id("EOS", tokenizer_eos_id(t), out);
    buf_puts(out, "\n");
}

/* Each line of notes under one label. */
static void put_notes(const char *notes, Buf *out)
{
    while (*notes) {
        size_t n = strcspn(notes, "\n");
        char shown[512];
        str_escape(notes, n, shown, sizeof shown);
        put_label(out, "note");
        buf_printf(out, "%s\n", shown);
        notes += n + (notes[n] == '\n');
    }
}

static void put_tensors(const WeightFile *file, Buf *out)
{
    TensorSums sums = sum_tensors(file);
    char size[BYTES_TEXT_SIZE];
    int width = 4;
    bytes_text((double)sums.total, size);
    put_label(out, "tensors");
    buf_printf(out, "%zu, %s", weights_count(file), size);
    for (int d = 0; d < DTYPE_COUNT; d++) {
        if (!sums.n[d]) continue;
        bytes_text((double)sums.bytes[d], size);
        buf_printf(out, "; %zu of %s (%s)", sums.n[d], dtype_info((Dtype)d)->name, size);
    }
    buf_puts(out, "\n");
    for (size_t i = 0; i < weights_count(file); i++)
        width = (int)max_i64(width, min_i64((int64_t)strlen(weights_name(file, i)), 60));
    for (size_t i = 0; i < weights_count(file); i++) {
        const Tensor *tensor = weights_tensor(file, i);
        char name[NAME_SHOWN];
        char shape[96];
        str_escape(weights_name(file, i), strlen(weights_name(file, i)), name, sizeof name);
        tensor_shape_text(tensor, shape);
        buf_printf(out, "  %-*s  %-4s  %s\n", width, name, dtype_info(tensor->dtype)->name, shape);
    }
}

static void write_text(const Inspection *in, Buf *out)
{
    const WeightFormat *format = weights_format(in->file);
    put_label(out, "path");
    buf_printf(out, "%s\n", weights_path(in->file));
    put_label(out, "format");
    buf_printf(out, "%s: %s\n", format->name, format->help);
    if (in->has_config) {
        put_config(in, out);
        put_rope(&in->config, out);
    }
    put_tokenizer(in, out);
    put_notes(weights_notes(in->file), out);
    if (in->tokenizer) put_notes(tokenizer_notes(in->tokenizer), out);
    put_tensors(in->file, out);
}

static json_t *config_json(const Inspection *in)
{
    const ModelConfig *c = &in->config;
    return json_pack(
        "{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:f, s:b, s:I, s:I}", "arch", c->arch,
        "d_model", c->d_model, "n_layers", c->n_layers, "n_heads", c->n_heads, "n_kv_heads",
        c->n_kv_heads, "head_dim", c->head_dim, "d_ff", c->d_ff, "vocab_size", c->vocab_size,
        "n_ctx_train", (json_int_t)c->n_ctx_train, "window", (json_int_t)c->window, "rms_eps",
        c->rms_eps, "tied", in->tied, "n_params", (json_int_t)model_n_params(c, in->tied),
        "converted_bytes", (json_int_t)model_owned_bytes(in->file, kernel_path_best()));
}

static json_t *rope_json(const ModelConfig *c)
{
    RopeFacts facts;
    char spec[ROPE_TEXT_SIZE];
    rope_facts(c, &facts);
    rope_spec_text(&c->rope, spec);
    return json_pack("{s:s, s:s, s:f, s:i, s:I, s:s, s:f, s:f, s:i, s:i}", "found", c->rope_found,
                     "method", spec, "theta", c->rope.theta, "n_rot", c->n_rot, "n_ctx_orig",
                     (json_int_t)c->rope.n_ctx_orig, "layout",
                     c->rope_layout == ROPE_HALVES ? "halves" : "interleaved", "fastest_wavelength",
                     facts.fastest, "slowest_wavelength", facts.slowest, "n_pairs", facts.n_pairs,
                     "n_pairs_turned", facts.n_turned);
}

static json_t *tokenizer_json(const Inspection *in)
{
    const Tokenizer *t = in->tokenizer;
    if (!t) return json_pack("{s:n, s:s}", "kind", "why", in->why);
    return json_pack("{s:s, s:i, s:i, s:i, s:b}", "kind", tokenizer_kind(t), "vocab_size",
                     tokenizer_vocab_size(t), "bos_id", tokenizer_bos_id(t), "eos_id",
                     tokenizer_eos_id(t), "adds_bos", tokenizer_adds_bos(t));
}

static json_t *tensors_json(const WeightFile *file)
{
    json_t *list = json_array();
    for (size_t i = 0; i < weights_count(file); i++) {
        const Tensor *tensor = weights_tensor(file, i);
        json_t *shape = json_array();
        char name[NAME_SHOWN];
        str_escape(weights_name(file, i), strlen(weights_name(file, i)), name, sizeof name);
        for (int d = 0; d < tensor->n_dims; d++)
            json_array_append_new(shape, json_integer(tensor->dims[d]));
        json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:I}", "name", name, "dtype",
                                              dtype_info(tensor->dtype)->name, "shape", shape,
                                              "bytes", (json_int_t)tensor->n_bytes));
    }
    return list;
}

/* Text from a file as JSON: bytes that are not UTF-8 are escaped first. */
static json_t *safe_string(const char *text)
{
    char shown[ERR_TEXT_MAX];
    str_escape(text, strlen(text), shown, sizeof shown);
    return json_string(shown);
}

static json_t *notes_json(const Inspection *in)
{
    json_t *list = json_array();
    const char *sources[] = {weights_notes(in->file),
                             in->tokenizer ? tokenizer_notes(in->tokenizer) : ""};
    for (size_t i = 0; i < COUNT_OF(sources); i++)
        for (const char *at = sources[i]; *at;) {
            size_t n = strcspn(at, "\n");
            char *line = str_dup_n(at, n);
            json_array_append_new(list, safe_string(line));
            free(line);
            at += n + (at[n] == '\n');
        }
    return list;
}

static void write_json(const Inspection *in, Buf *out)
{
    json_t *root = json_object();
    json_object_set_new(root, "path", safe_string(weights_path(in->file)));
    json_object_set_new(root, "format", json_string(weights_format(in->file)->name));
    json_object_set_new(root, "config", in->has_config ? config_json(in) : json_null());
    json_object_set_new(root, "rope", in->has_config ? rope_json(&in->config) : json_null());
    json_object_set_new(root, "tokenizer", tokenizer_json(in));
    json_object_set_new(root, "notes", notes_json(in));
    json_object_set_new(root, "tensors", tensors_json(in->file));
    json_object_set_new(root, "refused",
                        in->refusal.code == ERR_NONE ? json_null() : safe_string(in->refusal.text));
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    buf_printf(out, "%s\n", text ? text : "{}");
    free(text);
    json_decref(root);
}

int cmd_inspect(const Command *command, const Options *options, Err *err)
{
    const char *path = NULL;
    if (options->model.n + options->arguments.n == 1)
        path = options->model.n ? options->model.items[0] : options->arguments.items[0];
    if (!path) {
        err_set(err, ERR_USAGE, "%s: one model is needed: --model PATH", command->name);
        return EXIT_USAGE;
    }
    Inspection in;
    if (!open_inspection(source_path(options, path), &in, err)) return cli_exit_status(err->code);
    Buf out = {0};
    if (options->json)
        write_json(&in, &out);
    else
        write_text(&in, &out);
    terminal_print(buf_text(&out), out.len);
    fflush(stdout); /* before the refusal, where both go to one place */
    buf_free(&out);
    int status = EXIT_OK;
    if (in.refusal.code != ERR_NONE) {
        *err = in.refusal;
        status = cli_exit_status(err->code);
    }
    close_inspection(&in);
    return status;
}
