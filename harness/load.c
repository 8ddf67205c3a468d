#include "harness/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
# include <omp.h>
#endif

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "harness/drift.h"
#include "harness/settings.h"
#include "harness/signals.h"
#include "harness/source.h"

/* Most bytes of a text that score and generate read. */
enum { LOAD_MAX_TEXT_BYTES = 64 << 20 };

bool load_one_path(const Options *options, const char **path, Err *err)
{
    if (options->model.n != 1)
        return err_set(err, ERR_USAGE, "one model is needed, %zu are given: --model PATH",
                       options->model.n);
    *path = source_path(options, options->model.items[0]);
    return true;
}

bool load_config(const Options *options, ModelConfig *config, Err *err)
{
    if (options->model.n == 0) {
        if (options->dim == 0 || options->theta == 0.0)
            return err_set(err, ERR_USAGE, "give --model PATH, or --base B and --dim D");
        if (options->dim % 2 != 0)
            return err_set(err, ERR_USAGE, "--dim %lld: pairs need an even number",
                           (long long)options->dim);
        int width = (int)options->dim;
        *config = (ModelConfig){.arch = "llama", .head_dim = width, .n_rot = width};
        config->rope = (RopeSpec){.method = rope_method_find("none"),
                                  .theta = options->theta,
                                  .n_rot = width,
                                  .n_ctx_orig = options->n_ctx_orig};
        return true;
    }
    const char *path;
    if (options->dim)
        return err_set(err, ERR_USAGE, "--dim is for use without --model, whose width is known");
    if (!load_one_path(options, &path, err)) return false;
    WeightFile *file = weights_open(path, err);
    bool ok = file && weights_read_config(file, config, err);
    weights_close(file);
    return ok;
}

bool load_rope(const Options *options, RopeSpec *own, Err *err)
{
    ModelConfig config;
    if (!load_config(options, &config, err)) return false;
    *own = config.rope;
    return true;
}

static bool load_best_kernels(const char *precision, const KernelPath **path, Err *err)
{
    *path = kernel_path_best_of(precision);
    return *path ||
           err_set(
               err, ERR_UNSUPPORTED,
               "--precision %s needs a processor with AVX512-BF16 (avx512_bf16 in /proc/cpuinfo), "
               "which this one has not; without --precision the products are f32",
               precision);
}

bool load_kernels(const Options *options, const KernelPath **path, Err *err)
{
    char names[128];
    const char *precision = options->precision ? options->precision : "f32";
    if (!options->kernels || str_equal(options->kernels, "auto"))
        return load_best_kernels(precision, path, err);
    *path = kernel_path_find(options->kernels);
    if (*path && !str_equal((*path)->precision, precision))
        return err_set(err, ERR_USAGE,
                       "--kernels %s: its products are %s; leave it out with --precision %s",
                       options->kernels, (*path)->precision, precision);
    if (*path && (*path)->is_supported()) return true;
    kernel_path_names(names);
    return err_set(err, ERR_UNSUPPORTED, "--kernels %s: this machine has %s", options->kernels,
                   names);
}

Model *load_model(const Options *options, const char *path, Err *err)
{
    const KernelPath *kernels;
    if (!load_kernels(options, &kernels, err)) return NULL;
    Model *model = model_load_for(path, kernels, err);
    if (!model || model->n_nonfinite == 0 || options->allow_nan) return model;
    err_set(
        err, ERR_INPUT,
        "%s: %lld weights are NaN or infinite, the first in tensor %s; --allow-nan loads them all the same",
        path, (long long)model->n_nonfinite, model->nonfinite_tensor);
    model_free(model);
    return NULL;
}

/* Cores that this process may run on; without OpenMP nothing runs on more than one. */
static int n_cores(void)
{
#ifdef _OPENMP
    return omp_get_num_procs();
#else
    return 1;
#endif
}

int load_n_threads(const Options *options)
{
    return options->threads > 0 ? (int)options->threads : n_cores();
}

static bool read_ids(const char *text, int vocab_size, TokenList *out, Err *err)
{
    char *copy = str_dup(text);
    bool ok = true;
    char *state = NULL;
    for (char *word = strtok_r(copy, " ,\t\n", &state); ok && word;
         word = strtok_r(NULL, " ,\t\n", &state)) {
        int64_t id;
        ok = (str_to_i64(word, &id) && id >= 0 && id < vocab_size) ||
             err_set(err, ERR_USAGE, "--ids: \"%s\" is not a token id from 0 to %d", word,
                     vocab_size - 1);
        if (ok) token_list_add(out, (int32_t)id);
    }
    free(copy);
    return ok;
}

static bool encode(const Options *options, const Model *model, const char *text, size_t n,
                   TokenList *out, Err *err)
{
    if (!model->tokenizer)
        return err_set(err, ERR_UNSUPPORTED, "%s: no tokenizer (%s); give token ids with --ids",
                       weights_path(model->file), model->no_tokenizer_why);
    return tokenizer_encode(model->tokenizer, text, n, options->parse_special, out, err);
}

static bool encode_file(const Options *options, const Model *model, TokenList *out, Err *err)
{
    Buf text = {0};
    bool ok = file_read(options->file, LOAD_MAX_TEXT_BYTES, &text, err) &&
              encode(options, model, text.data ? text.data : "", text.len, out, err);
    buf_free(&text);
    return ok;
}

static bool read_tokens(const Options *options, bool bos_alone, Prompt *prompt, Err *err)
{
    const Model *model = prompt->model;
    TokenList *out = &prompt->tokens;
    int n_given = !!options->text + !!options->file + !!options->ids;
    if (n_given > 1 || (n_given == 0 && !bos_alone))
        return err_set(err, ERR_USAGE, "give one of --text, --file and --ids");
    if (options->ids) return read_ids(options->ids, model->config.vocab_size, out, err);
    bool expects_bos = model->tokenizer && tokenizer_adds_bos(model->tokenizer);
    prompt->added_bos = (expects_bos || n_given == 0) && model->config.bos_id >= 0;
    if (prompt->added_bos) token_list_add(out, model->config.bos_id);
    if (options->text)
        return encode(options, model, options->text, strlen(options->text), out, err);
    if (options->file) return encode_file(options, model, out, err);
    return prompt->added_bos ||
           err_set(err, ERR_USAGE, "the model has no BOS to start from; give a text");
}

/* A text that writes a BOS before which one is added, or writes two, scores as no training text did. */
static void note_two_bos(const Prompt *prompt)
{
    const TokenList *tokens = &prompt->tokens;
    int32_t bos = prompt->model->config.bos_id;
    if (bos >= 0 && tokens->n > 1 && tokens->ids[0] == bos && tokens->ids[1] == bos)
        fprintf(stderr, "note: the tokens begin with two BOS%s\n",
                prompt->added_bos ? ": one is added, one is in the text" : "");
}

static bool choose_setting(const Options *options, int64_t n_tokens, Prompt *prompt, Err *err)
{
    SettingList settings;
    if (options->n_ctx.n > 1)
        return err_set(err, ERR_USAGE, "one --n-ctx is allowed here, %zu are given",
                       options->n_ctx.n);
    prompt->n_ctx = options->n_ctx.n ? options->n_ctx.items[0] : n_tokens;
    if (prompt->n_ctx < n_tokens)
        return err_set(err, ERR_USAGE, "--n-ctx %lld is less than the %lld tokens to run",
                       (long long)prompt->n_ctx, (long long)n_tokens);
    if (!settings_make(options, &prompt->model->config.rope, SETTING_METHOD_MODEL, n_tokens,
                       &settings, err))
        return false;
    bool ok = settings.n == 1 ||
              err_set(err, ERR_USAGE, "one setting is allowed here, %zu are given", settings.n);
    if (ok) prompt->spec = settings.items[0];
    setting_list_free(&settings);
    return ok;
}

static bool open_session(const Options *options, int64_t n_tokens, Prompt *prompt, Err *err)
{
    RopeTable table;
    SessionOptions session = {.n_threads = load_n_threads(options),
                              .keep_going = signals_keep_going};
    if (!rope_table_make(&prompt->spec, prompt->n_ctx, &table, err)) return false;
    prompt->session = session_open(prompt->model, n_tokens, &session, err);
    if (!prompt->session) return false;
    return session_set_rope(prompt->session, &table, err);
}

bool load_prompt(const Options *options, int64_t n_new, bool bos_alone, Prompt *prompt, Err *err)
{
    const char *path;
    *prompt = (Prompt){0};
    if (!load_one_path(options, &path, err)) return false;
    prompt->model = load_model(options, path, err);
    double start = clock_monotonic_s();
    bool ok = prompt->model && read_tokens(options, bos_alone, prompt, err);
    prompt->tokenizer_s = clock_monotonic_s() - start;
    if (ok) drift_print(prompt->model);
    if (ok) note_two_bos(prompt);
    int64_t n_tokens = (int64_t)prompt->tokens.n + n_new;
    ok = ok && choose_setting(options, max_i64(n_tokens, 1), prompt, err) &&
         open_session(options, max_i64(n_tokens, 1), prompt, err);
    if (!ok) load_prompt_free(prompt);
    return ok;
}

void load_prompt_free(Prompt *prompt)
{
    session_close(prompt->session);
    token_list_free(&prompt->tokens);
    model_free(prompt->model);
    *prompt = (Prompt){0};
}
