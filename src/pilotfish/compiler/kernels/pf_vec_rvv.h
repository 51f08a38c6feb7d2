/* pf_vec.h for one LMUL: a template, included by it with PF_LMUL (m4), PF_RATIO (8, of masks) and PF_BYTES
 * (m1, the LMUL of as many bytes) defined. */
#define PF_F32(name) PF_PASTE(__riscv_##name, _f32, PF_LMUL)
#define PF_U8(name) PF_PASTE(__riscv_##name, _u8, PF_BYTES)

typedef PF_PASTE(vfloat32, PF_LMUL, _t) PF_V;
typedef PF_PASTE(vuint32, PF_LMUL, _t) PF_U;
typedef PF_PASTE(vbool, PF_RATIO, _t) PF_M;

PF_INLINE size_t PF_(vl)(int64_t n) {
    return PF_PASTE(__riscv_vsetvl_e, 32, PF_LMUL)((size_t)n);
}
PF_INLINE size_t PF_(vlmapped)(int64_t n) {
    return PF_(vl)(PF_MIN(n, PF_MAPPED_MAX));
}

PF_INLINE PF_V PF_(load)(const float *p, size_t vl) {
    return PF_F32(vle32_v)(p, vl);
}
PF_INLINE void PF_(store)(float *p, PF_V a, size_t vl) {
    __riscv_vse32(p, a, vl);
}
PF_INLINE PF_V PF_(splat)(float s, size_t vl) {
    return PF_F32(vfmv_v_f)(s, vl);
}
PF_INLINE PF_M PF_(loadb)(const uint8_t *p, size_t vl) {
    return __riscv_vmsne(PF_U8(vle8_v)(p, vl), 0, vl);
}
PF_INLINE void PF_(storeb)(uint8_t *p, PF_M m, size_t vl) {
    __riscv_vse8(p, __riscv_vmerge(PF_U8(vmv_v_x)(0, vl), 1, m, vl), vl);
}

#define PF_S float
#include "pf_vec_arithmetic.h"

PF_INLINE PF_U PF_(bits)(PF_V a) {
    return PF_PASTE(__riscv_vreinterpret_u, 32, PF_LMUL)(a);
}
PF_INLINE PF_V PF_(floats)(PF_U u) {
    return PF_PASTE(__riscv_vreinterpret_f, 32, PF_LMUL)(u);
}
PF_INLINE PF_U PF_(shl)(PF_U u, size_t n, size_t vl) {
    return __riscv_vsll(u, n, vl);
}
PF_INLINE PF_U PF_(sra)(PF_U u, size_t n, size_t vl) {
    const PF_PASTE(vint32, PF_LMUL, _t) i = PF_PASTE(__riscv_vreinterpret_i, 32, PF_LMUL)(u);
    return PF_PASTE(__riscv_vreinterpret_u, 32, PF_LMUL)(__riscv_vsra(i, n, vl));
}
PF_INLINE PF_U PF_(addu)(PF_U u, uint32_t k, size_t vl) {
    return __riscv_vadd(u, k, vl);
}
PF_INLINE PF_U PF_(rsubu)(PF_U u, uint32_t k, size_t vl) {
    return __riscv_vrsub(u, k, vl);
}
PF_INLINE PF_U PF_(andu)(PF_U u, uint32_t k, size_t vl) {
    return __riscv_vand(u, k, vl);
}
PF_INLINE PF_U PF_(oru)(PF_U u, uint32_t k, size_t vl) {
    return __riscv_vor(u, k, vl);
}
PF_INLINE PF_V PF_(frominteger)(PF_U u, size_t vl) {
    return __riscv_vfcvt_f(PF_PASTE(__riscv_vreinterpret_i, 32, PF_LMUL)(u), vl);
}

/* The conversion to integers and back, where it is exact: from 2^23 on, every float is an integer. `mode`
 * must be a constant, hence a macro. Never vfcvt.rtz: QEMU 7.2 aborts on it. */
#define PF_ROUNDING(name, mode)                                               \
    PF_INLINE PF_V PF_(name)(PF_V a, size_t vl) {                             \
        const PF_M small = PF_(lts)(PF_(abs)(a, vl), 8388608.0f, vl);         \
        const PF_V whole = __riscv_vfcvt_f(__riscv_vfcvt_x(a, mode, vl), vl); \
        return __riscv_vfsgnj_mu(small, a, whole, a, vl);                     \
    }
PF_ROUNDING(round, __RISCV_FRM_RNE)
PF_ROUNDING(trunc, __RISCV_FRM_RTZ)
PF_ROUNDING(floor, __RISCV_FRM_RDN)
PF_ROUNDING(ceil, __RISCV_FRM_RUP)
#undef PF_ROUNDING

/* a / b to 1 ulp for 2^-120 < |b| < 2^120 and quotients that are normal numbers, or a = 0: 7 cheap
 * instructions; vfdiv takes 40 cycles a register on in-order cores. vfrec7 is good to 7 bits, a Newton step
 * makes it 14, and a correction of the quotient 24. */
PF_INLINE PF_V PF_(quotient)(PF_V a, PF_V b, size_t vl) {
    PF_V r = __riscv_vfrec7(b, vl);
    r = PF_(mul)(r, PF_(rsubs)(PF_(mul)(b, r, vl), 2.0f, vl), vl);
    const PF_V q = PF_(mul)(a, r, vl);
    return PF_(fma)(PF_(nfma)(q, b, a, vl), r, q, vl);
}

PF_INLINE PF_V PF_(map)(float (*f)(float), PF_V a, size_t vl) {
    float x[PF_MAPPED_MAX];
    PF_(store)(x, a, vl);
    PF_SCALAR_LOOP for (size_t i = 0; i < vl; i++) x[i] = f(x[i]);
    return PF_(load)(x, vl);
}
PF_INLINE PF_V PF_(map2)(float (*f)(float, float), PF_V a, PF_V b, size_t vl) {
    float x[PF_MAPPED_MAX], y[PF_MAPPED_MAX];
    PF_(store)(x, a, vl);
    PF_(store)(y, b, vl);
    PF_SCALAR_LOOP for (size_t i = 0; i < vl; i++) x[i] = f(x[i], y[i]);
    return PF_(load)(x, vl);
}

#include "pf_vec_generic.h"

#undef PF_S
#undef PF_F32
#undef PF_U8
#undef PF_LMUL
#undef PF_RATIO
#undef PF_BYTES
