/* Matrix products and convolutions over NHWC images, in f32: y[p, j] = clamp(bias[j] + sum of x[p, i] w[i, j]). */
#ifndef PF_IGEMM_H
#define PF_IGEMM_H

#include <stdint.h>

/* A pixel p of the output is (image, row, column). Its inputs are taps_y x taps_x runs of k contiguous elements of
 * x, so that the sum goes over i < taps_y * taps_x * k. A plain product has one image, one row, one tap. Strides
 * count elements. Where the taps of an image row are contiguous, they are best merged into one run. */
typedef struct {
    int32_t batch;          /* images */
    int32_t rows;           /* output rows of an image */
    int32_t cols;           /* output columns of a row */
    int32_t x_batch_stride; /* from the inputs of an image to those of the next */
    int32_t x_row_stride;   /* ... of an output row */
    int32_t x_col_stride;   /* ... of an output column */
    int32_t taps_y;         /* runs below each other */
    int32_t taps_x;         /* runs beside each other */
    int32_t x_tap_y_stride; /* from a run to the one below it */
    int32_t x_tap_x_stride; /* from a run to the one beside it */
    int32_t k;              /* elements of a run */
    int32_t n;              /* output channels, columns of w */
    int32_t nb;             /* columns of a block of w */
    int32_t w_k_stride;     /* from row i of a block to the next: nb if packed, the row's length if plain */
    int32_t w_block_stride; /* from a block to the next: nb * rows of w if packed, nb if plain */
    int32_t y_batch_stride; /* from an output image to the next */
    int32_t y_row_stride;   /* ... row */
    int32_t y_col_stride;   /* ... pixel */
    float lo;               /* least value, or -infinity */
    float hi;               /* greatest value, or infinity */
} pf_igemm_args;

#endif
