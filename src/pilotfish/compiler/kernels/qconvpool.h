/* Arguments of the convolution that a pool follows, over channels-first images, in int8. */
#ifndef PF_QCONVPOOL_H
#define PF_QCONVPOOL_H

#include <stdint.h>

/* A 3x3 convolution with stride 1 and one pixel of x's zero point around the image, then a 2x2 maximum pool with
 * stride 2: n images of in_rows / 2 x in_cols / 2 (rounded down). Images are channels-first with contiguous rows;
 * strides count elements. Buffers: x s8 (unpadded), w s8 ([n][channels][3][3]), bias i32[n] (x's zero point is folded
 * into it), scale f32[n], all positive, y s8, and scratch, of channels * (2 * (in_rows / 2) + 2) * 2 * (in_cols / 2 +
 * 1) int16. Stored is round(float(largest sum) * scale), to the nearest, ties to even, plus zero, saturated to s8 and
 * clamped: what the pool of the four stored convolution results would be. */
typedef struct {
    int32_t batch, channels, in_rows, in_cols;
    int32_t n; /* output channels */
    int32_t x_batch_stride, x_channel_stride, x_row_stride;
    int32_t y_batch_stride, y_channel_stride, y_row_stride;
    int32_t x_zero; /* zero point of x */
    int32_t zero;   /* zero point of y */
    int32_t lo, hi; /* -128 and 127 where there is nothing to clamp */
} pf_qconvpool_args;

#endif
