/* The merge engine against the rule itself: rescan all pairs, merge the best, repeat. */
#include "tests/test_util.h"

#include <string.h>

#include "base/rng.h"
#include "models/bpe_merge.h"

enum { N_MAX = 60, N_LETTERS = 3, N_MERGES = 12 };

typedef struct {
    int32_t left, right, product;
} Rule;

/* Merges in place by rescanning; rules are in order of rank. Returns the new length. */
static size_t merge_by_rescan(int32_t *ids, size_t n, const Rule *rules)
{
    for (;;) {
        size_t best_rule = N_MERGES, best_at = 0;
        for (size_t at = 0; at + 1 < n; at++)
            for (size_t r = 0; r < best_rule; r++)
                if (rules[r].left == ids[at] && rules[r].right == ids[at + 1]) {
                    best_rule = r;
                    best_at = at;
                }
        if (best_rule == N_MERGES) return n;
        ids[best_at] = rules[best_rule].product;
        memmove(ids + best_at + 1, ids + best_at + 2, (n - best_at - 2) * sizeof *ids);
        n--;
    }
}

/* Random rules over letters and earlier products, each pair once. */
static void draw_rules(Rng *rng, Rule *rules)
{
    for (int32_t r = 0; r < N_MERGES; r++) {
        bool is_new;
        do {
            rules[r] = (Rule){(int32_t)rng_below(rng, (uint32_t)(N_LETTERS + r)),
                              (int32_t)rng_below(rng, (uint32_t)(N_LETTERS + r)), N_LETTERS + r};
            is_new = true;
            for (int32_t q = 0; q < r; q++)
                is_new =
                    is_new && !(rules[q].left == rules[r].left && rules[q].right == rules[r].right);
        } while (!is_new);
    }
}

static void test_merges_equal_a_rescan_on_random_runs(void **state)
{
    (void)state;
    Rng rng = rng_open(23, 0, 0, 0);
    MergeRun run = {0};
    for (int trial = 0; trial < 3000; trial++) {
        Rule rules[N_MERGES];
        MergeTable table = {0};
        int32_t want[N_MAX];
        Err err;
        size_t n = 1 + rng_below(&rng, N_MAX);
        draw_rules(&rng, rules);
        for (uint32_t r = 0; r < N_MERGES; r++)
            merge_table_add(&table, rules[r].left, rules[r].right, r, rules[r].product);
        assert_ok(merge_run_reset(&run, n, &err), &err);
        for (size_t i = 0; i < n; i++) {
            want[i] = (int32_t)rng_below(&rng, N_LETTERS);
            merge_run_add(&run, want[i]);
        }
        merge_run_apply(&run, &table);
        size_t n_want = merge_by_rescan(want, n, rules);
        size_t n_got = 0;
        for (int32_t at = 0; at >= 0; at = run.symbols[at].next) {
            assert_true(n_got < n_want);
            assert_int_equal(run.symbols[at].id, want[n_got++]);
        }
        assert_int_equal(n_got, n_want);
        merge_table_free(&table);
    }
    merge_run_free(&run);
}

static void test_a_pair_added_again_takes_the_new_rank(void **state)
{
    (void)state;
    MergeTable table = {0};
    merge_table_add(&table, 1, 2, 5, 9);
    merge_table_add(&table, 1, 2, 3, 8);
    assert_int_equal(merge_table_find(&table, 1, 2)->rank, 3);
    assert_null(merge_table_find(&table, 2, 1));
    merge_table_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merges_equal_a_rescan_on_random_runs),
        cmocka_unit_test(test_a_pair_added_again_takes_the_new_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
