#include "models/train/layout.h"

#include <math.h>

#include "base/rng.h"

bool train_layout_make(const ModelConfig *config, TrainLayout *layout, Err *err)
{
    if (config->features || config->window)
        return err_set(err, ERR_UNSUPPORTED,
                       "training knows Llama's block alone; this model (%s) has %s", config->arch,
                       config->window ? "a sliding window" : "biases, other norms or other layers");
    *layout = (TrainLayout){0};
    for (int slot = 0; slot < N_SLOTS; slot++) {
        Tensor shape = {0};
        if (!arch_has_slot(config, (Slot)slot) || (slot == SLOT_HEAD && config->tied)) continue;
        arch_slot_shape(config, (Slot)slot, &shape);
        layout->floats[slot] = (size_t)tensor_count(&shape);
    }
    for (int slot = 0; slot < N_LAYER_SLOTS; slot++) {
        layout->offset[slot] = layout->layer_floats;
        layout->layer_floats += layout->floats[slot];
    }
    layout->n = layout->layer_floats * (size_t)config->n_layers;
    for (int slot = N_LAYER_SLOTS; slot < N_SLOTS; slot++) {
        layout->offset[slot] = layout->n;
        layout->n += layout->floats[slot];
    }
    if (config->tied) layout->offset[SLOT_HEAD] = layout->offset[SLOT_EMBEDDING];
    return true;
}

size_t train_layout_at(const TrainLayout *layout, Slot slot, int layer)
{
    return layout->offset[slot] + (slot < N_LAYER_SLOTS ? (size_t)layer * layout->layer_floats : 0);
}

/* Standard deviation of a matrix. */
static float deviation(const ModelConfig *config, Slot slot, int64_t columns)
{
    if (slot == SLOT_EMBEDDING) return 0.05F;
    bool to_residual = slot == SLOT_WO || slot == SLOT_W_DOWN;
    return (float)(1.0 / sqrt((double)columns * (to_residual ? 2.0 * config->n_layers : 1.0)));
}

void train_layout_draw(const ModelConfig *config, const TrainLayout *layout, uint64_t seed,
                       float *weights)
{
    for (int slot = 0; slot < N_SLOTS; slot++) {
        Tensor shape = {0};
        int n_layers = slot < N_LAYER_SLOTS ? config->n_layers : 1;
        if (layout->floats[slot] == 0) continue;
        arch_slot_shape(config, (Slot)slot, &shape);
        for (int layer = 0; layer < n_layers; layer++) {
            float *to = weights + train_layout_at(layout, (Slot)slot, layer);
            Rng rng = rng_open(seed, (uint32_t)slot, (uint32_t)layer, 0);
            if (shape.n_dims == 2)
                rng_normals(&rng, deviation(config, (Slot)slot, shape.dims[1]), to,
                            layout->floats[slot]);
            for (size_t i = 0; shape.n_dims == 1 && i < layout->floats[slot]; i++)
                to[i] = 1.0F;
        }
    }
}

void train_layout_copy(const TrainLayout *layout, const Model *model, float *weights)
{
    for (int slot = 0; slot < N_SLOTS; slot++) {
        int n_layers = slot < N_LAYER_SLOTS ? model->config.n_layers : 1;
        for (int layer = 0; layout->floats[slot] && layer < n_layers; layer++)
            model_plain_weights(model, (Slot)slot, layer,
                                weights + train_layout_at(layout, (Slot)slot, layer));
    }
}
