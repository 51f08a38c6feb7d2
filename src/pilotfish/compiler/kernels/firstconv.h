/* Arguments of the direct convolution of few input channels, in f32. */
#ifndef PF_FIRSTCONV_H
#define PF_FIRSTCONV_H

#include <stdint.h>

/* y[b][r][c][j] = clamp(bias[j] + sum over taps and channels k of x[b][r][c][ty][tx][k] * w[ty][k][tx][j]), every index
 * of x with its own stride, so that its channels may lie side by side or in planes. Buffers: x, w, bias, y; x starts at
 * the first tap of the first output, which may lie in a halo. w comes in blocks of nb output channels, each
 * [taps_y][channels][taps_x][nb], the last padded. Strides count elements; output channels lie side by side. */
typedef struct {
    int32_t batch;
    int32_t rows, cols; /* of the output */
    int32_t channels;   /* of x */
    int32_t taps_y, taps_x;
    int32_t n; /* output channels */
    int32_t nb;
    int32_t x_batch_stride;
    int32_t x_row_stride, x_col_stride; /* from one output to the next: the convolution's stride is in them */
    int32_t x_tap_y_stride, x_tap_x_stride; /* from one tap to the next: the dilation is in them */
    int32_t x_channel_stride;
    int32_t y_batch_stride, y_row_stride, y_col_stride;
    float lo, hi; /* infinite where there is nothing to clamp */
} pf_firstconv_args;

#endif
