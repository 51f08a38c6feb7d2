/* Arguments of the direct convolution in int8 whose neighbouring pixels share their inputs. */
#ifndef PF_QSLIDECONV_H
#define PF_QSLIDECONV_H

#include <stdint.h>

/* y[b][r][c][j] = requantized(bias[j] + sum over taps and channels k of x[b][r][c][ty][tx][k] * w[ty][k][tx][j]),
 * clamped. Every index of x has its own stride; rows of outputs lie a multiple of x_tap_y_stride apart. x starts at the
 * first tap of the first output, which may lie in a halo. Strides count elements; output channels lie side by side.
 *
 * Buffers: x s8, w s16, bias i32[n] (x's zero point is folded into it), scale f32[n], y s8, scratch s8. What is stored
 * is round(float(sum) * scale[j]), to the nearest, ties to even, saturated to i16; plus zero; saturated to s8; clamped.
 *
 * w comes in blocks of nb output channels, each [taps_y][channels][taps_x][nb], the last padded; after it are
 * taps_x * nb elements that a kernel may read. Weights are of s8, but kernels multiply s16, and to keep them as such
 * saves an instruction of each row of them. */
typedef struct {
    int32_t batch;
    int32_t rows, cols; /* of the output */
    int32_t channels;   /* of x */
    int32_t taps_y, taps_x;
    int32_t n;                          /* output channels */
    int32_t nb;                         /* of a block of w */
    int32_t strip;                      /* output rows whose inputs are in scratch at once */
    int32_t x_batch_stride;             /* from an image to the next */
    int32_t x_row_stride, x_col_stride; /* from one output to the next: the convolution's stride is in them */
    int32_t x_tap_y_stride, x_tap_x_stride; /* from one tap to the next: the dilation is in them */
    int32_t x_channel_stride;
    int32_t y_batch_stride, y_row_stride, y_col_stride;
    int32_t zero;   /* zero point of y */
    int32_t lo, hi; /* -128 and 127 where there is nothing to clamp */
} pf_qslideconv_args;

#endif
