#include "reports/result.h"

#include "base/str.h"

static const struct {
    const char *name;
    bool runs_again;
} statuses[CELL_STATUS_COUNT] = {
    [CELL_PENDING] = {"pending",            true },
    [CELL_DONE] = {"done",               false},
    [CELL_INVALID] = {"invalid",            false},
    [CELL_UNSUPPORTED] = {"unsupported",        false},
    [CELL_NONFINITE] = {"nonfinite",          false},
    [CELL_SKIPPED_MEMORY] = {"skipped_memory",     true },
    [CELL_SKIPPED_SHORT_TEXT] = {"skipped_short_text", false},
    [CELL_OVER_LIMIT] = {"over_limit",         false},
    [CELL_TRUNCATED] = {"truncated",          false},
    [CELL_FAILED] = {"failed",             true },
};

const char *cell_status_name(CellStatus status)
{
    assert((size_t)status < COUNT_OF(statuses));
    return statuses[status].name;
}

bool cell_status_find(const char *name, CellStatus *out)
{
    for (size_t i = 0; i < COUNT_OF(statuses); i++) {
        if (!str_equal(name, statuses[i].name)) continue;
        *out = (CellStatus)i;
        return true;
    }
    return false;
}

bool cell_status_runs_again(CellStatus status)
{
    assert((size_t)status < COUNT_OF(statuses));
    return statuses[status].runs_again;
}
