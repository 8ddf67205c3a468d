#include "harness/profile.h"

#include <stdio.h>

static void print_row(const char *name, double seconds, double total)
{
    fprintf(stderr, "%10.3f s %5.1f %%  %s\n", seconds, 100.0 * seconds / total, name);
}

void profile_print(const Profile *engine, const ProfileRow *rows, size_t n, double total_s)
{
    static const char *const names[N_PHASES] = {
        [PHASE_LINEAR] = "linear layers",
        [PHASE_ATTENTION] = "attention",
        [PHASE_HEAD] = "head, and what is taken from logits",
        [PHASE_REST] = "norms, rotation, activation, cache",
        [PHASE_TOKENIZER] = "tokenizer",
    };
    double rest = total_s;
    for (int phase = 0; phase < N_PHASES; phase++) {
        print_row(names[phase], engine->s[phase], total_s);
        rest -= engine->s[phase];
    }
    for (size_t i = 0; i < n; i++) {
        print_row(rows[i].name, rows[i].s, total_s);
        rest -= rows[i].s;
    }
    print_row("everything else", rest, total_s);
    print_row("total", total_s, total_s);
}
