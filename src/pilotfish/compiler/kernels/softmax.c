/* Softmax along one axis, in three passes: the maximum, the exponentials of the differences from it and their sum,
 * the division. A NaN makes all of its sum NaN. */
#include "softmax.h"

#include "pf_math.h"

pf_kernel f32_softmax__scalar;

#if PF_RVV

pf_kernel f32_softmax_row4v__rvv, f32_softmax_inner4v__rvv;

static void softmax_row(float *y, const float *x, int n, int log) {
    const size_t all = __riscv_vsetvlmax_e32m4();
    pf_v_m4 most = pf_splat_m4(x[0], all);
    size_t vl;
    for (int i = 0; i < n; i += (int)vl) {
        vl = pf_vl_m4(n - i);
        most = __riscv_vfmax_tu(most, most, pf_load_m4(x + i, vl), vl);
    }
    const vfloat32m1_t first = pf_splat_m1(x[0], 1);
    const float shift = __riscv_vfmv_f(__riscv_vfredmax(most, first, all));

    pf_v_m4 sums = pf_splat_m4(0.0f, all);
    for (int i = 0; i < n; i += (int)vl) {
        vl = pf_vl_m4(n - i);
        const pf_v_m4 e = pf_expneg_m4(pf_subs_m4(pf_load_m4(x + i, vl), shift, vl), vl);
        sums = __riscv_vfadd_tu(sums, sums, e, vl);
        if (!log) pf_store_m4(y + i, e, vl);
    }
    const float sum = __riscv_vfmv_f(__riscv_vfredusum(sums, pf_splat_m1(0.0f, 1), all));

    const float by = log ? pf_log_x1(sum, 1) : 1.0f / sum;
    for (int i = 0; i < n; i += (int)vl) {
        vl = pf_vl_m4(n - i);
        const pf_v_m4 v = log ? pf_subs_m4(pf_subs_m4(pf_load_m4(x + i, vl), shift, vl), by, vl)
                              : pf_muls_m4(pf_load_m4(y + i, vl), by, vl);
        pf_store_m4(y + i, v, vl);
    }
}

void f32_softmax_row4v__rvv(const void *args, void *const *buf) {
    const pf_softmax_args *a = args;
    const float *x = buf[0];
    float *y = buf[1];
    for (int row = 0; row < a->outer; row++, x += a->xs, y += a->ys) softmax_row(y, x, a->axis, a->log);
}

/* vl neighbours, n of them `step` apart. */
static void softmax_inner(float *y, const float *x, int n, ptrdiff_t step, int log, size_t vl) {
    const ptrdiff_t end = n * step;
    pf_v_m4 most = pf_load_m4(x, vl), sum = pf_splat_m4(0.0f, vl);
    for (ptrdiff_t i = step; i < end; i += step) most = pf_maxnum_m4(most, pf_load_m4(x + i, vl), vl);
    for (ptrdiff_t i = 0; i < end; i += step) {
        const pf_v_m4 e = pf_expneg_m4(pf_sub_m4(pf_load_m4(x + i, vl), most, vl), vl);
        sum = pf_add_m4(sum, e, vl);
        if (!log) pf_store_m4(y + i, e, vl);
    }
    const pf_v_m4 by = log ? pf_log_m4(sum, vl) : pf_rdivs_m4(sum, 1.0f, vl);
    for (ptrdiff_t i = 0; i < end; i += step) {
        const pf_v_m4 v = log ? pf_sub_m4(pf_sub_m4(pf_load_m4(x + i, vl), most, vl), by, vl)
                              : pf_mul_m4(pf_load_m4(y + i, vl), by, vl);
        pf_store_m4(y + i, v, vl);
    }
}

void f32_softmax_inner4v__rvv(const void *args, void *const *buf) {
    const pf_softmax_args *a = args;
    const float *x = buf[0];
    float *y = buf[1];
    for (int row = 0; row < a->outer; row++, x += a->xs, y += a->ys) {
        size_t vl;
        for (int i = 0; i < a->inner; i += (int)vl) {
            vl = pf_vl_m4(a->inner - i);
            softmax_inner(y + i, x + i, a->axis, a->inner, a->log, vl);
        }
    }
}

#endif

static void softmax(float *y, const float *x, int n, ptrdiff_t step, int log) {
    const ptrdiff_t end = n * step;
    float most = x[0], sum = 0.0f;
    for (ptrdiff_t i = 0; i < end; i += step) most = pf_maxnum_x1(most, x[i], 1);
    if (log) {
        for (ptrdiff_t i = 0; i < end; i += step) sum += pf_expneg_x1(x[i] - most, 1);
        const float by = pf_log_x1(sum, 1);
        for (ptrdiff_t i = 0; i < end; i += step) y[i] = x[i] - most - by;
    } else {
        for (ptrdiff_t i = 0; i < end; i += step) y[i] = pf_expneg_x1(x[i] - most, 1);
        for (ptrdiff_t i = 0; i < end; i += step) sum += y[i];
        for (ptrdiff_t i = 0; i < end; i += step) y[i] *= 1.0f / sum;
    }
}

void f32_softmax__scalar(const void *args, void *const *buf) {
    const pf_softmax_args *a = args;
    const float *x = buf[0];
    float *y = buf[1];
    for (int row = 0; row < a->outer; row++, x += a->xs, y += a->ys) {
        for (int i = 0; i < a->inner; i++) softmax(y + i, x + i, a->axis, a->inner, a->log);
    }
}
