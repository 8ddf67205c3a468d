/* How far work is and how long it will take: one line on a terminal, nothing elsewhere. */
#ifndef HARNESS_PROGRESS_H
#define HARNESS_PROGRESS_H

#include "harness/engine.h"

/* The line. Drawn on stderr when it is a terminal that can move its cursor and quiet is not set, ten times a second at most. */
typedef struct {
    bool shown;
    double last_drawn;
} ProgressLine;

ProgressLine progress_line_open(bool quiet);

/* Whether it is time to draw it again: then the caller makes the text. */
bool progress_line_is_due(const ProgressLine *line);
void progress_line_draw(ProgressLine *line, const char *text);

/* Takes it away, for other output. */
void progress_line_clear(const ProgressLine *line);

/* That of a sweep. */
typedef struct Progress Progress;

/* The plan must outlive it. Measures the machine's speed when the line will be shown. */
Progress *progress_open(const Plan *plan, EngineSplit split, bool quiet);

/* Takes the line away. */
void progress_close(Progress *progress);

/* For SweepConfig.on_start and on_cell; context is the Progress. */
void progress_start(void *context, const size_t *pending, size_t n);
void progress_cell(void *context, size_t cell, const CellResult *result, const Profile *engine);

enum { PROGRESS_TEXT_SIZE = 32 };

/* "8 s", "3 min 20 s", "2 h 5 min". */
void progress_time_text(double seconds, char out[PROGRESS_TEXT_SIZE]);

#endif
