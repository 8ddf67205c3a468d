#include "models/train/schedule.h"

#include <math.h>

int64_t train_schedule_steps(const TrainSchedule *schedule)
{
    int64_t n = 0;
    for (int i = 0; i < schedule->n_phases; i++)
        n += schedule->phase[i].n_steps;
    return n;
}

const TrainPhase *train_schedule_phase(const TrainSchedule *schedule, int64_t step)
{
    int i = 0;
    for (; i + 1 < schedule->n_phases && step >= schedule->phase[i].n_steps; i++)
        step -= schedule->phase[i].n_steps;
    return &schedule->phase[i];
}

double train_schedule_rate(const TrainSchedule *schedule, int64_t step)
{
    double left = 1.0 - (double)step / (double)train_schedule_steps(schedule);
    double share = 1.0;
    if (step + 1 < schedule->n_warm_up) share = (double)(step + 1) / (double)schedule->n_warm_up;
    if (left < schedule->decay_share)
        share *= fmax(schedule->final_share, left / schedule->decay_share);
    return schedule->rate * share;
}

bool train_schedule_check(const TrainSchedule *schedule, Err *err)
{
    if (schedule->n_phases < 1 || schedule->n_phases > TRAIN_MAX_PHASES)
        return err_set(err, ERR_USAGE, "%d phases of training: 1 to %d are allowed",
                       schedule->n_phases, TRAIN_MAX_PHASES);
    for (int i = 0; i < schedule->n_phases; i++) {
        const TrainPhase *phase = &schedule->phase[i];
        if (phase->n_steps < 1 || phase->n_rows < 1 || phase->n_rows > TRAIN_MAX_ROWS ||
            phase->length < 1 || phase->length > TRAIN_MAX_LENGTH)
            return err_set(
                err, ERR_USAGE,
                "phase %d of training has %lld steps of %d rows of %d tokens: at least 1 step, 1 to "
                "%d rows and 1 to %d tokens are allowed",
                i + 1, (long long)phase->n_steps, phase->n_rows, phase->length, TRAIN_MAX_ROWS,
                TRAIN_MAX_LENGTH);
    }
    return true;
}
