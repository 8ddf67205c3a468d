/* Retrieval by how far back the needle lies, and by where in the prompt it stands, over all lengths together. At one length the two
 * are one axis read from either end; over several lengths they part, and the chart that the settings fall off in tells which of them it is. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "reports/page.h"
#include "reports/stats.h"

/* Buckets are half octaves of tokens. */
enum { N_BUCKETS = 84 };

typedef struct {
    int64_t hits;
    int64_t n;
} Bucket;

/* One axis for every setting. */
typedef struct {
    Bucket (*buckets)[N_BUCKETS]; /* [n_settings] */
    ChartPoint *points;           /* [n_settings][N_BUCKETS] */
    ChartSeries *series;
    char **notes; /* of the points */
    size_t n_notes;
    size_t n_series;
} Axis;

static int bucket_of(int64_t tokens)
{
    return (int)clamp_i64((int64_t)floor(2.0 * log2((double)tokens + 1.0)), 0, N_BUCKETS - 1);
}

/* First token of a bucket. */
static double bucket_start(int bucket)
{
    return exp2(0.5 * bucket) - 1.0;
}

static void count_samples(const Series *series, bool by_distance, Axis *axis)
{
    for (size_t c = 0; c < series->n_cells; c++) {
        const SeriesCell *cell = &series->cells[c];
        for (size_t i = 0; i < cell->n; i++) {
            const SeriesSample *sample = &cell->samples[i];
            if (sample->position < 0 || sample->distance < 0) continue;
            Bucket *bucket =
                &axis->buckets[cell->setting]
                              [bucket_of(by_distance ? sample->distance : sample->position)];
            bucket->hits += sample->sum != 0.0;
            bucket->n++;
        }
    }
}

static void add_series(const SeriesList *list, size_t setting, const ChartLook *look, Axis *axis)
{
    ChartPoint *points = axis->points + setting * N_BUCKETS;
    size_t n = 0;
    for (int b = 0; b < N_BUCKETS; b++) {
        const Bucket *bucket = &axis->buckets[setting][b];
        if (bucket->n == 0) continue;
        Interval interval = stats_wilson(bucket->hits, bucket->n);
        char *note =
            str_format("%s, %.0f to %.0f tokens: %lld of %lld", list->settings[setting].label,
                       ceil(bucket_start(b)), ceil(bucket_start(b + 1)) - 1.0,
                       (long long)bucket->hits, (long long)bucket->n);
        axis->notes[axis->n_notes++] = note;
        points[n++] = (ChartPoint){.x = 0.5 * (bucket_start(b) + bucket_start(b + 1)) + 0.5,
                                   .y = (double)bucket->hits / (double)bucket->n,
                                   .low = interval.low,
                                   .high = interval.high,
                                   .note = note};
    }
    if (n > 0)
        axis->series[axis->n_series++] = (ChartSeries){
            .name = list->settings[setting].label, .look = *look, .points = points, .n_points = n};
}

static Axis make_axis(const SeriesList *list, const Series *series, bool by_distance)
{
    size_t n = list->n_settings;
    Axis axis = {.buckets = mem_zalloc(n + 1, sizeof *axis.buckets),
                 .points = mem_zalloc((n + 1) * N_BUCKETS, sizeof *axis.points),
                 .series = mem_zalloc(n + 1, sizeof *axis.series),
                 .notes = mem_zalloc((n + 1) * N_BUCKETS, sizeof *axis.notes)};
    ChartLook *looks = mem_zalloc(n + 1, sizeof *looks);
    page_setting_looks(list, looks);
    count_samples(series, by_distance, &axis);
    for (size_t s = 0; s < n; s++)
        add_series(list, s, &looks[s], &axis);
    free(looks);
    return axis;
}

static void free_axis(Axis *axis)
{
    for (size_t i = 0; i < axis->n_notes; i++)
        free(axis->notes[i]);
    free(axis->notes);
    free(axis->series);
    free(axis->points);
    free(axis->buckets);
}

/* The hits of every bucket: each line is the title of a mark. */
static void put_numbers(const Axis *axis, Buf *out)
{
    buf_puts(out, "<details><summary>The numbers</summary>\n<ul class=\"numbers\">\n");
    for (size_t i = 0; i < axis->n_notes; i++) {
        buf_puts(out, "<li>");
        html_text(out, axis->notes[i]);
        buf_puts(out, "</li>\n");
    }
    buf_puts(out, "</ul></details>\n");
}

static void put_axis(Page *page, const SeriesList *list, const Series *series, bool by_distance)
{
    Axis axis = make_axis(list, series, by_distance);
    const char *sentence =
        by_distance
            ? "Retrieval by tokens from the needle to the end of the prompt, over all lengths"
            : "Retrieval by tokens before the needle, over all lengths";
    const ChartMark trained = {list->n_ctx_orig > 0 ? (double)list->n_ctx_orig : (double)NAN,
                               "trained length"};
    buf_puts(page->out, "<figure><figcaption>");
    html_text(page->out, sentence);
    buf_puts(page->out, "</figcaption>\n");
    page_lines(page, by_distance ? "distance" : "position",
               &(LineChart){.sentence = sentence,
                            .x_label = by_distance ? "distance (tokens)" : "position (tokens)",
                            .y_label = "found",
                            .unit = "fraction",
                            .marks = &trained,
                            .n_marks = 1,
                            .series = axis.series,
                            .n_series = axis.n_series});
    put_numbers(&axis, page->out);
    buf_puts(page->out, "</figure>\n");
    free_axis(&axis);
}

/* Whether the two axes part: needles at two lengths at least. */
static bool has_needles(const Series *series)
{
    int64_t n_ctx = 0;
    bool parts = false;
    for (size_t c = 0; series->is_hits && c < series->n_cells; c++) {
        const SeriesCell *cell = &series->cells[c];
        if (cell->n == 0 || cell->samples[0].position < 0) continue;
        parts = parts || (n_ctx != 0 && cell->n_ctx != n_ctx);
        n_ctx = cell->n_ctx;
    }
    return parts;
}

bool page_distances(Page *page, Err *err)
{
    (void)err;
    for (size_t i = 0; i < page->n_models; i++) {
        const SeriesList *list = &page->models[i];
        for (size_t s = 0; s < list->n; s++) {
            if (!has_needles(&list->items[s])) continue;
            buf_puts(page->out, "<h3>");
            html_printf(page->out, "%s, %s", list->items[s].probe, list->model);
            buf_puts(page->out, "</h3>\n<div class=\"pair\">\n");
            put_axis(page, list, &list->items[s], true);
            put_axis(page, list, &list->items[s], false);
            buf_puts(page->out, "</div>\n");
        }
    }
    return true;
}
