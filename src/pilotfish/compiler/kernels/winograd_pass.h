/* The one-dimensional transforms of winograd.c, which includes this file once for each LMUL. Loops are rolled and steps
 * known at run time: with addresses known at compile time clang keeps so many of them that it spills. The order of
 * operations lets LMUL 4 fit in the registers. */

#define VECTOR PF_VREAL(LMUL)
#define LOAD(p) PF_LOAD_REAL(LMUL)(p, vl)
#define NAME(f) PF_JOIN(f, LMUL, )
#define STORE(p, x) PF_STORE_REAL(p, x, vl)
#define CLAMP_HI(x) x = __riscv_vfmin(x, hi, vl)
#define CLAMP_LO(x) x = __riscv_vfmax(x, lo, vl)

#ifndef PF_F16
static __attribute__((noinline)) void NAME(f4_in_m)(const struct pass *p, const pf_real *src, pf_real *dst,
                                                    int32_t count, int32_t groups, int32_t valid, size_t vl) {
    (void)valid;
    const int64_t step = p->src_step, src_next = p->src_next, dst_next = p->dst_next;
    const int64_t even = p->dst_even, pair = even + p->dst_odd;
    PF_ROLLED for (; groups; groups--, src += p->src_group, dst += p->dst_group) {
        const pf_real *s = src;
        pf_real *d = dst;
        int32_t left = count;
        PF_ROLLED
        do {
            const pf_real *odd = s + step;
            VECTOR d0 = LOAD(s), d2 = LOAD(s + 2 * step), d4 = LOAD(s + 4 * step);
            d0 = __riscv_vfnmsac(__riscv_vfmadd(d0, 4.0f, d4, vl), 5.0f, d2, vl);
            STORE(d, d0);
            VECTOR d1 = LOAD(odd), d3 = LOAD(odd + 2 * step), d5 = LOAD(odd + 4 * step);
            VECTOR e = __riscv_vfsub(d4, d2, vl), o = __riscv_vfsub(d3, d1, vl);
            d4 = __riscv_vfnmsac(d4, 4.0f, d2, vl);
            d5 = __riscv_vfmacc(__riscv_vfnmsac(d5, 5.0f, d3, vl), 4.0f, d1, vl);
            d3 = __riscv_vfnmsac(d3, 4.0f, d1, vl);
            pf_real *q = d + even;
            STORE(q, __riscv_vfadd(d4, d3, vl));
            o = __riscv_vfmadd(o, 2.0f, e, vl); /* e + 2o */
            STORE(q + pair, o);
            STORE(q + 2 * pair, d5);
            q = d + pair;
            STORE(q, __riscv_vfsub(d4, d3, vl));
            STORE(q + pair, __riscv_vfmsub(e, 2.0f, o, vl)); /* e - 2o = 2e - (e + 2o) */
            s += src_next;
            d += dst_next;
        } while (--left);
    }
}

static __attribute__((noinline)) void NAME(f4_out_m)(const struct pass *p, const pf_real *src, pf_real *dst,
                                                     int32_t count, int32_t groups, int32_t valid,
                                                     size_t vl) {
    const int64_t step = p->src_step, src_next = p->src_next, next = p->dst_next;
    const int64_t to1 = valid > 1 ? p->dst_even : 0, to2 = valid > 2 ? 2 * p->dst_even : 0;
    const int64_t to3 = valid > 3 ? 3 * p->dst_even : 0;
    const pf_real lo = (pf_real)p->lo, hi = (pf_real)p->hi;
    const int clamps = p->clamps;
    PF_ROLLED for (; groups; groups--, src += p->src_group, dst += p->dst_group) {
        const pf_real *s = src;
        pf_real *d = dst;
        int32_t left = count;
        PF_ROLLED
        do {
            const pf_real *q = s + step;
            VECTOR m1 = LOAD(q);
            q += step;
            VECTOR m2 = LOAD(q);
            q += step;
            VECTOR a = __riscv_vfadd(m1, m2, vl), b = __riscv_vfsub(m1, m2, vl);
            VECTOR m3 = LOAD(q);
            q += step;
            VECTOR m4 = LOAD(q);
            q += step;
            VECTOR c = __riscv_vfadd(m3, m4, vl), e = __riscv_vfsub(m3, m4, vl);
            VECTOR m5 = LOAD(q), m0 = LOAD(s);
            m5 = __riscv_vfmacc(__riscv_vfadd(m5, b, vl), 8.0f, e, vl);
            b = __riscv_vfmacc(b, 2.0f, e, vl);
            m0 = __riscv_vfadd(__riscv_vfadd(m0, a, vl), c, vl);
            a = __riscv_vfmacc(a, 4.0f, c, vl);
            if (clamps) {
                CLAMP_LO(m0);
                CLAMP_LO(b);
                CLAMP_LO(a);
                CLAMP_LO(m5);
                if (clamps > 1) {
                    CLAMP_HI(m0);
                    CLAMP_HI(b);
                    CLAMP_HI(a);
                    CLAMP_HI(m5);
                }
            }
            STORE(d + to3, m5); /* a place that is not valid is place 0, which is written last */
            STORE(d + to2, a);
            STORE(d + to1, b);
            STORE(d, m0);
            s += src_next;
            d += next;
        } while (--left);
    }
}
#endif

static __attribute__((noinline)) void NAME(f2_in_m)(const struct pass *p, const pf_real *src, pf_real *dst,
                                                    int32_t count, int32_t groups, int32_t valid, size_t vl) {
    (void)valid;
    const int64_t step = p->src_step, src_next = p->src_next, dst_next = p->dst_next;
    const int64_t even = p->dst_even, pair = even + p->dst_odd;
    PF_ROLLED for (; groups; groups--, src += p->src_group, dst += p->dst_group) {
        const pf_real *s = src;
        pf_real *d = dst;
        int32_t left = count;
        PF_ROLLED
        do {
            const pf_real *q = s + step;
            const VECTOR d0 = LOAD(s), d1 = LOAD(q), d2 = LOAD(q + step), d3 = LOAD(q + 2 * step);
            STORE(d, __riscv_vfsub(d0, d2, vl));
            STORE(d + even, __riscv_vfadd(d1, d2, vl));
            STORE(d + pair, __riscv_vfsub(d2, d1, vl));
            STORE(d + pair + even, __riscv_vfsub(d1, d3, vl));
            s += src_next;
            d += dst_next;
        } while (--left);
    }
}

static __attribute__((noinline)) void NAME(f2_out_m)(const struct pass *p, const pf_real *src, pf_real *dst,
                                                     int32_t count, int32_t groups, int32_t valid,
                                                     size_t vl) {
    const int64_t step = p->src_step, src_next = p->src_next, next = p->dst_next;
    const int64_t to1 = valid > 1 ? p->dst_even : 0;
    const pf_real lo = (pf_real)p->lo, hi = (pf_real)p->hi;
    const int clamps = p->clamps;
    PF_ROLLED for (; groups; groups--, src += p->src_group, dst += p->dst_group) {
        const pf_real *s = src;
        pf_real *d = dst;
        int32_t left = count;
        PF_ROLLED
        do {
            const pf_real *q = s + step;
            const VECTOR m1 = LOAD(q), m2 = LOAD(q + step);
            VECTOR m0 = __riscv_vfadd(__riscv_vfadd(LOAD(s), m1, vl), m2, vl);
            VECTOR m3 = __riscv_vfsub(__riscv_vfsub(m1, m2, vl), LOAD(q + 2 * step), vl);
            if (clamps) {
                CLAMP_LO(m0);
                CLAMP_LO(m3);
                if (clamps > 1) {
                    CLAMP_HI(m0);
                    CLAMP_HI(m3);
                }
            }
            STORE(d + to1, m3);
            STORE(d, m0);
            s += src_next;
            d += next;
        } while (--left);
    }
}

#undef VECTOR
#undef LOAD
#undef NAME
#undef STORE
#undef CLAMP_LO
#undef CLAMP_HI
