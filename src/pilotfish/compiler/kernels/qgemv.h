/* The product of one row and a matrix of few columns, in int8: y[j] = clamp(requantized(bias[j] + sum of x[i] w[j, i])).
 */
#ifndef PF_QGEMV_H
#define PF_QGEMV_H

#include <stdint.h>

/* Buffers: x s8[k], w s8[n][k] (transposed: a column's weights side by side), bias i32[n] (x's zero point is folded
 * into it), scale f32[n], y s8[n]. Stored is round(float(sum) * scale[j]), to the nearest, ties to even, plus zero,
 * saturated to s8 and clamped. */
typedef struct {
    int32_t k;     /* elements of x */
    int32_t n;     /* elements of y, at most 64 */
    int32_t pairs; /* 1: no weight is -128, so that two products fit i16 */
    int32_t zero;  /* zero point of y */
    int32_t lo;    /* least value, -128 for none */
    int32_t hi;    /* greatest value, 127 for none */
} pf_qgemv_args;

#endif
