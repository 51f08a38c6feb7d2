/* Vectors of f16 (Zvfh) for loops that are written once: the arithmetic of pf_vec.h and pf_vec_simple.h in the widths _h1,
 * _h2, _h4 and _h8, which are register groups of f16 and compute in f16; scalar operands are _Float16, to which floats
 * convert. Masks are bytes in memory, as in pf_vec.h.
 *
 * And for the widths of pf_vec.h, f32 vectors with f16 memory: loadh(p), storeh(p, a), and addh(a, p), which is
 * a + loadh(p) in fewer instructions. _x1 has these everywhere. */
#ifndef PF_HALF_H
#define PF_HALF_H

#include "pf_vec.h"

PF_INLINE float pf_loadh_x1(const _Float16 *p, size_t vl __attribute__((unused))) {
    return (float)*p;
}
PF_INLINE void pf_storeh_x1(_Float16 *p, float a, size_t vl __attribute__((unused))) {
    *p = (_Float16)a;
}

#if PF_RVV && defined(__riscv_zvfh)

#define PF_LMUL h1
#define PF_GROUP m1
#define PF_RATIO 16
#define PF_BYTES mf2
#include "pf_half_rvv.h"

#define PF_LMUL h2
#define PF_GROUP m2
#define PF_RATIO 8
#define PF_BYTES m1
#include "pf_half_rvv.h"

#define PF_LMUL h4
#define PF_GROUP m4
#define PF_RATIO 4
#define PF_BYTES m2
#include "pf_half_rvv.h"

#define PF_LMUL h8
#define PF_GROUP m8
#define PF_RATIO 2
#define PF_BYTES m4
#include "pf_half_rvv.h"

#define PF_HALF_MEMORY(wide, narrow)                                                    \
    PF_INLINE pf_v_##wide pf_loadh_##wide(const _Float16 *p, size_t vl) {               \
        return __riscv_vfwcvt_f_f_v_f32##wide(__riscv_vle16_v_f16##narrow(p, vl), vl);  \
    }                                                                                   \
    PF_INLINE void pf_storeh_##wide(_Float16 *p, pf_v_##wide a, size_t vl) {            \
        __riscv_vse16(p, __riscv_vfncvt_f_f_w_f16##narrow(a, vl), vl);                  \
    }                                                                                   \
    PF_INLINE pf_v_##wide pf_addh_##wide(pf_v_##wide a, const _Float16 *p, size_t vl) { \
        return __riscv_vfwadd_wv_f32##wide(a, __riscv_vle16_v_f16##narrow(p, vl), vl);  \
    }
PF_HALF_MEMORY(m1, mf2)
PF_HALF_MEMORY(m2, m1)
PF_HALF_MEMORY(m4, m2)
PF_HALF_MEMORY(m8, m4)
#undef PF_HALF_MEMORY

#endif

#endif
