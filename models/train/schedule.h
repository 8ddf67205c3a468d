/* How many steps of which batches, and at what learning rate. */
#ifndef MODELS_TRAIN_SCHEDULE_H
#define MODELS_TRAIN_SCHEDULE_H

#include "base/err.h"

enum {
    TRAIN_MAX_PHASES = 16,
    TRAIN_MAX_ROWS = 1 << 16,
    TRAIN_MAX_LENGTH = 1 << 20,
};

/* Steps of one shape of batch. */
typedef struct {
    int64_t n_steps;
    int n_rows;
    int length; /* tokens predicted a row */
} TrainPhase;

typedef struct {
    int n_phases;
    TrainPhase phase[TRAIN_MAX_PHASES];
    double rate;        /* learning rate between warm-up and decay */
    int64_t n_warm_up;  /* steps over which it rises in a line */
    double decay_share; /* last share of all steps, over which it falls in a line towards 0 */
    double final_share; /* of the rate, below which it does not fall */
} TrainSchedule;

int64_t train_schedule_steps(const TrainSchedule *schedule);

/* The phase of a step, counted from 0; the last one's for steps beyond. */
const TrainPhase *train_schedule_phase(const TrainSchedule *schedule, int64_t step);

/* The learning rate of a step. */
double train_schedule_rate(const TrainSchedule *schedule, int64_t step);

/* Errors: USAGE (a number out of range; names the phase). */
bool train_schedule_check(const TrainSchedule *schedule, Err *err) MUST_USE;

#endif
