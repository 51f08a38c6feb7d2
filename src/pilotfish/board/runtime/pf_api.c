/* The public functions of lib<symbol>.a; PF_SYMBOL is the symbol that prefixes them. Built without vectors, so that a
 * machine that has none gets a status and not a fault. */
#include "pf_machine.h"
#include "pf_model.h"

#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define NAME(suffix) PASTE(PF_SYMBOL, suffix)

typedef struct {
    const void *weights;
    void *arena;
} instance_t;

extern const pf_model_info NAME(_info);
size_t NAME(_arena_bytes)(void);
size_t NAME(_weights_bytes)(void);
pf_status NAME(_init)(instance_t *instance, void *arena, size_t arena_bytes, const void *weights,
                      size_t weights_bytes);
pf_status NAME(_run)(instance_t *instance, const void *const *inputs, void *const *outputs);

size_t NAME(_arena_bytes)(void) {
    return NAME(_info).arena_bytes;
}

size_t NAME(_weights_bytes)(void) {
    return NAME(_info).weights_bytes;
}

pf_status NAME(_init)(instance_t *instance, void *arena, size_t arena_bytes, const void *weights,
                      size_t weights_bytes) {
    const pf_model_info *info = &NAME(_info);
    if (!instance) return PF_ERR_ARGUMENT;
    if (arena_bytes < info->arena_bytes || (info->arena_bytes && !arena) || (uintptr_t)arena % PF_ALIGN)
        return PF_ERR_ARENA;
    if (weights && (weights_bytes != info->weights_bytes || (uintptr_t)weights % PF_ALIGN))
        return PF_ERR_WEIGHTS;
    pf_status machine = pf_machine_check(info->vlen_min, info->half);
    if (machine != PF_OK) return machine;
    instance->weights = weights ? weights : info->weights;
    instance->arena = arena;
    return PF_OK;
}

pf_status NAME(_run)(instance_t *instance, const void *const *inputs, void *const *outputs) {
    if (!instance) return PF_ERR_ARGUMENT;
    return NAME(_info).run(instance->weights, instance->arena, inputs, outputs, 0, 0);
}
