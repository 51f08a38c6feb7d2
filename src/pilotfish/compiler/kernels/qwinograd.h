/* Arguments of the exact Winograd convolution in int8. */
#ifndef PF_QWINOGRAD_H
#define PF_QWINOGRAD_H

#include <stdint.h>

/* A whole 3x3 convolution of stride 1: y[b][r][c][j] is round(float(sum) * scale[j]), to the nearest, ties to even,
 * plus zero, saturated to s8 and clamped, with the sum bias[j] + sum of x[b][r+ty][c+tx][i] * w[ty][tx][i][j].
 * Buffers: x s8, w, bias i32[n] (x's zero point is folded into it), scale f32[n], y s8, scratch; x starts at the first
 * tap of the first output. Outputs are computed in tiles of 2x2; all inputs of all tiles are read, so below and to the
 * right of the picture there must be readable pixels as far as the last tiles reach; outputs beyond rows and cols are
 * not written. w is transformed, i16: blocks of nb columns, in each the 16 elements of a tile, in each the channels
 * (with zeros up to a multiple of 4), and nb zeros at the end. qwinograd.py packs weights, says whether sums fit, and
 * tells the size of scratch. Strides count elements. */
typedef struct {
    int32_t batch;
    int32_t rows, cols; /* of the output */
    int32_t channels;   /* of the input */
    int32_t n;          /* output channels */
    int32_t nb;         /* columns of a block of w */
    int32_t x_batch_stride, x_row_stride, x_col_stride;
    int32_t y_batch_stride, y_row_stride, y_col_stride;
    int32_t zero;   /* zero point of y */
    int32_t lo, hi; /* -128 and 127 where there is nothing to clamp */
} pf_qwinograd_args;

#endif
