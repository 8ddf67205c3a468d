#include "reports/effective.h"

#include <math.h>

#include "base/str.h"
#include "tests/test_util.h"

enum { MAX_POINTS = 8, MAX_CLUSTERS = 40 };

typedef struct {
    ClusterSum clusters[MAX_POINTS][MAX_CLUSTERS];
    CurvePoint points[MAX_POINTS];
    Curve curve;
} Made;

static const EffectiveRule *rule_of(const char *name)
{
    for (const EffectiveRule *rule = effective_rules; rule->name; rule++)
        if (str_equal(rule->name, name)) return rule;
    fail_msg("no rule %s", name);
    return NULL;
}

/* A curve of lengths 128, 256, … whose clusters all have the point's mean, two tokens each. */
static void make_nll(Made *made, const double *means, size_t n, size_t n_clusters)
{
    *made = (Made){
        .curve = {.points = made->points, .n = n, .n_ctx_orig = 256}
    };
    for (size_t i = 0; i < n; i++) {
        made->points[i] = (CurvePoint){INT64_C(128) << i, made->clusters[i], n_clusters};
        for (size_t k = 0; k < n_clusters; k++)
            made->clusters[i][k] = (ClusterSum){.sum = 2.0 * means[i], .n = 2};
    }
}

/* hits[i] of n_trials trials at each length. */
static void make_hits(Made *made, const int *hits, size_t n, size_t n_trials)
{
    *made = (Made){
        .curve = {.points = made->points, .n = n, .is_hits = true, .n_ctx_orig = 256}
    };
    for (size_t i = 0; i < n; i++) {
        made->points[i] = (CurvePoint){INT64_C(128) << i, made->clusters[i], n_trials};
        for (size_t k = 0; k < n_trials; k++)
            made->clusters[i][k] = (ClusterSum){.sum = (int)k < hits[i], .n = 1};
    }
}

static int64_t found(const Made *made, const char *rule)
{
    return effective_length(rule_of(rule), &made->curve, 1).n_ctx;
}

static void test_perplexity_rules_on_hand_made_curves(void **state)
{
    (void)state;
    Made made;
    /* 5 % of perplexity are 0.04879 nats. */
    make_nll(&made, (const double[]){3.0, 2.5, 2.54, 2.56, 2.51}, 5, 12);
    assert_int_equal(found(&made, "perplexity-5%"), 512); /* the 2.51 lies beyond a gap */
    assert_int_equal(found(&made, "context-helps"), 256);
    make_nll(&made, (const double[]){3.0, 2.9, 2.8, 2.7}, 4, 12);
    EffectiveLength got = effective_length(rule_of("perplexity-5%"), &made.curve, 1);
    assert_int_equal(got.n_ctx, 1024);
    assert_true(got.is_longest);
    assert_int_equal(found(&made, "context-helps"), 1024);
    make_nll(&made, (const double[]){2.0, 2.04879, 2.0488}, 3, 12);
    assert_int_equal(found(&made, "perplexity-5%"), 256);
    assert_false(effective_length(rule_of("perplexity-5%"), &made.curve, 1).is_longest);
}

static void test_retrieval_rules_on_hand_made_curves(void **state)
{
    (void)state;
    Made made;
    make_hits(&made, (const int[]){18, 20, 17, 16, 20}, 5, 20);
    assert_int_equal(found(&made, "retrieval-85%"), 512); /* 17 = 0.85 of 20, 16 is less */
    /* Wilson's lower bound of 14 in 20 is 0.481, of 15 in 20 0.531. */
    make_hits(&made, (const int[]){20, 15, 14, 20}, 4, 20);
    assert_int_equal(found(&made, "retrieval-50%"), 256);
    make_hits(&made, (const int[]){3, 20, 20}, 3, 20);
    assert_int_equal(found(&made, "retrieval-50%"), 0);
    assert_int_equal(found(&made, "retrieval-85%"), 512); /* the base is the best short length */
    make_hits(&made, (const int[]){0, 0, 20}, 3, 20);
    assert_int_equal(found(&made, "retrieval-85%"), 0);
}

/* The chance that a resample of 12 trials with `hits` hits has at least 11 decides between two lengths. */
static void test_interval_follows_the_binomial_chance(void **state)
{
    (void)state;
    /* Of 12: P(X >= 11) = 12 p^11 (1 - p) + p^12 against a tail of 0.025. */
    static const struct {
        int hits;
        int n;
        int64_t low;
        int64_t high;
    } rows[] = {
        {10, 12, 128, 256}, /* 0.381 */
        {8,  12, 128, 256}, /* 0.054 */
        {7,  12, 128, 128}, /* 0.015 */
        {6,  12, 128, 128}, /* 0.003 */
        {12, 12, 256, 256},
        {13, 20, 128, 256}, /* P(X >= 17) of 20 at 0.65 is 0.044 */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Made made;
        make_hits(&made, (const int[]){rows[i].n, rows[i].hits}, 2, (size_t)rows[i].n);
        made.curve.n_ctx_orig = 128;
        EffectiveLength got = effective_length(rule_of("retrieval-85%"), &made.curve, 1);
        assert_int_equal(got.low, rows[i].low);
        assert_int_equal(got.high, rows[i].high);
    }
}

static void test_same_targets_are_drawn_together(void **state)
{
    (void)state;
    Made made;
    make_nll(&made, (const double[]){3.0, 2.9}, 2, 20);
    for (size_t i = 0; i < 2; i++)
        for (int k = 0; k < 20; k++)
            made.clusters[i][k].sum += k % 2 ? 4.0 : -4.0;
    made.curve.same_targets = true;
    EffectiveLength got = effective_length(rule_of("context-helps"), &made.curve, 1);
    assert_int_equal(got.low, 256); /* every document gains the same */
    assert_int_equal(got.high, 256);
    made.curve.same_targets = false;
    got = effective_length(rule_of("context-helps"), &made.curve, 1);
    assert_int_equal(got.low, 128);
    assert_int_equal(got.high, 256);
}

static void test_interval_needs_clusters_at_every_length(void **state)
{
    (void)state;
    Made made;
    make_nll(&made, (const double[]){3.0, 2.9}, 2, 12);
    made.points[1].n_clusters = STATS_MIN_CLUSTERS - 1;
    EffectiveLength got = effective_length(rule_of("context-helps"), &made.curve, 1);
    assert_int_equal(got.n_ctx, 256);
    assert_int_equal(got.low, -1);
    assert_int_equal(got.high, -1);
}

/* Another way to say the rule: a length holds when no length between the best and it fails. */
static void test_perplexity_rule_agrees_with_its_definition_on_random_curves(void **state)
{
    (void)state;
    unsigned next = 1;
    for (int trial = 0; trial < 500; trial++) {
        double means[MAX_POINTS];
        for (int i = 0; i < MAX_POINTS; i++) {
            next = next * 1103515245U + 12345U;
            means[i] = 2.0 + (double)(next >> 16 & 255) / 2048.0;
        }
        int least = 0;
        int wanted = 0;
        for (int i = 0; i < MAX_POINTS; i++)
            least = means[i] < means[least] ? i : least;
        for (int i = least; i < MAX_POINTS; i++) {
            bool all = true;
            for (int j = least; j <= i; j++)
                all = all && exp(means[j]) <= 1.05 * exp(means[least]);
            wanted = all ? i : wanted;
        }
        Made made;
        make_nll(&made, means, MAX_POINTS, 2);
        assert_int_equal(found(&made, "perplexity-5%"), INT64_C(128) << wanted);
        assert_int_equal(found(&made, "context-helps"), INT64_C(128) << least);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_perplexity_rules_on_hand_made_curves),
        cmocka_unit_test(test_retrieval_rules_on_hand_made_curves),
        cmocka_unit_test(test_interval_follows_the_binomial_chance),
        cmocka_unit_test(test_same_targets_are_drawn_together),
        cmocka_unit_test(test_interval_needs_clusters_at_every_length),
        cmocka_unit_test(test_perplexity_rule_agrees_with_its_definition_on_random_curves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
