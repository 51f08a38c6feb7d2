/* Which taps of a pool's window lie in the image. */
#ifndef PF_POOL_SPAN_H
#define PF_POOL_SPAN_H

#include "pf_kernel.h"

struct span {
    int32_t first, count;
};

/* The taps start, start + dilation, ... that lie in [low, high). */
PF_INLINE struct span clip(int32_t start, int32_t taps, int32_t dilation, int32_t low, int32_t high) {
    struct span s = {0, taps};
    if (start < low) s.first = (low - start + dilation - 1) / dilation;
    if (start + (taps - 1) * dilation >= high) s.count = start < high ? (high - start - 1) / dilation + 1 : 0;
    s.count = PF_MAX(s.count - s.first, 0);
    return s;
}

#endif
