/* The place of the largest or smallest number along one axis. A NaN is passed over; of NaNs only, any place. */
#include "argmax.h"

#include "pf_vec.h"

/* Whether v takes the place of the best so far. */
#define BETTER_max(w, v, best) (a->last ? pf_ge_##w(v, best, vl) : pf_gt_##w(v, best, vl))
#define BETTER_min(w, v, best) (a->last ? pf_le_##w(v, best, vl) : pf_lt_##w(v, best, vl))
#define WORST_max (-__builtin_inff())
#define WORST_min __builtin_inff()

#if PF_RVV

/* Each lane keeps its best number and which vector that was in; then the lanes that share the best are asked for
 * their places. */
#define ROW(kind)                                                                                \
    static int64_t arg##kind##_row(const pf_argmax_args *a, const float *x) {                    \
        size_t all = pf_vl_m4(a->axis), vl;                                                      \
        vfloat32m4_t best = __riscv_vfmv_v_f_f32m4(WORST_##kind, all);                           \
        vuint32m4_t at = __riscv_vmv_v_x_u32m4(0, all);                                          \
        for (int i = 0; i < a->axis; i += (int)vl) {                                             \
            vl = pf_vl_m4(PF_MIN(a->axis - i, (int)all));                                        \
            const vfloat32m4_t v = pf_load_m4(x + i, vl);                                        \
            const vbool8_t better = BETTER_##kind(m4, v, best);                                  \
            best = __riscv_vmerge_tu(best, best, v, better, vl);                                 \
            at = __riscv_vmerge_tu(at, at, (uint32_t)i, better, vl);                             \
        }                                                                                        \
        const vfloat32m1_t seed = __riscv_vfmv_v_f_f32m1(WORST_##kind, 1);                       \
        const float most = __riscv_vfmv_f(__riscv_vfred##kind(best, seed, all));                 \
        const vbool8_t equal = __riscv_vmfeq(best, most, all);                                   \
        at = __riscv_vadd(at, __riscv_vid_v_u32m4(all), all);                                    \
        const vuint32m1_t first = __riscv_vmv_v_x_u32m1(a->last ? 0 : (uint32_t)a->axis - 1, 1); \
        return a->last ? __riscv_vmv_x(__riscv_vredmaxu(equal, at, first, all))                  \
                       : __riscv_vmv_x(__riscv_vredminu(equal, at, first, all));                 \
    }

#define ROW_KERNEL(name, kind)                                                                 \
    pf_kernel name;                                                                            \
    ROW(kind)                                                                                  \
    void name(const void *args, void *const *buf) {                                            \
        const pf_argmax_args *a = args;                                                        \
        const float *x = buf[0];                                                               \
        int64_t *y = buf[1];                                                                   \
        for (int row = 0; row < a->outer; row++, x += a->axis) y[row] = arg##kind##_row(a, x); \
    }
ROW_KERNEL(f32_argmax_row4v__rvv, max)
ROW_KERNEL(f32_argmin_row4v__rvv, min)

#define INNER_KERNEL(name, kind)                                                                      \
    pf_kernel name;                                                                                   \
    void name(const void *args, void *const *buf) {                                                   \
        const pf_argmax_args *a = args;                                                               \
        const float *x = buf[0];                                                                      \
        int64_t *y = buf[1];                                                                          \
        for (int row = 0; row < a->outer; row++, x += (ptrdiff_t)a->axis * a->inner, y += a->inner) { \
            size_t vl;                                                                                \
            for (int i = 0; i < a->inner; i += (int)vl) {                                             \
                vl = pf_vl_m4(a->inner - i);                                                          \
                vfloat32m4_t best = __riscv_vfmv_v_f_f32m4(WORST_##kind, vl);                         \
                vuint32m4_t at = __riscv_vmv_v_x_u32m4(0, vl);                                        \
                const float *from = x + i;                                                            \
                for (int k = 0; k < a->axis; k++, from += a->inner) {                                 \
                    const vfloat32m4_t v = pf_load_m4(from, vl);                                      \
                    const vbool8_t better = BETTER_##kind(m4, v, best);                               \
                    best = __riscv_vmerge(best, v, better, vl);                                       \
                    at = __riscv_vmerge(at, (uint32_t)k, better, vl);                                 \
                }                                                                                     \
                __riscv_vse64((uint64_t *)y + i, __riscv_vzext_vf2(at, vl), vl);                      \
            }                                                                                         \
        }                                                                                             \
    }
INNER_KERNEL(f32_argmax_inner4v__rvv, max)
INNER_KERNEL(f32_argmin_inner4v__rvv, min)

#endif

#define SCALAR_KERNEL(name, kind)                                                      \
    pf_kernel name;                                                                    \
    void name(const void *args, void *const *buf) {                                    \
        const pf_argmax_args *a = args;                                                \
        const float *x = buf[0];                                                       \
        int64_t *y = buf[1];                                                           \
        const size_t vl = 1;                                                           \
        for (int row = 0; row < a->outer; row++, x += (ptrdiff_t)a->axis * a->inner) { \
            for (int i = 0; i < a->inner; i++, y++) {                                  \
                float best = WORST_##kind;                                             \
                *y = 0;                                                                \
                for (int k = 0; k < a->axis; k++) {                                    \
                    const float v = x[i + (ptrdiff_t)k * a->inner];                    \
                    if (BETTER_##kind(x1, v, best)) {                                  \
                        best = v;                                                      \
                        *y = k;                                                        \
                    }                                                                  \
                }                                                                      \
            }                                                                          \
        }                                                                              \
    }
SCALAR_KERNEL(f32_argmax__scalar, max)
SCALAR_KERNEL(f32_argmin__scalar, min)
