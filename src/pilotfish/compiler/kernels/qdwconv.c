/* Depthwise convolution in int8, NHWC, vector over channels, or over pixels and channels that lie side by side.
 * qdwconv.h has the arguments, qdwconv.py the table rows. */
#include "qdwconv.h"

#include "pf_vec.h"
#include "qrows.h"

/* Channels from `channel` on, which one vector takes: `lane` is their place in bias and scale, `w` that of their weights. */
struct at {
    int32_t channel, block, in_block, lane, taps, most;
    ptrdiff_t w;
};

/* The number of channels, 0 after the last. */
PF_INLINE size_t here(const pf_qdwconv_args *a, struct at *c) {
    c->lane = c->block * a->nb + c->in_block;
    c->w = a->w_blocks + (ptrdiff_t)c->taps * c->block * a->nb + c->in_block;
    const int32_t left = PF_MIN(a->nb - c->in_block, a->channels - c->channel);
    return (size_t)PF_MIN(left, c->most);
}

PF_INLINE size_t start(const pf_qdwconv_args *a, int32_t taps, size_t most, struct at *c) {
    *c = (struct at){.taps = taps, .most = (int32_t)most};
    return here(a, c);
}

PF_INLINE size_t next(const pf_qdwconv_args *a, size_t vl, struct at *c) {
    c->channel += (int32_t)vl;
    c->in_block += (int32_t)vl;
    if (c->in_block == a->nb) {
        c->in_block = 0;
        if (++c->block == a->w_blocks) c->block = 0;
    }
    return here(a, c);
}

#if PF_RVV

/* Lines from one reload of the weights to the next: their pixels, a cache line of each, fit in a first-level cache,
 * because the next channels lie in the same cache lines. qdwconv.py has the same rule. */
static int32_t strip_of(int32_t length) {
    return PF_MAX(1, 256 / length);
}

/* Strides for sliding along lines, which are rows or columns of the picture. */
struct slide {
    ptrdiff_t x_tap_across, x_tap_along, x_line, y_line, y_along;
    ptrdiff_t span; /* from the start of a line to its last column that ends an output and begins another */
    ptrdiff_t w_across, w_along;
    ptrdiff_t odd;
    ptrdiff_t zero, lo, hi;
};

/* Some lines of vl channels. */
typedef void lines_fn(const struct slide *s, const int8_t *x, const int8_t *w, const int32_t *bias,
                      const float *scale, int8_t *y, long lines, size_t vl);

/* Calls one of `run`, the first for blocks with triples, for each picture, strip and block of channels. */
static void slide(const pf_qdwconv_args *a, void *const *buf, int stride, size_t vlmax,
                  lines_fn *const *run) {
    const int32_t lines = a->turned ? a->cols : a->rows, length = a->turned ? a->rows : a->cols;
    struct slide s = {
        .x_tap_across = a->turned ? a->x_tap_x_stride : a->x_tap_y_stride,
        .x_tap_along = a->turned ? a->x_tap_y_stride : a->x_tap_x_stride,
        .x_line = a->turned ? a->x_col_stride : a->x_row_stride,
        .y_line = a->turned ? a->y_col_stride : a->y_row_stride,
        .y_along = a->turned ? a->y_row_stride : a->y_col_stride,
        .w_across = (ptrdiff_t)a->nb * (a->turned ? 1 : 3),
        .w_along = (ptrdiff_t)a->nb * (a->turned ? 3 : 1),
        .odd = length & 1,
        .zero = a->zero,
        .lo = a->lo,
        .hi = a->hi,
    };
    s.span = (stride == 1 ? length : 2 * length + 1) * s.x_tap_along;
    const int32_t strip = strip_of(length);
    const int8_t *flags = buf[1];
    PF_ROLLED for (int32_t b = 0; b < a->batch; b++) {
        PF_ROLLED for (int32_t first = 0; first < lines; first += strip) {
            const int32_t count = PF_MIN(strip, lines - first);
            struct at c;
            PF_ROLLED for (size_t vl = start(a, 9, vlmax, &c); vl > 0; vl = next(a, vl, &c)) {
                const int8_t *x =
                    (const int8_t *)buf[0] + b * a->x_batch_stride + first * s.x_line + c.channel;
                int8_t *y = (int8_t *)buf[4] + b * a->y_batch_stride + first * s.y_line + c.channel;
                run[!flags[c.block]](&s, x, flags + c.w, (const int32_t *)buf[2] + c.lane,
                                     (const float *)buf[3] + c.lane, y, count, vl);
            }
        }
    }
}

#include "qdwconv_asm.h"

#define PF_QDW_KERNEL(NAME, STRIDE, CLAMP, LMUL)                       \
    PF_QDW_FUNCTION(NAME##_triples, PF_STRIDE##STRIDE(T, CLAMP))       \
    PF_QDW_FUNCTION(NAME##_pairs, PF_STRIDE##STRIDE(P, CLAMP))         \
    pf_kernel NAME##__rvv;                                             \
    void NAME##__rvv(const void *args, void *const *buf) {             \
        static lines_fn *const RUN[] = {NAME##_triples, NAME##_pairs}; \
        slide(args, buf, STRIDE, __riscv_vsetvlmax_e32m##LMUL(), RUN); \
    }

#define PF_T8 "e8, m1, ta, ma"
#define PF_T16 "e16, m2, ta, ma"
#define PF_T32 "e32, m4, ta, ma"

PF_QDW_KERNEL(qs8_qc8w_dwconv_3x3s1_4v, 1, "", 4)
PF_QDW_KERNEL(qs8_qc8w_dwconv_3x3s1_clamp_4v, 1, PF_CLAMP, 4)
PF_QDW_KERNEL(qs8_qc8w_dwconv_3x3s2_4v, 2, "", 4)
PF_QDW_KERNEL(qs8_qc8w_dwconv_3x3s2_clamp_4v, 2, PF_CLAMP, 4)

#undef PF_T8
#undef PF_T16
#undef PF_T32
#define PF_T8 "e8, mf2, ta, ma"
#define PF_T16 "e16, m1, ta, ma"
#define PF_T32 "e32, m2, ta, ma"

PF_QDW_KERNEL(qs8_qc8w_dwconv_3x3s1_2v, 1, "", 2)
PF_QDW_KERNEL(qs8_qc8w_dwconv_3x3s1_clamp_2v, 1, PF_CLAMP, 2)
PF_QDW_KERNEL(qs8_qc8w_dwconv_3x3s2_2v, 2, "", 2)
PF_QDW_KERNEL(qs8_qc8w_dwconv_3x3s2_clamp_2v, 2, PF_CLAMP, 2)

/* Any taps: T outputs side by side share each weight. Two taps beside each other are added in i16 first, where that is
 * exact. */
struct window {
    int32_t taps_across, taps_along, pairs;
    ptrdiff_t x_across, x_along, w_across, w_along; /* from tap to tap */
    ptrdiff_t x_next, y_next;                       /* from output to output */
    int16_t zero;
    int8_t lo, hi;
};

PF_INLINE void outputs(const struct window *p, const int8_t *x, const int8_t *w, const int32_t *bias,
                       const float *scale, int8_t *y, size_t vl, const int T) {
    vint32m4_t d0 = __riscv_vle32_v_i32m4(bias, vl), d1 = d0, d2 = d0, d3 = d0;
    vint16m2_t t0, t1, t2, t3;
    PF_ROLLED for (int32_t a = 0; a < p->taps_across; a++, x += p->x_across, w += p->w_across) {
        const int8_t *xt = x, *wt = w;
        PF_ROLLED for (int32_t left = p->taps_along; left > 0; left--) {
            const int both = left > 1 && p->pairs;
            const vint8m1_t w0 = __riscv_vle8_v_i8m1(wt, vl),
                            w1 = both ? __riscv_vle8_v_i8m1(wt + p->w_along, vl) : w0;
            const int8_t *q = xt;
#define PF_MULTIPLY(i)                                            \
    if (i < T) {                                                  \
        t##i = __riscv_vwmul(__riscv_vle8_v_i8m1(q, vl), w0, vl); \
        q += p->x_next;                                           \
    }
#define PF_MULTIPLY_BOTH(i)                                                           \
    if (i < T) {                                                                      \
        t##i = __riscv_vwmul(__riscv_vle8_v_i8m1(q, vl), w0, vl);                     \
        t##i = __riscv_vwmacc(t##i, __riscv_vle8_v_i8m1(q + p->x_along, vl), w1, vl); \
        q += p->x_next;                                                               \
    }
#define PF_SUM(i) \
    if (i < T) d##i = __riscv_vwadd_wv(d##i, t##i, vl);
            if (both) {
                PF_MULTIPLY_BOTH(0)
                PF_MULTIPLY_BOTH(1)
                PF_MULTIPLY_BOTH(2)
                PF_MULTIPLY_BOTH(3)
                left--;
                xt += p->x_along, wt += p->w_along;
            } else {
                PF_MULTIPLY(0)
                PF_MULTIPLY(1)
                PF_MULTIPLY(2)
                PF_MULTIPLY(3)
            }
            PF_SUM(0)
            PF_SUM(1)
            PF_SUM(2)
            PF_SUM(3)
            xt += p->x_along, wt += p->w_along;
        }
    }
    const vfloat32m4_t factor = __riscv_vle32_v_f32m4(scale, vl);
#define PF_STORE(i)                                                                                      \
    if (i < T) {                                                                                         \
        const vfloat32m4_t f = __riscv_vfmul(__riscv_vfcvt_f_x_v_f32m4(d##i, vl), factor, vl);           \
        const vint16m2_t h = __riscv_vsadd(__riscv_vfncvt_x_f_w_i16m2(f, vl), p->zero, vl);              \
        const vint8m1_t q = __riscv_vmax(__riscv_vnclip_wx_i8m1(h, 0, __RISCV_VXRM_RDN, vl), p->lo, vl); \
        __riscv_vse8(y, __riscv_vmin(q, p->hi, vl), vl);                                                 \
        y += p->y_next;                                                                                  \
    }
    PF_STORE(0)
    PF_STORE(1)
    PF_STORE(2)
    PF_STORE(3)
}

pf_kernel qs8_qc8w_dwconv_4v__rvv;

void qs8_qc8w_dwconv_4v__rvv(const void *args, void *const *buf) {
    const pf_qdwconv_args *a = args;
    const int turned = a->turned, taps = a->taps_y * a->taps_x;
    const struct window p = {
        .taps_across = turned ? a->taps_x : a->taps_y,
        .taps_along = turned ? a->taps_y : a->taps_x,
        .pairs = a->pairs,
        .x_across = turned ? a->x_tap_x_stride : a->x_tap_y_stride,
        .x_along = turned ? a->x_tap_y_stride : a->x_tap_x_stride,
        .w_across = (ptrdiff_t)a->nb * (turned ? 1 : a->taps_x),
        .w_along = (ptrdiff_t)a->nb * (turned ? a->taps_x : 1),
        .x_next = turned ? a->x_row_stride : a->x_col_stride,
        .y_next = turned ? a->y_row_stride : a->y_col_stride,
        .zero = (int16_t)a->zero,
        .lo = (int8_t)a->lo,
        .hi = (int8_t)a->hi,
    };
    const int32_t lines = turned ? a->cols : a->rows, length = turned ? a->rows : a->cols;
    const ptrdiff_t x_line = turned ? a->x_col_stride : a->x_row_stride,
                    y_line = turned ? a->y_col_stride : a->y_row_stride;
    PF_ROLLED for (int32_t line = 0; line < a->batch * lines; line++) {
        const int32_t b = line / lines;
        const ptrdiff_t from = b * (ptrdiff_t)a->x_batch_stride + (line - b * lines) * x_line;
        const ptrdiff_t to = b * (ptrdiff_t)a->y_batch_stride + (line - b * lines) * y_line;
        struct at c;
        PF_ROLLED for (size_t vl = start(a, taps, __riscv_vsetvlmax_e32m4(), &c); vl > 0;
                       vl = next(a, vl, &c)) {
            const int8_t *x = (const int8_t *)buf[0] + from + c.channel, *w = (const int8_t *)buf[1] + c.w;
            int8_t *y = (int8_t *)buf[4] + to + c.channel;
            const int32_t *bias = (const int32_t *)buf[2] + c.lane;
            const float *scale = (const float *)buf[3] + c.lane;
            int32_t left = length;
            PF_ROLLED for (; left >= 4; left -= 4, x += 4 * p.x_next, y += 4 * p.y_next) {
                outputs(&p, x, w, bias, scale, y, vl, 4);
            }
            PF_ROLLED for (; left > 0; left--, x += p.x_next, y += p.y_next) {
                outputs(&p, x, w, bias, scale, y, vl, 1);
            }
        }
    }
}

#endif

/* Without vectors: T outputs side by side and N channels, each input and weight loaded once. */
PF_INLINE void outputs_scalar(const pf_qdwconv_args *a, const int8_t *x, const int8_t *w, const int32_t *bias,
                              const float *scale, int8_t *y, const int T, const int N) {
    int32_t sum[4][4];
    for (int t = 0; t < T; t++)
        for (int n = 0; n < N; n++) sum[t][n] = bias[n];
    PF_ROLLED for (int32_t ty = 0; ty < a->taps_y; ty++, x += a->x_tap_y_stride) {
        const int8_t *xt = x;
        PF_ROLLED for (int32_t tx = 0; tx < a->taps_x; tx++, xt += a->x_tap_x_stride, w += a->nb) {
            const int8_t *q = xt;
            for (int t = 0; t < T; t++, q += a->x_col_stride)
                for (int n = 0; n < N; n++) sum[t][n] += q[n] * w[n];
        }
    }
    for (int t = 0; t < T; t++, y += a->y_col_stride)
        for (int n = 0; n < N; n++) y[n] = pf_round_s8((float)sum[t][n] * scale[n], a->zero, a->lo, a->hi);
}

pf_kernel qs8_qc8w_dwconv__scalar;

void qs8_qc8w_dwconv__scalar(const void *args, void *const *buf) {
    const pf_qdwconv_args *a = args;
    PF_ROLLED for (int32_t line = 0; line < a->batch * a->rows; line++) {
        const int32_t b = line / a->rows, r = line % a->rows;
        struct at c;
        PF_ROLLED for (size_t vl = start(a, a->taps_y * a->taps_x, 4, &c); vl > 0; vl = next(a, vl, &c)) {
            const int8_t *x = (const int8_t *)buf[0] + b * (ptrdiff_t)a->x_batch_stride +
                              r * (ptrdiff_t)a->x_row_stride + c.channel;
            int8_t *y = (int8_t *)buf[4] + b * (ptrdiff_t)a->y_batch_stride + r * (ptrdiff_t)a->y_row_stride +
                        c.channel;
            const int8_t *w = (const int8_t *)buf[1] + c.w;
            const int32_t *bias = (const int32_t *)buf[2] + c.lane;
            const float *scale = (const float *)buf[3] + c.lane;
            int32_t left = a->cols;
            if (vl == 4) {
                PF_ROLLED for (; left >= 4; left -= 4, x += 4 * (ptrdiff_t)a->x_col_stride,
                                            y += 4 * (ptrdiff_t)a->y_col_stride) {
                    outputs_scalar(a, x, w, bias, scale, y, 4, 4);
                }
            }
            PF_ROLLED for (; left > 0; left--, x += a->x_col_stride, y += a->y_col_stride) {
                PF_ROLLED for (size_t n = 0; n < vl; n++) {
                    outputs_scalar(a, x + n, w + n, bias + n, scale + n, y + n, 1, 1);
                }
            }
        }
    }
}
