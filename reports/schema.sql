-- The results database of ropewalk, version 4. docs/results.md explains it with queries that work.
-- Numbers that are absent or not finite are NULL. Times are UTC in ISO 8601. Hashes and keys are SHA-256 in lower-case hexadecimal.

PRAGMA application_id = 1380929605; -- "ROPE"
PRAGMA user_version = 4;

CREATE TABLE run (
    id          INTEGER PRIMARY KEY,
    status      TEXT NOT NULL CHECK (status IN ('running', 'done', 'interrupted', 'failed', 'died')),
    started_at  TEXT NOT NULL,
    ended_at    TEXT,             -- NULL: running, or died
    command     TEXT NOT NULL,    -- the command line, quoted for a shell
    spec        TEXT NOT NULL,    -- the resolved sweep as YAML
    version     TEXT NOT NULL,    -- program, compiler, flags, libraries
    machine     TEXT NOT NULL,    -- host, CPU, cores
    blas        TEXT NOT NULL,    -- configuration and core type
    n_threads   INTEGER NOT NULL,
    n_jobs      INTEGER NOT NULL,
    limited     INTEGER NOT NULL CHECK (limited IN (0, 1)) -- 1: made with --limit, not to be quoted
) STRICT;

CREATE TABLE model (
    hash        TEXT PRIMARY KEY CHECK (length(hash) = 64), -- of weights, parsed config and tokenizer
    name        TEXT NOT NULL,    -- folder or file name
    path        TEXT,             -- where it was last seen
    format      TEXT,             -- safetensors, gguf, llama2c
    arch        TEXT,
    n_params    INTEGER,
    n_ctx_train INTEGER,          -- trained length as the file claims it
    n_ctx_orig  INTEGER,          -- trained length as it was last used
    theta       REAL,             -- base b of the model's own RoPE
    n_rot       INTEGER,          -- rotary width d
    rope_found  TEXT,             -- the scaling that the file asks for
    tokenizer   TEXT,
    notes       TEXT
) STRICT, WITHOUT ROWID;

-- What the size of a model's cache and the export of its settings follow from.
CREATE TABLE model_shape (
    model_hash  TEXT PRIMARY KEY REFERENCES model (hash),
    n_layers    INTEGER NOT NULL CHECK (n_layers > 0),
    n_kv_heads  INTEGER NOT NULL CHECK (n_kv_heads > 0),
    head_dim    INTEGER NOT NULL CHECK (head_dim > 0),
    own_method  TEXT NOT NULL     -- of scaling, that the file asks for
) STRICT, WITHOUT ROWID;

CREATE TABLE corpus (
    hash        TEXT PRIMARY KEY CHECK (length(hash) = 64),
    name        TEXT NOT NULL,
    path        TEXT,
    n_bytes     INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE setting (
    key         TEXT PRIMARY KEY CHECK (length(key) = 64), -- of what decides the RoPE tables
    label       TEXT NOT NULL,    -- ntk:lambda=4
    method      TEXT NOT NULL,
    class       TEXT NOT NULL CHECK (class IN ('theta', 'position')),
    lambda      REAL,             -- multiplies the base; NULL: none, or it differs between lengths
    factor      REAL,             -- stretch of the context; NULL: none, or it differs between lengths
    theta       REAL,             -- base b before scaling
    n_rot       INTEGER,          -- rotary width d
    n_ctx_orig  INTEGER,          -- trained length m_l that the method was given
    depends_on_n_ctx INTEGER NOT NULL CHECK (depends_on_n_ctx IN (0, 1))
) STRICT, WITHOUT ROWID;

-- θ and θ' of each rotary pair, in radians a token.
CREATE TABLE setting_pair (
    setting_key  TEXT NOT NULL REFERENCES setting (key),
    n_ctx        INTEGER NOT NULL, -- 0: the same at every length
    pair         INTEGER NOT NULL CHECK (pair >= 0),
    theta        REAL,
    theta_scaled REAL,
    PRIMARY KEY (setting_key, n_ctx, pair)
) STRICT, WITHOUT ROWID;

-- One point of a sweep.
CREATE TABLE cell (
    id          INTEGER PRIMARY KEY,
    key         TEXT NOT NULL CHECK (length(key) = 64), -- of `canonical`
    generation  INTEGER NOT NULL CHECK (generation >= 1), -- each --fresh makes the next one; the largest counts
    canonical   TEXT NOT NULL,    -- every input that can change the number, a line each
    model_hash  TEXT NOT NULL REFERENCES model (hash),
    setting_key TEXT NOT NULL REFERENCES setting (key),
    corpus_hash TEXT REFERENCES corpus (hash), -- NULL: the probe reads no corpus
    n_ctx       INTEGER NOT NULL CHECK (n_ctx > 0),
    probe       TEXT NOT NULL,
    protocol    TEXT NOT NULL,
    params      TEXT NOT NULL,    -- digits=5,trials=4
    depth       REAL CHECK (depth BETWEEN 0 AND 1), -- place of the needle; NULL: the probe has none
    seed        INTEGER NOT NULL,
    precision   TEXT NOT NULL,
    numeric_version INTEGER NOT NULL, -- of the engine: raised when its numbers change
    bos_policy  TEXT NOT NULL,
    limited     INTEGER NOT NULL CHECK (limited IN (0, 1)),
    status      TEXT NOT NULL CHECK (status IN ('pending', 'done', 'invalid', 'unsupported', 'nonfinite', 'skipped_memory',
                    'skipped_short_text', 'over_limit', 'truncated', 'failed')),
    message     TEXT,             -- why it is not done
    run_id      INTEGER REFERENCES run (id), -- that ended it
    finished_at TEXT,
    seconds     REAL,             -- wall time
    n_prefilled INTEGER,          -- tokens computed for it: fewer than the prompts hold where a prefix was shared
    UNIQUE (key, generation)
) STRICT;
CREATE INDEX cell_by_setting ON cell (setting_key);
CREATE INDEX cell_by_status ON cell (status);

-- Which cells a run asked for, in its order. A cell that an earlier run finished is linked, not run again.
CREATE TABLE run_cell (
    run_id      INTEGER NOT NULL REFERENCES run (id),
    cell_id     INTEGER NOT NULL REFERENCES cell (id),
    ordinal     INTEGER NOT NULL,
    PRIMARY KEY (run_id, cell_id)
) STRICT, WITHOUT ROWID;

-- The numbers of a cell that is done.
CREATE TABLE metric (
    cell_id     INTEGER NOT NULL REFERENCES cell (id),
    name        TEXT NOT NULL,
    place       INTEGER NOT NULL, -- 0: the number to show when there is room for one
    unit        TEXT NOT NULL,
    direction   INTEGER NOT NULL CHECK (direction IN (-1, 0, 1)), -- 1: higher is better
    value       REAL,
    n           INTEGER NOT NULL, -- what it is a mean of
    ci_low      REAL,             -- 95 % interval
    ci_high     REAL,
    ci_method   TEXT,             -- or why there is no interval
    PRIMARY KEY (cell_id, name)
) STRICT, WITHOUT ROWID;

-- A trial (passkey) or a window (perplexity).
CREATE TABLE trial (
    cell_id         INTEGER NOT NULL REFERENCES cell (id),
    idx             INTEGER NOT NULL,
    cluster         INTEGER NOT NULL, -- document or block: the unit of the clustered interval
    n_prompt_tokens INTEGER NOT NULL,
    n_scored        INTEGER NOT NULL,
    nll             REAL,             -- sum over the scored tokens, nats
    n_bytes         INTEGER,          -- that the scored tokens spell; NULL: not counted
    needle_first    INTEGER,          -- token position of the needle
    prompt_hash     TEXT,             -- of the token ids
    expected        TEXT,
    answer          TEXT,
    exact           INTEGER CHECK (exact IN (0, 1)),  -- the answer's first integer is the key
    forced          INTEGER CHECK (forced IN (0, 1)), -- every token of the key is the argmax
    logp            REAL,             -- of the key, nats
    logp_control    REAL,             -- of the key where the needle is filler, nats
    ranks           TEXT,             -- rank of each token of the key
    PRIMARY KEY (cell_id, idx)
) STRICT, WITHOUT ROWID;

-- Sums of nll by position, in log-spaced buckets of each cluster; first and last are places of the predicted token in its window.
CREATE TABLE position_nll (
    cell_id     INTEGER NOT NULL REFERENCES cell (id),
    bucket      INTEGER NOT NULL,
    cluster     INTEGER NOT NULL,
    first       INTEGER NOT NULL,
    last        INTEGER NOT NULL,
    n           INTEGER NOT NULL,
    sum         REAL,
    sum_squares REAL,
    PRIMARY KEY (cell_id, bucket, cluster)
) STRICT, WITHOUT ROWID;

-- What the angles of a setting alone predict: heuristics, made before anything was measured.
CREATE TABLE prediction (
    model_hash  TEXT NOT NULL REFERENCES model (hash),
    setting_key TEXT NOT NULL REFERENCES setting (key),
    n_ctx       INTEGER NOT NULL CHECK (n_ctx >= 0), -- 0: the same at every length
    quantity    TEXT NOT NULL,    -- what is predicted
    unit        TEXT NOT NULL,
    value       REAL,             -- NULL: none within the positions that were searched
    source      TEXT NOT NULL,    -- by which formula
    PRIMARY KEY (model_hash, setting_key, n_ctx, quantity)
) STRICT, WITHOUT ROWID;

-- Engineer A against Engineer B: is a setting a scaled θ? Over positions below n_ctx.
CREATE TABLE audit (
    model_hash  TEXT NOT NULL REFERENCES model (hash),
    setting_key TEXT NOT NULL REFERENCES setting (key),
    n_ctx       INTEGER NOT NULL CHECK (n_ctx >= 2),
    seed        INTEGER NOT NULL, -- of the positions and vectors
    verdict     TEXT NOT NULL,    -- equivalent to a theta'
    amplitude   REAL,             -- that cos and sin carry
    residual    REAL,             -- of the best θ', rad
    tolerance   REAL,             -- residual that rounding explains, rad
    shift_error REAL,             -- change of q·k under a shift of both positions, as a share of |q| |k|
    norm_error  REAL,             -- change of a vector's length, as a share of it
    residual_f32    REAL,         -- the same as the engine computes, in float
    shift_error_f32 REAL,
    norm_error_f32  REAL,
    worst_pair  INTEGER,          -- where the residual is reached
    worst_query INTEGER,
    worst_key   INTEGER,
    largest_residue REAL,         -- between the setting and its best θ' at the model, nats; NULL: not measured
    mean_residue    REAL,
    PRIMARY KEY (model_hash, setting_key, n_ctx)
) STRICT, WITHOUT ROWID;

-- Who answered for a cell that was measured through a server. A cell that is done has a message where that was not who was there at the start.
CREATE TABLE reply (
    cell_id     INTEGER NOT NULL REFERENCES cell (id),
    model       TEXT NOT NULL,    -- as the replies name it
    system_fingerprint TEXT NOT NULL, -- empty: the replies have none
    n           INTEGER NOT NULL CHECK (n > 0), -- replies
    PRIMARY KEY (cell_id, model, system_fingerprint)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
    id          INTEGER PRIMARY KEY,
    run_id      INTEGER REFERENCES run (id),
    at          TEXT NOT NULL,
    level       TEXT NOT NULL CHECK (level IN ('info', 'warning')),
    text        TEXT NOT NULL
) STRICT;

-- What came of running a stored cell again (ropewalk verify).
CREATE TABLE verification (
    id          INTEGER PRIMARY KEY,
    cell_id     INTEGER NOT NULL REFERENCES cell (id),
    at          TEXT NOT NULL,
    outcome     TEXT NOT NULL CHECK (outcome IN ('equal', 'close', 'different', 'changed', 'failed')),
    detail      TEXT NOT NULL,    -- largest difference, or which input changed
    version     TEXT NOT NULL,    -- program, compiler, flags, libraries of the second run
    machine     TEXT NOT NULL,
    blas        TEXT NOT NULL
) STRICT;

-- One row a cell and metric, every generation; a cell without metrics has one row, whose metric is NULL.
CREATE VIEW v_cell_all AS
SELECT model.name AS model, setting.method, setting.label AS setting, setting.class, setting.lambda, setting.factor,
       setting.theta, setting.n_rot, setting.n_ctx_orig, cell.n_ctx, cell.probe, cell.protocol, cell.params, corpus.name AS corpus,
       cell.depth, cell.seed, cell.precision, cell.bos_policy, cell.status, metric.name AS metric, metric.unit, metric.value,
       metric.n, metric.ci_low, metric.ci_high, metric.ci_method, cell.limited, cell.message, cell.id AS cell_id,
       cell.key AS cell_key, cell.generation,
       cell.generation = (SELECT max(c.generation) FROM cell AS c WHERE c.key = cell.key) AS latest,
       metric.place, metric.direction, cell.model_hash, cell.setting_key, cell.corpus_hash, cell.numeric_version, cell.run_id,
       cell.finished_at, cell.seconds, cell.n_prefilled
FROM cell
JOIN model ON model.hash = cell.model_hash
JOIN setting ON setting.key = cell.setting_key
LEFT JOIN corpus ON corpus.hash = cell.corpus_hash
LEFT JOIN metric ON metric.cell_id = cell.id;

-- The same, the latest generation of each cell only: what the reports draw.
CREATE VIEW v_cell AS SELECT * FROM v_cell_all WHERE latest;

-- One row a trial or window of the latest generation.
CREATE VIEW v_trial AS
SELECT model.name AS model, setting.method, setting.label AS setting, setting.lambda, setting.factor, cell.n_ctx, cell.probe,
       cell.protocol, cell.params, cell.depth, cell.seed, cell.limited, cell.id AS cell_id, trial.idx AS trial, trial.cluster,
       trial.n_prompt_tokens, trial.n_scored, trial.nll, trial.nll / trial.n_scored AS mean_nll, trial.n_bytes,
       trial.needle_first, trial.prompt_hash, trial.expected, trial.answer, trial.exact, trial.forced, trial.logp,
       trial.logp_control, trial.ranks
FROM trial
JOIN cell ON cell.id = trial.cell_id
JOIN model ON model.hash = cell.model_hash
JOIN setting ON setting.key = cell.setting_key
WHERE cell.generation = (SELECT max(c.generation) FROM cell AS c WHERE c.key = cell.key);
