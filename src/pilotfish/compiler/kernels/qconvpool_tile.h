/* Rows of pooled pixels for up to three output channels: a template that qconvpool.c includes with LMUL, of i32, and
 * HALF and QUARTER of it defined. The bias is added after the pool, which commutes with it. */

#define OP(name, type, lmul) PF_JOIN(__riscv_##name##_, type, lmul)
#define I32 PF_JOIN(vint32, LMUL, _t)
#define I16 PF_JOIN(vint16, HALF, _t)
#define I8 PF_JOIN(vint8, QUARTER, _t)

/* Input row `row` and column `col` of the 4x4 that four results need; those results are at (py, px). */
#define SUM(q, py, px, row, col)                                              \
    if (q < noc && row >= py && row < py + 3 && col >= px && col < px + 3) {  \
        const int16_t weight = kernel[q][(3 * (row - py) + col - px) & 15];   \
        c##q##py##px = OP(vwmacc_vx, i32, LMUL)(c##q##py##px, weight, v, vl); \
    }
#define SUMS(q, row, col) \
    SUM(q, 0, 0, row, col) SUM(q, 0, 1, row, col) SUM(q, 1, 0, row, col) SUM(q, 1, 1, row, col)
#define TAP(row, col, offset)                                  \
    {                                                          \
        const I16 v = OP(vle16_v, i16, HALF)(at + offset, vl); \
        SUMS(0, row, col) SUMS(1, row, col) SUMS(2, row, col)  \
    }
/* What the end needs is loaded on the way, once a row, in a manner that keeps clang from loading all vectors first,
 * for which there are not enough registers. */
#define HERE(p) (*(const volatile int32_t *)(p))
#define ROW(row, needed)       \
    {                          \
        needed;                \
        TAP(row, 0, 0)         \
        TAP(row, 1, width)     \
        TAP(row, 2, 1)         \
        TAP(row, 3, width + 1) \
        at += 2 * width;       \
    }
#define ROWS                            \
    ROW(0, zero = HERE(&p->zero))       \
    ROW(1, b0 = HERE(bias))             \
    ROW(2, b1 = HERE(bias + (noc > 1))) \
    ROW(3, b2 = HERE(bias + (noc > 2) * 2))
#define START(q)                                                                            \
    I32 c##q##00 = OP(vmv_v_x, i32, LMUL)(0, vl), c##q##01 = c##q##00, c##q##10 = c##q##00, \
        c##q##11 = c##q##00;
#define MAXIMUM(a, b) OP(vmax_vv, i32, LMUL)(a, b, vl)
#define POOL(q)                                                                   \
    I32 v##q = MAXIMUM(MAXIMUM(c##q##00, c##q##01), MAXIMUM(c##q##10, c##q##11)); \
    v##q = OP(vadd_vx, i32, LMUL)(v##q, b##q, vl);
#define SCALED(q)                            \
    const PF_JOIN(vfloat32, LMUL, _t) f##q = \
        OP(vfmul_vf, f32, LMUL)(OP(vfcvt_f_x_v, f32, LMUL)(v##q, vl), scale[q < noc ? q : 0], vl);
#define ROUNDED(q) \
    const I16 h##q = OP(vsadd_vx, i16, HALF)(OP(vfncvt_x_f_w, i16, HALF)(f##q, vl), (int16_t)zero, vl);
#define NARROWED(q)                                                      \
    I8 n##q = OP(vnclip_wx, i8, QUARTER)(h##q, 0, __RISCV_VXRM_RNU, vl); \
    n##q = OP(vmax_vx, i8, QUARTER)(n##q, lo, vl);                       \
    n##q = OP(vmin_vx, i8, QUARTER)(n##q, hi, vl);
#define END(q)                                 \
    if (q < noc) {                             \
        OP(vse8_v, i8, QUARTER)(to, n##q, vl); \
        to += y_channel_stride;                \
    }

/* `noc` output channels. */
PF_INLINE void PF_JOIN(rows_, LMUL, )(const int noc, const pf_qconvpool_args *p, const struct shape *s,
                                      const int16_t *scratch, const struct channels channels, int8_t *y) {
    int8_t kernel[3][16]; /* 9 of them, and places for the indices of what is no tap */
    const int8_t *const weights = channels.w;
    const int32_t *const bias = channels.bias;
    const float *const scale = channels.scale;
    const ptrdiff_t width = s->width;
    const int32_t cols = s->cols;
    const int8_t lo = (int8_t)p->lo, hi = (int8_t)p->hi;
    const ptrdiff_t y_row_stride = p->y_row_stride, y_channel_stride = p->y_channel_stride;
    const ptrdiff_t plane_step = s->plane - 8 * width, w_step = 9 * (ptrdiff_t)p->channels;
    PF_ROLLED
    for (int32_t r = s->rows; r > 0; r--, scratch += 4 * width, y += y_row_stride) {
        size_t vl;
        const int16_t *from = scratch;
        int8_t *start = y;
        PF_ROLLED
        for (int32_t left = cols; left > 0; left -= (int32_t)vl, from += vl, start += vl) {
            vl = OP(vsetvl, e32, LMUL)((size_t)left);
            START(0) START(1) START(2) const int16_t *at = from;
            int32_t zero, b0, b1, b2;
            const int8_t *w = weights;
            int32_t k = p->channels;
            PF_ROLLED
            do {
                for (int q = 0; q < noc; q++) {
                    for (int i = 0; i < 9; i++) kernel[q][i] = w[q * w_step + i];
                }
                ROWS at += plane_step;
                w += 9;
            } while (--k);
            POOL(0)
            POOL(1)
            POOL(2)
            SCALED(0)
            SCALED(1)
            SCALED(2) ROUNDED(0) ROUNDED(1) ROUNDED(2) NARROWED(0) NARROWED(1) NARROWED(2) int8_t *to = start;
            END(0) END(1) END(2)
        }
    }
}

#define TILE(NOC)                                                                                         \
    static void PF_JOIN(planes_##NOC##_, LMUL, )(const pf_qconvpool_args *p, const struct shape *s,       \
                                                 const int16_t *scratch, struct channels at, int8_t *y) { \
        PF_JOIN(rows_, LMUL, )(NOC, p, s, scratch, at, y);                                                \
    }

TILE(1)
TILE(2)
TILE(3)

#define INPUT(row, col, offset) const I16 v##row##col = OP(vle16_v, i16, HALF)(at + offset, vl);
#define INPUT_ROW(row) \
    INPUT(row, 0, 0) INPUT(row, 1, width) INPUT(row, 2, 1) INPUT(row, 3, width + 1) at += 2 * width;
#define RESULT(py, px, r0, r1, r2, k0, k1, k2)                              \
    I32 c0##py##px = OP(vwmul_vx, i32, LMUL)(v##r0##k0, w[0], vl);          \
    c0##py##px = OP(vwmacc_vx, i32, LMUL)(c0##py##px, w[1], v##r0##k1, vl); \
    c0##py##px = OP(vwmacc_vx, i32, LMUL)(c0##py##px, w[2], v##r0##k2, vl); \
    c0##py##px = OP(vwmacc_vx, i32, LMUL)(c0##py##px, w[3], v##r1##k0, vl); \
    c0##py##px = OP(vwmacc_vx, i32, LMUL)(c0##py##px, w[4], v##r1##k1, vl); \
    c0##py##px = OP(vwmacc_vx, i32, LMUL)(c0##py##px, w[5], v##r1##k2, vl); \
    c0##py##px = OP(vwmacc_vx, i32, LMUL)(c0##py##px, w[6], v##r2##k0, vl); \
    c0##py##px = OP(vwmacc_vx, i32, LMUL)(c0##py##px, w[7], v##r2##k1, vl); \
    c0##py##px = OP(vwmacc_vx, i32, LMUL)(c0##py##px, w[8], v##r2##k2, vl);

/* All output channels of a single input channel: the 4x4 inputs of each result stay in registers. */
static void PF_JOIN(plane_, LMUL, )(const pf_qconvpool_args *p, const struct shape *s, const int16_t *scratch,
                                    struct channels channels, int8_t *y) {
    const ptrdiff_t width = s->width, y_row_stride = p->y_row_stride, y_channel_stride = p->y_channel_stride;
    const int32_t cols = s->cols, zero = p->zero;
    const int8_t lo = (int8_t)p->lo, hi = (int8_t)p->hi;
    PF_ROLLED
    for (int32_t r = s->rows; r > 0; r--, scratch += 4 * width, y += y_row_stride) {
        size_t vl;
        const int16_t *from = scratch;
        int8_t *start = y;
        PF_ROLLED
        for (int32_t left = cols; left > 0; left -= (int32_t)vl, from += vl, start += vl) {
            vl = OP(vsetvl, e32, LMUL)((size_t)left);
            const int16_t *at = from;
            INPUT_ROW(0) INPUT_ROW(1) INPUT_ROW(2) INPUT_ROW(3) const int8_t *w = channels.w;
            const int32_t *bias = channels.bias;
            const float *scale = channels.scale;
            int8_t *to = start;
            const int8_t *const end = w + 9 * p->n;
            PF_ROLLED
            do {
                enum { noc = 1 };
                RESULT(0, 0, 0, 1, 2, 0, 1, 2)
                RESULT(0, 1, 0, 1, 2, 1, 2, 3)
                RESULT(1, 0, 1, 2, 3, 0, 1, 2)
                RESULT(1, 1, 1, 2, 3, 1, 2, 3)
                const int32_t b0 = *bias++;
                POOL(0)
                SCALED(0)
                ROUNDED(0)
                NARROWED(0)
                OP(vse8_v, i8, QUARTER)(to, n0, vl);
                scale++;
                to += y_channel_stride;
                w += 9;
            } while (w != end);
        }
    }
}

#undef INPUT
#undef INPUT_ROW
#undef RESULT
#undef TILE
#undef OP
#undef I32
#undef I16
#undef I8
#undef SUM
#undef SUMS
#undef TAP
#undef HERE
#undef ROW
#undef ROWS
#undef START
#undef MAXIMUM
#undef POOL
#undef SCALED
#undef ROUNDED
#undef NARROWED
#undef END
#undef LMUL
#undef HALF
#undef QUARTER
