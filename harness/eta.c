/* Three things make the seconds that are left:
 *
 * - Speed. What was foretold is right to a factor, and another one for each phase: lengths, caches and the load of the machine are not
 *   those of the moment when the speed was measured. A phase's factor is its seconds measured by its seconds foretold over the cells
 *   that ended. The first cells are short and say little, so the foretold speed stands beside them as PRIOR_S seconds of such cells would.
 *   What else the machine does changes, so what ended counts half when each job has spent HALF_LIFE_S more in the phase.
 * - Sharing. Units go in their order to the job that is free first, and the last to end counts.
 * - What is under way. While one job ends a cell, the others are in the middle of theirs: the time that has passed for all jobs without
 *   having come out as a cell yet is taken off the units at hand, at most one cell of each. */
#include "harness/eta.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

#define PRIOR_S     1.0
#define HALF_LIFE_S 10.0

typedef struct {
    size_t first; /* cells */
    size_t end;
    size_t next;  /* cell that has not ended */
    Profile left; /* foretold for those that have not ended */
} Stretch;

struct Eta {
    Profile *times; /* of all cells */
    Stretch *units;
    size_t n_units;
    int n_jobs;
    Profile foretold; /* of cells that ended, and of PRIOR_S seconds as all cells foretell them */
    Profile measured;
    double started; /* when the first of them began; INFINITY: none has ended */
    double ended_s; /* seconds of all of them */
};

static void add(Profile *to, const Profile *from, double times)
{
    for (int phase = 0; phase < N_PHASES; phase++)
        to->s[phase] += times * from->s[phase];
}

static double sum_of(const Profile *profile)
{
    double sum = 0.0;
    for (int phase = 0; phase < N_PHASES; phase++)
        sum += profile->s[phase];
    return sum;
}

Eta *eta_new(Profile *times, const Unit *units, size_t n_units, int n_jobs)
{
    Eta *eta = mem_zalloc(1, sizeof *eta);
    *eta = (Eta){
        .times = times,
        .units = mem_zalloc(n_units + 1, sizeof *eta->units),
        .n_units = n_units,
        .n_jobs = n_jobs,
        .started = (double)INFINITY,
    };
    Profile all = {0};
    for (size_t u = 0; u < n_units; u++) {
        Stretch *unit = &eta->units[u];
        *unit = (Stretch){
            .first = units[u].first, .end = units[u].first + units[u].n, .next = units[u].first};
        for (size_t i = unit->first; i < unit->end; i++)
            add(&unit->left, &times[i], 1.0);
        add(&all, &unit->left, 1.0);
    }
    double seconds = sum_of(&all);
    if (seconds > 0.0) add(&eta->foretold, &all, PRIOR_S / seconds);
    eta->measured = eta->foretold;
    return eta;
}

void eta_free(Eta *eta)
{
    if (!eta) return;
    free(eta->times);
    free(eta->units);
    free(eta);
}

static Stretch *unit_of(const Eta *eta, size_t cell)
{
    size_t low = 0, high = eta->n_units;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (eta->units[middle].first <= cell)
            low = middle;
        else
            high = middle;
    }
    return &eta->units[low];
}

/* What a cell took beside the phases that are foretold, texts and statistics, counts for these by their parts; so does all of it where
 * nothing is known of them. */
static void add_measured(Eta *eta, const Profile *foretold, double seconds, const Profile *engine)
{
    Profile parts = *engine;
    parts.s[PHASE_TOKENIZER] = 0.0;
    if (sum_of(&parts) <= 0.0) parts = *foretold;
    double sum = sum_of(&parts);
    if (sum <= 0.0) return;
    for (int phase = 0; phase < N_PHASES; phase++) {
        double spent = parts.s[phase] * seconds / sum;
        double kept = exp2(-spent / HALF_LIFE_S / eta->n_jobs);
        eta->measured.s[phase] = kept * eta->measured.s[phase] + spent;
        eta->foretold.s[phase] = kept * eta->foretold.s[phase] + foretold->s[phase];
    }
}

void eta_end_cell(Eta *eta, size_t i, double seconds, const Profile *engine, double now)
{
    Stretch *unit = unit_of(eta, i);
    const Profile *foretold = &eta->times[i];
    unit->next = i + 1;
    add(&unit->left, foretold, -1.0);
    if (seconds <= 0.0) return; /* it was not run */
    add_measured(eta, foretold, seconds, engine);
    eta->started = fmin(eta->started, now - seconds);
    eta->ended_s += seconds;
}

/* Seconds that a job will take for what was foretold. */
static double corrected(const Eta *eta, const Profile *foretold)
{
    double sum = 0.0;
    for (int phase = 0; phase < N_PHASES; phase++)
        if (eta->foretold.s[phase] > 0.0)
            sum += foretold->s[phase] * eta->measured.s[phase] / eta->foretold.s[phase];
    return fmax(0.0, sum);
}

/* Gives a unit to the job that is free first. */
static void give(double *busy_s, int n_jobs, double seconds)
{
    int first = 0;
    for (int job = 1; job < n_jobs; job++)
        if (busy_s[job] < busy_s[first]) first = job;
    busy_s[first] += seconds;
}

double eta_left_s(const Eta *eta, double now)
{
    double *busy_s = mem_zalloc((size_t)eta->n_jobs, sizeof *busy_s);
    double under_way =
        isinf(eta->started) ? 0.0 : eta->n_jobs * (now - eta->started) - eta->ended_s;
    double left = 0.0;
    int n_given = 0;
    for (size_t u = 0; u < eta->n_units; u++) {
        const Stretch *unit = &eta->units[u];
        if (unit->next == unit->end) continue;
        double seconds = corrected(eta, &unit->left);
        if (n_given++ < eta->n_jobs && under_way > 0.0) {
            double done = fmin(under_way, corrected(eta, &eta->times[unit->next]));
            under_way -= done;
            seconds -= done;
        }
        give(busy_s, eta->n_jobs, fmax(0.0, seconds));
    }
    for (int job = 0; job < eta->n_jobs; job++)
        left = fmax(left, busy_s[job]);
    free(busy_s);
    return left;
}
