#include "harness/profile.h"

#include <stdio.h>

static void print_row(const char *name, double seconds, double total)
{
    fprintf(stderr, "%10.3f s %5.1f %%  %s\n", seconds, 100.0 * seconds / total, name);
}

void profile_print(const Profile *engine, const char *what, double what_s, double total_s)
{
    static const char *const names[N_PHASES] = {
        [PHASE_LINEAR] = "linear layers",
        [PHASE_ATTENTION] = "attention",
        [PHASE_HEAD] = "head, and what is taken from logits",
        [PHASE_REST] = "norms, rotation, activation, cache",
    };
    double rest = total_s - what_s;
    for (int phase = 0; phase < N_PHASES; phase++) {
        print_row(names[phase], engine->s[phase], total_s);
        rest -= engine->s[phase];
    }
    if (what) print_row(what, what_s, total_s);
    print_row("everything else", rest, total_s);
    print_row("total", total_s, total_s);
}
