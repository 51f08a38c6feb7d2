/* Rows of pooled pixels for up to three output channels: a template that convpool.c includes with PF_LMUL defined.
 * The bias is added after the pool, which commutes with it. */

/* Input row `row` and column `col` of the 4x4 that four results need; those results are at (py, px). */
#define SUM(q, py, px, row, col)                                                               \
    if (q < noc && row >= py && row < py + 3 && col >= px && col < px + 3) {                   \
        const float weight = kernel[q][3 * (row - py) + col - px];                             \
        c##q##py##px = one && row == py && col == px ? PF_(muls)(v, weight, vl)                \
                                                     : PF_(fmas)(v, weight, c##q##py##px, vl); \
    }
#define SUMS(q, row, col) \
    SUM(q, 0, 0, row, col) SUM(q, 0, 1, row, col) SUM(q, 1, 0, row, col) SUM(q, 1, 1, row, col)
#define TAP(row, col, offset)                                 \
    {                                                         \
        const PF_V v = PF_(load)(at + offset, vl);            \
        SUMS(0, row, col) SUMS(1, row, col) SUMS(2, row, col) \
    }
/* What the end needs is loaded on the way, once a row, in a manner that keeps clang from loading all vectors first,
 * for which there are not enough registers. */
#define ROW(row, needed)       \
    {                          \
        needed;                \
        TAP(row, 0, 0)         \
        TAP(row, 1, width)     \
        TAP(row, 2, 1)         \
        TAP(row, 3, width + 1) \
        at += 2 * width;       \
    }
#define ROWS                                    \
    ROW(0, lo = PF_LOAD_HERE(&p->lo))           \
    ROW(1, b0 = PF_LOAD_HERE(bias))             \
    ROW(2, b1 = PF_LOAD_HERE(bias + (noc > 1))) \
    ROW(3, b2 = PF_LOAD_HERE(bias + (noc > 2) * 2))
#define START(q) \
    PF_V c##q##00 = PF_(splat)(0.0f, vl), c##q##01 = c##q##00, c##q##10 = c##q##00, c##q##11 = c##q##00;
#define POOL(q)                                                                                            \
    PF_V v##q = PF_(maxnum)(PF_(maxnum)(c##q##00, c##q##01, vl), PF_(maxnum)(c##q##10, c##q##11, vl), vl); \
    v##q = PF_(adds)(v##q, b##q, vl);
#define CLAMP_LO(q) v##q = PF_(maxnums)(v##q, lo, vl);
#define CLAMP_HI(q) v##q = PF_(minnums)(v##q, p->hi, vl);
#define END(q)                    \
    if (q < noc) {                \
        PF_(store)(to, v##q, vl); \
        to += y_channel_stride;   \
    }

/* `noc` output channels; `one`: there is a single input channel, whose weights stay in registers. */
PF_INLINE void PF_(rows)(const int noc, const int one, const pf_convpool_args *p, const struct shape *s,
                         const float *scratch, const float *weights, const float *bias, float *y) {
    float kernel[3][9];
    for (int q = 0; q < noc; q++) {
        for (int i = 0; i < 9; i++) kernel[q][i] = weights[9 * q + i];
    }
    const ptrdiff_t width = s->width;
    const int32_t cols = s->cols;
    const ptrdiff_t y_row_stride = p->y_row_stride, y_channel_stride = p->y_channel_stride;
    const ptrdiff_t plane_step = s->plane - 8 * width, w_step = 9 * (ptrdiff_t)p->channels;
    PF_ROLLED
    for (int32_t r = s->rows; r > 0; r--, scratch += 4 * width, y += y_row_stride) {
        size_t vl;
        const float *from = scratch;
        float *start = y;
        PF_ROLLED
        for (int32_t left = cols; left > 0; left -= (int32_t)vl, from += vl, start += vl) {
            vl = PF_(vl)(left);
            START(0) START(1) START(2) const float *at = from;
            float lo, b0, b1, b2;
            if (one) {
                ROWS
            } else {
                const float *w = weights;
                int32_t k = p->channels;
                PF_ROLLED
                do {
                    for (int q = 0; q < noc; q++) {
                        for (int i = 0; i < 9; i++) kernel[q][i] = w[q * w_step + i];
                    }
                    ROWS at += plane_step;
                    w += 9;
                } while (--k);
            }
            POOL(0)
            POOL(1)
            POOL(2)
            /* All channels in one branch: between branches, clang would sort the sums by channel. */
            if (s->clamp_lo) {
                CLAMP_LO(0) CLAMP_LO(1) CLAMP_LO(2)
            }
            if (s->clamp_hi) {
                CLAMP_HI(0) CLAMP_HI(1) CLAMP_HI(2)
            }
            float *to = start;
            END(0) END(1) END(2)
        }
    }
}

#define PF_CONVPOOL_TILE(KIND, NOC, ONE)                                                                  \
    static void PF_(KIND##_##NOC)(const pf_convpool_args *p, const struct shape *s, const float *scratch, \
                                  const float *w, const float *bias, float *y) {                          \
        PF_(rows)(NOC, ONE, p, s, scratch, w, bias, y);                                                   \
    }

PF_CONVPOOL_TILE(planes, 1, 0)
PF_CONVPOOL_TILE(planes, 2, 0)
#ifndef PF_SCALAR_TILE
PF_CONVPOOL_TILE(planes, 3, 0)
PF_CONVPOOL_TILE(plane, 1, 1)
PF_CONVPOOL_TILE(plane, 2, 1)
PF_CONVPOOL_TILE(plane, 3, 1)
#endif

#undef PF_CONVPOOL_TILE
#undef SUM
#undef SUMS
#undef TAP
#undef ROW
#undef ROWS
#undef START
#undef END
#undef POOL
#undef CLAMP_LO
#undef CLAMP_HI
#undef PF_LMUL
