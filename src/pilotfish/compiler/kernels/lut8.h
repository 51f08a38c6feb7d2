/* Arguments of the kernel that looks bytes up in a table. */
#ifndef PF_LUT8_H
#define PF_LUT8_H

#include <stdint.h>

/* y = table[x as u8] for every index below dims, rows of dims[3] contiguous elements. Buffers: x, y, and table, of 256
 * bytes. For s8 elements the table starts with 0..127, then come -128..-1. */
typedef struct {
    int64_t dims[4];
    int64_t x_strides[3], y_strides[3]; /* elements, of the first three dimensions */
} pf_lut8_args;

#endif
