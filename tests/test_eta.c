/* The time left, from times that the tests give. */
#include "tests/test_util.h"

#include "base/mem.h"
#include "harness/eta.h"

enum { MOST = 64 };

static const Profile unknown;

static Profile seconds_of(double linear, double attention)
{
    return (Profile){
        .s = {[PHASE_LINEAR] = linear, [PHASE_ATTENTION] = attention}
    };
}

/* n cells that are foretold alike, in units of so many. */
static Eta *eta_of(size_t n, size_t n_together, Profile foretold, int n_jobs)
{
    Profile *times = mem_alloc(n, sizeof *times);
    Unit units[MOST];
    size_t n_units = 0;
    for (size_t i = 0; i < n; i++)
        times[i] = foretold;
    for (size_t i = 0; i < n; i += n_together)
        units[n_units++] = (Unit){.first = i, .n = n_together};
    return eta_new(times, units, n_units, n_jobs);
}

/* Units wait for the job that is free first, and the last to end counts. */
static void test_eta_shares_units_out_as_the_sweep_does(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        size_t n_together;
        int n_jobs;
        double want;
    } cases[] = {
        {3,  1, 1, 300.0 },
        {3,  1, 2, 200.0 },
        {3,  1, 4, 100.0 },
        {12, 4, 2, 800.0 },
        {13, 1, 3, 500.0 },
        {8,  8, 2, 800.0 },
        {64, 2, 2, 3200.0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Eta *eta = eta_of(cases[i].n, cases[i].n_together, seconds_of(60.0, 40.0), cases[i].n_jobs);
        assert_close(eta_left_s(eta, 0.0), cases[i].want, 1e-12, 0.0);
        eta_free(eta);
    }
    Eta *nothing = eta_new(NULL, NULL, 0, 2);
    assert_true(eta_left_s(nothing, 0.0) == 0.0);
    eta_free(nothing);
}

/* A cell of 1,000 s in which attention took twice what was foretold: it does for the others, whose parts are not the same. */
static void test_eta_puts_each_phase_right_by_what_it_took(void **state)
{
    (void)state;
    const Profile times[] = {seconds_of(500.0, 500.0), seconds_of(900.0, 100.0),
                             seconds_of(100.0, 900.0)};
    const Unit units[] = {
        {.first = 0, .n = 3}
    };
    const Profile took = seconds_of(500.0, 1000.0);
    Eta *eta = eta_new(mem_dup(times, sizeof times), units, 1, 1);
    eta_end_cell(eta, 0, 1500.0, &took, 1500.0);
    assert_close(eta_left_s(eta, 1500.0), 900.0 + 200.0 + 100.0 + 1800.0, 0.005, 0.0);
    eta_end_cell(eta, 1, 1100.0,
                 &(Profile){
                     .s = {900.0, 200.0}
    },
                 2600.0);
    assert_close(eta_left_s(eta, 2600.0), 100.0 + 1800.0, 0.005, 0.0);
    eta_end_cell(eta, 2, 1900.0,
                 &(Profile){
                     .s = {100.0, 1800.0}
    },
                 4500.0);
    assert_true(eta_left_s(eta, 4500.0) == 0.0);
    eta_free(eta);
}

/* Prompts and statistics take time beside the engine; a server's engine tells nothing. */
static void test_eta_counts_all_seconds_of_a_cell(void **state)
{
    (void)state;
    Profile half = seconds_of(300.0, 200.0);
    half.s[PHASE_TOKENIZER] = 250.0;
    for (int known = 0; known < 2; known++) {
        Eta *eta = eta_of(4, 1, seconds_of(300.0, 200.0), 1);
        eta_end_cell(eta, 0, 1000.0, known ? &half : &unknown, 1000.0);
        assert_close(eta_left_s(eta, 1000.0), 3 * 1000.0, 0.005, 0.0);
        eta_free(eta);
    }
}

/* The first cell of many took three times as long, as one does that touches the memory first: a tenth of a second is no ground to
 * foretell three times the rest. */
static void test_eta_is_not_moved_far_by_a_short_cell(void **state)
{
    (void)state;
    Profile *times = mem_alloc(MOST, sizeof *times);
    Unit units[MOST];
    for (size_t i = 0; i < MOST; i++) {
        times[i] = seconds_of(0.0, i == 0 ? 0.1 : 10.0);
        units[i] = (Unit){.first = i, .n = 1};
    }
    Eta *eta = eta_new(times, units, MOST, 1);
    const Profile took = seconds_of(0.0, 0.3);
    eta_end_cell(eta, 0, 0.3, &took, 0.3);
    double left = eta_left_s(eta, 0.3);
    assert_true(left > 630.0 && left < 630.0 * 1.25);
    eta_free(eta);
}

/* The machine has become half as fast; what ended before says less and less. */
static void test_eta_follows_the_load_of_now(void **state)
{
    (void)state;
    Eta *eta = eta_of(64, 1, seconds_of(10.0, 0.0), 1);
    double now = 0.0;
    for (size_t i = 0; i < 28; i++) {
        double seconds = i < 20 ? 10.0 : 20.0;
        const Profile took = seconds_of(seconds, 0.0);
        now += seconds;
        eta_end_cell(eta, i, seconds, &took, now);
    }
    assert_close(eta_left_s(eta, now), 36 * 20.0, 0.05, 0.0);
    eta_free(eta);
}

/* Of four long cells the first has ended when the second, beside it, is all but ready. */
static void test_eta_takes_off_what_is_under_way(void **state)
{
    (void)state;
    const Profile took = seconds_of(0.0, 100.0);
    Eta *eta = eta_of(4, 1, seconds_of(0.0, 100.0), 2);
    eta_end_cell(eta, 0, 100.0, &took, 1100.0);
    assert_close(eta_left_s(eta, 1100.0), 100.0, 1e-9, 0.0);
    eta_end_cell(eta, 1, 105.0,
                 &(Profile){
                     .s = {0.0, 105.0}
    },
                 1105.0);
    assert_close(eta_left_s(eta, 1105.0), 103.7, 0.015, 0.0); /* by then cells take 102 to 105 s */
    eta_free(eta);
}

/* A gap between cells, in which nothing ran, is not taken for work: one cell of each job's unit at most. */
static void test_eta_takes_off_no_more_than_a_cell_of_each_job(void **state)
{
    (void)state;
    const Profile took = seconds_of(10.0, 0.0);
    Eta *eta = eta_of(64, 32, seconds_of(10.0, 0.0), 2);
    eta_end_cell(eta, 0, 10.0, &took, 10.0);
    eta_end_cell(eta, 1, 10.0, &took, 5000.0);
    assert_close(eta_left_s(eta, 5000.0), (32 - 1) * 10.0, 1e-9, 0.0);
    eta_free(eta);
}

/* Cells that end without being run say nothing of the speed. */
static void test_eta_cells_that_were_not_run_leave_the_speed_alone(void **state)
{
    (void)state;
    Eta *eta = eta_of(4, 1, seconds_of(50.0, 50.0), 1);
    eta_end_cell(eta, 0, 0.0, &unknown, 1.0);
    eta_end_cell(eta, 1, 0.0, &unknown, 2.0);
    assert_close(eta_left_s(eta, 2.0), 200.0, 1e-12, 0.0);
    eta_free(eta);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eta_shares_units_out_as_the_sweep_does),
        cmocka_unit_test(test_eta_puts_each_phase_right_by_what_it_took),
        cmocka_unit_test(test_eta_counts_all_seconds_of_a_cell),
        cmocka_unit_test(test_eta_is_not_moved_far_by_a_short_cell),
        cmocka_unit_test(test_eta_follows_the_load_of_now),
        cmocka_unit_test(test_eta_takes_off_what_is_under_way),
        cmocka_unit_test(test_eta_takes_off_no_more_than_a_cell_of_each_job),
        cmocka_unit_test(test_eta_cells_that_were_not_run_leave_the_speed_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
