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

/* Zeroes the frame around pictures, and only that: in each of batch blocks, head elements, then rows times
 * keep elements left alone with gap elements zeroed between them, then tail elements zeroed. */
typedef struct {
    int32_t batch;
    int32_t rows;
    int32_t keep;
    int32_t head, gap, tail;
    int64_t batch_stride; /* elements from one block to the next */
    int64_t offset;       /* of the first block */
} pf_halo_args;

#endif
