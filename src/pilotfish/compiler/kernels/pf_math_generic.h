/* pf_math.h for one width: a template, included with PF_LMUL defined. */

/* e^a = *scale * (1 + result) with *scale = 2^n, n = round(a / ln 2), and the result e^r - 1 for the rest r.
 * a in
 * [-127 ln 2, 128 ln 2), or NaN. `magic` is 1.5 * 2^23 + 127: adding it rounds to integers, and the low bits
 * of the sum are then the exponent field of 2^n (with 126 instead of 127, of 2^(n-1)). The scale is 0 when
 * the field is.
 *
 * The polynomial, 1 + r + r^2 (c0 + ... + c4 r^4), is off by 2^-28 on |r| <= ln 2 / 2. It is evaluated so
 * that every coefficient is the scalar operand of an instruction: Horner's scheme would need them in vectors.
 */
PF_INLINE PF_V PF_(exp_parts)(PF_V a, float magic, PF_V *scale, size_t vl) {
    const PF_V shifted = PF_(adds)(PF_(muls)(a, 1.44269504f, vl), magic, vl);
    *scale = PF_(floats)(PF_(shl)(PF_(bits)(shifted), 23, vl));
    const PF_V n = PF_(subs)(shifted, magic, vl);
    PF_V r = PF_(nfmas)(n, 0.693359375f, a, vl);
    r = PF_(nfmas)(n, -2.12194440e-4f, r, vl);
    const PF_V r2 = PF_(mul)(r, r, vl);
    PF_V high = PF_(adds)(PF_(muls)(r, 8.36874495e-3f, vl), 4.16683910e-2f, vl);
    high = PF_(fmas)(r2, 1.38145293e-3f, high, vl);
    const PF_V low = PF_(adds)(PF_(muls)(r, 1.66665204e-1f, vl), 4.99999934e-1f, vl);
    return PF_(fma)(PF_(fma)(high, r2, low, vl), r2, r, vl);
}

PF_INLINE PF_V PF_(exp)(PF_V a, size_t vl) {
    /* Half of the result, so that the scale is finite where the result just is; e^88.8 overflows on doubling.
     */
    PF_V scale;
    const PF_V q = PF_(exp_parts)(PF_(clamp)(a, -87.3365f, 88.8f, vl), 12583038.0f, &scale, vl);
    const PF_V half = PF_(fma)(q, scale, scale, vl);
    return PF_(add)(half, half, vl);
}

PF_INLINE PF_V PF_(expneg)(PF_V a, size_t vl) {
    PF_V scale;
    a = PF_(selects)(PF_(lts)(a, -88.03f, vl), -88.03f, a, vl);
    const PF_V q = PF_(exp_parts)(a, 12583039.0f, &scale, vl);
    return PF_(fma)(q, scale, scale, vl);
}

PF_INLINE PF_V PF_(expm1neg)(PF_V a, size_t vl) {
    PF_V scale;
    a = PF_(selects)(PF_(lts)(a, -88.03f, vl), -88.03f, a, vl);
    const PF_V q = PF_(exp_parts)(a, 12583039.0f, &scale, vl);
    return PF_(fma)(q, scale, PF_(subs)(scale, 1.0f, vl), vl);
}

/* Halved as in exp. */
PF_INLINE PF_V PF_(expm1)(PF_V a, size_t vl) {
    PF_V scale;
    const PF_V q = PF_(exp_parts)(PF_(clamp)(a, -87.3365f, 88.8f, vl), 12583038.0f, &scale, vl);
    const PF_V half = PF_(fma)(q, scale, PF_(subs)(scale, 0.5f, vl), vl);
    return PF_(add)(half, half, vl);
}

/* e / (1 + e) with e = e^a: right for small e too, and 0 in the limit. Beyond 30 it is 1. */
PF_INLINE PF_V PF_(sigmoid)(PF_V a, size_t vl) {
    PF_V scale;
    const PF_V q = PF_(exp_parts)(PF_(clamp)(a, -88.03f, 30.0f, vl), 12583039.0f, &scale, vl);
    const PF_V e = PF_(fma)(q, scale, scale, vl);
    return PF_(quotient)(e, PF_(adds)(e, 1.0f, vl), vl);
}

/* (1 - e) / (1 + e) with e = e^(-2 |a|), and the sign of a. Beyond 9.1 it is 1. */
PF_INLINE PF_V PF_(tanh)(PF_V a, size_t vl) {
    PF_V scale, x = PF_(muls)(PF_(abs)(a, vl), -2.0f, vl);
    x = PF_(selects)(PF_(lts)(x, -18.2f, vl), -18.2f, x, vl);
    const PF_V q = PF_(exp_parts)(x, 12583039.0f, &scale, vl);
    const PF_V minus = PF_(fma)(q, scale, PF_(subs)(scale, 1.0f, vl), vl);
    return PF_(copysign)(PF_(quotient)(minus, PF_(adds)(minus, 2.0f, vl), vl), a, vl);
}

/* log(1 - erf(a)) = -a p(a) for a >= 0, off by 2^-25 of erf(a); from 3.95 on, where erf is 1, far down. */
PF_INLINE PF_V PF_(log_erfc)(PF_V a, size_t vl) {
    const PF_V a2 = PF_(mul)(a, a, vl);
    const PF_V a3 = PF_(mul)(a2, a, vl);
    PF_V low = PF_(fmas)(a2, -1.02814470e-1f, PF_(muls)(a, -6.36616488e-1f, vl), vl);
    low = PF_(fmas)(a3, 1.93218846e-2f, low, vl);
    PF_V high = PF_(adds)(PF_(muls)(a, -1.25158257e-3f, vl), -2.05948174e-4f, vl);
    high = PF_(fmas)(a3, -4.07003205e-5f, PF_(fmas)(a2, 3.80943863e-4f, high, vl), vl);
    const PF_V p = PF_(adds)(PF_(fma)(high, PF_(mul)(a2, a2, vl), low, vl), -1.12837921f, vl);
    const PF_V y = PF_(mul)(p, a, vl);
    return PF_(selects)(PF_(gts)(a, 3.95f, vl), -88.02f, y, vl);
}

PF_INLINE PF_V PF_(erf)(PF_V a, size_t vl) {
    PF_V scale;
    const PF_V q = PF_(exp_parts)(PF_(log_erfc)(PF_(abs)(a, vl), vl), 12583039.0f, &scale, vl);
    return PF_(copysign)(PF_(fma)(q, scale, PF_(subs)(scale, 1.0f, vl), vl), a, vl);
}

/* log(1 + f) - f for f in [sqrt(1/2) - 1, sqrt(2) - 1], off by 2^-27 of log(1 + f). */
PF_INLINE PF_V PF_(log_rest)(PF_V f, size_t vl) {
    const PF_V f2 = PF_(mul)(f, f, vl);
    const PF_V f3 = PF_(mul)(f2, f, vl);
    PF_V high = PF_(adds)(PF_(muls)(f, -1.31601540e-1f, vl), 1.42017447e-1f, vl);
    high = PF_(fmas)(f3, -7.63466445e-2f, PF_(fmas)(f2, 1.27616550e-1f, high, vl), vl);
    high = PF_(fmas)(f3, -1.66233588e-1f, PF_(mul)(PF_(mul)(high, f2, vl), f2, vl), vl);
    high = PF_(fmas)(f2, 2.00012275e-1f, PF_(fmas)(f, -2.50008210e-1f, high, vl), vl);
    const PF_V series = PF_(adds)(high, 3.33333317e-1f, vl);
    return PF_(fmas)(f2, -0.5f, PF_(mul)(series, f3, vl), vl);
}

/* 2^n (1 + f) with a significand from sqrt(1/2) on: n and f of a > 0; *place is 2^(2-n). */
PF_INLINE PF_V PF_(log_parts)(PF_V a, PF_V *n, PF_V *place, size_t vl) {
    const uint32_t root = 0x3f3504f3;
    const PF_U u = PF_(addu)(PF_(bits)(a), -root, vl);
    *n = PF_(frominteger)(PF_(sra)(u, 23, vl), vl);
    *place = PF_(floats)(PF_(rsubu)(PF_(andu)(u, 0xff800000, vl), 0x40800000, vl));
    return PF_(subs)(PF_(floats)(PF_(addu)(PF_(andu)(u, 0x7fffff, vl), root, vl)), 1.0f, vl);
}

/* n ln 2 + log(1 + f), which is log(a), or what it is where a is not a positive number. */
PF_INLINE PF_V PF_(log_sum)(PF_V a, PF_V n, PF_V f, size_t vl) {
    PF_V y = PF_(fmas)(n, -2.12194440e-4f, PF_(log_rest)(f, vl), vl);
    y = PF_(fmas)(n, 0.693359375f, PF_(add)(f, y, vl), vl);
    y = PF_(selects)(PF_(lts)(a, 1.17549435e-38f, vl), -__builtin_inff(), y, vl);
    y = PF_(selects)(PF_(lts)(a, 0.0f, vl), __builtin_nanf(""), y, vl);
    return PF_(select)(PF_(lts)(a, __builtin_inff(), vl), y, a, vl);
}

PF_INLINE PF_V PF_(log)(PF_V a, size_t vl) {
    PF_V n, place;
    const PF_V f = PF_(log_parts)(a, &n, &place, vl);
    return PF_(log_sum)(a, n, f, vl);
}

PF_INLINE PF_V PF_(log1p)(PF_V a, size_t vl) {
    /* f makes up for what 1 + a lost. */
    const PF_V sum = PF_(adds)(a, 1.0f, vl);
    PF_V n, place;
    const PF_V f = PF_(log_parts)(sum, &n, &place, vl);
    const PF_V lost = PF_(muls)(PF_(sub)(a, PF_(subs)(sum, 1.0f, vl), vl), 0.25f, vl);
    return PF_(log_sum)(sum, n, PF_(fma)(lost, place, f, vl), vl);
}

PF_INLINE PF_V PF_(log1p01)(PF_V a, size_t vl) {
    /* 1 + a, halved where it is above sqrt(2): f is exact either way. */
    const PF_M large = PF_(gts)(a, 0.414213562f, vl);
    const PF_V f = PF_(select)(large, PF_(subs)(PF_(muls)(a, 0.5f, vl), 0.5f, vl), a, vl);
    const PF_V y = PF_(add)(f, PF_(log_rest)(f, vl), vl);
    return PF_(select)(large, PF_(adds)(y, 0.693147181f, vl), y, vl);
}

PF_INLINE PF_V PF_(softplus)(PF_V a, size_t vl) {
    const PF_V minus = PF_(floats)(PF_(oru)(PF_(bits)(a), 0x80000000, vl));
    return PF_(add)(PF_(maxnums)(a, 0.0f, vl), PF_(log1p01)(PF_(expneg)(minus, vl), vl), vl);
}

#define PF_S float
#include "pf_vec_simple.h"
#undef PF_S

PF_INLINE PF_V PF_(elu)(PF_V a, float alpha, size_t vl) {
    const PF_V below = PF_(muls)(PF_(expm1neg)(a, vl), alpha, vl);
    return PF_(select)(PF_(gts)(a, 0.0f, vl), a, below, vl);
}
PF_INLINE PF_V PF_(celu)(PF_V a, float alpha, size_t vl) {
    const PF_V below = PF_(muls)(PF_(expm1neg)(PF_(muls)(a, 1.0f / alpha, vl), vl), alpha, vl);
    return PF_(select)(PF_(gts)(a, 0.0f, vl), a, below, vl);
}
PF_INLINE PF_V PF_(selu)(PF_V a, float alpha, float gamma, size_t vl) {
    return PF_(muls)(PF_(elu)(a, alpha, vl), gamma, vl);
}

PF_INLINE PF_V PF_(silu)(PF_V a, float k, size_t vl) {
    return PF_(mul)(a, PF_(sigmoid)(PF_(muls)(a, k, vl), vl), vl);
}
/* tanh(log(1 + e)) = (e^2 + 2e) / (e^2 + 2e + 2), which is 1 from e^20 on. */
PF_INLINE PF_V PF_(mish)(PF_V a, size_t vl) {
    PF_V scale;
    const PF_V q = PF_(exp_parts)(PF_(clamp)(a, -88.03f, 20.0f, vl), 12583039.0f, &scale, vl);
    const PF_V e = PF_(fma)(q, scale, scale, vl);
    const PF_V n = PF_(mul)(e, PF_(adds)(e, 2.0f, vl), vl);
    return PF_(mul)(a, PF_(quotient)(n, PF_(adds)(n, 2.0f, vl), vl), vl);
}
/* a (1 + erf(a / sqrt(2))) / 2 = max(a, 0) - |a| erfc(|a| / sqrt(2)) / 2, which cancels nothing. */
PF_INLINE PF_V PF_(gelu)(PF_V a, size_t vl) {
    PF_V scale;
    const PF_V size = PF_(abs)(a, vl);
    const PF_V y = PF_(log_erfc)(PF_(muls)(size, 0.707106781f, vl), vl);
    const PF_V q = PF_(exp_parts)(y, 12583039.0f, &scale, vl);
    const PF_V erfc = PF_(fma)(q, scale, scale, vl);
    const PF_V half = PF_(muls)(PF_(minnums)(size, 16.0f, vl), 0.5f, vl); /* finite: erfc is 0 from 5.6 on */
    return PF_(nfma)(half, erfc, PF_(maxnums)(a, 0.0f, vl), vl);
}
/* (1 + tanh z) / 2 = sigmoid(2 z) with z = sqrt(2 / pi) (a + 0.044715 a^3). */
PF_INLINE PF_V PF_(gelutanh)(PF_V a, size_t vl) {
    const PF_V slope = PF_(adds)(PF_(muls)(PF_(mul)(a, a, vl), 7.13548163e-2f, vl), 1.59576912f, vl);
    return PF_(mul)(a, PF_(sigmoid)(PF_(mul)(a, slope, vl), vl), vl);
}

#define PF_MAPPED(name)                           \
    PF_INLINE PF_V PF_(name)(PF_V a, size_t vl) { \
        return PF_(map)(name##f, a, vl);          \
    }
PF_MAPPED(sin)
PF_MAPPED(cos)
PF_MAPPED(tan)
PF_MAPPED(asin)
PF_MAPPED(acos)
PF_MAPPED(atan)
PF_MAPPED(sinh)
PF_MAPPED(cosh)
PF_MAPPED(asinh)
PF_MAPPED(atanh)
#undef PF_MAPPED
/* musl's acoshf gives numbers below 1. */
PF_INLINE PF_V PF_(acosh)(PF_V a, size_t vl) {
    return PF_(selects)(PF_(lts)(a, 1.0f, vl), __builtin_nanf(""), PF_(map)(acoshf, a, vl), vl);
}
PF_INLINE PF_V PF_(pow)(PF_V a, PF_V b, size_t vl) {
    return PF_(map2)(powf, a, b, vl);
}
PF_INLINE PF_V PF_(fmod)(PF_V a, PF_V b, size_t vl) {
    return PF_(map2)(fmodf, a, b, vl);
}
