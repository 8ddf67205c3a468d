/* What score, generate and sweep need before they can ask a model anything. */
#ifndef HARNESS_LOAD_H
#define HARNESS_LOAD_H

#include "harness/cli.h"
#include "models/session.h"

/* Path on this machine of the single --model. Errors: USAGE (none, or several). */
bool load_one_path(const Options *options, const char **path, Err *err) MUST_USE;

/* What a model is by its file, whose weights are not loaded; without --model the Llama of --base and --dim alone, of which arch,
 * head_dim, n_rot and rope are set. Errors: as load_rope. */
bool load_config(const Options *options, ModelConfig *config, Err *err) MUST_USE;

/* The rotation to start from: that of --model, whose weights are not loaded, or one of --base and --dim alone
 * (n_ctx_orig is then 0 unless --n-ctx-orig gives it). Errors: USAGE, INPUT, UNSUPPORTED. */
bool load_rope(const Options *options, RopeSpec *own, Err *err) MUST_USE;

/* The kernel path of --kernels and --precision. Errors: UNSUPPORTED (not by this machine), USAGE (the path is of another
 * precision). */
bool load_kernels(const Options *options, const KernelPath **path, Err *err) MUST_USE;

/* Loads a model and refuses weights that are NaN or infinite unless --allow-nan. Errors: as model_load, INPUT. */
Model *load_model(const Options *options, const char *path, Err *err) MUST_USE;

/* Threads of --threads; 0 there means every core this process may run on. */
int load_n_threads(const Options *options);

/* A model, tokens to run and the one setting to run them under. */
typedef struct {
    Model *model;
    TokenList tokens;
    bool added_bos; /* the first token is a BOS that the user did not write */
    RopeSpec spec;
    int64_t n_ctx; /* length that the setting's table is made for */
    Session *session;
    double tokenizer_s; /* that reading the tokens took */
} Prompt;

/* Loads the model, reads the tokens of exactly one of --text, --file and --ids, and opens a session that has room for n_new more. BOS
 * comes first where the model expects one; ids are taken as they are. Without any of the three it is BOS alone when bos_alone is
 * set. The table is made for --n-ctx, else for all tokens.
 * Errors: USAGE (none or several of the three, several settings or lengths, an id outside the vocabulary), INPUT, UNSUPPORTED (text for a
 * model without a tokenizer), NOMEM. */
bool load_prompt(const Options *options, int64_t n_new, bool bos_alone, Prompt *prompt,
                 Err *err) MUST_USE;
void load_prompt_free(Prompt *prompt);

#endif
