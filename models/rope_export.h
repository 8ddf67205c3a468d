/* A setting in the words of the programs that deploy it. A format that cannot hold a setting says so and writes
 * nothing. */
#ifndef MODELS_ROPE_EXPORT_H
#define MODELS_ROPE_EXPORT_H

#include "models/rope.h"

typedef struct {
    const char *name; /* "hf-v5" */
    const char *help;
    /* Appends the text for a resolved spec, with the context length set to n_ctx. Errors: UNSUPPORTED. */
    bool (*write)(const RopeSpec *spec, int64_t n_ctx, Buf *out, Err *err);
} RopeExport;

/* All formats. Ends with a row whose name is NULL. */
extern const RopeExport rope_exports[];

#endif
