/* A model of a few hundred weights and random rows to train it on. */
#ifndef TESTS_TRAIN_FIXTURE_H
#define TESTS_TRAIN_FIXTURE_H

#include "models/train/trainer.h"

enum { FIXTURE_VOCAB_SIZE = 9 };

ModelConfig fixture_config(RopeLayout layout, bool tied);

/* Random tokens; weights of 0, 1 or 2.5. context: int, the vocabulary's size. For TrainerOptions.fill. */
bool fixture_fill(void *context, const TrainRow *row, Err *err);

/* One phase under a method "NAME[:key=value,…]", whose table is made for 64 tokens. */
TrainerOptions fixture_options(const ModelConfig *config, const char *rope, TrainPhase phase);

/* With weights large enough for every part to matter, and gains that are not 1. */
Trainer *fixture_trainer(const TrainerOptions *options);

#endif
