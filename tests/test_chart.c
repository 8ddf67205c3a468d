/* Charts: contrast, gaps, and values that no measurement gives. */
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "reports/chart.h"
#include "tests/test_util.h"

static double luminance(unsigned rgb)
{
    static const double weights[] = {0.2126, 0.7152, 0.0722};
    double sum = 0.0;
    for (int i = 0; i < 3; i++) {
        double c = (double)((rgb >> (16 - 8 * i)) & 255U) / 255.0;
        sum += weights[i] * (c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4));
    }
    return sum;
}

static void test_text_in_a_heat_map_stands_out_from_its_cell(void **state)
{
    (void)state;
    enum { N = 101 };
    HeatCell cells[N];
    HeatLabel cols[N];
    HeatLabel row = {.label = "row"};
    for (int i = 0; i < N; i++) {
        cells[i] = (HeatCell){.value = i / 100.0, .text = "1", .note = "note"};
        cols[i] = (HeatLabel){.label = "1"};
    }
    HeatMap map = {.sentence = "s",
                   .rows = &row,
                   .cols = cols,
                   .n_rows = 1,
                   .n_cols = N,
                   .cells = cells,
                   .high = 1.0,
                   .direction = 1};
    Buf out = {0};
    chart_heat(&map, &out);
    int n = 0;
    static const char cell_start[] = "<g class=\"cell";
    for (const char *at = strstr(buf_text(&out), cell_start); at;
         at = strstr(at + 1, cell_start), n++) {
        bool is_white = str_starts_with(at + strlen(cell_start), " white\"");
        double cell = luminance((unsigned)strtoul(strstr(at, "fill=\"#") + 7, NULL, 16)) + 0.05;
        double contrast = is_white ? 1.05 / cell : cell / 0.05;
        assert_true(contrast >= 4.5);
    }
    assert_int_equal(n, N);
    buf_free(&out);
}

static void test_a_line_breaks_where_a_value_is_missing(void **state)
{
    (void)state;
    ChartPoint points[] = {
        {.x = 128, .y = 1.0, .low = NAN, .high = NAN, .note = "a"},
        {.x = 256, .y = NAN, .low = NAN, .high = NAN, .note = "b"},
        {.x = 512, .y = 2.0, .low = 1.5, .high = 2.5, .note = "c"}
    };
    ChartSeries series = {.name = "s", .points = points, .n_points = 3};
    LineChart chart = {.sentence = "s",
                       .x_label = "x",
                       .y_label = "y",
                       .unit = "nats",
                       .series = &series,
                       .n_series = 1};
    Buf out = {0};
    chart_lines(&chart, &out);
    const char *line = strstr(buf_text(&out), "class=\"line\" d=\"");
    assert_non_null(line);
    line += strlen("class=\"line\" d=\"");
    assert_int_equal(line[0], 'M');
    size_t length = strcspn(line, "\"");
    char *path = str_dup_n(line, length);
    assert_int_equal(test_count(path, "M"), 2);
    assert_int_equal(test_count(path, "L"), 0);
    free(path);
    assert_int_equal(test_count(buf_text(&out), "class=\"whisker\""), 1);
    assert_null(strstr(buf_text(&out), "nan"));
    buf_free(&out);
}

static void test_ticks_stand_at_whole_steps_whatever_the_range(void **state)
{
    (void)state;
    ChartPoint points[] = {
        {.x = 1, .y = -1.9, .low = NAN, .high = NAN, .note = "a"},
        {.x = 2, .y = 15.1, .low = NAN, .high = NAN, .note = "b"}
    };
    ChartSeries series = {.name = "s", .points = points, .n_points = 2};
    LineChart chart = {.sentence = "s",
                       .x_label = "x",
                       .y_label = "y",
                       .unit = "",
                       .x_linear = true,
                       .series = &series,
                       .n_series = 1};
    Buf out = {0};
    chart_lines(&chart, &out);
    static const char *const ticks[] = {">0</text>", ">5</text>", ">10</text>", ">15</text>"};
    assert_int_equal(test_count(buf_text(&out), "<text class=\"y\""), COUNT_OF(ticks));
    for (size_t i = 0; i < COUNT_OF(ticks); i++)
        assert_non_null(strstr(buf_text(&out), ticks[i]));
    buf_free(&out);
}

/* Fourteen points at one place: names around it, where none meets another, and the rest in the legend alone. */
static void test_names_of_a_scatter_do_not_meet(void **state)
{
    (void)state;
    enum { N = 14 };
    ChartPoint points[N];
    ChartSeries series[N];
    for (int i = 0; i < N; i++) {
        points[i] = (ChartPoint){.x = i == 0   ? -1.0
                                      : i == 1 ? 1.0
                                               : 0.0,
                                 .y = i,
                                 .low = NAN,
                                 .high = NAN,
                                 .note = "n"};
        if (i > 1) points[i].y = 6.0;
        series[i] = (ChartSeries){.name = "a<name>", .points = &points[i], .n_points = 1};
    }
    LineChart chart = {.sentence = "s",
                       .x_label = "x",
                       .y_label = "y",
                       .unit = "",
                       .x_linear = true,
                       .is_scatter = true,
                       .series = series,
                       .n_series = N};
    Buf out = {0};
    chart_lines(&chart, &out);
    const char *text = buf_text(&out);
    assert_int_equal(test_count(text, "class=\"mark right s0\""), 1);
    assert_int_equal(test_count(text, "class=\"mark left s1\""), 1);
    double seen[N][2];
    int n = 0;
    for (const char *at = strstr(text, "<text class=\"mark"); at;
         at = strstr(at + 1, "<text class=\"mark")) {
        seen[n][0] = strtod(strstr(at, "x=\"") + 3, NULL);
        seen[n][1] = strtod(strstr(at, "y=\"") + 3, NULL);
        for (int i = 0; i < n; i++)
            assert_true(fabs(seen[i][0] - seen[n][0]) >= 14.0 ||
                        fabs(seen[i][1] - seen[n][1]) >= 13.0);
        n++;
    }
    assert_int_equal(n, 2 + 6);
    assert_int_equal(test_count(text, ">a&lt;name&gt;</text>"), n);
    chart.is_scatter = false;
    buf_clear(&out);
    chart_lines(&chart, &out);
    assert_null(strstr(buf_text(&out), "class=\"mark"));
    buf_free(&out);
}

static void test_charts_survive_extreme_values(void **state)
{
    (void)state;
    static const double values[] = {0.0, -1.0, 1e-300, 1e99, 1e300, -1e300, INFINITY, NAN, 5.0};
    for (size_t i = 0; i < COUNT_OF(values); i++)
        for (size_t j = 0; j < COUNT_OF(values); j++) {
            ChartPoint points[] = {
                {.x = 1,    .y = values[i], .low = values[j], .high = values[i], .note = "a"},
                {.x = 9e15, .y = values[j], .low = NAN,       .high = NAN,       .note = "b"}
            };
            ChartSeries series = {.name = "s", .points = points, .n_points = 2};
            LineChart chart = {.sentence = "s",
                               .x_label = "x",
                               .y_label = "y",
                               .unit = "",
                               .is_scatter = (i + j) % 2 == 0,
                               .series = &series,
                               .n_series = 1};
            HeatCell cells[] = {
                {.value = values[i], .text = "1", .note = "n"},
                {.value = values[j], .text = "1", .note = "n"}
            };
            HeatLabel labels[] = {{.label = "1"}, {.label = "2"}};
            HeatMap map = {.sentence = "s",
                           .rows = labels,
                           .cols = labels,
                           .n_rows = 1,
                           .n_cols = 2,
                           .cells = cells,
                           .low = fmin(values[i], values[j]),
                           .high = fmax(values[i], values[j]),
                           .direction = -1};
            Buf out = {0};
            chart_lines(&chart, &out);
            chart_heat(&map, &out);
            assert_null(strstr(buf_text(&out), "nan"));
            assert_true(out.len < 20000);
            buf_free(&out);
        }
}

/* Pairs 0 to 8 on a linear axis: the middle point lies in the middle, 0 is drawn, and marks of both axes stand at their values. */
static void test_a_linear_axis_is_linear_and_marked(void **state)
{
    (void)state;
    ChartPoint points[] = {
        {.x = 0, .y = 10.0,    .low = NAN, .high = NAN},
        {.x = 4, .y = 100.0,   .low = NAN, .high = NAN},
        {.x = 8, .y = 20000.0, .low = NAN, .high = NAN}
    };
    ChartSeries series = {.name = "s", .points = points, .n_points = 3};
    ChartMark mark = {4.0, "the middle"};
    ChartMark y_marks[] = {
        {100.0, "a hundred"},
        {1e9,   "outside"  }
    };
    LineChart chart = {.sentence = "s",
                       .x_label = "x",
                       .y_label = "y",
                       .unit = "tokens",
                       .x_linear = true,
                       .x_whole = true,
                       .marks = &mark,
                       .n_marks = 1,
                       .y_marks = y_marks,
                       .n_y_marks = 2,
                       .series = &series,
                       .n_series = 1};
    Buf out = {0};
    chart_lines(&chart, &out);
    const char *path = strstr(buf_text(&out), "class=\"line\" d=\"M");
    assert_non_null(path);
    double x[3];
    double y[3];
    char *at = strchr(path, 'M') + 1;
    for (int i = 0; i < 3; i++) {
        x[i] = strtod(at, &at);
        y[i] = strtod(at, &at) + 0.0;
        at++;
    }
    assert_close(x[1] - x[0], x[2] - x[1], 0.0, 0.11);
    const char *line = strstr(buf_text(&out), "class=\"trained\" x1=\"");
    assert_close(strtod(line + strlen("class=\"trained\" x1=\""), NULL), x[1], 0.0, 0.06);
    line = strstr(strstr(line + 1, "class=\"trained\""), "y1=\"");
    assert_close(strtod(line + strlen("y1=\""), NULL), y[1], 0.0, 0.06);
    assert_null(strstr(buf_text(&out), "outside"));
    assert_non_null(strstr(buf_text(&out), ">20k</text>"));
    /* No point has a note, so none is drawn; the legend has the one shape. */
    assert_int_equal(test_count(buf_text(&out), "<circle"), 1);
    buf_free(&out);
}

/* The axis is from 128 to 2048 over four doublings; a pixel of each must be a quarter farther. */
static void test_limits_stand_where_a_logarithmic_axis_has_them(void **state)
{
    (void)state;
    LimitRow rows[] = {
        {.label = "r",
         .low = 256,
         .high = 1024,
         .limit = 512,
         .note = "measured",
         .predicted = {128, 4096},
         .predicted_notes = {"near", "far"}}
    };
    LimitChart chart = {
        .sentence = "s",
        .x_label = "x",
        .x_low = 128,
        .x_high = 2048,
        .measured_name = "m",
        .predicted_names = {"a", "b" },
        .mark = {NAN, NULL},
        .rows = rows,
        .n_rows = 1
    };
    Buf out = {0};
    chart_limits(&chart, &out);
    const char *span = strstr(buf_text(&out), "class=\"span\" d=\"M");
    const char *dot = strstr(buf_text(&out), "<circle cx=\"");
    const char *near = strstr(buf_text(&out), "near</title><path d=\"M");
    assert_true(span && dot && near);
    double low = strtod(span + strlen("class=\"span\" d=\"M"), NULL);
    double high = strtod(strchr(span, 'H') + 1, NULL);
    double middle = strtod(dot + strlen("<circle cx=\""), NULL);
    double first = strtod(near + strlen("near</title><path d=\"M"), NULL);
    assert_close(middle - low, low - first, 0.0, 0.11);
    assert_close(high - middle, low - first, 0.0, 0.11);
    assert_true(low - first > 50.0);
    /* Beyond the axis stands an arrow, which has a horizontal stroke first. */
    assert_int_equal(strstr(buf_text(&out), "far</title><path d=\"M") &&
                         strstr(strstr(buf_text(&out), "far</title>"), "h7v-3l6 5"),
                     1);
    buf_free(&out);
}

static void test_limits_survive_extreme_values(void **state)
{
    (void)state;
    static const double values[] = {NAN, INFINITY, -1.0, 0.0, 1.0, 1e300};
    for (size_t i = 0; i < COUNT_OF(values); i++)
        for (size_t j = 0; j < COUNT_OF(values); j++) {
            LimitRow row = {
                .label = "r",
                .low = values[i],
                .high = values[j],
                .limit = values[j],
                .note = "n",
                .predicted = {values[i], values[j]},
                .predicted_notes = {"a",       "b"      }
            };
            LimitChart chart = {
                .sentence = "s",
                .x_label = "x",
                .x_low = 1,
                .x_high = 9e15,
                .measured_name = "m",
                .predicted_names = {"a",       "b"   },
                .mark = {values[i], "mark"},
                .rows = &row,
                .n_rows = 1
            };
            Buf out = {0};
            chart_limits(&chart, &out);
            assert_null(strstr(buf_text(&out), "nan"));
            assert_null(strstr(buf_text(&out), "inf"));
            assert_true(out.len < 20000);
            buf_free(&out);
        }
}

/* The x of the first mark of a forest after a place in it. */
static double mark_x(const char *text)
{
    return strtod(strstr(text, "<rect x=\"") + 9, NULL) + 3.5;
}

static void test_a_forest_stands_around_zero_to_scale(void **state)
{
    (void)state;
    const ForestRow rows[] = {
        {.label = "a",    .text = "a", .note = "a", .value = -1.0, .low = -2.0, .high = 1.0          },
        {.label = "b",
         .text = "b",
         .note = "b",
         .value = 2.0,
         .low = NAN,
         .high = NAN,
         .is_told = true},
        {.label = "c",
         .text = "c",
         .note = "c",
         .value = 99.0,
         .low = 98.0,
         .high = 100,
         .is_told = true},
        {.label = "d", .text = "d",            .note = "d",            .value = NAN,              .low = NAN,   .high = NAN},
    };
    Buf out = {0};
    chart_forest(&(ForestChart){.sentence = "s", .x_label = "x", .rows = rows, .n_rows = 4}, &out);
    const char *text = buf_text(&out);
    double zero = strtod(strstr(text, "<line class=\"zero\" x1=\"") + 23, NULL);
    double a = mark_x(strstr(text, "<title>a<"));
    double b = mark_x(strstr(text, "<title>b<"));
    assert_close((b - zero) / (zero - a), 2.0, 0.02, 0.0);
    /* Not told: hollow. */
    assert_int_equal(test_count(text, "difference open"), 1);
    /* The median reaches to 2, so the axis ends at 8: c is an arrow, and d is not drawn. */
    assert_int_equal(test_count(text, "<rect"), 2);
    assert_int_equal(test_count(text, "<g class=\"difference"), 3);
    buf_free(&out);
}

static void test_forests_survive_extreme_values(void **state)
{
    (void)state;
    static const double values[] = {NAN, INFINITY, -1.0, 0.0, 1e-300, 1e300};
    for (size_t i = 0; i < COUNT_OF(values); i++)
        for (size_t j = 0; j < COUNT_OF(values); j++) {
            const ForestRow rows[] = {
                {.label = "r",
                 .text = "t",
                 .note = "n",
                 .value = values[i],
                 .low = -values[j],
                 .high = values[j]},
                {.label = "r",
                 .text = "t",
                 .note = "n",
                 .value = values[j],
                 .low = values[i],
                 .high = values[i]},
            };
            Buf out = {0};
            chart_forest(&(ForestChart){.sentence = "s", .x_label = "x", .rows = rows, .n_rows = 2},
                         &out);
            assert_null(strstr(buf_text(&out), "nan"));
            assert_null(strstr(buf_text(&out), "inf"));
            assert_true(out.len < 20000);
            buf_free(&out);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_forest_stands_around_zero_to_scale),
        cmocka_unit_test(test_forests_survive_extreme_values),
        cmocka_unit_test(test_text_in_a_heat_map_stands_out_from_its_cell),
        cmocka_unit_test(test_a_line_breaks_where_a_value_is_missing),
        cmocka_unit_test(test_ticks_stand_at_whole_steps_whatever_the_range),
        cmocka_unit_test(test_names_of_a_scatter_do_not_meet),
        cmocka_unit_test(test_charts_survive_extreme_values),
        cmocka_unit_test(test_a_linear_axis_is_linear_and_marked),
        cmocka_unit_test(test_limits_stand_where_a_logarithmic_axis_has_them),
        cmocka_unit_test(test_limits_survive_extreme_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
