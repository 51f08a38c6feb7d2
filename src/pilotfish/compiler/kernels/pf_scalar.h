/* Scalar arithmetic of generated loops, with ONNX's meaning where C's own is undefined. */
#ifndef PF_SCALAR_H
#define PF_SCALAR_H

#include <math.h>

#include "pf_kernel.h"

/* Float to integer: toward zero, saturating; a NaN becomes 0. `after` is the first double above the type's range. */
#define PF_TO_INTEGER(T, min, max, after)                                                        \
    PF_INLINE T pf_to_##T(double x) {                                                            \
        return x >= (after) ? (max) : x > (double)(min) ? (T)x : x <= (double)(min) ? (min) : 0; \
    }
PF_TO_INTEGER(int8_t, INT8_MIN, INT8_MAX, 0x1p7)
PF_TO_INTEGER(int16_t, INT16_MIN, INT16_MAX, 0x1p15)
PF_TO_INTEGER(int32_t, INT32_MIN, INT32_MAX, 0x1p31)
PF_TO_INTEGER(int64_t, INT64_MIN, INT64_MAX, 0x1p63)
PF_TO_INTEGER(uint8_t, 0, UINT8_MAX, 0x1p8)
PF_TO_INTEGER(uint16_t, 0, UINT16_MAX, 0x1p16)
PF_TO_INTEGER(uint32_t, 0, UINT32_MAX, 0x1p32)
PF_TO_INTEGER(uint64_t, 0, UINT64_MAX, 0x1p64)
#undef PF_TO_INTEGER

/* Division toward zero; by zero gives 0, and the one quotient that overflows wraps. */
PF_INLINE int64_t pf_idiv(int64_t a, int64_t b) {
    return b == 0 ? 0 : b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}
PF_INLINE uint64_t pf_udiv(uint64_t a, uint64_t b) {
    return b == 0 ? 0 : a / b;
}

/* Remainders: of the divisor's sign, as in Python, or of the dividend's, as in C. */
PF_INLINE int64_t pf_irem(int64_t a, int64_t b) {
    return b == 0 || b == -1 ? 0 : a % b;
}
PF_INLINE int64_t pf_imod(int64_t a, int64_t b) {
    const int64_t r = pf_irem(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
PF_INLINE uint64_t pf_umod(uint64_t a, uint64_t b) {
    return b == 0 ? 0 : a % b;
}
PF_INLINE double pf_fmod(double a, double b) {
    const double r = fmod(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

/* Powers of integers, wrapping; a negative exponent gives 0 but for the bases 1 and -1. */
PF_INLINE int64_t pf_ipow(int64_t a, int64_t n) {
    if (n < 0) return a == 1 ? 1 : a == -1 ? (n % 2 ? -1 : 1) : 0;
    uint64_t base = (uint64_t)a, product = 1;
    for (; n; n >>= 1, base *= base) product *= n & 1 ? base : 1;
    return (int64_t)product;
}

/* Shifts by 64 and more, and by negative numbers, give 0; to the right of a negative number -1. */
PF_INLINE uint64_t pf_shl(uint64_t a, uint64_t n) {
    return n < 64 ? a << n : 0;
}
PF_INLINE uint64_t pf_ushr(uint64_t a, uint64_t n) {
    return n < 64 ? a >> n : 0;
}
PF_INLINE int64_t pf_ishr(int64_t a, uint64_t n) {
    return a >> (n < 64 ? n : 63);
}

/* Ties to even, by adding 2^52, where doubles have no fraction. */
PF_INLINE double pf_rint(double a) {
    const double size = fabs(a);
    return size < 0x1p52 ? copysign((size + 0x1p52) - 0x1p52, a) : a;
}

/* An index that a tensor holds: negative ones count from the end, those outside take the nearest end. */
PF_INLINE int64_t pf_index(int64_t i, int64_t size) {
    i += i < 0 ? size : 0;
    return i < 0 ? 0 : i >= size ? size - 1 : i;
}

#endif
