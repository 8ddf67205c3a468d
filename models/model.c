/* From named tensors to pointers a forward pass can follow.
 *
 * A plan comes first: for each slot of the architecture its tensor, so that missing and misshapen ones are reported together and
 * the bytes of conversion are known before any is allocated. Then one block is allocated for all parts that are not used where they are
 * mapped, each starting on a cache line, and filled in slices of rows: converted to float, looked through for NaN, packed. */
#include "models/model.h"

#include <math.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "models/dequant.h"

enum {
    FLOATS_PER_LINE = 16,
    N_NAMED = 5, /* missing tensors that a message lists */
};

/* One slot of the model, and the tensor that holds it: of its own, or fused, or the other end's where they are shared. */
typedef struct {
    Slot slot;
    int layer;
    const Tensor *tensor;
    SlotRows rows;   /* of the tensor */
    int64_t columns; /* 1: a vector */
    bool is_shared;  /* a head that is the embedding's tensor */
    char name[ARCH_NAME_SIZE];
} Part;

typedef struct {
    ModelConfig config;
    const KernelPath *path;
    Part *parts; /* layer by layer, then embedding, norm, head */
    size_t n_parts;
    bool embedding_is_head; /* stored once, under the head's name */
    bool has_head;
} Plan;

static bool is_packed(const KernelPath *path, const Part *part)
{
    return path->pack && part->columns > 1 && part->slot != SLOT_EMBEDDING;
}

static bool is_used_in_place(const KernelPath *path, const Part *part)
{
    return !is_packed(path, part) && part->tensor->dtype == DTYPE_F32 && part->rows.n_blocks == 1 &&
           (uintptr_t)part->tensor->data % alignof(float) == 0;
}

static bool same_shape(const Tensor *a, const Tensor *b)
{
    if (a->n_dims != b->n_dims) return false;
    for (int i = 0; i < a->n_dims; i++)
        if (a->dims[i] != b->dims[i]) return false;
    return true;
}

/* A line about a part that is missing or has another shape; false if it is right. */
static bool describe_fault(const ModelConfig *config, const Part *part, Buf *out)
{
    Tensor want = {0};
    char wanted[96];
    char found[96];
    char keys[ARCH_KEYS_SIZE];
    arch_slot_shape(config, part->slot, &want);
    want.dims[0] = part->rows.tensor_rows;
    bool right_shape = part->tensor && same_shape(part->tensor, &want);
    if (right_shape && dtype_info(part->tensor->dtype)->to_f32) return false;
    if (right_shape) {
        char known[128];
        dtype_names(known);
        buf_printf(out, "%s%s is of type %s, supported: %s", out->len ? "; " : "", part->name,
                   dtype_info(part->tensor->dtype)->name, known);
        return true;
    }
    tensor_shape_text(&want, wanted);
    if (part->tensor)
        tensor_shape_text(part->tensor, found);
    else
        snprintf(found, sizeof found, "missing");
    arch_slot_shape_keys(config, part->slot, keys);
    buf_printf(out, "%s%s is %s, wanted is %s = %s", out->len ? "; " : "", part->name, found,
               wanted, keys);
    return true;
}

static bool check_parts(const WeightFile *file, const Plan *plan, Err *err)
{
    Buf faults = {0};
    size_t n_faults = 0;
    size_t n_tensors = 0;
    for (size_t i = 0; i < plan->n_parts; i++) {
        /* A fused or shared tensor counts once. */
        if (i > 0 && str_equal(plan->parts[i].name, plan->parts[i - 1].name)) continue;
        if (plan->parts[i].slot == SLOT_HEAD && (!plan->has_head || plan->embedding_is_head))
            continue;
        n_tensors++;
        Buf unused = {0};
        n_faults +=
            describe_fault(&plan->config, &plan->parts[i], n_faults < N_NAMED ? &faults : &unused);
        buf_free(&unused);
    }
    if (n_faults)
        err_set(err, ERR_INPUT,
                "%s: %zu of %zu tensors are missing or have another shape or type: %s%s",
                weights_path(file), n_faults, n_tensors, buf_text(&faults),
                n_faults > N_NAMED ? "; …" : "");
    buf_free(&faults);
    return n_faults == 0;
}

/* `named` is the slot whose name the tensor has. */
static void add_part_named(Plan *plan, const WeightFile *file, Slot slot, Slot named, int layer)
{
    if (!arch_has_slot(&plan->config, slot)) return;
    Part *part = &plan->parts[plan->n_parts++];
    Tensor shape = {0};
    arch_slot_shape(&plan->config, slot, &shape);
    *part = (Part){.slot = slot,
                   .layer = layer,
                   .rows = arch_slot_rows(&plan->config, slot),
                   .columns = shape.n_dims == 2 ? shape.dims[1] : 1,
                   .is_shared = slot == SLOT_HEAD && named == SLOT_EMBEDDING};
    arch_slot_name(arch_find(plan->config.arch), named, layer, part->name);
    part->tensor = weights_find(file, part->name);
}

static void add_part(Plan *plan, const WeightFile *file, Slot slot, int layer)
{
    add_part_named(plan, file, slot, slot, layer);
}

static bool has_slot(const Plan *plan, const WeightFile *file, Slot slot)
{
    char name[ARCH_NAME_SIZE];
    arch_slot_name(arch_find(plan->config.arch), slot, 0, name);
    return weights_find(file, name) != NULL;
}

/* Finds every part. Free plan->parts whatever the result. */
static bool make_plan(const WeightFile *file, const KernelPath *path, Plan *plan, Err *err)
{
    *plan = (Plan){.path = path};
    if (!weights_read_config(file, &plan->config, err)) return false;
    size_t n_layers = (size_t)plan->config.n_layers;
    plan->parts = mem_alloc(n_layers * N_LAYER_SLOTS + N_SLOTS - N_LAYER_SLOTS, sizeof(Part));
    for (int layer = 0; layer < plan->config.n_layers; layer++)
        for (int slot = 0; slot < N_LAYER_SLOTS; slot++)
            add_part(plan, file, (Slot)slot, layer);
    plan->has_head = has_slot(plan, file, SLOT_HEAD);
    plan->embedding_is_head =
        plan->has_head && plan->config.tied && !has_slot(plan, file, SLOT_EMBEDDING);
    add_part_named(plan, file, SLOT_EMBEDDING, plan->embedding_is_head ? SLOT_HEAD : SLOT_EMBEDDING,
                   0);
    add_part(plan, file, SLOT_OUT_NORM, 0);
    add_part(plan, file, SLOT_OUT_NORM_BIAS, 0);
    add_part_named(plan, file, SLOT_HEAD, plan->has_head ? SLOT_HEAD : SLOT_EMBEDDING, 0);
    return check_parts(file, plan, err);
}

bool model_check(const WeightFile *file, Err *err)
{
    Plan plan;
    bool ok = make_plan(file, kernel_path_best(), &plan, err);
    free(plan.parts);
    return ok;
}

static size_t up_to_a_line(size_t n_floats)
{
    return (n_floats + FLOATS_PER_LINE - 1) / FLOATS_PER_LINE * FLOATS_PER_LINE;
}

static size_t part_count(const Part *part)
{
    return (size_t)(part->rows.n_blocks * part->rows.block_rows * part->columns);
}

/* Floats of a part in the owned block. A tensor of n bytes on disk has at most a few times n bytes of floats, packed or not, so that sums
 * cannot overflow. */
static size_t part_floats(const KernelPath *path, const Part *part)
{
    if (is_packed(path, part))
        return up_to_a_line(path->packed_floats((int)(part->rows.n_blocks * part->rows.block_rows),
                                                (int)part->columns));
    if (is_used_in_place(path, part) || part->is_shared) return 0;
    return up_to_a_line(part_count(part));
}

static size_t owned_floats(const Plan *plan)
{
    size_t n = 0;
    for (size_t i = 0; i < plan->n_parts; i++)
        n += part_floats(plan->path, &plan->parts[i]);
    return n;
}

size_t model_owned_bytes(const WeightFile *file, const KernelPath *path)
{
    Plan plan;
    Err err;
    size_t n = make_plan(file, path, &plan, &err) ? owned_floats(&plan) * sizeof(float) : 0;
    free(plan.parts);
    return n;
}

int64_t model_n_params(const ModelConfig *config, bool tied)
{
    int64_t n = 0;
    for (int slot = 0; slot < N_SLOTS; slot++) {
        Tensor shape = {0};
        if (!arch_has_slot(config, (Slot)slot) || (slot == SLOT_HEAD && tied)) continue;
        arch_slot_shape(config, (Slot)slot, &shape);
        n += tensor_count(&shape) * (slot < N_LAYER_SLOTS ? config->n_layers : 1);
    }
    return n;
}

static bool allocate_owned(Model *model, size_t n_floats, Err *err)
{
    if (n_floats == 0) return true;
    size_t available = mem_available();
    if (n_floats > available / sizeof(float))
        return err_set(err, ERR_NOMEM,
                       "%s: the weights as float need %.1f MB, %.1f MB of memory are available",
                       weights_path(model->file), (double)n_floats * sizeof(float) / 1e6,
                       (double)available / 1e6);
    model->owned = mem_alloc_large(n_floats, sizeof(float), "the weights as float", err);
    return model->owned != NULL;
}

/* The exponent is all ones exactly for NaN and infinities. */
static int64_t count_nonfinite(const float *values, size_t n)
{
    int64_t count = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        count += (bits & 0x7f800000U) == 0x7f800000U;
    }
    return count;
}

static void note_nonfinite(Model *model, const Part *part, const float *values, size_t count)
{
    int64_t n = part->is_shared ? 0 : count_nonfinite(values, count);
    if (n == 0) return;
    if (model->n_nonfinite == 0)
        snprintf(model->nonfinite_tensor, sizeof model->nonfinite_tensor, "%s", part->name);
    model->n_nonfinite += n;
}

static const float **place_of(Model *model, Slot slot, int layer)
{
    switch (slot) {
    case SLOT_EMBEDDING: return &model->embedding;
    case SLOT_OUT_NORM: return &model->out_norm;
    case SLOT_OUT_NORM_BIAS: return &model->out_norm_bias;
    case SLOT_HEAD: return &model->head;
    default: return &model->layers[layer].slot[slot];
    }
}

/* The part's bytes from one of the tensor's rows on. */
static const unsigned char *row_bytes(const Part *part, int64_t row)
{
    const DtypeInfo *info = dtype_info(part->tensor->dtype);
    size_t row_size = (size_t)(part->columns / info->block) * (size_t)info->block_bytes;
    return (const unsigned char *)part->tensor->data + (size_t)row * row_size;
}

/* Rows from … from+n-1 of the part as floats. */
static void convert_rows(const Part *part, int64_t from, int64_t n, float *to)
{
    const DtypeInfo *info = dtype_info(part->tensor->dtype);
    const SlotRows *rows = &part->rows;
    for (int64_t row = from; row < from + n; row++, to += part->columns) {
        int64_t in_tensor =
            rows->first + row / rows->block_rows * rows->stride + row % rows->block_rows;
        info->to_f32(row_bytes(part, in_tensor), to, (size_t)part->columns);
    }
}

/* Converts and packs a part in slices of rows. slice: KERNEL_PACK_ROWS * columns floats. */
static void pack_part(Model *model, const Part *part, float *slice, float *to)
{
    int64_t n_rows = part->rows.n_blocks * part->rows.block_rows;
    for (int64_t row = 0; row < n_rows; row += KERNEL_PACK_ROWS) {
        int64_t n = min_i64(KERNEL_PACK_ROWS, n_rows - row);
        convert_rows(part, row, n, slice);
        note_nonfinite(model, part, slice, (size_t)(n * part->columns));
        model->path->pack(slice, (int)n, (int)part->columns,
                          to + model->path->packed_floats((int)row, (int)part->columns));
    }
}

/* Where a part's floats are: in the map, at the embedding, or at `next`, which they then fill. slice: as pack_part. */
static const float *part_values(Model *model, const Part *part, float *slice, float *next)
{
    const float *values = next;
    if (is_packed(model->path, part)) {
        pack_part(model, part, slice, next);
        return values;
    }
    if (part->is_shared) return model->embedding;
    if (is_used_in_place(model->path, part))
        values = (const void *)row_bytes(part, part->rows.first);
    else
        convert_rows(part, 0, part->rows.n_blocks * part->rows.block_rows, next);
    note_nonfinite(model, part, values, part_count(part));
    return values;
}

/* Points every slot at floats. slice: room for KERNEL_PACK_ROWS rows of any part. */
static void fill_slots(Model *model, const Plan *plan, float *slice)
{
    float *next = model->owned;
    for (size_t i = 0; i < plan->n_parts; i++) {
        const Part *part = &plan->parts[i];
        *place_of(model, part->slot, part->layer) = part_values(model, part, slice, next);
        next += part_floats(plan->path, part);
    }
}

/* The widest row of a matrix. */
static size_t most_columns(const Plan *plan)
{
    int64_t most = 0;
    for (size_t i = 0; i < plan->n_parts; i++)
        most = max_i64(most, plan->parts[i].columns);
    return (size_t)most;
}

/* Whether the head's rows are the embedding's, as floats. */
static bool heads_are_equal(const Plan *plan, const Part *head)
{
    const Part *embedding = head;
    while (embedding->slot != SLOT_EMBEDDING)
        embedding--;
    size_t n = (size_t)head->columns;
    float *a = mem_alloc(n, sizeof *a);
    float *b = mem_alloc(n, sizeof *b);
    bool equal = true;
    for (int64_t row = 0; equal && row < plan->config.vocab_size; row++) {
        convert_rows(head, row, 1, a);
        convert_rows(embedding, row, 1, b);
        equal = memcmp(a, b, n * sizeof *a) == 0;
    }
    free(a);
    free(b);
    return equal;
}

/* The file decides what the head is; the config's claim is compared. */
static void note_head(Model *model, const Plan *plan)
{
    if (plan->embedding_is_head)
        buf_printf(&model->notes, "the shared embedding is stored under the head's name only\n");
    else if (!plan->has_head)
        buf_printf(&model->notes, "there is no head in the file: it shares the embedding%s\n",
                   plan->config.tied ? "" : ", although the config says otherwise");
    else if (plan->config.tied && !heads_are_equal(plan, &plan->parts[plan->n_parts - 1]))
        buf_printf(
            &model->notes,
            "the config says that the head shares the embedding, but the file has a different head: "
            "the file's is used\n");
}

static void write_notes(Model *model)
{
    if (model->n_nonfinite)
        buf_printf(&model->notes, "%lld weights are NaN or infinite, the first in %s\n",
                   (long long)model->n_nonfinite, model->nonfinite_tensor);
    if (!model->tokenizer)
        buf_printf(&model->notes, "no tokenizer: %s; token ids only\n", model->no_tokenizer_why);
    else
        buf_puts(&model->notes, tokenizer_notes(model->tokenizer));
    buf_text(&model->notes);
}

static bool fill_model(Model *model, const Plan *plan, Err *err)
{
    model->config = plan->config;
    model->layers = mem_zalloc((size_t)plan->config.n_layers, sizeof *model->layers);
    buf_puts(&model->notes, weights_notes(model->file));
    if (!allocate_owned(model, owned_floats(plan), err)) return false;
    float *slice = mem_alloc_large(KERNEL_PACK_ROWS * most_columns(plan), sizeof *slice,
                                   "a slice of the weights", err);
    if (!slice) return false;
    fill_slots(model, plan, slice);
    free(slice);
    note_head(model, plan);
    if (!weights_read_tokenizer(model->file, &model->tokenizer, model->no_tokenizer_why, err))
        return false;
    write_notes(model);
    return weights_hash(model->file, model->hash, err);
}

Model *model_load(const char *file_path, Err *err)
{
    return model_load_for(file_path, kernel_path_best(), err);
}

Model *model_load_for(const char *file_path, const KernelPath *path, Err *err)
{
    WeightFile *file = weights_open(file_path, err);
    if (!file) return NULL;
    Model *model = mem_zalloc(1, sizeof *model);
    model->file = file;
    model->path = path;
    Plan plan;
    bool ok = make_plan(file, model->path, &plan, err) && fill_model(model, &plan, err);
    free(plan.parts);
    if (ok) return model;
    model_free(model);
    return NULL;
}

void model_free(Model *model)
{
    if (!model) return;
    tokenizer_free(model->tokenizer);
    weights_close(model->file);
    free(model->layers);
    free(model->owned);
    buf_free(&model->notes);
    free(model);
}

/* Fills a tensor with normal numbers of variance 1/columns; a vector (a norm's gain, a bias) with ones. Every tensor has a stream of its
 * own, so the order and the threads do not matter. */
static void fill_random(float *to, const Tensor *shape, Rng rng)
{
    size_t n = (size_t)tensor_count(shape);
    if (shape->n_dims == 2) {
        rng_normals(&rng, 1.0F / sqrtf((float)shape->dims[1]), to, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        to[i] = 1.0F;
}

/* Floats of one slot of one layer in the owned block of a random model. */
static size_t random_slot_floats(const ModelConfig *config, const KernelPath *path, Slot slot)
{
    Tensor shape = {0};
    if (!arch_has_slot(config, slot) || (slot == SLOT_HEAD && config->tied && !path->pack))
        return 0;
    arch_slot_shape(config, slot, &shape);
    if (path->pack && shape.n_dims == 2 && slot != SLOT_EMBEDDING)
        return up_to_a_line(path->packed_floats((int)shape.dims[0], (int)shape.dims[1]));
    return up_to_a_line((size_t)tensor_count(&shape));
}

/* One slot of one layer: drawn, then packed where it is a matrix. A tied head is the embedding's draw. */
static void fill_random_slot(const Model *model, Slot slot, int layer, uint64_t seed, float *to)
{
    Tensor shape = {0};
    arch_slot_shape(&model->config, slot, &shape);
    Slot drawn = slot == SLOT_HEAD && model->config.tied ? SLOT_EMBEDDING : slot;
    Rng rng = rng_open(seed, (uint32_t)drawn, (uint32_t)layer, 0);
    if (!model->path->pack || shape.n_dims == 1 || slot == SLOT_EMBEDDING) {
        fill_random(to, &shape, rng);
        return;
    }
    float *plain = mem_alloc((size_t)tensor_count(&shape), sizeof *plain);
    fill_random(plain, &shape, rng);
    model->path->pack(plain, (int)shape.dims[0], (int)shape.dims[1], to);
    free(plain);
}

/* Lays the slots out in the owned block, which has room for all of them. */
static void fill_random_slots(Model *model, uint64_t seed)
{
    float *next = model->owned;
    for (int slot = 0; slot < N_SLOTS; slot++) {
        size_t stride = random_slot_floats(&model->config, model->path, (Slot)slot);
        int n_layers = slot < N_LAYER_SLOTS ? model->config.n_layers : 1;
        if (!stride) continue;
#pragma omp parallel for schedule(static)
        for (int layer = 0; layer < n_layers; layer++) {
            float *to = next + (size_t)layer * stride;
            fill_random_slot(model, (Slot)slot, layer, seed, to);
            *place_of(model, (Slot)slot, layer) = to;
        }
        next += (size_t)n_layers * stride;
    }
    if (!model->head) model->head = model->embedding;
}

/* Floats of all slots, each padded to a cache line. */
static size_t random_floats(const ModelConfig *config, const KernelPath *path)
{
    size_t n = 0;
    for (int slot = 0; slot < N_SLOTS; slot++)
        n += random_slot_floats(config, path, (Slot)slot) *
             (size_t)(slot < N_LAYER_SLOTS ? config->n_layers : 1);
    return n;
}

Model *model_random(const ModelConfig *config, uint64_t seed, Err *err)
{
    return model_random_for(config, kernel_path_best(), seed, err);
}

Model *model_random_for(const ModelConfig *config, const KernelPath *path, uint64_t seed, Err *err)
{
    if (!config_check(config, "random model", err)) return NULL;
    Model *model = mem_zalloc(1, sizeof *model);
    model->config = *config;
    model->path = path;
    model->layers = mem_zalloc((size_t)config->n_layers, sizeof *model->layers);
    snprintf(model->no_tokenizer_why, sizeof model->no_tokenizer_why, "random weights");
    model->owned =
        mem_alloc_large(random_floats(config, model->path), sizeof(float), "random weights", err);
    if (!model->owned) {
        model_free(model);
        return NULL;
    }
    fill_random_slots(model, seed);
    Buf key = {0};
    config_key(&model->config, &key);
    buf_printf(&key, "seed=%llu\n", (unsigned long long)seed);
    hash_bytes(buf_text(&key), key.len, model->hash);
    buf_free(&key);
    buf_text(&model->notes);
    return model;
}

void model_plain_weights(const Model *model, Slot slot, int layer, float *out)
{
    Tensor shape = {0};
    arch_slot_shape(&model->config, slot, &shape);
    const float *values = slot < N_LAYER_SLOTS     ? model->layers[layer].slot[slot]
                          : slot == SLOT_EMBEDDING ? model->embedding
                          : slot == SLOT_HEAD      ? model->head
                          : slot == SLOT_OUT_NORM  ? model->out_norm
                                                   : model->out_norm_bias;
    if (model->path->unpack && shape.n_dims == 2 && slot != SLOT_EMBEDDING)
        model->path->unpack(values, (int)shape.dims[0], (int)shape.dims[1], out);
    else
        memcpy(out, values, (size_t)tensor_count(&shape) * sizeof *out);
}
