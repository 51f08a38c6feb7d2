/* The arithmetic of pf_vec.h for RVV, the same for all types and widths: a template, included with PF_LMUL defined and PF_S, the
 * type of an element. */
PF_INLINE PF_V PF_(add)(PF_V a, PF_V b, size_t vl) {
    return __riscv_vfadd(a, b, vl);
}
PF_INLINE PF_V PF_(sub)(PF_V a, PF_V b, size_t vl) {
    return __riscv_vfsub(a, b, vl);
}
PF_INLINE PF_V PF_(mul)(PF_V a, PF_V b, size_t vl) {
    return __riscv_vfmul(a, b, vl);
}
PF_INLINE PF_V PF_(div)(PF_V a, PF_V b, size_t vl) {
    return __riscv_vfdiv(a, b, vl);
}
PF_INLINE PF_V PF_(adds)(PF_V a, PF_S s, size_t vl) {
    return __riscv_vfadd(a, s, vl);
}
PF_INLINE PF_V PF_(subs)(PF_V a, PF_S s, size_t vl) {
    return __riscv_vfsub(a, s, vl);
}
PF_INLINE PF_V PF_(muls)(PF_V a, PF_S s, size_t vl) {
    return __riscv_vfmul(a, s, vl);
}
PF_INLINE PF_V PF_(divs)(PF_V a, PF_S s, size_t vl) {
    return __riscv_vfdiv(a, s, vl);
}
PF_INLINE PF_V PF_(rsubs)(PF_V a, PF_S s, size_t vl) {
    return __riscv_vfrsub(a, s, vl);
}
PF_INLINE PF_V PF_(rdivs)(PF_V a, PF_S s, size_t vl) {
    return __riscv_vfrdiv(a, s, vl);
}
PF_INLINE PF_V PF_(fma)(PF_V a, PF_V b, PF_V c, size_t vl) {
    return __riscv_vfmacc(c, a, b, vl);
}
PF_INLINE PF_V PF_(fmas)(PF_V a, PF_S s, PF_V c, size_t vl) {
    return __riscv_vfmacc(c, s, a, vl);
}
PF_INLINE PF_V PF_(nfma)(PF_V a, PF_V b, PF_V c, size_t vl) {
    return __riscv_vfnmsac(c, a, b, vl);
}
PF_INLINE PF_V PF_(nfmas)(PF_V a, PF_S s, PF_V c, size_t vl) {
    return __riscv_vfnmsac(c, s, a, vl);
}

PF_INLINE PF_M PF_(lt)(PF_V a, PF_V b, size_t vl) {
    return __riscv_vmflt(a, b, vl);
}
PF_INLINE PF_M PF_(le)(PF_V a, PF_V b, size_t vl) {
    return __riscv_vmfle(a, b, vl);
}
PF_INLINE PF_M PF_(gt)(PF_V a, PF_V b, size_t vl) {
    return __riscv_vmflt(b, a, vl);
}
PF_INLINE PF_M PF_(ge)(PF_V a, PF_V b, size_t vl) {
    return __riscv_vmfle(b, a, vl);
}
PF_INLINE PF_M PF_(eq)(PF_V a, PF_V b, size_t vl) {
    return __riscv_vmfeq(a, b, vl);
}
PF_INLINE PF_M PF_(ne)(PF_V a, PF_V b, size_t vl) {
    return __riscv_vmfne(a, b, vl);
}
PF_INLINE PF_M PF_(lts)(PF_V a, PF_S s, size_t vl) {
    return __riscv_vmflt(a, s, vl);
}
PF_INLINE PF_M PF_(les)(PF_V a, PF_S s, size_t vl) {
    return __riscv_vmfle(a, s, vl);
}
PF_INLINE PF_M PF_(gts)(PF_V a, PF_S s, size_t vl) {
    return __riscv_vmfgt(a, s, vl);
}
PF_INLINE PF_M PF_(ges)(PF_V a, PF_S s, size_t vl) {
    return __riscv_vmfge(a, s, vl);
}
PF_INLINE PF_M PF_(eqs)(PF_V a, PF_S s, size_t vl) {
    return __riscv_vmfeq(a, s, vl);
}
PF_INLINE PF_M PF_(nes)(PF_V a, PF_S s, size_t vl) {
    return __riscv_vmfne(a, s, vl);
}
PF_INLINE PF_M PF_ (and)(PF_M a, PF_M b, size_t vl) {
    return __riscv_vmand(a, b, vl);
}
PF_INLINE PF_M PF_(or)(PF_M a, PF_M b, size_t vl) {
    return __riscv_vmor(a, b, vl);
}
PF_INLINE PF_M PF_ (xor)(PF_M a, PF_M b, size_t vl) {
    return __riscv_vmxor(a, b, vl);
}
PF_INLINE PF_M PF_(not)(PF_M a, size_t vl) {
    return __riscv_vmnot(a, vl);
}
PF_INLINE PF_V PF_(select)(PF_M m, PF_V a, PF_V b, size_t vl) {
    return __riscv_vmerge(b, a, m, vl);
}
PF_INLINE PF_V PF_(selects)(PF_M m, PF_S s, PF_V b, size_t vl) {
    return __riscv_vfmerge(b, s, m, vl);
}

PF_INLINE PF_V PF_(maxnum)(PF_V a, PF_V b, size_t vl) {
    return __riscv_vfmax(a, b, vl);
}
PF_INLINE PF_V PF_(minnum)(PF_V a, PF_V b, size_t vl) {
    return __riscv_vfmin(a, b, vl);
}
PF_INLINE PF_V PF_(maxnums)(PF_V a, PF_S s, size_t vl) {
    return __riscv_vfmax(a, s, vl);
}
PF_INLINE PF_V PF_(minnums)(PF_V a, PF_S s, size_t vl) {
    return __riscv_vfmin(a, s, vl);
}
/* Masked, so that a NaN stays what it is. */
PF_INLINE PF_V PF_(maxs)(PF_V a, PF_S s, size_t vl) {
    return __riscv_vfmax_mu(PF_(eq)(a, a, vl), a, a, s, vl);
}
PF_INLINE PF_V PF_(mins)(PF_V a, PF_S s, size_t vl) {
    return __riscv_vfmin_mu(PF_(eq)(a, a, vl), a, a, s, vl);
}
PF_INLINE PF_V PF_(clamp)(PF_V a, PF_S lo, PF_S hi, size_t vl) {
    const PF_M number = PF_(eq)(a, a, vl);
    a = __riscv_vfmax_mu(number, a, a, lo, vl);
    return __riscv_vfmin_mu(number, a, a, hi, vl);
}

PF_INLINE PF_V PF_(neg)(PF_V a, size_t vl) {
    return __riscv_vfneg(a, vl);
}
PF_INLINE PF_V PF_(abs)(PF_V a, size_t vl) {
    return __riscv_vfabs(a, vl);
}
PF_INLINE PF_V PF_(sqrt)(PF_V a, size_t vl) {
    return __riscv_vfsqrt(a, vl);
}
PF_INLINE PF_V PF_(copysign)(PF_V a, PF_V b, size_t vl) {
    return __riscv_vfsgnj(a, b, vl);
}
PF_INLINE PF_M PF_(isinf)(PF_V a, size_t vl) {
    return PF_(eqs)(PF_(abs)(a, vl), (PF_S)__builtin_inff(), vl);
}
