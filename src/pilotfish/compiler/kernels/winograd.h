/* Arguments of the Winograd convolutions. */
#ifndef PF_WINOGRAD_H
#define PF_WINOGRAD_H

#include <stdint.h>

/* A whole 3x3 convolution of stride 1: y[b][r][c][j] = clamp(bias[j] + sum of x[b][r+ty][c+tx][i] * w[ty][tx][i][j]).
 * Buffers: x, w, bias, y, scratch; x starts at the first tap of the first output. Outputs are computed in square
 * tiles of 4 (f4) or 2 (f2); all inputs of all tiles are read, so below and to the right of the picture there must
 * be as many zeros as the last tiles reach over it; outputs beyond rows and cols are not written. w is transformed:
 * blocks of nb columns, in each the tile's elements, in each k rows (channels, with zeros up to a multiple of 4),
 * and nb zeros at the end. winograd.py packs weights and tells the size of scratch. Strides count elements. */
typedef struct {
    int32_t batch;
    int32_t rows, cols; /* of the output */
    int32_t channels;   /* of the input */
    int32_t n;          /* output channels */
    int32_t nb;         /* columns of a block of w */
    int64_t x_batch_stride, x_row_stride, x_col_stride;
    int64_t y_batch_stride, y_row_stride, y_col_stride;
    float lo, hi; /* infinite where there is nothing to clamp */
} pf_winograd_args;

#endif
