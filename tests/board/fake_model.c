/* A model by hand, for tests of the runner: two inputs, three outputs, two steps. */
#include "pf_model.h"

#ifndef VLEN_MIN
#define VLEN_MIN 0
#endif

static const int64_t x_shape[] = {2, 3}, k_shape[] = {2}, y_shape[] = {3}, z_shape[] = {2, 3};

static const pf_tensor_info inputs[] = {
    {"x", PF_F32, 2, x_shape, 24},
    {"k:0", PF_I64, 1, k_shape, 16},
};
static const pf_tensor_info outputs[] = {
    {"y", PF_F32, 1, y_shape, 12},   /* the sum of x's rows, times the scalar weight */
    {"z/1", PF_F32, 2, z_shape, 24}, /* x's row i, plus k[i] */
    {"n", PF_I64, 0, 0, 8},          /* the sum of k */
};
static const char *const step_names[] = {"rows|f32_sum__scalar", "rest|other__scalar"};
static const _Alignas(64) float weights[16] = {0.5f};

static pf_status run(const void *w, void *arena, const void *const *in, void *const *out, pf_step_hook *hook,
                     void *context) {
    const float *x = in[0], *weight = w;
    const int64_t *k = in[1];
    float *sum = arena, *y = out[0], *z = out[1];
    if (hook) hook(context, 0, 0);
    for (int j = 0; j < 3; j++) sum[j] = x[j] + x[3 + j];
    if (hook) hook(context, 0, 1);
    if (hook) hook(context, 1, 0);
    for (int j = 0; j < 3; j++) y[j] = sum[j] * *weight;
    for (int i = 0; i < 6; i++) z[i] = x[i] + (float)k[i / 3];
    *(int64_t *)out[2] = k[0] + k[1];
#ifdef ILLEGAL
    __builtin_trap();
#endif
    if (hook) hook(context, 1, 1);
    return PF_OK;
}

const pf_model_info model_info = {.name = "fake",
                                  .n_inputs = 2,
                                  .n_outputs = 3,
                                  .n_steps = 2,
                                  .inputs = inputs,
                                  .outputs = outputs,
                                  .step_names = step_names,
                                  .arena_bytes = 12,
                                  .weights_bytes = sizeof weights,
                                  .weights = (const unsigned char *)weights,
                                  .vlen_min = VLEN_MIN,
                                  .run = run};
