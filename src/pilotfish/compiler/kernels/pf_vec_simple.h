/* The functions of pf_math.h that take a few instructions, of any type: a template, included with PF_LMUL and PF_S
 * defined. */
PF_INLINE PF_V PF_(relu)(PF_V a, size_t vl) {
    return PF_(maxnums)(a, 0.0f, vl);
}
PF_INLINE PF_V PF_(leaky)(PF_V a, PF_S alpha, size_t vl) {
    return PF_(select)(PF_(lts)(a, 0.0f, vl), PF_(muls)(a, alpha, vl), a, vl);
}
PF_INLINE PF_V PF_(prelu)(PF_V a, PF_V slope, size_t vl) {
    return PF_(select)(PF_(lts)(a, 0.0f, vl), PF_(mul)(a, slope, vl), a, vl);
}
PF_INLINE PF_V PF_(thresholded)(PF_V a, PF_S alpha, size_t vl) {
    return PF_(selects)(PF_(les)(a, alpha, vl), 0.0f, a, vl);
}
PF_INLINE PF_V PF_(hardsigmoid)(PF_V a, PF_S alpha, PF_S beta, size_t vl) {
    return PF_(clip)(PF_(adds)(PF_(muls)(a, alpha, vl), beta, vl), 0.0f, 1.0f, vl);
}
PF_INLINE PF_V PF_(hardswish)(PF_V a, size_t vl) {
    return PF_(mul)(a, PF_(hardsigmoid)(a, 1.0f / 6.0f, 0.5f, vl), vl);
}
PF_INLINE PF_V PF_(sign)(PF_V a, size_t vl) {
    const PF_V one = PF_(copysign)(PF_(splat)(1.0f, vl), a, vl);
    return PF_(select)(PF_(gts)(PF_(abs)(a, vl), 0.0f, vl), one, a, vl);
}
PF_INLINE PF_V PF_(softsign)(PF_V a, size_t vl) {
    return PF_(div)(a, PF_(adds)(PF_(abs)(a, vl), 1.0f, vl), vl);
}
