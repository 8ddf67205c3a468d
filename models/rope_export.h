/* A setting in the words of the programs that deploy it. A format that cannot hold a setting says so and writes
 * nothing. */
#ifndef MODELS_ROPE_EXPORT_H
#define MODELS_ROPE_EXPORT_H

#include "models/arch.h"

/* Where a setting goes. */
typedef struct {
    const Arch *arch;
    int head_dim; /* at least the spec's n_rot */
    RopeSpec
        own; /* the scaling in the model's file, which stays there; without a model method "none", n_ctx_orig 0
                      when nobody stated it */
    int64_t n_ctx; /* the context length to set */
} RopeExportTarget;

typedef struct {
    const char *name; /* "hf-v5" */
    const char *help;
    /* Appends the text for a resolved spec. Errors: UNSUPPORTED. */
    bool (*write)(const RopeSpec *spec, const RopeExportTarget *target, Buf *out, Err *err);
} RopeExport;

/* All formats. Ends with a row whose name is NULL. */
extern const RopeExport rope_exports[];

#endif
