/* What was said before the measurement: the verdicts of the audit. */
#include "reports/page.h"
#include "reports/report_internal.h"

bool page_engineers(Page *page, Err *err)
{
    static const char sql[] =
        "SELECT model.name AS model, label AS setting, class, t.n_ctx, verdict,"
        " iif(amplitude = 1.0, NULL, amplitude) AS \"μ\","
        " printf('%.2g | %.2g', residual, residual_f32) AS \"residual (rad)\","
        " printf('%.2g | %.2g', shift_error, shift_error_f32) AS \"q·k\","
        " printf('%.2g | %.2g', norm_error, norm_error_f32) AS \"length\","
        " iif(largest_residue IS NULL, NULL, printf('%.2g, mean %.2g', largest_residue, mean_residue))"
        " AS \"residue (nats)\"" REPORT_SETTINGS_OF("audit") REPORT_SETTING_ORDER;
    size_t before = page->out->len;
    buf_puts(
        page->out,
        "<p>Engineer A changes the rotation (class position), Engineer B keeps it and scales θ (class theta). The "
        "audit takes how far queries are turned against keys, fits the best θ′ of every pair, and looks at "
        "what is left over: where that is rounding, A is B in disguise.</p>\n"
        "<p class=\"dim\">Over positions below n_ctx; two figures are in double | as the engine computes, in float. "
        "Residual: the largest angle that the best θ′ leaves over. q·k: its change, as a share of |q| |k|, when "
        "both positions move by the same shift. Length: the change of a rotated vector's, as a share of it. "
        "Residue: what is left over at the model; <code>ropewalk audit --db</code> measures it.</p>\n");
    size_t empty = page->out->len;
    if (!page_table(page, NULL, sql, err)) return false;
    if (page->out->len == empty) page->out->len = before;
    return true;
}
