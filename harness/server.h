/* Models behind servers, as a sweep sees them: what --model http://… and the options beside it mean.
 *
 * The scaling of a server is set at its launch. It is declared (--as-served), or the program launches a server for each setting itself
 * (--server-cmd). */
#ifndef HARNESS_SERVER_H
#define HARNESS_SERVER_H

#include <sys/types.h>

#include "harness/engine.h"
#include "models/backend_openai.h"

/* A planned model that is behind a server. */
struct PlanServer {
    OpenaiAddress address;
    OpenaiServer found; /* by the last probe; its model is empty before that */
    char *key;          /* NULL: none */
    char *agent;        /* what the server is told that this program is */
};

/* Fills in a planned model from its address and the files of --tokenizer; asks the server what it can do, unless the run is dry or
 * launches it later.
 * Errors: USAGE (options that contradict each other, no tokenizer), INPUT (damaged files, another tokenizer), as openai_probe. */
bool server_read_model(PlanModel *model, const Options *options, bool dry, Err *err) MUST_USE;
void server_free(PlanServer *server);

/* Points a model that was planned dry, under the address that a stored run names, at where its server is now: at, or NULL where it was. The
 * server is asked when it is loaded, and the model's hash stays. A key is sent to no address but one that the user names.
 * Errors: INPUT (the address names another model), as openai_address_parse. */
bool server_move(PlanModel *model, const char *at, Err *err) MUST_USE;

/* Whether n settings can be measured on the server. Errors: USAGE. */
bool server_check_settings(const Options *options, size_t n, Err *err) MUST_USE;

/* Zero-initialise but for what engine asks for. */
typedef struct {
    EngineSource engine;
    SweepSource local; /* of the models that are no server's */
    OpenaiConfig config;
    pid_t process; /* the server that this program launched; 0: none */
} ServerSource;

/* The backends of a sweep over models of both kinds; the source must outlive them. */
SweepSource server_source(ServerSource *source);

#endif
