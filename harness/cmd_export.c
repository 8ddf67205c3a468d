/* `export`: one setting in the words of the programs that deploy it. */
#include <stdio.h>

#include "base/str.h"
#include "harness/commands.h"
#include "harness/export.h"
#include "harness/load.h"
#include "harness/settings.h"

static const RopeExport *find_format(const char *name, Err *err)
{
    for (const RopeExport *format = rope_exports; format->name; format++)
        if (str_equal(format->name, name)) return format;
    Buf names = {0};
    for (const RopeExport *format = rope_exports; format->name; format++)
        buf_printf(&names, " %s", format->name);
    err_set(err, ERR_USAGE, "--format: \"%s\": allowed are:%s", name, buf_text(&names));
    buf_free(&names);
    return NULL;
}

static int export_setting(const Options *options, const RopeSpec *spec,
                          const RopeExportTarget *target, Err *err)
{
    if (options->format) {
        const RopeExport *format = find_format(options->format, err);
        if (!format) return EXIT_USAGE;
        Buf text = {0};
        bool ok = format->write(spec, target, &text, err);
        if (ok) printf("%s\n", buf_text(&text));
        buf_free(&text);
        return ok ? EXIT_OK : cli_exit_status(err->code);
    }
    Buf all = {0};
    export_all(spec, target, &all);
    fputs(buf_text(&all), stdout);
    buf_free(&all);
    return EXIT_OK;
}

int cmd_export(const Command *command, const Options *options, Err *err)
{
    (void)command;
    ModelConfig config;
    SettingList settings = {0};
    int64_t n_ctx = options->target         ? options->target
                    : options->n_ctx.n == 1 ? options->n_ctx.items[0]
                                            : 0;
    if (n_ctx == 0) {
        err_set(err, ERR_USAGE, "one context length is needed: --n-ctx N");
        return EXIT_USAGE;
    }
    if (!load_config(options, &config, err) ||
        !settings_make(options, &config.rope, SETTING_METHOD_MODEL, n_ctx, &settings, err))
        return cli_exit_status(err->code);
    RopeExportTarget target = {.arch = arch_find(config.arch),
                               .head_dim = config.head_dim,
                               .own = config.rope,
                               .n_ctx = n_ctx};
    int status = EXIT_USAGE;
    if (settings.n == 1)
        status = export_setting(options, &settings.items[0], &target, err);
    else
        err_set(err, ERR_USAGE, "one setting is exported at a time, %zu are given", settings.n);
    setting_list_free(&settings);
    return status;
}
