/* Arguments of the kernels that resize NHWC images. */
#ifndef PF_RESIZE_H
#define PF_RESIZE_H

#include <stdint.h>

/* Nearest: y[b][r][c][k] = x[b][row[r]][col[c]][k]. Buffers: x, row (int32[rows]), col (int32[cols]), y.
 * Linear: the mean of x[b][row[r][i]][col[c][j]][k] over i, j below 2, weighted with row_part[r] for i = 1 and the rest
 * for i = 0, and so with columns. Buffers: x, row (int32[rows][2]), row_part (float[rows]), col, col_part, y.
 * Strides count elements; channels lie side by side. */
typedef struct {
    int32_t batch;
    int32_t rows, cols; /* of the output */
    int32_t channels;
    int32_t x_batch_stride, x_row_stride, x_col_stride; /* from one pixel of the input to the next */
    int32_t y_batch_stride, y_row_stride, y_col_stride;
} pf_resize_args;

#endif
