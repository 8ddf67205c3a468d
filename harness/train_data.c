#include "harness/train_data.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/str.h"
#include "datasets/bpe_learn.h"
#include "datasets/haystack.h"
#include "harness/source.h"

enum {
    TOKENIZER_MAX_BYTES = 64 << 20,
    FIXED_TEXT_TIMES =
        1500, /* how often the learner sees the fixed sentences of a passkey document */
};

static bool learn(const Options *options, int vocab_size, Buf *out, Err *err)
{
    BpeLearner *learner = bpe_learner_new();
    BpeMerges merges = {0};
    Buf fixed = {0};
    haystack_add_fixed_text(&fixed);
    bool ok = bpe_learner_add_path(learner, source_path(options, options->corpus), err) &&
              bpe_learner_add(learner, fixed.data, fixed.len, FIXED_TEXT_TIMES, err) &&
              bpe_learn(learner, vocab_size, &merges, err);
    if (ok) bpe_write_json(&merges, out);
    bpe_merges_free(&merges);
    bpe_learner_free(learner);
    buf_free(&fixed);
    return ok;
}

static bool read_beside_model(const Options *options, TrainData *data, Err *err)
{
    const char *folder = source_path(options, options->init);
    char *json = file_join(folder, "tokenizer.json");
    char *config = file_join(folder, "tokenizer_config.json");
    bool ok = file_read(json, TOKENIZER_MAX_BYTES, &data->tokenizer_text, err) &&
              (!file_exists(config) ||
               file_read(config, TOKENIZER_MAX_BYTES, &data->tokenizer_config, err));
    free(json);
    free(config);
    return ok || err_prefix(err, "--init %s", options->init);
}

/* A tokenizer.json, or the folder that it is in. */
static bool read_given(const Options *options, TrainData *data, Err *err)
{
    const char *path = source_path(options, options->tokenizer);
    char *json = file_is_dir(path) ? file_join(path, "tokenizer.json") : str_dup(path);
    bool ok = file_read(json, TOKENIZER_MAX_BYTES, &data->tokenizer_text, err);
    free(json);
    return ok || err_prefix(err, "--tokenizer");
}

static bool get_tokenizer(const Options *options, const Recipe *recipe, TrainData *data, Err *err)
{
    bool ok = options->init ? read_beside_model(options, data, err)
              : options->tokenizer
                  ? read_given(options, data, err)
                  : learn(options, recipe->config.vocab_size, &data->tokenizer_text, err);
    if (!ok) return false;
    data->tokenizer =
        tokenizer_parse_json(buf_text(&data->tokenizer_text), data->tokenizer_text.len,
                             data->tokenizer_config.len ? buf_text(&data->tokenizer_config) : NULL,
                             data->tokenizer_config.len, "tokenizer.json", err);
    return data->tokenizer != NULL;
}

static void settle_vocabulary(const Options *options, const TrainData *data, ModelConfig *config)
{
    if (options->init) return;
    config->vocab_size = tokenizer_vocab_size(data->tokenizer);
    config->bos_id = tokenizer_bos_id(data->tokenizer);
    config->eos_id = tokenizer_eos_id(data->tokenizer);
}

static bool open_text(const Options *options, const char *given, const Backend *text, Corpus **out,
                      Err *err)
{
    DocumentSplit split = {.rule = DOCUMENTS_FILE};
    *out = corpus_open(source_path(options, given), &split, text, err);
    return *out != NULL;
}

static bool check_lengths(const Recipe *recipe, const TrainData *data, Err *err)
{
    int64_t least = mixture_min_length(data->mixture);
    for (int i = 0; i < recipe->schedule.n_phases; i++)
        if (recipe->schedule.phase[i].length < least)
            return err_set(err, ERR_USAGE,
                           "phase %d has rows of %d tokens; the mixture's parts need at least %lld",
                           i + 1, recipe->schedule.phase[i].length, (long long)least);
    return true;
}

bool train_data_open(const Options *options, Recipe *recipe, TrainData *data, Err *err)
{
    *data = (TrainData){0};
    if (!options->corpus)
        return err_set(err, ERR_USAGE,
                       "train needs a text: give --corpus PATH, a file or a folder");
    if (!get_tokenizer(options, recipe, data, err)) return false;
    settle_vocabulary(options, data, &recipe->config);
    backend_open_text(&data->text, data->tokenizer, recipe->config.vocab_size);
    if (!open_text(options, options->corpus, &data->text, &data->corpus, err)) return false;
    if (options->held_out &&
        !open_text(options, options->held_out, &data->text, &data->held_out, err))
        return false;
    data->mixture =
        mixture_open(&recipe->mixture, &data->text, data->corpus, (uint64_t)options->seed, err);
    return data->mixture && check_lengths(recipe, data, err);
}

void train_data_close(TrainData *data)
{
    mixture_close(data->mixture);
    corpus_free(data->corpus);
    corpus_free(data->held_out);
    if (data->text.ops) backend_close(&data->text);
    tokenizer_free(data->tokenizer);
    buf_free(&data->tokenizer_text);
    buf_free(&data->tokenizer_config);
}

bool train_data_fill(void *context, const TrainRow *row, Err *err)
{
    const TrainData *data = context;
    MixtureAsk ask = {(uint32_t)row->step, (uint32_t)row->row, row->length};
    MixtureRow out = {.tokens = row->tokens, .weights = row->weights};
    return mixture_row(data->mixture, &ask, &out, err);
}
