/* Local response normalization across the channels of f32 pixels. */
#ifndef PF_LRN_H
#define PF_LRN_H

#include <stdint.h>

/* x and y are [rows, n], contiguous: n channels of each pixel. y must not be x. */
typedef struct {
    int32_t rows;
    int32_t n;
    int32_t before; /* channels of the window before the one that is normalized */
    int32_t after;  /* and after it */
    float alpha;    /* of the sum of squares, divided by the window's size already */
    float beta;     /* the exponent */
    float bias;     /* added to alpha times the sum; positive */
} pf_lrn_args;

#endif
