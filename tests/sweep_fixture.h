/* A plan on a pretend model, for tests of planning and sweeping. */
#ifndef TESTS_SWEEP_FIXTURE_H
#define TESTS_SWEEP_FIXTURE_H

#include "harness/sweep.h"

enum { FIXTURE_MAX_ITEMS = 16 };

/* The braces of an array inside an initialiser, which clang-format 14 crashes on when it sees them. */
#define LIST_OF(...) \
 {                   \
  __VA_ARGS__        \
 }

/* Options as the command line would fill them; set what a test needs, then call fixture_plan. */
typedef struct {
    const char *model; /* name of the pretend model; decides its hash */
    const char *methods[FIXTURE_MAX_ITEMS];
    const char *probes[FIXTURE_MAX_ITEMS];
    int64_t n_ctx[FIXTURE_MAX_ITEMS];
    const char *corpus; /* path, or NULL */
    int64_t seed;
    int64_t target_max;
    int64_t limit;
    double theta; /* 0: the model's, 10000 */
    bool yes;
} FixtureAsk;

typedef struct {
    Options options;
    char *items[3 * FIXTURE_MAX_ITEMS];
    Plan *plan;
} Fixture;

/* Makes the plan; the model is trained at 256 tokens and has rotary width 32. False and err as plan_new and plan_lay_out. */
bool fixture_plan(Fixture *fixture, const FixtureAsk *ask, Err *err);
void fixture_free(Fixture *fixture);

#endif
