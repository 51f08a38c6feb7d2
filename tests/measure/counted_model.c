/* The table of the model whose run function is in counted.S. */
#include "pf_model.h"

pf_status run(const void *, void *, const void *const *, void *const *, pf_step_hook *, void *);

static const char *const step_names[] = {"a|b|loop__scalar", "vectors|vec__rvv"};

const pf_model_info model_info = {
    .name = "counted", .n_steps = 2, .step_names = step_names, .vlen_min = 128, .run = run};
