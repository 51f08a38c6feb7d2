/* pf_half.h for one width: a template, included by it with PF_LMUL (h4), PF_GROUP (m4), PF_RATIO (of masks) and PF_BYTES
 * (the LMUL of as many bytes) defined. */
#define PF_S _Float16
#define PF_F16_(name) PF_PASTE(__riscv_##name, _f16, PF_GROUP)
#define PF_U8(name) PF_PASTE(__riscv_##name, _u8, PF_BYTES)

typedef PF_PASTE(vfloat16, PF_GROUP, _t) PF_V;
typedef PF_PASTE(vbool, PF_RATIO, _t) PF_M;

PF_INLINE size_t PF_(vl)(int64_t n) {
    return PF_PASTE(__riscv_vsetvl_e, 16, PF_GROUP)((size_t)n);
}
PF_INLINE PF_V PF_(load)(const _Float16 *p, size_t vl) {
    return PF_F16_(vle16_v)(p, vl);
}
PF_INLINE void PF_(store)(_Float16 *p, PF_V a, size_t vl) {
    __riscv_vse16(p, a, vl);
}
PF_INLINE PF_V PF_(splat)(_Float16 s, size_t vl) {
    return PF_F16_(vfmv_v_f)(s, vl);
}
PF_INLINE PF_M PF_(loadb)(const uint8_t *p, size_t vl) {
    return __riscv_vmsne(PF_U8(vle8_v)(p, vl), 0, vl);
}
PF_INLINE void PF_(storeb)(uint8_t *p, PF_M m, size_t vl) {
    __riscv_vse8(p, __riscv_vmerge(PF_U8(vmv_v_x)(0, vl), 1, m, vl), vl);
}

#include "pf_vec_arithmetic.h"
#include "pf_vec_generic.h"
#include "pf_vec_simple.h"

#undef PF_S
#undef PF_F16_
#undef PF_U8
#undef PF_LMUL
#undef PF_GROUP
#undef PF_RATIO
#undef PF_BYTES
