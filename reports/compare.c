#include "reports/compare.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "reports/yardstick.h"

static const double level = 0.05;

/* Index of a setting by its key, or n_settings. */
static size_t find_setting(const SeriesList *list, const char *key)
{
    size_t i = 0;
    while (i < list->n_settings && !str_equal(list->settings[i].key, key))
        i++;
    return i;
}

static CellStatus status_of(const SeriesCell *cell)
{
    if (!cell) return CELL_PENDING;
    return cell->status == CELL_DONE && cell->n == 0 ? CELL_FAILED : cell->status;
}

/* Tokens or trials under a difference. */
static int64_t count_pairs(const SeriesCell *a, const SeriesCell *b)
{
    ClusterSum clusters[SERIES_MAX_CLUSTERS];
    size_t n_clusters = series_pair(a, b, clusters);
    int64_t n = 0;
    for (size_t i = 0; i < n_clusters; i++)
        n += clusters[i].n;
    return n;
}

/* By how much B is worse. */
static double loss_of(const Comparison *row)
{
    return row->series->is_hits ? -row->difference.value : row->difference.value;
}

static Comparison compare_at(const Series *series, size_t a, size_t b, int64_t n_ctx)
{
    const SeriesCell *cell_a = series_cell(series, a, n_ctx);
    const SeriesCell *cell_b = series_cell(series, b, n_ctx);
    const MixPart length = {n_ctx, 1.0};
    Comparison out = {.series = series,
                      .n_ctx = n_ctx,
                      .status_a = status_of(cell_a),
                      .status_b = status_of(cell_b),
                      .why_a = cell_a ? cell_a->why : NULL,
                      .why_b = cell_b ? cell_b->why : NULL,
                      .a = series_mean(cell_a),
                      .b = series_mean(cell_b),
                      .margin = (double)NAN,
                      .verdict = COMPARE_NOT_DONE};
    const Mix mix = {&length, 1};
    /* Of losses: more hits are less loss. */
    out.difference = series->is_hits ? yardstick_difference(series, a, b, &mix)
                                     : yardstick_difference(series, b, a, &mix);
    if (isnan(out.difference.value)) return out;
    if (series->is_hits) out.hits = series_paired_hits(cell_a, cell_b);
    out.n = count_pairs(cell_a, cell_b);
    double loss = loss_of(&out);
    bool is_told = out.difference.p <= level && loss != 0.0; /* false where p is NaN */
    out.verdict = !is_told ? COMPARE_CANNOT_TELL : loss > 0.0 ? COMPARE_A_BETTER : COMPARE_B_BETTER;
    return out;
}

static int compare_lengths(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Writes the lengths at which a series has a cell of either setting, rising, and returns how many. out: room for n_cells. */
static size_t list_lengths(const Series *series, size_t a, size_t b, int64_t *out)
{
    size_t n_all = 0;
    for (size_t i = 0; i < series->n_cells; i++)
        if (series->cells[i].setting == a || series->cells[i].setting == b)
            out[n_all++] = series->cells[i].n_ctx;
    qsort(out, n_all, sizeof *out, compare_lengths);
    size_t n = 0;
    for (size_t i = 0; i < n_all; i++)
        if (i == 0 || out[i] != out[i - 1]) out[n++] = out[i];
    return n;
}

CompareTable compare_make(const SeriesList *list, const ComparePair *pair)
{
    CompareTable table = {.list = list, .a = pair->label_a, .b = pair->label_b};
    size_t a = find_setting(list, pair->key_a);
    size_t b = find_setting(list, pair->key_b);
    for (size_t s = 0; s < list->n; s++) {
        const Series *series = &list->items[s];
        int64_t *lengths = mem_alloc(series->n_cells + 1, sizeof *lengths);
        size_t n = list_lengths(series, a, b, lengths);
        table.items = mem_realloc(table.items, table.n + n + 1, sizeof *table.items);
        for (size_t i = 0; i < n; i++)
            table.items[table.n++] = compare_at(series, a, b, lengths[i]);
        free(lengths);
    }
    return table;
}

void compare_free(CompareTable *table)
{
    free(table->items);
    *table = (CompareTable){0};
}

void compare_set_margin(CompareTable *table, const char *probe, double margin)
{
    for (size_t i = 0; i < table->n; i++) {
        Comparison *row = &table->items[i];
        if (probe && !str_equal(probe, row->series->probe)) continue;
        row->margin = margin;
        row->tripped = loss_of(row) > margin; /* false where it is NaN */
    }
}

bool compare_all_done(const CompareTable *table)
{
    for (size_t i = 0; i < table->n; i++)
        if (table->items[i].verdict == COMPARE_NOT_DONE) return false;
    return table->n > 0;
}

bool compare_trips(const CompareTable *table)
{
    for (size_t i = 0; i < table->n; i++)
        if (table->items[i].tripped) return true;
    return false;
}

const char *compare_method(const Series *series)
{
    return series->is_hits
               ? "p: McNemar's exact test, two-sided; interval: Newcombe's of paired shares, 95 %"
               : "p and interval: BCa bootstrap over documents or blocks of text, 95 %";
}
