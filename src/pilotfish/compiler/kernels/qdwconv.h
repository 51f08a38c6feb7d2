/* Arguments of the depthwise convolutions in int8. */
#ifndef PF_QDWCONV_H
#define PF_QDWCONV_H

#include <stdint.h>

/* y[b][r][c][k] = clamp(round(float(bias[k] + sum over taps of x[b][r][c][ty][tx][k] * w[ty][tx][k]) * scale[k]) + zero),
 * every index of x with its own stride, rounded to nearest, ties to even, saturated to i16 before and to i8 after zero is
 * added. x starts at the first tap of the first output, which may lie in a halo of zero points: there is no padding
 * here, and what x's zero point contributes is in the bias. Strides count elements; channels lie side by side.
 *
 * Buffers: x s8, w packed, bias i32, scale f32, y s8. Weights come in blocks of nb channels, and after w_blocks of them
 * repeat: w is w_blocks bytes, then [w_blocks][taps_y][taps_x][nb]. Bias and scale have min(channels, w_blocks * nb)
 * elements, and repeat so too. Thus pixels that lie side by side can be channels of one wide pixel. A block's byte is 1
 * where the products of the three taps of a 3x3 kernel that lie across the direction of sliding always fit i16. */
typedef struct {
    int32_t batch;
    int32_t rows, cols; /* of the output */
    int32_t channels;
    int32_t taps_y, taps_x;
    int32_t x_batch_stride;
    int32_t x_row_stride, x_col_stride; /* from one output to the next: the convolution's stride is in them */
    int32_t x_tap_y_stride, x_tap_x_stride; /* from one tap to the next: the dilation is in them */
    int32_t y_batch_stride, y_row_stride, y_col_stride;
    int32_t nb, w_blocks;
    int32_t turned;       /* 3x3 kernels slide down columns, else along rows */
    int32_t pairs;        /* any two products fit i16, in all blocks */
    int32_t triples;      /* blocks whose byte is 1: for the cost */
    int32_t zero, lo, hi; /* of y: its zero point, and a clamp within -128..127 */
} pf_qdwconv_args;

#endif
