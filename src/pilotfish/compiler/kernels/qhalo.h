/* Arguments of the kernels that set bytes: frames of zero points, and runs. */
#ifndef PF_QHALO_H
#define PF_QHALO_H

#include <stdint.h>

/* Sets the frame around NHWC images of bytes to one pattern, and only that. An image is top + rows + bottom rows of left
 * + cols + right pixels; one follows the other. The buffer starts with the frame of the first. Buffers: y. */
typedef struct {
    int32_t batch, rows, cols, channels;
    int32_t top, left, bottom, right; /* pixels of the frame */
    int32_t pitch;   /* elements from a row to the next: at least (cols + max(left, right)) * channels, since
                    * the frame on the right of a row may be that on the left of the next */
    int32_t pattern; /* -128..127 */
} pf_qhalo_args;

/* rows runs of cols bytes set to one pattern. Buffers: y. */
typedef struct {
    int64_t rows, cols;
    int64_t row_stride; /* elements from one run to the next */
    int64_t offset;     /* of the first run */
    int32_t pattern;    /* -128..127 */
} pf_qfill_args;

#endif
