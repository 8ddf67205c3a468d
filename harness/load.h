/* What score, generate and sweep need before they can ask a model anything. */
#ifndef HARNESS_LOAD_H
#define HARNESS_LOAD_H

#include "harness/cli.h"
#include "models/session.h"

/* The single model path of --model. Errors: USAGE (none, or several). */
bool load_one_path(const Options *options, const char **path, Err *err) MUST_USE;

/* Loads a model and refuses weights that are NaN or infinite unless --allow-nan. Errors: as model_load, INPUT. */
Model *load_model(const Options *options, const char *path, Err *err) MUST_USE;

/* Threads of --threads; 0 there means every core this process may run on. */
int load_n_threads(const Options *options);

/* The tokens of exactly one of --text, --file and --ids. BOS comes first where the model expects one, except that ids are taken as they are.
 * *added_bos tells. None of the three gives BOS alone when bos_alone is set.
 * Errors: USAGE (none or several, an id outside the vocabulary), INPUT, UNSUPPORTED (text for a model without a tokenizer). */
bool load_tokens(const Options *options, const Model *model, bool bos_alone, TokenList *out,
                 bool *added_bos, Err *err) MUST_USE;

#endif
