/* What pf_vec.h builds from its primitives, the same for all widths: a template, included once for each. */
PF_INLINE PF_M PF_(isnan)(PF_V a, size_t vl) {
    return PF_(ne)(a, a, vl);
}
/* b where it is larger, or NaN; a NaN of a is smaller than nothing, and stays. */
PF_INLINE PF_V PF_(max)(PF_V a, PF_V b, size_t vl) {
    return PF_(select)(PF_(or)(PF_(lt)(a, b, vl), PF_(ne)(b, b, vl), vl), b, a, vl);
}
PF_INLINE PF_V PF_(min)(PF_V a, PF_V b, size_t vl) {
    return PF_(select)(PF_(or)(PF_(lt)(b, a, vl), PF_(ne)(b, b, vl), vl), b, a, vl);
}
PF_INLINE PF_V PF_(clip)(PF_V a, PF_S lo, PF_S hi, size_t vl) {
    return PF_(minnums)(PF_(maxnums)(a, lo, vl), hi, vl);
}
