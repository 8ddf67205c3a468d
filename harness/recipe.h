/* What a training run is: the options of `train` with everything worked out. */
#ifndef HARNESS_RECIPE_H
#define HARNESS_RECIPE_H

#include "base/params.h"
#include "datasets/mixture.h"
#include "harness/cli.h"
#include "models/train/trainer.h"

typedef struct {
    ModelConfig
        config;    /* of the model to train; without --init its vocabulary is the tokenizer's */
    RopeSpec rope; /* resolved: what it is trained with */
    int64_t n_ctx; /* the longest rows; what the rotation is made for */
    TrainSchedule schedule;
    AdamwOptions adamw;
    MixtureOptions mixture;
    Dtype dtype;
} Recipe;

/* What --shape and --optimizer may set. */
const ParamTable *recipe_shape_params(void);
const ParamTable *recipe_optimizer_params(void);

/* Errors: USAGE (names the option), INPUT and UNSUPPORTED (the model of --init, a setting that config.json has no words for). */
bool recipe_make(const Options *options, Recipe *out, Err *err) MUST_USE;

/* Appends a canonical text of all numbers that decide the weights but data and seed. */
void recipe_key(const Recipe *recipe, Buf *out);

/* Floating-point operations of the whole schedule: 6 a weight and token for the products, attention in full. */
double recipe_flop(const Recipe *recipe);

#endif
