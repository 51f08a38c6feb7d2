/* Arguments of the depthwise convolutions. */
#ifndef PF_DWCONV_H
#define PF_DWCONV_H

#include <stdint.h>

/* y[b][r][c][k] = clamp(bias[k] + sum over taps of x[b][r][c][ty][tx][k] * w[ty][tx][k]), every index of x
 * with its own stride. Buffers: x, w, bias, y; x starts at the first tap of the first output, which may lie
 * in a halo, so that there is no padding here. w is [taps_y][taps_x][channels]. Strides count elements;
 * channels lie side by side. */
typedef struct {
    int32_t batch;
    int32_t rows, cols; /* of the output */
    int32_t channels;
    int32_t taps_y, taps_x;
    int64_t x_batch_stride;
    int64_t x_row_stride, x_col_stride; /* from one output to the next: the convolution's stride is in them */
    int64_t x_tap_y_stride, x_tap_x_stride; /* from one tap to the next: the dilation is in them */
    int64_t y_batch_stride, y_row_stride, y_col_stride;
    float lo, hi; /* infinite where there is nothing to clamp */
} pf_dwconv_args;

#endif
