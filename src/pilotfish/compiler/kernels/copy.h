/* Arguments of the kernels that move elements without changing them. */
#ifndef PF_COPY_H
#define PF_COPY_H

#include <stdint.h>

/* y[out_offset + i . out_strides] = x[in_offset + i . in_strides] for every index i below dims. Strides and
 * offsets count elements. The innermost dimension comes last; unused ones are 1 and come first. */
typedef struct {
    int64_t dims[6];
    int64_t in_strides[6];  /* 0 repeats, negative walks back */
    int64_t out_strides[6]; /* never 0 where dims > 1 */
    int64_t in_offset;
    int64_t out_offset;
} pf_copy_args;

/* rows runs of cols elements set to one pattern. */
typedef struct {
    int64_t rows, cols;
    int64_t row_stride; /* elements from one run to the next */
    int64_t offset;     /* of the first run */
    int32_t pattern;    /* the bits of one element */
} pf_fill_args;

/* Zeroes the frame around NHWC images, and only that. An image is top + rows + bottom rows of left + cols +
 * right pixels; one follows the other. The buffer starts with the frame of the first. */
typedef struct {
    int32_t batch, rows, cols, channels;
    int32_t top, left, bottom, right; /* pixels of the frame */
    int32_t pitch; /* elements from a row to the next: at least (cols + max(left, right)) * channels, since
                    * the frame on the right of a row may be that on the left of the next */
} pf_halo_args;

#endif
