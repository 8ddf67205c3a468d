/* What a run trains on: a tokenizer, a text, and the rows that are made of it. */
#ifndef HARNESS_TRAIN_DATA_H
#define HARNESS_TRAIN_DATA_H

#include "datasets/mixture.h"
#include "harness/recipe.h"

typedef struct {
    Buf tokenizer_text;   /* tokenizer.json */
    Buf tokenizer_config; /* tokenizer_config.json; empty: none */
    Tokenizer *tokenizer;
    Backend text;     /* spells, runs nothing */
    Corpus *corpus;   /* to train on */
    Corpus *held_out; /* to measure on; NULL: none */
    Mixture *mixture;
} TrainData;

/* Takes the tokenizer of --tokenizer, of the model of --init, or learns one from the corpus; sets the recipe's vocabulary, BOS and
 * EOS where it trains a new model. Free with train_data_close, whatever is returned. Errors: USAGE (no corpus, rows too short for the
 * mixture), INPUT, UNSUPPORTED. */
bool train_data_open(const Options *options, Recipe *recipe, TrainData *data, Err *err) MUST_USE;
void train_data_close(TrainData *data);

/* For TrainerOptions.fill; context is the TrainData. */
bool train_data_fill(void *context, const TrainRow *row, Err *err);

#endif
