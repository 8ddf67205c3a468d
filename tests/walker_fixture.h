/* Sweeps of the shipped model on a text, as the command line would plan them. */
#ifndef TESTS_WALKER_FIXTURE_H
#define TESTS_WALKER_FIXTURE_H

#include "harness/plan.h"

/* Plans a probe under a method and ntk:lambda=auto-each at 192, 256 and 512 tokens, on a text of some 10,000 tokens whose documents are
 * cut by this rule. The options are filled in and must outlive the plan. */
Plan *walker_plan(Options *options, const char *probe, const char *method, const char *documents);
void walker_plan_free(Plan *plan, Options *options);

#endif
