/* Between float and int8, and between two scales of int8. quantize.h has the arguments, quantize.py the table rows.
 *
 * Kernels copy their arguments, which stores of bytes might otherwise change as far as clang knows. */
#include "quantize.h"

#include "pf_vec.h"
#include "qrows.h"

#if PF_RVV

#define PF_F m8
#define PF_H m4
#define PF_B m2
#include "quantize_row.h"
#define PF_F m2
#define PF_H m1
#define PF_B mf2
#include "quantize_row.h"

PF_INLINE void flip_m8(const pf_quantize_args *p, const uint8_t *x, uint8_t *y) {
    size_t vl;
    PF_ROLLED for (size_t left = (size_t)p->dims[3]; left > 0; left -= vl, x += vl, y += vl) {
        vl = __riscv_vsetvl_e8m8(left);
        __riscv_vse8(y, __riscv_vxor(__riscv_vle8_v_u8m8(x, vl), 0x80, vl), vl);
    }
}

PF_INLINE void flip_m1(const pf_quantize_args *p, const uint8_t *x, uint8_t *y) {
    size_t vl;
    PF_ROLLED for (size_t left = (size_t)p->dims[3]; left > 0; left -= vl, x += vl, y += vl) {
        vl = __riscv_vsetvl_e8m1(left);
        __riscv_vse8(y, __riscv_vxor(__riscv_vle8_v_u8m1(x, vl), 0x80, vl), vl);
    }
}

#define PF_QUANTIZE(NAME, TX, TY, ROW)                                                 \
    pf_kernel NAME;                                                                    \
    void NAME(const void *args, void *const *buf) {                                    \
        const pf_quantize_args own = *(const pf_quantize_args *)args, *const p = &own; \
        PF_ROWS(TX, TY, ROW, p, x, y)                                                  \
    }

PF_QUANTIZE(f32_qs8_quantize_8v__rvv, float, int8_t, quantize_m8)
PF_QUANTIZE(f32_qs8_quantize_2v__rvv, float, int8_t, quantize_m2)
PF_QUANTIZE(qs8_f32_dequantize_8v__rvv, int8_t, float, dequantize_m8)
PF_QUANTIZE(qs8_f32_dequantize_2v__rvv, int8_t, float, dequantize_m2)
PF_QUANTIZE(qs8_requantize_8v__rvv, int8_t, int8_t, requantize_m8)
PF_QUANTIZE(qs8_requantize_2v__rvv, int8_t, int8_t, requantize_m2)
PF_QUANTIZE(x8_flip_8v__rvv, uint8_t, uint8_t, flip_m8)
PF_QUANTIZE(x8_flip_1v__rvv, uint8_t, uint8_t, flip_m1)

#endif

#define PF_QUANTIZE_SCALAR(NAME, TX, TY, VALUE)                             \
    static void NAME##_row(const pf_quantize_args *p, const TX *x, TY *y) { \
        for (int64_t i = 0; i < p->dims[3]; i++) y[i] = VALUE;              \
    }                                                                       \
    pf_kernel NAME;                                                         \
    void NAME(const void *args, void *const *buf) {                         \
        const pf_quantize_args *p = args;                                   \
        PF_ROWS(TX, TY, NAME##_row, p, x, y)                                \
    }

PF_INLINE float centred(int8_t q, const pf_quantize_args *p) {
    return (float)(q - p->x_zero);
}

PF_INLINE int8_t rescaled(int8_t q, const pf_quantize_args *p) {
    const float real = centred(q, p) * p->x_scale;
    return pf_round_s8(real / p->y_scale, p->y_zero, p->lo, p->hi);
}

PF_QUANTIZE_SCALAR(f32_qs8_quantize__scalar, float, int8_t,
                   pf_round_s8(x[i] / p->y_scale, p->y_zero, p->lo, p->hi))
PF_QUANTIZE_SCALAR(qs8_f32_dequantize__scalar, int8_t, float, centred(x[i], p) * p->x_scale)
PF_QUANTIZE_SCALAR(qs8_requantize__scalar, int8_t, int8_t, rescaled(x[i], p))
PF_QUANTIZE_SCALAR(x8_flip__scalar, uint8_t, uint8_t, x[i] ^ 0x80)
