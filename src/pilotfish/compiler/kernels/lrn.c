/* Local response normalization: y = x (bias + alpha * sum of squares)^-beta, the sum over neighbouring channels that
 * exist. The power goes through exp and log. */
#include "lrn.h"

#include "pf_math.h"

pf_kernel f32_lrn__scalar;

#if PF_RVV

pf_kernel f32_lrn_4v__rvv;

/* Squares of vl channels from x[from] on, added to sum; from may lie before the pixel's n channels, or end after. */
PF_INLINE pf_v_m4 add_squares(pf_v_m4 sum, const float *x, int from, int n, size_t vl) {
    const int lead = PF_MAX(-from, 0), end = PF_MIN((int)vl, n - from);
    if (lead >= end) return sum;
    pf_v_m4 v = pf_load_m4(x + from + lead, (size_t)(end - lead));
    if (lead) v = __riscv_vslideup(pf_splat_m4(0.0f, vl), v, (size_t)lead, (size_t)end);
    return __riscv_vfmacc_tu(sum, v, v, (size_t)end);
}

void f32_lrn_4v__rvv(const void *args, void *const *buf) {
    const pf_lrn_args *a = args;
    const float *x = buf[0];
    float *y = buf[1];
    for (int row = 0; row < a->rows; row++, x += a->n, y += a->n) {
        size_t vl;
        for (int i = 0; i < a->n; i += (int)vl) {
            vl = pf_vl_m4(a->n - i);
            pf_v_m4 sum = pf_splat_m4(0.0f, vl);
            PF_ROLLED
            for (int k = -a->before; k <= a->after; k++) sum = add_squares(sum, x, i + k, a->n, vl);
            const pf_v_m4 base = pf_adds_m4(pf_muls_m4(sum, a->alpha, vl), a->bias, vl);
            const pf_v_m4 power = pf_exp_m4(pf_muls_m4(pf_log_m4(base, vl), -a->beta, vl), vl);
            pf_store_m4(y + i, pf_mul_m4(pf_load_m4(x + i, vl), power, vl), vl);
        }
    }
}

#endif

void f32_lrn__scalar(const void *args, void *const *buf) {
    const pf_lrn_args *a = args;
    const float *x = buf[0];
    float *y = buf[1];
    for (int row = 0; row < a->rows; row++, x += a->n, y += a->n) {
        for (int i = 0; i < a->n; i++) {
            float sum = 0.0f;
            for (int k = PF_MAX(i - a->before, 0); k < PF_MIN(i + a->after + 1, a->n); k++)
                sum += x[k] * x[k];
            y[i] = a->bias + a->alpha * sum;
        }
        for (int i = 0; i < a->n; i++) y[i] = x[i] * pf_exp_x1(-a->beta * pf_log_x1(y[i], 1), 1);
    }
}
