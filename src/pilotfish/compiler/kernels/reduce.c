/* Reductions along one axis. Vectors lie along the axis if it is the last one, across it otherwise. Sums are made of
 * partial sums: of the lanes of a vector, or of blocks of 32 numbers; so that rounding errors stay few.
 *
 * A NaN makes sums and products NaN. The maximum and the minimum look at numbers only, and are NaN if there are none. */
#include "reduce.h"

#include "pf_math.h"

enum { BLOCK = 32 };

/* How each kind starts at x, takes in the numbers v, and joins partial results. `w` is the width. */
#define START_sum(w) pf_splat_##w(0.0f, vl)
#define STEP_sum(w, part, v) pf_add_##w(part, v, vl)
#define JOIN_sum(w, a, b) pf_add_##w(a, b, vl)
#define START_sumsq(w) pf_splat_##w(0.0f, vl)
#define STEP_sumsq(w, part, v) pf_fma_##w(v, v, part, vl)
#define JOIN_sumsq(w, a, b) pf_add_##w(a, b, vl)
#define START_l1(w) pf_splat_##w(0.0f, vl)
#define STEP_l1(w, part, v) pf_add_##w(part, pf_abs_##w(v, vl), vl)
#define JOIN_l1(w, a, b) pf_add_##w(a, b, vl)
#define START_prod(w) pf_splat_##w(1.0f, vl)
#define STEP_prod(w, part, v) pf_mul_##w(part, v, vl)
#define JOIN_prod(w, a, b) pf_mul_##w(a, b, vl)
#define START_max(w) pf_load_##w(x, vl)
#define STEP_max(w, part, v) pf_maxnum_##w(part, v, vl)
#define JOIN_max(w, a, b) pf_maxnum_##w(a, b, vl)
#define START_min(w) pf_load_##w(x, vl)
#define STEP_min(w, part, v) pf_minnum_##w(part, v, vl)
#define JOIN_min(w, a, b) pf_minnum_##w(a, b, vl)

/* vl neighbouring results, each of n numbers `step` apart. */
#define ACROSS(kind, w)                                                                         \
    static void kind##_across_##w(float *y, const float *x, int n, ptrdiff_t step, size_t vl) { \
        pf_v_##w whole = START_##kind(w);                                                       \
        for (; n > 0; n -= BLOCK) {                                                             \
            pf_v_##w part = START_##kind(w);                                                    \
            PF_ROLLED                                                                           \
            for (int left = PF_MIN(n, BLOCK); left; left--, x += step) {                        \
                const pf_v_##w v = pf_load_##w(x, vl);                                          \
                part = STEP_##kind(w, part, v);                                                 \
            }                                                                                   \
            whole = JOIN_##kind(w, whole, part);                                                \
        }                                                                                       \
        pf_store_##w(y, whole, vl);                                                             \
    }

/* What is done to sums in the end. */
#define FINISH(w)                                                                         \
    static __attribute__((noinline)) void finish_##w(const pf_reduce_args *a, float *y) { \
        const int64_t n = (int64_t)a->outer * a->inner;                                   \
        if (a->finish == PF_REDUCE_NOTHING && a->scale == 1.0f) return;                   \
        for (int64_t i = 0; i < n;) {                                                     \
            const size_t vl = pf_vl_##w(n - i);                                           \
            pf_v_##w v = pf_muls_##w(pf_load_##w(y + i, vl), a->scale, vl);               \
            if (a->finish == PF_REDUCE_SQRT) v = pf_sqrt_##w(v, vl);                      \
            if (a->finish == PF_REDUCE_LOG) v = pf_log_##w(v, vl);                        \
            pf_store_##w(y + i, v, vl);                                                   \
            i += (int64_t)vl;                                                             \
        }                                                                                 \
    }
#define UNFINISHED(a, y)

/* log(sum of e^x) of vl neighbours. The largest number is taken out first, if it is finite. */
#define LOGSUMEXP(w)                                                                                 \
    static void logsumexp_across_##w(float *y, const float *x, int n, ptrdiff_t step, size_t vl) {   \
        pf_v_##w shift = pf_load_##w(x, vl), sum = pf_splat_##w(0.0f, vl);                           \
        for (int i = 1; i < n; i++) shift = pf_maxnum_##w(shift, pf_load_##w(x + i * step, vl), vl); \
        shift = pf_selects_##w(pf_isinf_##w(shift, vl), 0.0f, shift, vl);                            \
        PF_ROLLED                                                                                    \
        for (; n; n--, x += step) {                                                                  \
            const pf_v_##w v = pf_sub_##w(pf_load_##w(x, vl), shift, vl);                            \
            sum = pf_add_##w(sum, pf_exp_##w(v, vl), vl);                                            \
        }                                                                                            \
        pf_store_##w(y, pf_add_##w(pf_log_##w(sum, vl), shift, vl), vl);                             \
    }

#define ACROSS_KERNEL(name, kind, w, end)                                                             \
    pf_kernel name;                                                                                   \
    void name(const void *args, void *const *buf) {                                                   \
        const pf_reduce_args *a = args;                                                               \
        const float *x = buf[0];                                                                      \
        float *y = buf[1];                                                                            \
        for (int row = 0; row < a->outer; row++, x += (ptrdiff_t)a->axis * a->inner, y += a->inner) { \
            size_t vl;                                                                                \
            for (int i = 0; i < a->inner; i += (int)vl) {                                             \
                vl = pf_vl_##w(a->inner - i);                                                         \
                kind##_across_##w(y + i, x + i, a->axis, a->inner, vl);                               \
            }                                                                                         \
        }                                                                                             \
        end(a, buf[1]);                                                                               \
    }

#if PF_RVV

/* How the lanes come together. */
#define TAKE_sum(part, v) __riscv_vfadd_tu(part, part, v, vl)
#define TAKE_sumsq(part, v) __riscv_vfmacc_tu(part, v, v, vl)
#define TAKE_l1(part, v) __riscv_vfadd_tu(part, part, pf_abs_m4(v, vl), vl)
#define TAKE_prod(part, v) __riscv_vfmul_tu(part, part, v, vl)
#define TAKE_max(part, v) __riscv_vfmax_tu(part, part, v, vl)
#define TAKE_min(part, v) __riscv_vfmin_tu(part, part, v, vl)
#define LANES_sum(part) __riscv_vfmv_f(__riscv_vfredusum(part, pf_splat_m1(0.0f, 1), all))
#define LANES_sumsq(part) LANES_sum(part)
#define LANES_l1(part) LANES_sum(part)
#define LANES_prod(part) product_of_lanes(part, all)
#define LANES_max(part) __riscv_vfmv_f(__riscv_vfredmax(part, pf_splat_m1(x[0], 1), all))
#define LANES_min(part) __riscv_vfmv_f(__riscv_vfredmin(part, pf_splat_m1(x[0], 1), all))
#define SEED_sum 0.0f
#define SEED_sumsq 0.0f
#define SEED_l1 0.0f
#define SEED_prod 1.0f
#define SEED_max x[0]
#define SEED_min x[0]

static float product_of_lanes(pf_v_m4 part, size_t all) {
    while (all /= 2) part = __riscv_vfmul(part, __riscv_vslidedown(part, all, all), all);
    return __riscv_vfmv_f(part);
}

#define ALONG_KERNEL(name, kind, end)                            \
    pf_kernel name;                                              \
    void name(const void *args, void *const *buf) {              \
        const pf_reduce_args *a = args;                          \
        const size_t all = __riscv_vsetvlmax_e32m4();            \
        const float *x = buf[0];                                 \
        float *y = buf[1];                                       \
        PF_ROLLED                                                \
        for (int row = 0; row < a->outer; row++, x += a->axis) { \
            pf_v_m4 part = pf_splat_m4(SEED_##kind, all);        \
            size_t vl;                                           \
            PF_ROLLED                                            \
            for (int i = 0; i < a->axis; i += (int)vl) {         \
                vl = pf_vl_m4(a->axis - i);                      \
                const pf_v_m4 v = pf_load_m4(x + i, vl);         \
                part = TAKE_##kind(part, v);                     \
            }                                                    \
            y[row] = LANES_##kind(part);                         \
        }                                                        \
        end(a, y);                                               \
    }

ACROSS(sum, m4)
ACROSS(sumsq, m4)
ACROSS(l1, m4)
ACROSS(prod, m4)
ACROSS(max, m4)
ACROSS(min, m4)
LOGSUMEXP(m4)
FINISH(m4)
ACROSS_KERNEL(f32_sum_inner4v__rvv, sum, m4, finish_m4)
ACROSS_KERNEL(f32_sumsq_inner4v__rvv, sumsq, m4, finish_m4)
ACROSS_KERNEL(f32_l1_inner4v__rvv, l1, m4, finish_m4)
ACROSS_KERNEL(f32_prod_inner4v__rvv, prod, m4, UNFINISHED)
ACROSS_KERNEL(f32_max_inner4v__rvv, max, m4, UNFINISHED)
ACROSS_KERNEL(f32_min_inner4v__rvv, min, m4, UNFINISHED)
ACROSS_KERNEL(f32_logsumexp_inner4v__rvv, logsumexp, m4, UNFINISHED)
ALONG_KERNEL(f32_sum_row4v__rvv, sum, finish_m4)
ALONG_KERNEL(f32_sumsq_row4v__rvv, sumsq, finish_m4)
ALONG_KERNEL(f32_l1_row4v__rvv, l1, finish_m4)
ALONG_KERNEL(f32_prod_row4v__rvv, prod, UNFINISHED)
ALONG_KERNEL(f32_max_row4v__rvv, max, UNFINISHED)
ALONG_KERNEL(f32_min_row4v__rvv, min, UNFINISHED)

pf_kernel f32_logsumexp_row4v__rvv;

void f32_logsumexp_row4v__rvv(const void *args, void *const *buf) {
    const pf_reduce_args *a = args;
    const size_t all = __riscv_vsetvlmax_e32m4();
    const float *x = buf[0];
    float *y = buf[1];
    for (int row = 0; row < a->outer; row++, x += a->axis) {
        pf_v_m4 most = pf_splat_m4(x[0], all), sums = pf_splat_m4(0.0f, all);
        size_t vl;
        for (int i = 0; i < a->axis; i += (int)vl) {
            vl = pf_vl_m4(a->axis - i);
            most = TAKE_max(most, pf_load_m4(x + i, vl));
        }
        float shift = LANES_max(most);
        if (pf_isinf_x1(shift, 1)) shift = 0.0f;
        for (int i = 0; i < a->axis; i += (int)vl) {
            vl = pf_vl_m4(a->axis - i);
            const pf_v_m4 v = pf_subs_m4(pf_load_m4(x + i, vl), shift, vl);
            const pf_v_m4 e = pf_exp_m4(v, vl);
            sums = TAKE_sum(sums, e);
        }
        y[row] = pf_log_x1(LANES_sum(sums), 1) + shift;
    }
}

#endif

ACROSS(sum, x1)
ACROSS(sumsq, x1)
ACROSS(l1, x1)
ACROSS(prod, x1)
ACROSS(max, x1)
ACROSS(min, x1)
LOGSUMEXP(x1)
FINISH(x1)
ACROSS_KERNEL(f32_sum__scalar, sum, x1, finish_x1)
ACROSS_KERNEL(f32_sumsq__scalar, sumsq, x1, finish_x1)
ACROSS_KERNEL(f32_l1__scalar, l1, x1, finish_x1)
ACROSS_KERNEL(f32_prod__scalar, prod, x1, UNFINISHED)
ACROSS_KERNEL(f32_max__scalar, max, x1, UNFINISHED)
ACROSS_KERNEL(f32_min__scalar, min, x1, UNFINISHED)
ACROSS_KERNEL(f32_logsumexp__scalar, logsumexp, x1, UNFINISHED)
