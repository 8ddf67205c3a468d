/* From yardsticks to one answer.
 *
 * A setting is agreed on when no yardstick finds it worse than its best. Of those the winner is the one whose worst regret, in standard
 * errors, is least: with one yardstick its best, with several the one that none of them has much against. When nothing is agreed on, the
 * yardsticks disagree: retrieval decides, since a context that is read but not found again is of little use, and the answer says so. A
 * yardstick by which nothing was hit says nothing. */
#include "reports/recommend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "reports/recommend_internal.h"
#include "reports/report_internal.h"
#include "reports/ridge.h"

static const double same_lambda = 0.005;

static int compare_parts(const void *a, const void *b)
{
    int64_t x = ((const MixPart *)a)->n_ctx;
    int64_t y = ((const MixPart *)b)->n_ctx;
    return (x > y) - (x < y);
}

static bool take_parts(const MixPart *parts, size_t n, Recommendation *out, Err *err)
{
    double total = 0.0;
    out->parts = mem_dup(parts, n * sizeof *parts);
    out->mix = (Mix){out->parts, n};
    qsort(out->parts, n, sizeof *out->parts, compare_parts);
    for (size_t i = 0; i < n; i++)
        total += out->parts[i].weight;
    for (size_t i = 0; i < n; i++) {
        out->parts[i].weight /= total;
        if (i > 0 && out->parts[i].n_ctx == out->parts[i - 1].n_ctx)
            return err_set(err, ERR_USAGE, "length %lld is given twice",
                           (long long)out->parts[i].n_ctx);
    }
    return true;
}

static int compare_lengths(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Appends the lengths at which something was measured: "128, 256". */
static void list_lengths(const SeriesList *list, Buf *out)
{
    int64_t *lengths = NULL;
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++) {
        const Series *series = &list->items[i];
        lengths = mem_realloc(lengths, n + series->n_cells + 1, sizeof *lengths);
        for (size_t k = 0; k < series->n_cells; k++)
            if (series->cells[k].n > 0) lengths[n++] = series->cells[k].n_ctx;
    }
    if (n > 0) qsort(lengths, n, sizeof *lengths, compare_lengths);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || lengths[i] != lengths[i - 1])
            buf_printf(out, "%s%lld", out->len ? ", " : "", (long long)lengths[i]);
    free(lengths);
}

static bool no_yardstick(const Recommendation *answer, Err *err)
{
    Buf asked = {0};
    Buf measured = {0};
    for (size_t i = 0; i < answer->mix.n; i++)
        buf_printf(&asked, "%s%lld", i ? ", " : "", (long long)answer->parts[i].n_ctx);
    list_lengths(answer->list, &measured);
    if (measured.len > 0)
        err_set(err, ERR_USAGE,
                "no setting was measured at n_ctx %s%s; there are results at %s: sweep that length "
                "into the database, or ask for one of these",
                buf_text(&asked), answer->mix.n > 1 ? " by one probe" : "", buf_text(&measured));
    else
        err_set(err, ERR_USAGE, "no cell of the database is done; run its sweep again");
    buf_free(&asked);
    buf_free(&measured);
    return false;
}

static bool make_yardsticks(Recommendation *answer, Err *err)
{
    const SeriesList *list = answer->list;
    answer->yardsticks = mem_zalloc(list->n + 1, sizeof *answer->yardsticks);
    for (size_t i = 0; i < list->n; i++)
        if (yardstick_applies(list, &list->items[i], &answer->mix))
            answer->yardsticks[answer->n_yardsticks++] =
                yardstick_make(list, &list->items[i], &answer->mix);
    return answer->n_yardsticks > 0 || no_yardstick(answer, err);
}

/* Whether some yardstick measured a setting. */
static bool is_measured(const Recommendation *answer, size_t setting)
{
    for (size_t i = 0; i < answer->n_yardsticks; i++)
        if (answer->yardsticks[i].verdicts[setting].measured) return true;
    return false;
}

static void find_formula(Recommendation *answer)
{
    const SeriesList *list = answer->list;
    double m = (double)answer->parts[answer->mix.n - 1].n_ctx;
    answer->formula = list->n_settings;
    answer->formula_lambda = (double)NAN;
    if (list->n_ctx_orig <= 0 || list->n_rot <= 2) return;
    answer->formula_lambda = ridge_formula(m / (double)list->n_ctx_orig, list->n_rot);
    double nearest = INFINITY;
    for (size_t s = 0; s < list->n_settings; s++) {
        double off = fabs(log(ridge_lambda(&list->settings[s]) / answer->formula_lambda));
        if (!(off < nearest) || !is_measured(answer, s)) continue;
        nearest = off;
        answer->formula = s;
    }
    answer->is_formula = nearest < same_lambda;
}

bool recommend_tells(const Yardstick *yardstick)
{
    return yardstick->best < yardstick->n_settings;
}

static void find_agreed(Recommendation *answer)
{
    size_t n = answer->list->n_settings;
    answer->agreed = mem_zalloc(n + 1, sizeof *answer->agreed);
    for (size_t s = 0; s < n; s++) {
        bool in_all = is_measured(answer, s);
        for (size_t i = 0; i < answer->n_yardsticks; i++)
            in_all = in_all && (!recommend_tells(&answer->yardsticks[i]) ||
                                answer->yardsticks[i].verdicts[s].in_set);
        answer->agreed[s] = in_all;
        answer->n_agreed += in_all;
    }
}

const Yardstick *recommend_first(const Recommendation *answer, bool is_hits)
{
    for (size_t i = 0; i < answer->n_yardsticks; i++) {
        const Yardstick *yardstick = &answer->yardsticks[i];
        if (yardstick->series->is_hits == is_hits && recommend_tells(yardstick)) return yardstick;
    }
    return NULL;
}

/* A setting's largest regret over the yardsticks, in standard errors. */
static double worst_regret(const Recommendation *answer, size_t setting)
{
    double worst = 0.0;
    for (size_t i = 0; i < answer->n_yardsticks; i++) {
        const Yardstick *yardstick = &answer->yardsticks[i];
        if (!recommend_tells(yardstick)) continue;
        const Bootstrapped *regret = &yardstick->verdicts[setting].regret;
        double errors = regret->value / (regret->se > 0.0 ? regret->se : 1.0);
        worst = fmax(worst, errors);
    }
    return worst;
}

static double tie_rank(const Recommendation *answer, size_t setting)
{
    const SeriesSetting *row = &answer->list->settings[setting];
    return report_tie_rank(row->method, row->lambda);
}

static size_t best_agreed(const Recommendation *answer)
{
    size_t best = answer->list->n_settings;
    double least = INFINITY;
    for (size_t s = 0; s < answer->list->n_settings; s++) {
        double worst = answer->agreed[s] ? worst_regret(answer, s) : (double)INFINITY;
        if (worst > least || isinf(worst)) continue;
        if (worst == least && tie_rank(answer, s) >= tie_rank(answer, best)) continue;
        best = s;
        least = worst;
    }
    return best;
}

static void choose_winner(Recommendation *answer)
{
    const Yardstick *nll = recommend_first(answer, false);
    const Yardstick *hits = recommend_first(answer, true);
    answer->winner = answer->list->n_settings;
    if (!nll && !hits) return;
    if (answer->n_agreed > 0)
        answer->winner = best_agreed(answer);
    else
        answer->winner = hits ? hits->best : nll->best;
}

double recommend_kv_values(const Recommendation *answer)
{
    const SeriesList *list = answer->list;
    if (list->n_layers <= 0) return (double)NAN;
    return 2.0 * (double)list->n_layers * (double)list->n_kv_heads * (double)list->head_dim *
           (double)answer->parts[answer->mix.n - 1].n_ctx;
}

bool recommend_make(const SeriesList *list, const MixPart *parts, size_t n, Recommendation *out,
                    Err *err)
{
    *out = (Recommendation){.list = list};
    if (!take_parts(parts, n, out, err) || !make_yardsticks(out, err)) {
        recommend_free(out);
        return false;
    }
    find_formula(out);
    find_agreed(out);
    choose_winner(out);
    recommend_warn(out);
    return true;
}

void recommend_free(Recommendation *answer)
{
    for (size_t i = 0; i < answer->n_yardsticks; i++)
        yardstick_free(&answer->yardsticks[i]);
    for (size_t i = 0; i < answer->n_warnings; i++)
        free(answer->warnings[i]);
    free(answer->yardsticks);
    free(answer->warnings);
    free(answer->agreed);
    free(answer->parts);
    *answer = (Recommendation){0};
}
