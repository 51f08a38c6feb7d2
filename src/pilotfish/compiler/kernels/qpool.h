/* Arguments of the pools over NHWC images, in int8. */
#ifndef PF_QPOOL_H
#define PF_QPOOL_H

#include <stdint.h>

/* As in pool.h, a window is the taps x[b][r * stride_y - pad_top + ty * dilation_y][c * stride_x - pad_left + tx *
 * dilation_x][k] that lie in the image. Maximum pools: y = clamp(largest), -128 without any tap; both sides have
 * the same scale and zero point. Mean pools: y = clamp(round(float(sum of (x - x_zero)) * (factor / counted)) + y_zero) in
 * f32, ties to even, where `counted` are the taps in the image widened by the counted_ pixels; y_zero where there are
 * none. x starts at the image's first pixel, and what lies around the image is not read. Buffers: x, y. Strides count
 * elements; channels lie side by side. */
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
    int32_t x_zero, y_zero;
    float factor;   /* scale of x / scale of y */
    int32_t lo, hi; /* of the clamp, within -128..127 */
} pf_qpool_args;

#endif
