#include "harness/export.h"

/* Appends one format, or why it cannot hold the setting. */
static void add_format(const RopeExport *format, const RopeSpec *spec,
                       const RopeExportTarget *target, Buf *out)
{
    Buf text = {0};
    Err why;
    bool ok = format->write(spec, target, &text, &why);
    buf_printf(out, "\n# %s: %s\n%s\n", format->name, format->help,
               ok ? buf_text(&text) : why.text);
    buf_free(&text);
}

void export_all(const RopeSpec *spec, const RopeExportTarget *target, Buf *out)
{
    char label[ROPE_TEXT_SIZE];
    rope_spec_text(spec, label);
    buf_printf(out, "# %s for %lld tokens\n", label, (long long)target->n_ctx);
    for (const RopeExport *format = rope_exports; format->name; format++)
        add_format(format, spec, target, out);
}
