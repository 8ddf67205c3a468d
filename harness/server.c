/* A server's model in a sweep: load asks (or launches, waits and asks), open connects, unload stops what was launched. */
#include "harness/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "harness/launch.h"
#include "harness/progress.h"
#include "harness/signals.h"
#include "harness/source.h"
#include "harness/version.h"

enum {
    LAUNCH_WAIT_S = 1800, /* large models take minutes to load */
    READY_TIMEOUT_S = 5,
    MAX_KEY_BYTES = 1 << 12,
};

static void forget_key(PlanServer *server)
{
    if (server->key) explicit_bzero(server->key, strlen(server->key));
    free(server->key);
    server->key = NULL;
}

void server_free(PlanServer *server)
{
    if (!server) return;
    forget_key(server);
    free(server->agent);
    free(server);
}

/* One line of a file, or the environment's; NULL where there is none. */
static bool read_key(const Options *options, char **key, Err *err)
{
    const char *given = getenv("OPENAI_API_KEY");
    *key = NULL;
    if (!options->api_key_file) {
        if (given && *given) *key = str_dup(given);
        return true;
    }
    Buf text = {0};
    bool ok = file_read(options->api_key_file, MAX_KEY_BYTES, &text, err);
    if (ok) *key = str_dup_n(buf_text(&text), strcspn(buf_text(&text), "\r\n"));
    if (text.data) explicit_bzero(text.data, text.len);
    buf_free(&text);
    return ok;
}

/* A key with a line break would be another header. */
static bool check_key(const char *key, Err *err)
{
    for (const char *c = key ? key : ""; *c; c++)
        if (*c <= ' ' || *c > '~')
            return err_set(
                err, ERR_USAGE,
                "the API key (OPENAI_API_KEY, --api-key-file) holds a blank or a control "
                "character");
    return true;
}

static bool check_options(const Options *options, const OpenaiAddress *address, Err *err)
{
    if (!options->as_served && !options->server_cmd)
        return err_set(
            err, ERR_USAGE,
            "%s: a server's scaling is set when it is launched: say which one it was launched with "
            "(--method NAME --as-served; --as-served alone: as in the model's file), or how to "
            "launch it (--server-cmd)",
            address->base);
    if (options->as_served && options->server_cmd)
        return err_set(err, ERR_USAGE,
                       "--as-served and --server-cmd: a server is there already or is launched");
    if (options->server_cmd && !address->name[0])
        return err_set(err, ERR_USAGE, "--server-cmd: name the model, as in --model %s#NAME",
                       address->root);
    return options->tokenizer ||
           err_set(
               err, ERR_USAGE,
               "%s: prompts are sent as token ids: give --tokenizer, the model's folder with its "
               "config.json and tokenizer.json (no weights are needed), its .gguf, or hf://org/name",
               address->base);
}

bool server_check_settings(const Options *options, size_t n, Err *err)
{
    return n == 1 || !options->as_served ||
           err_set(err, ERR_USAGE,
                   "--as-served: a server runs under one setting, %zu are given; --server-cmd "
                   "launches one for each",
                   n);
}

/* config.json and tokenizer.json of a folder; weights may be absent. */
static bool read_folder(PlanModel *model, const char *folder, Err *err)
{
    const JsonLimits limits = {.max_bytes = CONFIG_MAX_BYTES, .ints_as_reals = true};
    char *config_path = file_join(folder, "config.json");
    char *path = file_join(folder, "tokenizer.json");
    char *beside = file_join(folder, "tokenizer_config.json");
    Buf notes = {0};
    json_t *root = json_parse_file(config_path, &limits, err);
    bool ok = root && config_from_json(root, config_path, &model->config, &notes, err) &&
              config_check(&model->config, config_path, err);
    if (ok) model->tokenizer = tokenizer_open_json(path, file_exists(beside) ? beside : NULL, err);
    ok = ok && model->tokenizer && hash_file(path, model->hash, err);
    json_decref(root);
    buf_free(&notes);
    free(config_path);
    free(path);
    free(beside);
    return ok;
}

static bool read_file(PlanModel *model, const char *path, Err *err)
{
    char why[256] = "";
    WeightFile *file = weights_open(path, err);
    bool ok = file && weights_read_config(file, &model->config, err) &&
              weights_read_tokenizer(file, &model->tokenizer, why, err) &&
              weights_hash(file, model->hash, err);
    if (ok && !model->tokenizer)
        ok = err_set(err, ERR_UNSUPPORTED, "%s: no tokenizer that is read: %s", path, why);
    weights_close(file);
    return ok;
}

/* What of a folder, which its tokenizer.json may stand for, or of a file of weights says what the served model is. */
static bool read_texts(PlanModel *model, const Options *options, Err *err)
{
    const char *path = source_path(options, options->tokenizer);
    const char *name = file_base_name(path);
    bool is_folder = file_is_dir(path), ok;
    if (is_folder || str_equal(name, "tokenizer.json")) {
        char *folder = is_folder      ? str_dup(path)
                       : name == path ? str_dup(".")
                                      : str_dup_n(path, (size_t)(name - path));
        ok = read_folder(model, folder, err);
        free(folder);
    } else {
        ok = read_file(model, path, err);
    }
    return ok || err_prefix(err, "--tokenizer");
}

/* What a server's weights are is not known, so its address and the model's name stand for them, beside tokenizer and config. */
static void hash_model(PlanModel *model)
{
    const OpenaiAddress *address = &model->server->address;
    Buf text = {0};
    buf_printf(&text, "server %s\nname %s\ntexts %s\n", address->root, address->name, model->hash);
    config_key(&model->config, &text);
    hash_bytes(text.data, text.len, model->hash);
    buf_free(&text);
}

static OpenaiConfig make_config(const PlanModel *model, const Options *options)
{
    return (OpenaiConfig){
        .address = &model->server->address,
        .key = model->server->key,
        .user_agent = model->server->agent,
        .tokenizer = model->tokenizer,
        .vocab_size = model->config.vocab_size,
        .timeout_s = options->timeout,
        .max_retries = (int)options->max_retries,
        .keep_going = signals_keep_going,
    };
}

/* Says on stderr what the server can do. */
static void print_found(const PlanModel *model, const Options *options)
{
    if (options->quiet) return;
    Buf text = {0};
    openai_describe(&model->server->found, &text);
    fprintf(stderr, "note: %s: %s\n", model->server->address.base, buf_text(&text));
    buf_free(&text);
}

static bool probe(PlanModel *model, const Options *options, Err *err)
{
    PlanServer *server = model->server;
    OpenaiConfig config = make_config(model, options);
    if (!openai_probe(&config, &server->found, err)) return false;
    print_found(model, options);
    return true;
}

static void name_model(PlanModel *model, const Options *options)
{
    OpenaiAddress *address = &model->server->address;
    if (!address->name[0]) memcpy(address->name, model->server->found.model, sizeof address->name);
    free(model->path);
    model->path = str_format("%s#%s", address->base, address->name);
    model->origin = str_dup(model->path);
    model->name = str_dup(address->name[0] ? address->name : address->base);
    model->format = str_dup("server");
    model->notes =
        str_format("tokenizer and config of %s", source_origin(options, options->tokenizer));
    model->tokenizer_kind = str_dup(tokenizer_kind(model->tokenizer));
}

bool server_read_model(PlanModel *model, const Options *options, bool dry, Err *err)
{
    PlanServer *server = model->server = mem_zalloc(1, sizeof *server);
    server->agent = version_agent();
    if (!openai_address_parse(model->path, &server->address, err) ||
        !check_options(options, &server->address, err) || !read_key(options, &server->key, err) ||
        !check_key(server->key, err) || !read_texts(model, options, err))
        return false;
    backend_open_text(&model->text, model->tokenizer, model->config.vocab_size);
    if (!dry && !options->server_cmd && !probe(model, options, err)) return false;
    name_model(model, options);
    hash_model(model);
    return true;
}

bool server_move(PlanModel *model, const char *at, Err *err)
{
    OpenaiAddress now;
    PlanServer *server = model->server;
    if (!at) {
        forget_key(server);
        return true;
    }
    if (!openai_address_parse(at, &now, err)) return false;
    if (now.name[0] && !str_equal(now.name, server->address.name))
        return err_set(err, ERR_INPUT,
                       "--model names \"%s\" at %s, and the cells are of the model \"%s\"",
                       now.name, now.base, server->address.name);
    memcpy(now.name, server->address.name, sizeof now.name);
    server->address = now;
    return true;
}

static PlanModel *find(const ServerSource *source, size_t model)
{
    return &source->engine.plan->models[model];
}

static bool is_launched(void *context, size_t model)
{
    const ServerSource *source = context;
    return find(source, model)->server && source->engine.plan->options->server_cmd;
}

/* Waits until the server that was launched is ready, has ended, or the program is to stop. */
static bool wait_ready(ServerSource *source, const OpenaiConfig *config, Err *err)
{
    char why[64];
    double end = clock_monotonic_s() + LAUNCH_WAIT_S;
    while (!openai_is_ready(config, READY_TIMEOUT_S, err)) {
        if (err->code != ERR_NET) return false;
        if (!launch_runs(source->process, why))
            return err_set(err, ERR_NET, "the server %s before it was ready", why);
        if (clock_monotonic_s() > end)
            return err_set(err, ERR_NET, "the server was not ready after %d s", LAUNCH_WAIT_S);
        nanosleep(&(struct timespec){.tv_nsec = 100000000L}, NULL);
    }
    return true;
}

static char *make_line(const ServerSource *source, const PlanModel *model,
                       const PlanSetting *setting, Err *err)
{
    const Plan *plan = source->engine.plan;
    const LaunchWords words = {
        .url = model->server->address.root,
        .model = model->server->address.name,
        .planned = model,
        .setting = setting,
        .n_ctx = plan->n_ctx[plan->n_lengths - 1] + 1,
    };
    if (plan->n_lengths > 1 && rope_spec_depends_on_n_ctx(&setting->spec)) {
        err_set(err, ERR_UNSUPPORTED,
                "%s has another table at each length, and a server is launched with one: take one "
                "--n-ctx, or auto",
                setting->label);
        return NULL;
    }
    return launch_line(plan->options->server_cmd, &words, err);
}

static bool launch(ServerSource *source, const PlanModel *model, const PlanSetting *setting,
                   Err *err)
{
    Err absent;
    const OpenaiConfig *config = &source->config;
    if (openai_is_ready(config, READY_TIMEOUT_S, &absent))
        return err_set(
            err, ERR_NET,
            "%s: a server is there already, under a setting that is not known; stop it, or "
            "measure it by --as-served",
            config->address->base);
    char *line = make_line(source, model, setting, err);
    if (!line) return false;
    if (!source->engine.plan->options->quiet) fprintf(stderr, "note: launching: %s\n", line);
    bool ok = launch_start(line, &source->process, err) && wait_ready(source, config, err);
    free(line);
    return ok;
}

static void stop(ServerSource *source)
{
    if (source->process > 0) launch_stop(source->process);
    source->process = 0;
}

static bool load(void *context, size_t index, size_t setting, Err *err)
{
    ServerSource *source = context;
    PlanModel *model = find(source, index);
    const Options *options = source->engine.plan->options;
    if (!model->server) return source->local.load(source->local.context, index, setting, err);
    source->config = make_config(model, options);
    if (!options->server_cmd) return model->server->found.model[0] || probe(model, options, err);
    bool ok = launch(source, model, &model->settings[setting], err) && probe(model, options, err);
    if (!ok) stop(source);
    return ok;
}

static void unload(void *context, size_t index)
{
    ServerSource *source = context;
    if (find(source, index)->server)
        stop(source);
    else
        source->local.unload(source->local.context, index);
}

static bool open_one(void *context, size_t index, int64_t n_ctx_max, const SessionOptions *session,
                     Backend *backend, Err *err)
{
    ServerSource *source = context;
    const PlanModel *model = find(source, index);
    if (!model->server)
        return source->local.open(source->local.context, index, n_ctx_max, session, backend, err);
    OpenaiConfig config = source->config;
    config.keep_going = session->keep_going;
    config.context = session->context;
    return backend_open_openai(backend, &config, &model->server->found, n_ctx_max, err);
}

static size_t bytes(void *context, size_t index, int64_t n_ctx_max)
{
    ServerSource *source = context;
    if (find(source, index)->server) return 0;
    return source->local.bytes(source->local.context, index, n_ctx_max);
}

static int n_at_once(void *context, size_t index)
{
    const ServerSource *source = context;
    if (!find(source, index)->server) return 0;
    return (int)source->engine.plan->options->num_concurrent;
}

static void describe(void *context, size_t index, Buf *out)
{
    const ServerSource *source = context;
    const PlanModel *model = find(source, index);
    if (!model->server) return;
    buf_printf(out, "%s: ", model->server->address.base);
    openai_describe(&model->server->found, out);
}

static void warn(void *context, const char *text)
{
    const ServerSource *source = context;
    const ProgressLine line = progress_line_open(source->engine.plan->options->quiet);
    progress_line_clear(&line);
    fprintf(stderr, "warning: %s\n", text);
}

SweepSource server_source(ServerSource *source)
{
    source->local = engine_source(&source->engine);
    return (SweepSource){
        .load = load,
        .unload = unload,
        .open = open_one,
        .bytes = bytes,
        .is_launched = is_launched,
        .n_at_once = n_at_once,
        .describe = describe,
        .warn = warn,
        .context = source,
    };
}
