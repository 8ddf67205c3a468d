#include "harness/table.h"

#include <stdio.h>

#include "harness/probe.h"
#include "reports/grid.h"

bool table_print(Store *store, int64_t run_id, Err *err)
{
    GridList grids;
    Buf text = {0};
    if (!grid_load(store, run_id, &grids, err)) return false;
    for (size_t i = 0; i < grids.n; i++) {
        const Grid *grid = &grids.items[i];
        bool is_shown = grid->place == 0 || probe_is_headline(grid->probe, grid->metric);
        if (!is_shown) continue;
        if (text.len > 0) buf_putc(&text, '\n');
        grid_table(grid, GRID_PLAIN, &text);
    }
    fputs(buf_text(&text), stdout);
    buf_free(&text);
    grid_free(&grids);
    return true;
}
