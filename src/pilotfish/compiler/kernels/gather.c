/* Slices picked by indices that are known at run time only. */
#include "gather.h"

#include "pf_kernel.h"

static int64_t clamped_index(const pf_gather_args *p, const void *indices, int64_t j) {
    int64_t index = p->wide ? ((const int64_t *)indices)[j] : ((const int32_t *)indices)[j];
    if (index < 0) index += p->axis;
    return PF_MAX(0, PF_MIN(index, p->axis - 1));
}

/* One element is no work for vectors, so single ones go the same way in both forms. */
#define PF_GATHER(T, MOVE)                                                      \
    const pf_gather_args *p = args;                                             \
    const T *x = buf[0];                                                        \
    T *y = buf[2];                                                              \
    PF_ROLLED for (int64_t o = 0; o < p->outer; o++, x += p->axis * p->inner) { \
        PF_ROLLED for (int64_t j = 0; j < p->indices; j++, y += p->inner) {     \
            const T *slice = x + clamped_index(p, buf[1], j) * p->inner;        \
            if (p->inner == 1) {                                                \
                *y = *slice;                                                    \
            } else {                                                            \
                MOVE(y, slice, (size_t)p->inner);                               \
            }                                                                   \
        }                                                                       \
    }

#if PF_RVV

#define PF_GATHER_VECTOR(B)                                                 \
    static void move_x##B(uint##B##_t *y, const uint##B##_t *x, size_t n) { \
        if (n <= __riscv_vsetvlmax_e##B##m2()) {                            \
            __riscv_vse##B(y, __riscv_vle##B##_v_u##B##m2(x, n), n);        \
            return;                                                         \
        }                                                                   \
        PF_ROLLED while (n > 0) {                                           \
            const size_t vl = __riscv_vsetvl_e##B##m8(n);                   \
            __riscv_vse##B(y, __riscv_vle##B##_v_u##B##m8(x, vl), vl);      \
            x += vl;                                                        \
            y += vl;                                                        \
            n -= vl;                                                        \
        }                                                                   \
    }                                                                       \
    pf_kernel x##B##_gather__rvv;                                           \
    void x##B##_gather__rvv(const void *args, void *const *buf) {           \
        PF_GATHER(uint##B##_t, move_x##B)                                   \
    }

PF_GATHER_VECTOR(8)
PF_GATHER_VECTOR(32)
PF_GATHER_VECTOR(64)

#endif

#define PF_GATHER_SCALAR(B)                                                        \
    static void move_scalar_x##B(uint##B##_t *y, const uint##B##_t *x, size_t n) { \
        for (size_t i = 0; i < n; i++) y[i] = x[i];                                \
    }                                                                              \
    pf_kernel x##B##_gather__scalar;                                               \
    void x##B##_gather__scalar(const void *args, void *const *buf) {               \
        PF_GATHER(uint##B##_t, move_scalar_x##B)                                   \
    }

PF_GATHER_SCALAR(8)
PF_GATHER_SCALAR(32)
PF_GATHER_SCALAR(64)
