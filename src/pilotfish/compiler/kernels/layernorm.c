/* Layer normalization: y = (x - mean) / sqrt(variance + epsilon) * scale + bias, in three passes over a row: the mean,
 * the variance, the result. The mean of f32 numbers is not an f32 number: the second pass also sums the differences
 * from the rounded mean, and what they are off by on average is taken out of the variance and of the result. */
#include "layernorm.h"

#include "pf_vec.h"

pf_kernel f32_layernorm__scalar;

#if PF_RVV

pf_kernel f32_layernorm_4v__rvv;

static float sum_of_lanes(pf_v_m4 part, size_t all) {
    return __riscv_vfmv_f(__riscv_vfredusum(part, pf_splat_m1(0.0f, 1), all));
}

void f32_layernorm_4v__rvv(const void *args, void *const *buf) {
    const pf_layernorm_args *a = args;
    const float *x = buf[0], *scale = buf[1], *bias = buf[2];
    float *y = buf[3];
    const size_t all = __riscv_vsetvlmax_e32m4();
    const float share = 1.0f / (float)a->n;
    size_t vl;
    for (int row = 0; row < a->rows; row++, x += a->n, y += a->n) {
        pf_v_m4 sum = pf_splat_m4(0.0f, all);
        for (int i = 0; i < a->n; i += (int)vl) {
            vl = pf_vl_m4(a->n - i);
            sum = __riscv_vfadd_tu(sum, sum, pf_load_m4(x + i, vl), vl);
        }
        const float mean = sum_of_lanes(sum, all) * share;

        pf_v_m4 squares = pf_splat_m4(0.0f, all);
        sum = pf_splat_m4(0.0f, all);
        for (int i = 0; i < a->n; i += (int)vl) {
            vl = pf_vl_m4(a->n - i);
            const pf_v_m4 d = pf_subs_m4(pf_load_m4(x + i, vl), mean, vl);
            sum = __riscv_vfadd_tu(sum, sum, d, vl);
            squares = __riscv_vfmacc_tu(squares, d, d, vl);
        }
        const float off = sum_of_lanes(sum, all) * share;
        const float variance = sum_of_lanes(squares, all) * share - off * off;

        const float by = 1.0f / __builtin_sqrtf(variance + a->epsilon);
        for (int i = 0; i < a->n; i += (int)vl) {
            vl = pf_vl_m4(a->n - i);
            const pf_v_m4 d = pf_subs_m4(pf_subs_m4(pf_load_m4(x + i, vl), mean, vl), off, vl);
            const pf_v_m4 normal = pf_muls_m4(d, by, vl);
            pf_store_m4(y + i, pf_fma_m4(normal, pf_load_m4(scale + i, vl), pf_load_m4(bias + i, vl), vl),
                        vl);
        }
    }
}

#endif

/* Sums of eight interleaved parts, so that rounding errors stay few. */
enum { PARTS = 8 };

static float sum_of_parts(const float *part) {
    return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
}

void f32_layernorm__scalar(const void *args, void *const *buf) {
    const pf_layernorm_args *a = args;
    const float *x = buf[0], *scale = buf[1], *bias = buf[2];
    float *y = buf[3];
    const float share = 1.0f / (float)a->n;
    for (int row = 0; row < a->rows; row++, x += a->n, y += a->n) {
        float sum[PARTS] = {0}, squares[PARTS] = {0};
        for (int i = 0; i < a->n; i++) sum[i % PARTS] += x[i];
        const float mean = sum_of_parts(sum) * share;
        for (int i = 0; i < PARTS; i++) sum[i] = 0.0f;
        for (int i = 0; i < a->n; i++) {
            const float d = x[i] - mean;
            sum[i % PARTS] += d;
            squares[i % PARTS] += d * d;
        }
        const float off = sum_of_parts(sum) * share;
        const float by = 1.0f / __builtin_sqrtf(sum_of_parts(squares) * share - off * off + a->epsilon);
        for (int i = 0; i < a->n; i++) y[i] = (x[i] - mean - off) * by * scale[i] + bias[i];
    }
}
