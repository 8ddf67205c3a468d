/* What products of another precision do to a model's numbers, measured. */
#ifndef HARNESS_DRIFT_H
#define HARNESS_DRIFT_H

#include "base/buf.h"
#include "models/model.h"

/* Appends a line (without its end) on how the model's nll on a short window differs from that of its weights in f32, which are loaded
 * for it; or why that could not be measured. Nothing where the model's own precision is f32. */
void drift_text(const Model *model, Buf *out);

/* Prints the line on standard error, if there is one. */
void drift_print(const Model *model);

#endif
