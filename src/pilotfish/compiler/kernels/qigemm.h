/* Matrix products and convolutions over NHWC images in int8:
 * y[p, j] = clamp(requantized(bias[j] + sum of x[p, i] w[i, j])). */
#ifndef PF_QIGEMM_H
#define PF_QIGEMM_H

#include <stdint.h>

/* A pixel p of the output is (image, row, column). Its inputs are taps_y x taps_x runs of k contiguous elements of
 * x, so that the sum goes over i < taps_y * taps_x * k. A plain product has one image, one row, one tap. Strides
 * count elements, here bytes. Where the taps of an image row are contiguous, they are best merged into one run.
 *
 * Buffers: x s8, w packed, bias i32[n] (x's zero point is folded into it), scale f32[n], y s8. What is stored is
 * round(float(sum) * scale[j]), to the nearest, ties to even, saturated to i16; plus zero; saturated to s8; clamped.
 *
 * w is what qigemm.pack made for these very arguments (the offsets of the runs are in it): int32 words with the
 * offset in bytes of each block of nb columns. The rows of a block are taken in items, of one or two groups. The inputs
 * of an item are contiguous, and with any inputs the sum of a group fits i16. Items of one kind are a section. A block
 * is, with all offsets in bytes from its start:
 *   int32 rows: where the rows start;
 *   int32 steps: where steps[] start;
 *   int32 sections[][2]: the kind times 4, and where its steps end; 4 times the number of kinds at the end;
 *   int32 steps[]: of the first item, the offset of its input from the pixel; of each further one, the distance from
 *   the item before; a 0 at the end;
 *   int8 rows[][nb]: the rows of w, in the order of the items.
 * After the last block are 2 * nb bytes that a kernel may read. */
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
    int32_t y_batch_stride; /* from an output image to the next */
    int32_t y_row_stride;   /* ... row */
    int32_t y_col_stride;   /* ... pixel */
    int32_t zero;           /* zero point of y */
    int32_t lo;             /* least value, -128 for none */
    int32_t hi;             /* greatest value, 127 for none */
} pf_qigemm_args;

#endif
