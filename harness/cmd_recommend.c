/* `recommend`: which setting for a length or a mix of lengths, from a database alone; nothing is measured and no model is read. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/str.h"
#include "harness/cli_pairs.h"
#include "harness/commands.h"
#include "harness/export.h"
#include "harness/terminal.h"
#include "reports/recommend.h"
#include "reports/report.h"

/* Answers in the order to print them. */
typedef struct {
    Recommendation *items;
    size_t n;
} Answers;

static bool add_answer(const SeriesList *list, const MixPart *parts, size_t n, Answers *answers,
                       Err *err)
{
    answers->items = mem_realloc(answers->items, answers->n + 1, sizeof *answers->items);
    if (!recommend_make(list, parts, n, &answers->items[answers->n], err)) return false;
    answers->n++;
    return true;
}

/* One answer for each length, then the one for the mix. */
static bool make_answers(const Options *options, const SeriesList *list, Answers *answers, Err *err)
{
    for (size_t i = 0; i < options->n_ctx.n; i++)
        if (!add_answer(list, &(MixPart){options->n_ctx.items[i], 1.0}, 1, answers, err))
            return false;
    if (!options->mix) return true;
    MixPart *parts;
    size_t n;
    bool ok =
        cli_read_mix(options->mix, &parts, &n, err) && add_answer(list, parts, n, answers, err);
    free(parts);
    return ok;
}

static void free_answers(Answers *answers)
{
    for (size_t i = 0; i < answers->n; i++)
        recommend_free(&answers->items[i]);
    free(answers->items);
}

/* Makes a setting again from its row. False unless it is the measured one to the last bit, as its key tells. */
static bool read_setting(const SeriesSetting *setting, int64_t n_ctx, RopeSpec *spec)
{
    Err unused;
    Buf text = {0};
    char key[HASH_HEX_SIZE] = "";
    *spec = (RopeSpec){.theta = setting->theta,
                       .n_rot = (int)clamp_i64(setting->n_rot, 0, INT32_MAX),
                       .n_ctx_orig = setting->n_ctx_orig};
    if (rope_spec_parse(setting->label, spec, &unused) && rope_spec_resolve(spec, n_ctx, &unused)) {
        rope_spec_key(spec, &text);
        hash_bytes(text.data, text.len, key);
    }
    buf_free(&text);
    return str_equal(key, setting->key);
}

/* Appends the winner in the words of the programs that deploy it, or the command that prints them. */
static void add_export(const Recommendation *answer, Buf *out)
{
    const SeriesList *list = answer->list;
    const Arch *arch = list->arch ? arch_find(list->arch) : NULL;
    const RopeMethod *own = list->own_method ? rope_method_find(list->own_method) : NULL;
    const SeriesSetting *setting = &list->settings[answer->winner];
    int64_t n_ctx = answer->parts[answer->mix.n - 1].n_ctx;
    RopeSpec spec;
    if (arch && own && list->head_dim > 0 && read_setting(setting, n_ctx, &spec)) {
        RopeExportTarget target = {
            .arch = arch,
            .head_dim = (int)clamp_i64(list->head_dim, spec.n_rot, INT32_MAX),
            .own = {.method = own, .n_ctx_orig = list->n_ctx_orig},
            .n_ctx = n_ctx
        };
        export_all(&spec, &target, out);
        return;
    }
    char *path = list->model_path;
    char *label = setting->label;
    char *quoted_path = path ? cli_quote(1, &path) : str_dup("PATH");
    char *quoted_label = cli_quote(1, &label);
    buf_printf(
        out, "# for the lines to deploy it: ropewalk export --model %s --method %s --n-ctx %lld\n",
        quoted_path, quoted_label, (long long)n_ctx);
    free(quoted_path);
    free(quoted_label);
}

static void add_text(const Recommendation *answer, Buf *out)
{
    recommend_text(answer, out);
    if (answer->winner == answer->list->n_settings) return;
    buf_putc(out, '\n');
    recommend_costs(answer, out);
    buf_putc(out, '\n');
    add_export(answer, out);
}

static json_t *answer_json(const Recommendation *answer)
{
    Buf text = {0};
    json_t *object = recommend_json(answer);
    if (answer->winner < answer->list->n_settings) add_export(answer, &text);
    json_t *lines = json_string(buf_text(&text));
    json_object_set_new(object, "export", lines ? lines : json_null());
    buf_free(&text);
    return object;
}

static void print_answers(const Answers *answers, bool as_json)
{
    Buf out = {0};
    if (as_json) {
        json_t *array = json_array();
        for (size_t i = 0; i < answers->n; i++)
            json_array_append_new(array, answer_json(&answers->items[i]));
        json_t *root = json_pack("{s:o}", "answers", array);
        char *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
        buf_printf(&out, "%s\n", text ? text : "");
        free(text);
        json_decref(root);
    } else {
        for (size_t i = 0; i < answers->n; i++) {
            if (i > 0) buf_puts(&out, "\n\n");
            add_text(&answers->items[i], &out);
        }
    }
    terminal_print(buf_text(&out), out.len);
    buf_free(&out);
}

static bool check_options(const Options *options, Err *err)
{
    if (!options->db)
        return err_set(err, ERR_USAGE,
                       "recommend: from which database? Give --db FILE, as `ropewalk sweep` was "
                       "given");
    if (options->n_ctx.n == 0 && !options->mix)
        return err_set(err, ERR_USAGE,
                       "recommend: for which length? Give --n-ctx N, or --mix N:SHARE,…");
    return options->model.n <= 1 ||
           err_set(err, ERR_USAGE, "recommend answers for one model at a time");
}

static bool recommend(const Options *options, Err *err)
{
    Store *store = store_open_read_only(options->db, err);
    if (!store) return false;
    SeriesList list;
    Answers answers = {0};
    const char *name = options->model.n ? options->model.items[0] : NULL;
    bool ok = report_check_run(store, options->run, err) &&
              series_load(store, name, options->run, &list, err);
    store_close(store);
    if (!ok) return false;
    ok = make_answers(options, &list, &answers, err);
    if (ok) print_answers(&answers, options->json);
    free_answers(&answers);
    series_free(&list);
    return ok;
}

int cmd_recommend(const Command *command, const Options *options, Err *err)
{
    (void)command;
    if (check_options(options, err) && recommend(options, err)) return EXIT_OK;
    return cli_exit_status(err->code);
}
