/* From options to cells.
 *
 * The order is the whole economy of a sweep, since a session keeps what two prompts in a row share. Cells are sorted by model and
 * setting (a new table empties the session), then by probe. A probe with depths runs by the needle's position, depth × n_ctx, falling
 * and across all lengths: filler is one stream, so each prompt shares all tokens before its needle with the one before. Cells whose texts
 * are the beginnings of a longer length's run by falling length, since the scores of the longest answer them; a probe without depths else by
 * rising length. Where the table depends on n_ctx, no two lengths share anything, and length comes first.
 *
 * The key of a cell is the hash of a text with one line for each thing that can change its number, and of nothing else: neither labels
 * nor the other cells of the sweep, nor threads, jobs or paths. */
#include "harness/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "harness/load.h"
#include "harness/server.h"
#include "harness/settings.h"
#include "harness/source.h"
#include "models/model.h"

/* Adds a probe; one that is there already would only run its cells twice. */
static bool add_probe(Plan *plan, const char *text, Err *err)
{
    ProbeSpec spec;
    if (!probe_spec_parse(text, &spec, err)) return false;
    for (size_t i = 0; i < plan->n_probes; i++)
        if (plan->probes[i].probe == spec.probe &&
            memcmp(plan->probes[i].value, spec.value, sizeof spec.value) == 0)
            return true;
    plan->probes[plan->n_probes++] = spec;
    return true;
}

static bool read_probes(Plan *plan, Err *err)
{
    const StringList *given = &plan->options->probe;
    plan->probes = mem_zalloc(given->n + 2, sizeof *plan->probes);
    for (size_t i = 0; i < given->n; i++)
        if (!add_probe(plan, given->items[i], err)) return false;
    if (given->n > 0) return true;
    return add_probe(plan, "passkey", err) &&
           (!plan->options->corpus || add_probe(plan, "perplexity", err));
}

static bool check_corpus_given(const Plan *plan, Err *err)
{
    for (size_t i = 0; i < plan->n_probes; i++)
        if (plan->probes[i].probe->uses_corpus(&plan->probes[i]) && !plan->options->corpus)
            return err_set(err, ERR_USAGE, "probe %s reads a text: give --corpus FILE or FOLDER",
                           plan->probes[i].probe->name);
    return true;
}

Plan *plan_new(const Options *options, Err *err)
{
    Plan *plan = mem_zalloc(1, sizeof *plan);
    plan->options = options;
    plan->target_max = options->target_max ? options->target_max : PLAN_DEFAULT_TARGET_MAX;
    if (read_probes(plan, err) && check_corpus_given(plan, err)) return plan;
    plan_free(plan);
    return NULL;
}

static void free_model(PlanModel *model)
{
    for (size_t i = 0; i < model->n_settings; i++)
        free(model->settings[i].same);
    free(model->settings);
    corpus_free(model->corpus);
    backend_close(&model->text);
    tokenizer_free(model->tokenizer);
    server_free(model->server);
    free(model->path);
    free(model->origin);
    free(model->name);
    free(model->format);
    free(model->tokenizer_kind);
    free(model->notes);
}

void plan_free(Plan *plan)
{
    if (!plan) return;
    for (size_t i = 0; i < plan->n_models; i++)
        free_model(&plan->models[i]);
    free(plan->models);
    free(plan->probes);
    free(plan->n_ctx);
    free(plan->checks);
    free(plan->cells);
    free(plan);
}

static PlanModel *new_model(Plan *plan)
{
    plan->models = mem_realloc(plan->models, plan->n_models + 1, sizeof *plan->models);
    PlanModel *model = &plan->models[plan->n_models++];
    *model = (PlanModel){0};
    return model;
}

static Corpus *open_corpus(const Options *options, const DocumentSplit *split, const Backend *text,
                           Err *err)
{
    const HubSource *source = source_find(options, options->corpus);
    Corpus *corpus = corpus_open(source_path(options, options->corpus), split, text, err);
    if (!corpus || !source) return corpus;
    free(corpus->path);
    free(corpus->name);
    corpus->path = str_dup(source->origin);
    corpus->name = str_dup(source->name);
    return corpus;
}

/* What every model gets once its text backend is open. */
static bool finish_model(const Plan *plan, PlanModel *model, Err *err)
{
    const Options *options = plan->options;
    model->own = model->config.rope;
    if (options->theta > 0.0) model->own.theta = options->theta;
    if (options->n_ctx_orig > 0) model->own.n_ctx_orig = options->n_ctx_orig;
    DocumentSplit split;
    if (!document_split_parse(options->documents ? options->documents : "file", &split, err))
        return false;
    if (!options->corpus || !model->text.has_text) return true;
    model->corpus = open_corpus(options, &split, &model->text, err);
    return model->corpus != NULL;
}

/* "walker" of "models/walker/". */
static char *model_name(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    char *trimmed = str_dup_n(path, n);
    char *name = str_dup(file_base_name(trimmed));
    free(trimmed);
    return name;
}

static bool read_model(PlanModel *model, const WeightFile *file, const Options *options, bool dry,
                       Err *err)
{
    char why[256] = "";
    const KernelPath *kernels;
    if (!load_kernels(options, &kernels, err) || !weights_read_config(file, &model->config, err) ||
        !model_check(file, err) || !weights_read_tokenizer(file, &model->tokenizer, why, err))
        return false;
    model->owned_bytes = model_owned_bytes(file, kernels);
    bool tied = !weights_find(file, arch_find(model->config.arch)->slot_name[SLOT_HEAD]);
    model->n_params = model_n_params(&model->config, tied);
    model->format = str_dup(weights_format(file)->name);
    model->notes = str_dup(weights_notes(file));
    model->tokenizer_kind = str_dup(model->tokenizer ? tokenizer_kind(model->tokenizer) : why);
    backend_open_text(&model->text, model->tokenizer, model->config.vocab_size);
    return dry || weights_hash(file, model->hash, err);
}

/* Two paths to one model would run the same cells twice. */
static bool check_is_new(const Plan *plan, const PlanModel *model, Err *err)
{
    for (size_t i = 0; i + 1 < plan->n_models; i++)
        if (model->hash[0] && str_equal(plan->models[i].hash, model->hash))
            return err_set(err, ERR_USAGE, "%s and %s are the same model: give it once",
                           plan->models[i].path, model->path);
    return true;
}

static bool add_server(Plan *plan, const char *address, bool dry, Err *err)
{
    PlanModel *model = new_model(plan);
    model->path = str_dup(address);
    return server_read_model(model, plan->options, dry, err) && check_is_new(plan, model, err) &&
           finish_model(plan, model, err);
}

bool plan_add_model(Plan *plan, const char *path, bool dry, Err *err)
{
    if (openai_is_address(path)) return add_server(plan, path, dry, err);
    PlanModel *model = new_model(plan);
    const HubSource *source = source_find(plan->options, path);
    model->path = str_dup(source ? source->path : path);
    model->origin = str_dup(source ? source->origin : path);
    model->name = source ? str_dup(source->name) : model_name(path);
    WeightFile *file = weights_open(model->path, err);
    bool ok = file && read_model(model, file, plan->options, dry, err) &&
              check_is_new(plan, model, err) && finish_model(plan, model, err);
    weights_close(file);
    return ok;
}

bool plan_add_backend(Plan *plan, const char *name, const ModelConfig *config, Backend backend,
                      Err *err)
{
    PlanModel *model = new_model(plan);
    model->name = str_dup(name);
    model->config = *config;
    model->text = backend;
    hash_bytes(name, strlen(name), model->hash);
    return finish_model(plan, model, err);
}

/* --n-ctx, or 1, 2 and 4 times the first model's trained length. */
static bool choose_lengths(Plan *plan, Err *err)
{
    const SizeList *given = &plan->options->n_ctx;
    int64_t m_l = plan->models[0].own.n_ctx_orig;
    if (given->n == 0 && m_l < 1)
        return err_set(err, ERR_USAGE,
                       "the trained length is not known: give --n-ctx or --n-ctx-orig");
    plan->n_lengths = given->n ? given->n : 3;
    plan->n_ctx = mem_alloc(plan->n_lengths, sizeof *plan->n_ctx);
    for (size_t i = 0; i < plan->n_lengths; i++)
        plan->n_ctx[i] = given->n ? given->items[i] : m_l << i;
    return true;
}

/* Whether two specs rotate alike at every length of the plan. */
static bool equal_everywhere(const Plan *plan, const RopeSpec *a, const RopeSpec *b, bool *equal,
                             Err *err)
{
    RopeTable table_a, table_b;
    *equal = true;
    for (size_t i = 0; *equal && i < plan->n_lengths; i++) {
        if (!rope_table_make(a, plan->n_ctx[i], &table_a, err) ||
            !rope_table_make(b, plan->n_ctx[i], &table_b, err))
            return false;
        *equal = rope_table_equal(&table_a, &table_b);
    }
    return true;
}

static void note_same(PlanSetting *setting, const char *label)
{
    char *longer = setting->same ? str_format("%s, %s", setting->same, label) : str_dup(label);
    free(setting->same);
    setting->same = longer;
}

PlanSetting plan_setting_of(const RopeSpec *spec)
{
    PlanSetting setting = {.spec = *spec};
    rope_spec_text(spec, setting.label);
    Buf key = {0};
    rope_spec_key(spec, &key);
    hash_bytes(key.data, key.len, setting.key);
    buf_free(&key);
    return setting;
}

/* Adds a setting, or its label to the one it is equal to. */
static bool merge_setting(const Plan *plan, PlanModel *model, const RopeSpec *spec, Err *err)
{
    char label[ROPE_TEXT_SIZE] = "";
    rope_spec_text(spec, label);
    for (size_t i = 0; i < model->n_settings; i++) {
        bool equal;
        PlanSetting *setting = &model->settings[i];
        if (!equal_everywhere(plan, &setting->spec, spec, &equal, err)) return false;
        if (!equal) continue;
        if (!str_equal(setting->label, label)) note_same(setting, label);
        return true;
    }
    model->settings[model->n_settings++] = plan_setting_of(spec);
    return true;
}

static bool make_settings(const Plan *plan, PlanModel *model, Err *err)
{
    SettingList list = {0};
    int64_t longest = plan->n_ctx[plan->n_lengths - 1];
    bool is_there = model->server && plan->options->as_served;
    const char *fallback = is_there ? SETTING_METHOD_MODEL : "none,linear,ntk";
    if (!settings_make(plan->options, &model->config.rope, fallback, longest, &list, err))
        return err_prefix(err, "%s", model->name);
    model->settings = mem_zalloc(list.n + 1, sizeof *model->settings);
    bool ok = !model->server || server_check_settings(plan->options, list.n, err);
    for (size_t i = 0; ok && i < list.n; i++)
        ok = merge_setting(plan, model, &list.items[i], err);
    setting_list_free(&list);
    return ok;
}

static PlanCheck *find_check(const Plan *plan, size_t model, size_t probe, size_t length)
{
    return &plan->checks[(model * plan->n_probes + probe) * plan->n_lengths + length];
}

static ProbeInput make_input(const Plan *plan, size_t model, size_t probe)
{
    return (ProbeInput){
        .spec = &plan->probes[probe],
        .text = &plan->models[model].text,
        .corpus = plan->models[model].corpus,
        .seed = (uint64_t)plan->options->seed,
        .target_max = plan->target_max,
        .limit = plan->options->limit,
        .no_reuse = plan->options->no_reuse,
    };
}

/* Bytes of kept scores; what a server has computed is not kept, nor what takes too much memory. */
static size_t count_kept(const PlanModel *model, const ProbeInput *input, int64_t n_ctx)
{
    const Probe *probe = input->spec->probe;
    size_t bytes = probe->kept_bytes && !model->server ? probe->kept_bytes(input, n_ctx) : 0;
    return bytes <= PLAN_MAX_KEPT ? bytes : 0;
}

static void make_checks(Plan *plan)
{
    plan->checks =
        mem_zalloc(plan->n_models * plan->n_probes * plan->n_lengths, sizeof *plan->checks);
    for (size_t m = 0; m < plan->n_models; m++) {
        for (size_t p = 0; p < plan->n_probes; p++) {
            ProbeInput input = make_input(plan, m, p);
            if (input.spec->probe->measure) input.spec->probe->measure(&input);
            for (size_t i = 0; i < plan->n_lengths; i++) {
                PlanCheck *check = find_check(plan, m, p, i);
                check->n_lead = input.n_lead;
                check->n_fixed = input.n_fixed;
                check->status = input.spec->probe->check(&input, plan->n_ctx[i], check->why);
                if (check->status == CELL_PENDING)
                    check->kept_bytes = count_kept(&plan->models[m], &input, plan->n_ctx[i]);
            }
        }
    }
}

/* Settings × lengths × depths, summed over models and probes; UINT64_MAX when that overflows. */
static uint64_t count_cells(const Plan *plan)
{
    double depths[PROBE_MAX_DEPTHS];
    size_t per_setting = 0, n = 0;
    for (size_t p = 0; p < plan->n_probes; p++)
        per_setting += plan->probes[p].probe->plan(&plan->probes[p], depths);
    for (size_t m = 0; m < plan->n_models; m++) {
        size_t cells;
        if (!size_mul(plan->models[m].n_settings, plan->n_lengths, &cells) ||
            !size_mul(cells, per_setting, &cells) || !size_add(n, cells, &n))
            return UINT64_MAX;
    }
    return n;
}

static bool check_count(const Plan *plan, uint64_t n, Err *err)
{
    if (n > PLAN_MAX_CELLS)
        return err_set(err, ERR_USAGE,
                       "the sweep has %llu cells; at most %d can be planned at once",
                       (unsigned long long)n, PLAN_MAX_CELLS);
    if (n > PLAN_MAX_CELLS_ASKED && !plan->options->yes && !plan->options->dry_run)
        return err_set(err, ERR_USAGE,
                       "the sweep has %llu cells, more than %d; give --yes if that is meant",
                       (unsigned long long)n, PLAN_MAX_CELLS_ASKED);
    return true;
}

static void add_cells(Plan *plan, size_t model, size_t setting, size_t probe)
{
    double depths[PROBE_MAX_DEPTHS];
    size_t n_depths = plan->probes[probe].probe->plan(&plan->probes[probe], depths);
    for (size_t i = 0; i < plan->n_lengths; i++)
        for (size_t d = 0; d < n_depths; d++)
            plan->cells[plan->n_cells++] = (PlanCell){
                .model = (uint32_t)model,
                .setting = (uint32_t)setting,
                .probe = (uint32_t)probe,
                .length = (uint32_t)i,
                .depth = depths[d],
            };
}

/* Rank of a cell among those of its setting and probe; see the head of this file. */
typedef struct {
    uint32_t group;
    double position;
    double n_ctx;
} Rank;

static Rank rank_of(const Plan *plan, const PlanCell *cell)
{
    double n_ctx = (double)plan->n_ctx[cell->length];
    bool is_kept = plan_check(plan, cell)->kept_bytes > 0;
    bool alone = !is_kept && rope_spec_depends_on_n_ctx(&plan_setting(plan, cell)->spec);
    return (Rank){
        .group = alone ? cell->length : 0,
        .position = is_kept              ? -n_ctx
                    : isnan(cell->depth) ? n_ctx
                                         : -cell->depth * n_ctx,
        .n_ctx = n_ctx,
    };
}

static int compare_ranks(const Rank *a, const Rank *b)
{
    if (a->group != b->group) return a->group < b->group ? -1 : 1;
    if (a->position < b->position || a->position > b->position)
        return a->position < b->position ? -1 : 1;
    return (a->n_ctx > b->n_ctx) - (a->n_ctx < b->n_ctx);
}

typedef struct {
    Rank rank;
    PlanCell cell;
} RankedCell;

static int compare_cells(const void *left, const void *right)
{
    const RankedCell *a = left, *b = right;
    return compare_ranks(&a->rank, &b->rank);
}

/* Sorts the cells of one model, setting and probe, from `first` on. */
static void sort_cells(Plan *plan, size_t first)
{
    size_t n = plan->n_cells - first;
    RankedCell *ranked = mem_alloc(n + 1, sizeof *ranked);
    for (size_t i = 0; i < n; i++)
        ranked[i] = (RankedCell){rank_of(plan, &plan->cells[first + i]), plan->cells[first + i]};
    qsort(ranked, n, sizeof *ranked, compare_cells);
    for (size_t i = 0; i < n; i++)
        plan->cells[first + i] = ranked[i].cell;
    free(ranked);
}

static void make_cells(Plan *plan, size_t n)
{
    plan->cells = mem_alloc(n + 1, sizeof *plan->cells);
    for (size_t m = 0; m < plan->n_models; m++) {
        for (size_t s = 0; s < plan->models[m].n_settings; s++) {
            for (size_t p = 0; p < plan->n_probes; p++) {
                size_t first = plan->n_cells;
                add_cells(plan, m, s, p);
                sort_cells(plan, first);
            }
        }
    }
    assert(plan->n_cells == n);
}

bool plan_lay_out(Plan *plan, Err *err)
{
    assert(plan->n_models > 0);
    if (!choose_lengths(plan, err)) return false;
    for (size_t i = 0; i < plan->n_models; i++)
        if (!make_settings(plan, &plan->models[i], err)) return false;
    uint64_t n = count_cells(plan);
    if (!check_count(plan, n, err)) return false;
    make_checks(plan);
    make_cells(plan, (size_t)n);
    return true;
}

const PlanModel *plan_model(const Plan *plan, const PlanCell *cell)
{
    return &plan->models[cell->model];
}

const PlanSetting *plan_setting(const Plan *plan, const PlanCell *cell)
{
    return &plan->models[cell->model].settings[cell->setting];
}

const PlanCheck *plan_check(const Plan *plan, const PlanCell *cell)
{
    return find_check(plan, cell->model, cell->probe, cell->length);
}

int64_t plan_n_ctx(const Plan *plan, const PlanCell *cell)
{
    return plan->n_ctx[cell->length];
}

bool plan_is_nested(const Plan *plan, const PlanCell *cell)
{
    return plan_check(plan, cell)->kept_bytes > 0 && !plan->options->no_reuse &&
           !rope_spec_depends_on_n_ctx(&plan_setting(plan, cell)->spec);
}

size_t plan_kept_bytes(const Plan *plan, size_t model, int64_t n_ctx_max)
{
    size_t most = 0;
    for (size_t p = 0; p < plan->n_probes && !plan->options->no_reuse; p++) {
        size_t n_kept = 0, bytes = 0;
        for (size_t i = 0; i < plan->n_lengths && plan->n_ctx[i] <= n_ctx_max; i++) {
            size_t own = find_check(plan, model, p, i)->kept_bytes;
            n_kept += own > 0;
            if (own > bytes) bytes = own;
        }
        if (n_kept > 1 && bytes > most) most = bytes; /* one length alone serves no other */
    }
    return most;
}

ProbeInput plan_input(const Plan *plan, const PlanCell *cell)
{
    ProbeInput input = make_input(plan, cell->model, cell->probe);
    input.n_lead = plan_check(plan, cell)->n_lead;
    input.n_fixed = plan_check(plan, cell)->n_fixed;
    input.is_kept = plan_check(plan, cell)->kept_bytes > 0 && !plan->options->no_reuse;
    return input;
}

ProbeCost plan_cost(const Plan *plan, const PlanCell *cell, const PlanCell *before)
{
    ProbeInput input = plan_input(plan, cell);
    if (plan_check(plan, cell)->status != CELL_PENDING) return (ProbeCost){0};
    return input.spec->probe->cost(&input, plan_n_ctx(plan, cell), cell->depth,
                                   before ? plan_n_ctx(plan, before) : 0);
}

/* The probe's parameters, with the grid's length where the probe lays one out. */
static char *params_text(const Plan *plan, const ProbeSpec *spec)
{
    Buf text = {0};
    probe_spec_text(spec, &text);
    if (spec->probe->uses_target_max)
        buf_printf(&text, ",target_max=%lld", (long long)plan->target_max);
    if (plan->options->limit > 0) buf_printf(&text, ",limit=%lld", (long long)plan->options->limit);
    return buf_steal(&text);
}

static char *canonical_text(const Plan *plan, const PlanCell *cell, const CellRow *row)
{
    Buf text = {0};
    char depth[32] = "none";
    if (!isnan(row->depth)) str_from_double(row->depth, depth);
    buf_printf(&text, "model %s\nrope ", row->model_hash);
    rope_spec_key(&plan_setting(plan, cell)->spec, &text);
    buf_printf(&text, "\nprobe %s\n", row->probe);
    int version = plan->probes[cell->probe].probe->version;
    if (version > 0) buf_printf(&text, "probe_version %d\n", version);
    buf_printf(&text, "params %s\nbos %s\ncorpus %s\n", row->params, row->bos_policy,
               row->corpus_hash ? row->corpus_hash : "none");
    buf_printf(&text, "n_ctx %lld\ndepth %s\nseed %lld\n", (long long)row->n_ctx, depth,
               (long long)row->seed);
    buf_printf(&text, "precision %s\nnumeric_version %d\n", row->precision, row->numeric_version);
    return buf_steal(&text);
}

CellRow plan_cell_row(const Plan *plan, const PlanCell *cell, PlanCellText *text)
{
    const PlanModel *model = plan_model(plan, cell);
    const ProbeSpec *spec = &plan->probes[cell->probe];
    bool reads_corpus = spec->probe->uses_corpus(spec) && model->corpus;
    *text = (PlanCellText){.protocol = probe_protocol(spec), .params = params_text(plan, spec)};
    CellRow row = {
        .model_hash = model->hash,
        .setting_key = plan_setting(plan, cell)->key,
        .corpus_hash = reads_corpus ? model->corpus->hash : NULL,
        .n_ctx = plan_n_ctx(plan, cell),
        .probe = spec->probe->name,
        .protocol = text->protocol,
        .params = text->params,
        .depth = cell->depth,
        .seed = plan->options->seed,
        .precision = model->server              ? "server"
                     : plan->options->precision ? plan->options->precision
                                                : "f32",
        .numeric_version = SESSION_NUMERIC_VERSION,
        .bos_policy = probe_with_bos(spec, &model->text) ? "bos" : "none",
        .limited = plan->options->limit > 0,
    };
    text->canonical = canonical_text(plan, cell, &row);
    hash_bytes(text->canonical, strlen(text->canonical), text->key);
    row.key = text->key;
    row.canonical = text->canonical;
    return row;
}

void plan_cell_text_free(PlanCellText *text)
{
    free(text->canonical);
    free(text->protocol);
    free(text->params);
    *text = (PlanCellText){0};
}
