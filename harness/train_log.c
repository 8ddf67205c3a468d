#include "harness/train_log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "reports/chart.h"

/* Columns of the CSV; digits after the point. */
static const struct {
    const char *name;
    int digits;
} columns[N_LOG] = {
    [LOG_STEP] = {"step",         0},
      [LOG_LENGTH] = {"length",       0},
    [LOG_TOKENS] = {"tokens",       0},
      [LOG_SECONDS] = {"seconds",      1},
    [LOG_RATE] = {"rate",         6},
      [LOG_LOSS] = {"loss",         4},
    [LOG_NORM] = {"grad_norm",    4},
      [LOG_HELD_OUT] = {"held_out_nll", 4},
    [LOG_HALF] = {"passkey_half", 3},
      [LOG_FULL] = {"passkey",      3},
};

size_t train_log_n(const Buf *log)
{
    return log->len / sizeof(LogRow);
}

LogRow train_log_row(const Buf *log, size_t i)
{
    LogRow row;
    assert(i < train_log_n(log));
    memcpy(&row, log->data + i * sizeof row, sizeof row);
    return row;
}

void train_log_add(Buf *log, const LogRow *row)
{
    buf_append(log, row, sizeof *row);
}

static void write_csv(const Buf *log, Buf *out)
{
    for (int c = 0; c < N_LOG; c++)
        buf_printf(out, "%s%s", c ? "," : "", columns[c].name);
    for (size_t i = 0; i < train_log_n(log); i++) {
        LogRow row = train_log_row(log, i);
        for (int c = 0; c < N_LOG; c++) {
            buf_puts(out, c ? "," : "\n");
            if (isfinite(row.value[c])) buf_printf(out, "%.*f", columns[c].digits, row.value[c]);
        }
    }
    buf_putc(out, '\n');
}

/* A line of a chart. */
typedef struct {
    LogColumn column;
    char name[64];
} Line;

/* Points of one column, where it was measured. */
static size_t points_of(const Buf *log, LogColumn column, ChartPoint *points)
{
    size_t n = 0;
    for (size_t i = 0; i < train_log_n(log); i++) {
        LogRow row = train_log_row(log, i);
        if (isfinite(row.value[column]))
            points[n++] = (ChartPoint){.x = row.value[LOG_STEP],
                                       .y = row.value[column],
                                       .low = (double)NAN,
                                       .high = (double)NAN};
    }
    return n;
}

static void draw(const Buf *log, const Line lines[2], LineChart chart, Buf *out)
{
    ChartSeries series[2];
    size_t n = train_log_n(log);
    ChartPoint *points = mem_alloc(2 * n + 1, sizeof *points);
    for (int i = 0; i < 2; i++) {
        ChartPoint *own = points + (size_t)i * n;
        series[i] = (ChartSeries){
            lines[i].name, {i, 0.5},
             own, points_of(log, lines[i].column, own)
        };
    }
    chart.x_label = "step";
    chart.x_linear = true;
    chart.x_whole = true;
    chart.series = series;
    chart.n_series = 2;
    chart_lines_file(&chart, out);
    free(points);
}

static void draw_loss(const Buf *log, Buf *out)
{
    const Line lines[2] = {
        {LOG_LOSS,     "training rows"},
        {LOG_HELD_OUT, "held-out text"}
    };
    draw(log, lines,
         (LineChart){.sentence =
                         "Line chart of the loss on training rows and on held-out text by step",
                     .y_label = "nats a token",
                     .unit = "nats"},
         out);
}

static void draw_retrieval(const Buf *log, int64_t n_ctx, Buf *out)
{
    Line lines[2] = {{.column = LOG_HALF}, {.column = LOG_FULL}};
    snprintf(lines[0].name, sizeof lines[0].name, "at %lld tokens", (long long)(n_ctx / 2));
    snprintf(lines[1].name, sizeof lines[1].name, "at %lld tokens", (long long)n_ctx);
    draw(log, lines,
         (LineChart){.sentence = "Line chart of the share of passkeys retrieved by step",
                     .y_label = "passkeys retrieved",
                     .unit = "fraction"},
         out);
}

static bool write_file(const char *folder, const char *name, Buf *text, Err *err)
{
    char *path = file_join(folder, name);
    bool ok = file_write_atomic(path, text->data, text->len, err);
    free(path);
    buf_clear(text);
    return ok;
}

bool train_log_write(const Buf *log, int64_t n_ctx, const char *folder, Err *err)
{
    Buf text = {0};
    write_csv(log, &text);
    bool ok = write_file(folder, "train.csv", &text, err);
    if (ok) draw_loss(log, &text);
    ok = ok && write_file(folder, "loss.svg", &text, err);
    if (ok) draw_retrieval(log, n_ctx, &text);
    ok = ok && write_file(folder, "retrieval.svg", &text, err);
    buf_free(&text);
    return ok;
}
