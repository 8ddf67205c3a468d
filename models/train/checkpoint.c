/* Tensors of a checkpoint:
 *
 *     weights, mean, square   F32 [n]    as models/train/layout.h lays them out
 *     step                    U8 [8]     steps taken, little-endian
 *     identity                U8 [64]    hexadecimal digits
 *     log                     U8 [any]   the owner's
 */
#include "models/train/checkpoint.h"

#include <string.h>

#include "models/weights.h"
#include "models/weights_write.h"

enum { STEP_BYTES = 8, IDENTITY_BYTES = HASH_HEX_SIZE - 1, N_VECTORS = 3 };

static const char *const vector_names[N_VECTORS] = {"weights", "mean", "square"};

static NamedTensor floats_of(const char *name, const float *data, size_t n)
{
    return (NamedTensor){
        name,
        {.dtype = DTYPE_F32,
          .n_dims = 1,
          .dims = {(int64_t)n},
          .data = data,
          .n_bytes = n * sizeof *data}
    };
}

static NamedTensor bytes_of(const char *name, const void *data, size_t n)
{
    return (NamedTensor){
        name, {.dtype = DTYPE_U8, .n_dims = 1, .dims = {(int64_t)n}, .data = data, .n_bytes = n}
    };
}

bool checkpoint_write(const char *path, Trainer *trainer, const char identity[HASH_HEX_SIZE],
                      const Buf *log, Err *err)
{
    AdamwState state = trainer_state(trainer);
    size_t n = trainer_layout(trainer)->n;
    unsigned char step[STEP_BYTES];
    for (int i = 0; i < STEP_BYTES; i++)
        step[i] = (unsigned char)((uint64_t)trainer_steps(trainer) >> 8 * i);
    NamedTensor tensors[] = {
        floats_of(vector_names[0], state.weights, n),
        floats_of(vector_names[1], state.mean, n),
        floats_of(vector_names[2], state.square, n),
        bytes_of("step", step, STEP_BYTES),
        bytes_of("identity", identity, IDENTITY_BYTES),
        bytes_of("log", log->len ? log->data : "", log->len),
    };
    return weights_write_safetensors(path, tensors, COUNT_OF(tensors), err);
}

/* Lends a tensor's bytes, of which there must be so many. */
static const void *find_bytes(const WeightFile *file, const char *name, Dtype dtype, size_t n_bytes,
                              Err *err)
{
    const Tensor *tensor = weights_find(file, name);
    if (tensor && tensor->dtype == dtype && tensor->n_bytes == n_bytes) return tensor->data;
    err_set(
        err, ERR_INPUT,
        "%s: tensor %s %s: this is no checkpoint of this model; remove it to train from the start",
        weights_path(file), name, tensor ? "has another size or type" : "is missing");
    return NULL;
}

static bool check_identity(const WeightFile *file, const char *identity, Err *err)
{
    const void *found = find_bytes(file, "identity", DTYPE_U8, IDENTITY_BYTES, err);
    if (!found) return false;
    if (memcmp(found, identity, IDENTITY_BYTES) == 0) return true;
    return err_set(
        err, ERR_INPUT,
        "%s: the checkpoint is of a run with another recipe, other data or another version; remove it "
        "to train from the start",
        weights_path(file));
}

/* Steps taken, within the schedule; -1 otherwise. */
static int64_t read_step(const WeightFile *file, int64_t most, Err *err)
{
    const unsigned char *bytes = find_bytes(file, "step", DTYPE_U8, STEP_BYTES, err);
    uint64_t step = 0;
    if (!bytes) return -1;
    for (int i = STEP_BYTES - 1; i >= 0; i--)
        step = step << 8 | bytes[i];
    if (step <= (uint64_t)most) return (int64_t)step;
    err_set(err, ERR_INPUT, "%s: %llu steps were taken, the schedule has %lld", weights_path(file),
            (unsigned long long)step, (long long)most);
    return -1;
}

static bool take_state(const WeightFile *file, Trainer *trainer, Err *err)
{
    AdamwState state = trainer_state(trainer);
    float *const to[N_VECTORS] = {state.weights, state.mean, state.square};
    const void *from[N_VECTORS];
    size_t n_bytes = trainer_layout(trainer)->n * sizeof(float);
    int64_t step = read_step(file, trainer_total_steps(trainer), err);
    if (step < 0) return false;
    for (int i = 0; i < N_VECTORS; i++) {
        from[i] = find_bytes(file, vector_names[i], DTYPE_F32, n_bytes, err);
        if (!from[i]) return false;
    }
    for (int i = 0; i < N_VECTORS; i++)
        memcpy(to[i], from[i], n_bytes);
    trainer_set_steps(trainer, step);
    return true;
}

bool checkpoint_read(const char *path, Trainer *trainer, const char identity[HASH_HEX_SIZE],
                     Buf *log, Err *err)
{
    WeightFile *file = weights_open(path, err);
    if (!file) return false;
    const Tensor *kept = weights_find(file, "log");
    bool ok = check_identity(file, identity, err) &&
              find_bytes(file, "log", DTYPE_U8, kept ? kept->n_bytes : 0, err) &&
              take_state(file, trainer, err);
    if (ok && kept) buf_append(log, kept->data, kept->n_bytes);
    weights_close(file);
    return ok;
}
