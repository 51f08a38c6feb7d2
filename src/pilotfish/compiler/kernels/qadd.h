/* Arguments of the sum and the product of two int8 tensors with scales of their own. */
#ifndef PF_QADD_H
#define PF_QADD_H

#include <stdint.h>

/* y = clamp(round((A op B) / y_scale) + y_zero) with A = (a - a_zero) * a_scale, and B so, all in f32, ties to even: op
 * is + or *; a difference is a sum with a negative b_scale. For every index below dims, rows of dims[3] contiguous
 * elements. Buffers: a, b, y. */
typedef struct {
    int64_t dims[4];
    int64_t a_strides[3], b_strides[3], y_strides[3]; /* elements, of the first three dimensions; 0 repeats */
    float a_scale, b_scale, y_scale;
    int32_t a_zero, b_zero, y_zero;
    float first, second; /* fma(v, first, v * second) rounds as v / y_scale; 0 where a division is needed */
    float a_factor,
        b_factor;   /* fma(b - b_zero, b_factor, (a - a_zero) * a_factor), or of a product (a - a_zero) *
                               * (b - b_zero) * a_factor, rounds as it should for all a and b; 0 if none does */
    int32_t lo, hi; /* of the clamp, within -128..127 */
} pf_qadd_args;

#endif
