/* `sweep`: plans, shows what the plan costs (--dry-run), or runs it and prints the tables. */
#include <stdio.h>

#include "harness/commands.h"
#include "harness/plan_run.h"
#include "harness/table.h"

/* One line of counts: "36 done, 4 invalid". */
static void print_counts(const SweepOutcome *outcome)
{
    const char *comma = "";
    for (int status = 0; status < CELL_STATUS_COUNT; status++) {
        if (outcome->counts[status] == 0) continue;
        printf("%s%lld %s", comma, (long long)outcome->counts[status],
               cell_status_name((CellStatus)status));
        comma = ", ";
    }
    printf("\n");
}

static int status_of_outcome(const Plan *plan, const SweepOutcome *outcome)
{
    int64_t n = (int64_t)plan->n_cells;
    if (outcome->counts[CELL_DONE] == n) return EXIT_OK;
    return outcome->counts[CELL_UNSUPPORTED] == n ? EXIT_UNSUPPORTED : EXIT_NOT_DONE;
}

static int print_tables(const Plan *plan, Store *store, const SweepOutcome *outcome, void *context,
                        Err *err)
{
    (void)context;
    if (!table_print(store, outcome->run_id, err)) return cli_exit_status(err->code);
    if (!plan->options->quiet) {
        printf("\n");
        print_counts(outcome);
        printf("%zu cells were run, results in %s\n", outcome->n_pending, plan->options->db);
    }
    return status_of_outcome(plan, outcome);
}

int cmd_sweep(const Command *command, const Options *options, Err *err)
{
    Plan *plan = plan_make(command, options, err);
    if (!plan) return cli_exit_status(err->code);
    const PlanReport report = {.print = print_tables};
    int status = plan_execute(plan, &report, err);
    plan_free(plan);
    return status;
}
