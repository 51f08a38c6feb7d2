/* Arguments of the kernels between float and int8, and between two scales of int8. */
#ifndef PF_QUANTIZE_H
#define PF_QUANTIZE_H

#include <stdint.h>

/* For every index i below dims, rows of dims[3] contiguous elements:
 *   quantize    f32 to s8   y = Q(x)
 *   dequantize  s8 to f32   y = D(x)
 *   requantize  s8 to s8    y = Q(D(x))
 *   flip        8 bits      y = x ^ 0x80, from u8 to s8 and back
 * with D(q) = (q - x_zero) * x_scale and Q(v) = clamp(round(v / y_scale) + y_zero), all in f32, ties to even. Buffers:
 * x, y. What a kernel does not have is ignored. */
typedef struct {
    int64_t dims[4];
    int64_t x_strides[3], y_strides[3]; /* elements, of the first three dimensions */
    float x_scale, y_scale;
    int32_t x_zero, y_zero;
    float first, second; /* fma(v, first, v * second) rounds as v / y_scale; 0 where a division is needed */
    float factor;        /* (q - x_zero) * factor rounds as D(q) / y_scale for every q; 0 if there is none */
    int32_t lo, hi;      /* of the clamp, within -128..127 */
} pf_quantize_args;

#endif
