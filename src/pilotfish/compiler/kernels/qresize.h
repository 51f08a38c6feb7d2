/* Arguments of the kernels that resize NHWC images of bytes. */
#ifndef PF_QRESIZE_H
#define PF_QRESIZE_H

#include <stdint.h>

/* Nearest: y[b][r][c][k] = x[b][row[r]][col[c]][k], bytes of any kind. Buffers: x, row (int32[rows]), col (int32[cols]), y.
 * Linear, s8: y = clamp(round(sum of (x[b][row[r][i]][col[c][j]][k] - x_zero) * weight[i][j] over i, j below 2) + y_zero), in
 * f32, the first term a product and each further one, in the order 00, 01, 10, 11, added by an fma; ties to even. With
 * down = row_part[r], right = col_part[c]: weight[1][1] = (down * factor) * right, weight[0][0] = ((1 - down) * factor) *
 * (1 - right), and so on. Buffers: x, row (int32[rows][2]), row_part (float[rows]), col, col_part, y.
 * Strides count elements; channels lie side by side. */
typedef struct {
    int32_t batch;
    int32_t rows, cols; /* of the output */
    int32_t channels;
    int32_t x_batch_stride, x_row_stride, x_col_stride; /* from one pixel of the input to the next */
    int32_t y_batch_stride, y_row_stride, y_col_stride;
    int32_t x_zero, y_zero;
    float factor;   /* scale of x / scale of y */
    int32_t lo, hi; /* of the clamp, within -128..127 */
} pf_qresize_args;

#endif
