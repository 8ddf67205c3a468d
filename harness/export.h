/* A setting in every format that deploys it. */
#ifndef HARNESS_EXPORT_H
#define HARNESS_EXPORT_H

#include "models/rope_export.h"

/* Appends the setting and each format under a heading, or why it cannot hold it. */
void export_all(const RopeSpec *spec, const RopeExportTarget *target, Buf *out);

#endif
