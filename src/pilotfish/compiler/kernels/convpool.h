/* Arguments of the convolution that a pool follows, over channels-first images, in f32. */
#ifndef PF_CONVPOOL_H
#define PF_CONVPOOL_H

#include <stdint.h>

/* A 3x3 convolution with stride 1 and one pixel of zeros around the image, then a 2x2 maximum pool with
 * stride 2, then a clamp: n images of in_rows / 2 x in_cols / 2 (rounded down). Images are channels-first
 * with contiguous rows; strides count elements. Buffers: x (unpadded), w ([n][channels][3][3]), bias ([n]),
 * y, and scratch, of channels * (2 * (in_rows / 2) + 2) * 2 * (in_cols / 2 + 1) floats. */
typedef struct {
    int32_t batch, channels, in_rows, in_cols;
    int32_t n; /* output channels */
    int64_t x_batch_stride, x_channel_stride, x_row_stride;
    int64_t y_batch_stride, y_channel_stride, y_row_stride;
    float lo, hi; /* infinite where there is nothing to clamp */
} pf_convpool_args;

#endif
