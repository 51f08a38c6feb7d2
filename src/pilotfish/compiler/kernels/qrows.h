/* Loops over contiguous rows, and rounding to int8, for elementwise kernels of quantized tensors. */
#ifndef PF_QROWS_H
#define PF_QROWS_H

#include <string.h>

#include "pf_kernel.h"

/* Calls ROW(...) for every row, with x and y at its first element: three outer loops of p->dims around rows of
 * p->dims[3] elements. */
#define PF_ROWS(TX, TY, ROW, ...)                                                                       \
    {                                                                                                   \
        const int64_t *d = p->dims, *in = p->x_strides, *out = p->y_strides;                            \
        const TX *x0 = buf[0];                                                                          \
        TY *y0 = buf[1];                                                                                \
        PF_ROLLED for (int64_t i = 0; i < d[0]; i++, x0 += in[0], y0 += out[0]) {                       \
            const TX *x1 = x0;                                                                          \
            TY *y1 = y0;                                                                                \
            PF_ROLLED for (int64_t j = 0; j < d[1]; j++, x1 += in[1], y1 += out[1]) {                   \
                const TX *x = x1;                                                                       \
                TY *y = y1;                                                                             \
                PF_ROLLED for (int64_t k = 0; k < d[2]; k++, x += in[2], y += out[2]) ROW(__VA_ARGS__); \
            }                                                                                           \
        }                                                                                               \
    }

/* v to the nearest integer, ties to even, plus zero, into [lo, hi]; a NaN gives hi. Beyond the clamp of v the result is
 * the same for every zero point, and within it adding 1.5 * 2^23 leaves the integer in the low bits. */
PF_INLINE int8_t pf_round_s8(float v, int32_t zero, int32_t lo, int32_t hi) {
    const float near = v < 512.0f ? (v > -512.0f ? v : -512.0f) : 512.0f;
    const float shifted = near + 12582912.0f;
    int32_t q;
    memcpy(&q, &shifted, sizeof q);
    q += zero - 0x4B400000;
    return (int8_t)(q < lo ? lo : q > hi ? hi : q);
}

#endif
