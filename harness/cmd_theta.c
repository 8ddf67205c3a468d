/* `theta`: the angles of each pair under one setting or several, from a model's config or from --base and --dim alone.
 *
 * θ' is the angle a token adds, whichever form the method has: a method that divides positions divides the angle by as
 * much. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "harness/commands.h"
#include "harness/load.h"
#include "harness/settings.h"
#include "models/rope_markers.h"
#include "reports/chart.h"

/* A setting at one length. */
typedef struct {
    RopeSpec spec;
    int64_t n_ctx;
    int64_t n_ctx_orig; /* 0: unknown */
    bool is_claimed;    /* n_ctx_orig is the file's */
    char label[ROPE_TEXT_SIZE];
    double lambda; /* NaN: none */
    double factor;
    RopeTable table;
} Angles;

typedef struct {
    double theta;
    double scaled;
    double wavelength; /* tokens a turn */
    double turns;      /* within the trained length; NaN: unknown */
} AnglePair;

static AnglePair angle_pair(const Angles *angles, int i)
{
    const double two_pi = 2.0 * acos(-1.0);
    const RopeTable *table = &angles->table;
    double scaled = rope_scaled_angle(table, i);
    double length = angles->n_ctx_orig ? (double)angles->n_ctx_orig : (double)NAN;
    return (AnglePair){
        .theta = pow(angles->spec.theta, -2.0 * i / angles->spec.n_rot),
        .scaled = scaled,
        .wavelength = two_pi / scaled,
        .turns = length * scaled / two_pi,
    };
}

/* "λ = 4, base λb = 40000; d = 64, b = 10000, trained length 512 claimed" */
static void print_heading(const Angles *angles)
{
    printf("%s:", angles->label);
    if (!isnan(angles->lambda))
        printf(" λ = %.9g, λb = %.9g;", angles->lambda, angles->lambda * angles->spec.theta);
    if (!isnan(angles->factor))
        printf(" factor = %.9g (freq_scale %.9g);", angles->factor, 1.0 / angles->factor);
    printf(" d = %d, b = %.9g", angles->spec.n_rot, angles->spec.theta);
    if (angles->n_ctx_orig)
        printf(", trained length %lld%s", (long long)angles->n_ctx_orig,
               angles->is_claimed ? " claimed" : "");
    if (rope_spec_depends_on_n_ctx(&angles->spec))
        printf(", at n_ctx %lld", (long long)angles->n_ctx);
    printf("\n");
    if (angles->spec.method->params & ROPE_READS(ROPE_ATTENTION_FACTOR))
        printf("cos and sin x %.9g, so logits x %.9g\n", angles->table.amplitude,
               angles->table.amplitude * angles->table.amplitude);
    if (setting_raises_frequencies(&angles->spec, angles->n_ctx))
        printf("λ below 1 raises the frequencies: the context shrinks\n");
}

/* What the angles predict, without a model. */
static void print_markers(const Angles *angles)
{
    RopeMarkers markers;
    Err unused;
    if (!angles->n_ctx_orig || !rope_markers_of(&angles->spec, angles->n_ctx, &markers, &unused))
        return;
    printf("heuristics at n_ctx %lld, not measurements:\n", (long long)angles->n_ctx);
    if (angles->spec.n_rot > 2) {
        double stretch = fmax(1.0, (double)angles->n_ctx / (double)angles->n_ctx_orig);
        printf("  lambda by formula            %.9g\n",
               rope_lambda_of(stretch, angles->spec.n_rot));
    }
    printf("  pairs turning when trained   %d of %d\n", markers.n_turning, angles->spec.n_rot / 2);
    printf("  first negative sum of cos    ");
    if (markers.first_negative < 0)
        printf("none up to %d\n", ROPE_MARKERS_REACH);
    else
        printf("position %lld\n", (long long)markers.first_negative);
    printf("  largest angle never trained  %.4g rad\n", markers.unseen_angle);
    printf("  every angle trained up to    ");
    if (markers.seen_reach < 0)
        printf("any length up to %d\n", ROPE_MARKERS_REACH);
    else
        printf("n_ctx %lld\n", (long long)markers.seen_reach);
    printf("  resolution of neighbours     %.4g of plain\n", markers.resolution);
}

static void print_table(const Angles *angles)
{
    print_heading(angles);
    printf("%5s  %18s  %18s  %12s  %14s", "pair", "θ", "θ'", "θ'/θ", "wavelength");
    printf(angles->n_ctx_orig ? "  %12s\n" : "\n", "turns");
    for (int i = 0; i < angles->table.n_pairs; i++) {
        AnglePair pair = angle_pair(angles, i);
        printf("%5d  %17.12g  %17.12g  %12.6g  %14.6g", i, pair.theta, pair.scaled,
               pair.scaled / pair.theta, pair.wavelength);
        if (angles->n_ctx_orig) printf("  %12.6g", pair.turns);
        printf("\n");
    }
    print_markers(angles);
}

static void print_tables(const Angles *angles, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0) printf("\n");
        print_table(&angles[i]);
    }
}

/* A field with every digit, empty where there is no number. */
static void print_field(double value)
{
    char text[32] = "";
    if (isfinite(value)) str_from_double(value, text);
    printf(",%s", text);
}

static void print_csv(const Angles *angles, size_t n)
{
    printf("setting,n_ctx,pair,theta,theta_scaled,wavelength,turns\n");
    for (size_t s = 0; s < n; s++)
        for (int i = 0; i < angles[s].table.n_pairs; i++) {
            AnglePair pair = angle_pair(&angles[s], i);
            printf("\"%s\",%lld,%d", angles[s].label, (long long)angles[s].n_ctx, i);
            print_field(pair.theta);
            print_field(pair.scaled);
            print_field(pair.wavelength);
            print_field(pair.turns);
            printf("\n");
        }
}

static json_t *real_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *markers_json(const Angles *angles)
{
    RopeMarkers markers;
    Err unused;
    if (!angles->n_ctx_orig || !rope_markers_of(&angles->spec, angles->n_ctx, &markers, &unused))
        return json_null();
    return json_pack("{s:i, s:I, s:f, s:I, s:f}", "pairs_turning", markers.n_turning,
                     "first_negative_sum", (json_int_t)markers.first_negative, "unseen_angle",
                     markers.unseen_angle, "seen_reach", (json_int_t)markers.seen_reach,
                     "resolution", markers.resolution);
}

static json_t *angles_json(const Angles *angles)
{
    json_t *pairs = json_array();
    for (int i = 0; i < angles->table.n_pairs; i++) {
        AnglePair pair = angle_pair(angles, i);
        json_array_append_new(pairs, json_pack("{s:i, s:f, s:f, s:o, s:o}", "pair", i, "theta",
                                               pair.theta, "theta_scaled", pair.scaled,
                                               "wavelength", real_or_null(pair.wavelength), "turns",
                                               real_or_null(pair.turns)));
    }
    return json_pack("{s:s, s:s, s:o, s:o, s:f, s:f, s:i, s:I, s:I, s:o, s:o}", "setting",
                     angles->label, "method", angles->spec.method->name, "lambda",
                     real_or_null(angles->lambda), "factor", real_or_null(angles->factor),
                     "amplitude", angles->table.amplitude, "theta", angles->spec.theta, "n_rot",
                     angles->spec.n_rot, "n_ctx_orig", (json_int_t)angles->n_ctx_orig, "n_ctx",
                     (json_int_t)angles->n_ctx, "heuristics", markers_json(angles), "pairs", pairs);
}

static void print_json(const Angles *angles, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, angles_json(&angles[i]));
    json_dumpf(list, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    printf("\n");
    json_decref(list);
}

/* The wavelength of each pair, a line a setting. */
static void print_svg(const Angles *angles, size_t n)
{
    ChartSeries *series = mem_zalloc(n, sizeof *series);
    ChartPoint *points = mem_zalloc(n * ROPE_MAX_PAIRS, sizeof *points);
    char trained[64];
    for (size_t s = 0; s < n; s++) {
        ChartPoint *own = points + s * ROPE_MAX_PAIRS;
        int n_pairs = angles[s].table.n_pairs;
        series[s] = (ChartSeries){
            angles[s].label, {(int)(s % CHART_MAX_HUES), 0.5},
             own, (size_t)n_pairs
        };
        for (int i = 0; i < n_pairs; i++) /* a pair that does not turn has no wavelength: a gap */
            own[i] = (ChartPoint){.x = i,
                                  .y = angle_pair(&angles[s], i).wavelength,
                                  .low = (double)NAN,
                                  .high = (double)NAN};
    }
    snprintf(trained, sizeof trained, "trained length: %lld", (long long)angles[0].n_ctx_orig);
    const ChartMark mark = {angles[0].n_ctx_orig ? (double)angles[0].n_ctx_orig : (double)NAN,
                            trained};
    Buf out = {0};
    chart_lines_file(
        &(LineChart){.sentence = "Line chart of the wavelength of every pair under each setting",
                     .x_label = "pair",
                     .y_label = "tokens a turn",
                     .unit = "tokens",
                     .x_linear = true,
                     .x_whole = true,
                     .y_marks = &mark,
                     .n_y_marks = 1,
                     .series = series,
                     .n_series = n},
        &out);
    fputs(buf_text(&out), stdout);
    buf_free(&out);
    free(points);
    free(series);
}

typedef struct {
    const char *name;
    void (*print)(const Angles *angles, size_t n);
} AngleFormat;

static const AngleFormat formats[] = {
    {"table", print_tables},
    {"csv",   print_csv   },
    {"json",  print_json  },
    {"svg",   print_svg   },
};

static const AngleFormat *find_format(const Options *options, Err *err)
{
    const char *name = options->format ? options->format : options->json ? "json" : "table";
    for (size_t i = 0; i < COUNT_OF(formats); i++)
        if (str_equal(formats[i].name, name)) return &formats[i];
    err_set(err, ERR_USAGE, "--format: \"%s\": allowed are: table csv json svg", name);
    return NULL;
}

static bool make_angles(const RopeSpec *spec, int64_t n_ctx, bool length_is_known, Angles *out,
                        Err *err)
{
    *out = (Angles){
        .spec = *spec, .n_ctx = n_ctx, .n_ctx_orig = length_is_known ? spec->n_ctx_orig : 0};
    rope_spec_text(spec, out->label);
    rope_spec_axes(spec, n_ctx, &out->lambda, &out->factor);
    return rope_table_make(spec, n_ctx, &out->table, err);
}

/* Every setting once, and at each length where its table depends on it. */
static bool collect(const Options *options, const SettingList *settings, bool length_is_known,
                    Angles *out, size_t *n, Err *err)
{
    *n = 0;
    for (size_t s = 0; s < settings->n; s++) {
        const RopeSpec *spec = &settings->items[s];
        size_t n_lengths =
            rope_spec_depends_on_n_ctx(spec) && options->n_ctx.n ? options->n_ctx.n : 1;
        for (size_t i = 0; i < n_lengths; i++) {
            int64_t fallback = options->target ? options->target : spec->n_ctx_orig;
            int64_t n_ctx = options->n_ctx.n ? options->n_ctx.items[i] : fallback;
            Angles *angles = &out[(*n)++];
            if (!make_angles(spec, n_ctx, length_is_known, angles, err)) return false;
            angles->is_claimed = options->model.n > 0 && options->n_ctx_orig == 0;
        }
    }
    return true;
}

int cmd_theta(const Command *command, const Options *options, Err *err)
{
    (void)command;
    RopeSpec own = {0};
    SettingList settings = {0};
    const AngleFormat *format = find_format(options, err);
    if (!format || !load_rope(options, &own, err) ||
        !settings_make(options, &own, SETTING_METHOD_MODEL, 0, &settings, err))
        return cli_exit_status(err->code);
    size_t n_lengths = options->n_ctx.n ? options->n_ctx.n : 1;
    Angles *angles = calloc(settings.n * n_lengths, sizeof *angles);
    size_t n = 0;
    bool ok = angles || err_set(err, ERR_NOMEM, "out of memory for %zu settings", settings.n);
    ok = ok && collect(options, &settings, own.n_ctx_orig > 0 || options->n_ctx_orig > 0, angles,
                       &n, err);
    if (ok) format->print(angles, n);
    free(angles);
    setting_list_free(&settings);
    return ok ? EXIT_OK : cli_exit_status(err->code);
}
