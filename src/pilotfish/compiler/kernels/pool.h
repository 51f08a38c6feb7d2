/* Arguments of the pools over NHWC images, in f32. */
#ifndef PF_POOL_H
#define PF_POOL_H

#include <stdint.h>

/* y[b][r][c][k] = clamp(largest, or mean, of x[b][r * stride_y - pad_top + ty * dilation_y][c * stride_x -
 * pad_left + tx * dilation_x][k] over the taps that lie in the image). A window without any gives -infinity,
 * or 0. The mean divides by the number of taps in the image widened by the counted_ pixels. x starts at the
 * image's first pixel, and what lies around the image is not read. Buffers: x, y. Strides count elements;
 * channels lie side by side. */
typedef struct {
    int32_t batch;
    int32_t rows, cols; /* of the output */
    int32_t channels;
    int32_t in_rows, in_cols;
    int32_t taps_y, taps_x;
    int32_t stride_y, stride_x;
    int32_t dilation_y, dilation_x;
    int32_t pad_top, pad_left;
    int32_t counted_top, counted_left, counted_bottom, counted_right; /* padding that counts in a mean */
    int64_t x_batch_stride, x_row_stride, x_col_stride; /* from one pixel of the input to the next */
    int64_t y_batch_stride, y_row_stride, y_col_stride;
    float lo, hi; /* infinite where there is nothing to clamp */
} pf_pool_args;

#endif
