/* Winograd convolution F(4x4, 3x3) and F(2x2, 3x3), after Lavin and Gray, "Fast Algorithms for Convolutional Neural
 * Networks" (2015), with the points 0, 1, -1, 2, -2. For a strip of tiles at a time: transform inputs, one matrix
 * product for each of the tile's 36 (16) elements, transform results. winograd.h has the arguments.
 *
 * In f16 only F(2x2, 3x3): its factors are 1, and its errors near those of the direct sum. F(4x4, 3x3) loses ten times
 * as much, some percent. */
#include "winograd.h"

#include <math.h>

#include "pf_real.h"

/* Transformed inputs lie in rows of PITCH channels, a constant, so that one pointer reaches those of all tiles of a
 * matrix product. Up to half of that, two elements share a row. */
enum { PITCH = 128 / sizeof(pf_real), CACHE_LINE = 64 / sizeof(pf_real), CACHED = 16384 / sizeof(pf_real) };
/* Tiles side by side that are transformed together, so that inputs in two of them are transformed once. */
enum { RUN = 4 };

/* One direction of a transform: a vector of channels from each of a few places side by side, to each of a few others;
 * that `count` times, and all of it for `groups` of them. Steps count elements. */
struct pass {
    int64_t src_step, src_next, src_group; /* to the next place, time, group */
    int64_t dst_even, dst_odd;             /* from even and odd places to the next one */
    int64_t dst_next, dst_group;
    int32_t clamps; /* 1: there is a least value, 2: and a greatest one; lo may be infinite */
    float lo, hi;
};

/* Only `valid` places are written. */
typedef void pass_fn(const struct pass *p, const pf_real *src, pf_real *dst, int32_t count, int32_t groups,
                     int32_t valid, size_t vl);

struct layer {
    const pf_winograd_args *args;
    int32_t tile, elements;   /* rows of an output tile; (tile + 2) squared */
    int32_t across, down;     /* tiles in a picture's row, in its column */
    int32_t strip;            /* tiles at a time */
    int32_t depth;            /* rows of w for each element */
    int64_t v_even, v_odd;    /* from even and odd elements of the transformed input to the next one */
    int64_t v_block;          /* from PITCH channels to the next */
    int64_t m_step;           /* from an element of the products to the next */
    pf_real *v, *m, *between; /* scratch: transformed input, products, and what lies between two passes */
};

/* m[element][tile][column] = v[element][tile][channel] * w[element][channel][column], and bias where all outputs of
 * a tile take an element as it is. */
typedef void product_fn(const struct layer *l, const pf_real *w, const pf_real *bias, int32_t tiles,
                        int32_t columns);

/* Tiles at a time: 14 or 28, both multiples of what a matrix product takes at once, or all if there are few more. Few
 * while the weights fit in a cache, and where channels are many; else the weights would be read too often. winograd.py
 * has the same rule. */
static int32_t strip_of(const struct layer *l, int32_t total) {
    const pf_winograd_args *a = l->args;
    const int64_t weights = (int64_t)l->elements * l->depth * a->n;
    const int32_t most = weights <= 65536 || a->channels > 64 ? 14 : 28;
    return total <= most + most / 2 ? total : most;
}

static struct layer laid_out(const pf_winograd_args *a, int32_t tile, pf_real *scratch) {
    struct layer l = {.args = a, .tile = tile, .elements = (tile + 2) * (tile + 2)};
    l.across = (a->cols + tile - 1) / tile;
    l.down = (a->rows + tile - 1) / tile;
    l.depth = (a->channels + 3) / 4 * 4;
    l.strip = strip_of(&l, a->batch * l.across * l.down);
    const int64_t blocks = (a->channels + PITCH - 1) / PITCH;
    const int shared = a->channels <= PITCH / 2;
    l.v_block = (int64_t)l.strip * PITCH;
    /* A cache line more from element to element, so that they do not all fall in one set of a cache. */
    const int64_t v_step = blocks * l.v_block + CACHE_LINE;
    l.v_even = shared ? PITCH / 2 : v_step;
    l.v_odd = shared ? v_step - PITCH / 2 : v_step;
    l.m_step = (int64_t)(l.strip + 1) / 2 * 2 * a->nb + CACHE_LINE;
    l.between = scratch;
    l.v = l.between + (PF_MIN(RUN, l.across) * tile + 2) * (tile + 2) * PITCH;
    l.m = l.v + (shared ? l.elements / 2 : l.elements) * v_step;
    return l;
}

struct method {
    int32_t tile;
    pass_fn *in, *out, *wide_in, *wide_out; /* the wide ones for more than `narrow` channels */
    int32_t narrow, wide;                   /* most channels at a time */
    product_fn *product;
};

/* A tile's place among the others. */
struct place {
    int32_t image, row, col;
};

static struct place after(const struct layer *l, struct place at, int32_t tiles) {
    at.col += tiles;
    if (at.col == l->across) {
        at.col = 0;
        if (++at.row == l->down) {
            at.row = 0;
            at.image++;
        }
    }
    return at;
}

/* A run of tiles through both directions of the input's transform. */
static void transform_in(const struct layer *l, const struct method *f, const struct pass p[2],
                         const pf_real *x, pf_real *v, int32_t run) {
    const int32_t t = l->tile + 2, channels = l->args->channels, wide = channels > f->narrow;
    const int32_t most = PF_MIN(wide ? f->wide : f->narrow, PITCH);
    pass_fn *const in = wide ? f->wide_in : f->in;
    PF_ROLLED for (int32_t c = 0; c < channels; c += most) {
        const size_t vl = (size_t)PF_MIN(most, channels - c);
        in(&p[0], x + c, l->between, run * l->tile + 2, 1, t, vl);
        in(&p[1], l->between, v + c / PITCH * l->v_block + c % PITCH, t, run, t, vl);
    }
}

/* ... of the output's; `rows` and `cols` of its outputs are inside the picture. */
static void transform_out(const struct layer *l, const struct method *f, const struct pass p[2],
                          const pf_real *m, pf_real *y, int32_t columns, int32_t run, int32_t rows,
                          int32_t cols) {
    const int32_t wide = columns > f->narrow, most = PF_MIN(wide ? f->wide : f->narrow, PITCH);
    pass_fn *const out = wide ? f->wide_out : f->out;
    PF_ROLLED for (int32_t c = 0; c < columns; c += most) {
        const size_t vl = (size_t)PF_MIN(most, columns - c);
        out(&p[0], m + c, l->between, l->tile + 2, run, l->tile, vl);
        out(&p[1], l->between, y + c, cols, 1, rows, vl);
    }
}

static void convolve(const pf_winograd_args *a, void *const *buf, const struct method *f) {
    const struct layer l = laid_out(a, f->tile, buf[4]);
    const int32_t tile = l.tile, t = tile + 2, total = a->batch * l.across * l.down;
    /* Between the directions: columns of t vectors each. */
    const int64_t column = t * PITCH;
    const struct pass in[2] = {
        {a->x_row_stride, a->x_col_stride, 0, PITCH, PITCH, column, 0, 0, 0, 0},
        {column, PITCH, tile * column, l.v_even, l.v_odd, t / 2 * (l.v_even + l.v_odd), PITCH, 0, 0, 0},
    };
    const struct pass out[2] = {
        {l.m_step, t * l.m_step, a->nb, column, column, PITCH, tile * column, 0, 0, 0},
        {PITCH, column, 0, a->y_row_stride, a->y_row_stride, a->y_col_stride, 0,
         (a->lo > -INFINITY || a->hi < INFINITY) + (a->hi < INFINITY), a->lo, a->hi},
    };
    if (l.depth > a->channels) {
        PF_ROLLED for (pf_real *v = l.v; v < l.m; v++) *v = 0;
    }
    struct place begin = {0, 0, 0}, at = begin;
    int32_t run;
    PF_ROLLED for (int32_t first = 0; first < total; first += l.strip) {
        const int32_t tiles = PF_MIN(l.strip, total - first);
        PF_ROLLED for (int32_t i = 0; i < tiles; i += run, at = after(&l, at, run)) {
            run = PF_MIN(PF_MIN(RUN, tiles - i), l.across - at.col);
            const pf_real *x = (const pf_real *)buf[0] + at.image * a->x_batch_stride;
            x += at.row * tile * a->x_row_stride + at.col * tile * a->x_col_stride;
            transform_in(&l, f, in, x, l.v + i * PITCH, run);
        }
        const pf_real *w = buf[1];
        PF_ROLLED for (int32_t n = 0; n < a->n; n += a->nb, w += (int64_t)l.elements * l.depth * a->nb) {
            const int32_t columns = PF_MIN(a->nb, a->n - n);
            f->product(&l, w, (const pf_real *)buf[2] + n, tiles, columns);
            at = begin;
            PF_ROLLED for (int32_t i = 0; i < tiles; i += run, at = after(&l, at, run)) {
                run = PF_MIN(PF_MIN(RUN, tiles - i), l.across - at.col);
                pf_real *y = (pf_real *)buf[3] + at.image * a->y_batch_stride + n;
                y += at.row * tile * a->y_row_stride + at.col * tile * a->y_col_stride;
                transform_out(&l, f, out, l.m + i * (int64_t)a->nb, y, columns, run,
                              PF_MIN(tile, a->rows - at.row * tile),
                              PF_MIN(run * tile, a->cols - at.col * tile));
            }
        }
        begin = at;
    }
}

#if PF_RVV_REALS

#define PF_JOIN(a, b, c) PF_JOIN_(a, b, c)
#define PF_JOIN_(a, b, c) a##b##c
#define PF_TEXT(a) PF_TEXT_(a)
#define PF_TEXT_(a) #a
#define ROLL1(X, a) X(0, a)
#define ROLL2(X, a) ROLL1(X, a) X(1, a)
#define ROLL3(X, a) ROLL2(X, a) X(2, a)
#define ROLL4(X, a) ROLL3(X, a) X(3, a)
#define ROLL5(X, a) ROLL4(X, a) X(4, a)
#define ROLL6(X, a) ROLL5(X, a) X(5, a)
#define ROLL7(X, a) ROLL6(X, a) X(6, a)
#define ROLL8(X, a) ROLL7(X, a) X(7, a)
#define ROLL9(X, a) ROLL8(X, a) X(8, a)
#define ROLL10(X, a) ROLL9(X, a) X(9, a)
#define ROLL11(X, a) ROLL10(X, a) X(10, a)
#define ROLL12(X, a) ROLL11(X, a) X(11, a)
#define ROLL13(X, a) ROLL12(X, a) X(12, a)
#define ROLL14(X, a) ROLL13(X, a) X(13, a)

/* What the products of one chunk of columns have in common. */
struct product {
    size_t vl;
    int64_t w_row, w_element, m_row, m_element;
    int64_t v_even, v_odd, v_block;
    int32_t blocks;     /* of PITCH channels */
    int32_t last_quads; /* of channels in the last one */
    int32_t plain;      /* the element that all outputs of a tile take with factor 1: bias is added there */
    const pf_real *bias;
};

/* `count` elements from `element` on, whose inputs, weights and products begin at v, w and m. */
typedef void tile_fn(const struct product *p, const pf_real *v, const pf_real *w, pf_real *m, int32_t element,
                     int32_t count);

#define LMUL 4
#define ROWS 1
#define ROLL ROLL1
#include "winograd_tile.h"
#define ROWS 2
#define ROLL ROLL2
#include "winograd_tile.h"
#define ROWS 3
#define ROLL ROLL3
#include "winograd_tile.h"
#define ROWS 4
#define ROLL ROLL4
#include "winograd_tile.h"
#define ROWS 5
#define ROLL ROLL5
#include "winograd_tile.h"
#define ROWS 6
#define ROLL ROLL6
#include "winograd_tile.h"
#define ROWS 7
#define ROLL ROLL7
#include "winograd_tile.h"
#undef LMUL
#define LMUL 2
#define ROWS 2
#define ROLL ROLL2
#include "winograd_tile.h"
#define ROWS 4
#define ROLL ROLL4
#include "winograd_tile.h"
#define ROWS 6
#define ROLL ROLL6
#include "winograd_tile.h"
#define ROWS 8
#define ROLL ROLL8
#include "winograd_tile.h"
#define ROWS 10
#define ROLL ROLL10
#include "winograd_tile.h"
#define ROWS 12
#define ROLL ROLL12
#include "winograd_tile.h"
#define ROWS 14
#define ROLL ROLL14
#include "winograd_tile.h"
#undef LMUL
#ifdef PF_F16 /* twice as many channels fit a register */
#define LMUL 1
#define ROWS 2
#define ROLL ROLL2
#include "winograd_tile.h"
#define ROWS 4
#define ROLL ROLL4
#include "winograd_tile.h"
#define ROWS 6
#define ROLL ROLL6
#include "winograd_tile.h"
#define ROWS 8
#define ROLL ROLL8
#include "winograd_tile.h"
#define ROWS 10
#define ROLL ROLL10
#include "winograd_tile.h"
#define ROWS 12
#define ROLL ROLL12
#include "winograd_tile.h"
#define ROWS 14
#define ROLL ROLL14
#include "winograd_tile.h"
#undef LMUL
#endif

static tile_fn *const TILES_M4[7] = {tile_m4_1, tile_m4_2, tile_m4_3, tile_m4_4,
                                     tile_m4_5, tile_m4_6, tile_m4_7};
static tile_fn *const TILES_M2[7] = {tile_m2_2,  tile_m2_4,  tile_m2_6, tile_m2_8,
                                     tile_m2_10, tile_m2_12, tile_m2_14};

/* In units of rows (1 or 2), the tiles are split evenly among as few calls as possible. With several of them, they
 * follow each other after as many elements as have their weights in a first-level cache. */
static void product(const struct layer *l, const pf_real *w, const pf_real *bias, int32_t tiles,
                    int32_t columns, tile_fn *const *tile, int32_t unit, int32_t vlmax) {
    const int32_t units = (tiles + unit - 1) / unit, calls = (units + 6) / 7, low = units / calls;
    const int32_t taller = units % calls, elements = l->elements;
    const int32_t nb = l->args->nb, channels = l->args->channels;
    struct product p = {
        .w_row = nb, .w_element = (int64_t)l->depth * nb, .m_row = nb, .m_element = l->m_step};
    p.v_even = l->v_even, p.v_odd = l->v_odd, p.v_block = l->v_block;
    p.blocks = (channels + PITCH - 1) / PITCH;
    p.last_quads = (l->depth - (p.blocks - 1) * PITCH) / 4;
    p.plain = l->tile + 3;
    const int32_t some = calls == 1 ? elements : (int32_t)PF_MAX(1, CACHED / p.w_element);
    PF_ROLLED for (int32_t column = 0; column < columns; column += vlmax) {
        p.vl = (size_t)PF_MIN(vlmax, columns - column);
        p.bias = bias + column;
        PF_ROLLED for (int32_t e = 0; e < elements; e += some) {
            const int64_t pairs = e / 2 * (p.v_even + p.v_odd);
            const pf_real *v = l->v + pairs + e % 2 * p.v_even, *w_some = w + e * p.w_element + column;
            pf_real *m = l->m + e * p.m_element + column;
            PF_ROLLED for (int32_t i = 0; i < calls; i++) {
                const int32_t height = low + (i < taller);
                tile[height - 1](&p, v, w_some, m, e, PF_MIN(some, elements - e));
                v += height * unit * PITCH;
                m += height * unit * nb;
            }
        }
    }
}

static void product_m4(const struct layer *l, const pf_real *w, const pf_real *bias, int32_t tiles,
                       int32_t columns) {
    product(l, w, bias, tiles, columns, TILES_M4, 1, (int32_t)PF_VLMAX_REAL(4));
}

static void product_m2(const struct layer *l, const pf_real *w, const pf_real *bias, int32_t tiles,
                       int32_t columns) {
    product(l, w, bias, tiles, columns, TILES_M2, 2, (int32_t)PF_VLMAX_REAL(2));
}

#ifdef PF_F16
static tile_fn *const TILES_M1[7] = {tile_m1_2,  tile_m1_4,  tile_m1_6, tile_m1_8,
                                     tile_m1_10, tile_m1_12, tile_m1_14};

static void product_m1(const struct layer *l, const pf_real *w, const pf_real *bias, int32_t tiles,
                       int32_t columns) {
    product(l, w, bias, tiles, columns, TILES_M1, 2, (int32_t)PF_VLMAX_REAL(1));
}

#define LMUL 1
#include "winograd_pass.h"
#undef LMUL
#endif

#define LMUL 2
#include "winograd_pass.h"
#undef LMUL
#define LMUL 4
#include "winograd_pass.h"
#undef LMUL

#define PF_WINOGRAD(F, MR, LM, NARROW, WIDE)                                                \
    void PF_NAME(winograd_f##F##_##MR##x##LM##v__rvv)(const void *args, void *const *buf) { \
        const struct method method = {F,                                                    \
                                      f##F##_in_m##NARROW,                                  \
                                      f##F##_out_m##NARROW,                                 \
                                      f##F##_in_m##WIDE,                                    \
                                      f##F##_out_m##WIDE,                                   \
                                      (int32_t)PF_VLMAX_REAL(NARROW),                       \
                                      (int32_t)PF_VLMAX_REAL(WIDE),                         \
                                      product_m##LM};                                       \
        convolve(args, buf, &method);                                                       \
    }

#ifdef PF_F16
PF_WINOGRAD(2, 14, 1, 1, 2)
#else
PF_WINOGRAD(4, 7, 4, 2, 4)
PF_WINOGRAD(4, 14, 2, 2, 4)
#endif
PF_WINOGRAD(2, 7, 4, 2, 4)
PF_WINOGRAD(2, 14, 2, 2, 4)

#endif

/* Without vectors; the compiler may vectorize the loops over channels. */
#define PF_EACH_TIME                                                   \
    for (; groups; groups--, src += p->src_group, dst += p->dst_group) \
        for (int32_t i = 0; i < count; i++)                            \
            for (size_t c = 0; c < vl; c++)

#ifndef PF_F16
static void f4_in_scalar(const struct pass *p, const pf_real *src, pf_real *dst, int32_t count,
                         int32_t groups, int32_t valid, size_t vl) {
    (void)valid;
    const int64_t step = p->src_step, even = p->dst_even, pair = even + p->dst_odd;
    PF_EACH_TIME {
        const pf_real *s = src + i * p->src_next + c;
        const float d0 = s[0], d1 = s[step], d2 = s[2 * step], d3 = s[3 * step], d4 = s[4 * step],
                    d5 = s[5 * step];
        const float e = d4 - d2, o = 2 * (d3 - d1), f = d4 - 4 * d2, g = d3 - 4 * d1;
        pf_real *d = dst + i * p->dst_next + c;
        d[0] = 4 * d0 - 5 * d2 + d4;
        d[even] = f + g;
        d[pair] = f - g;
        d[pair + even] = e + o;
        d[2 * pair] = e - o;
        d[2 * pair + even] = 4 * d1 - 5 * d3 + d5;
    }
}
#endif

static float clamped(const struct pass *p, float x) {
    return p->clamps ? PF_MIN(PF_MAX(x, p->lo), p->hi) : x;
}

#ifndef PF_F16
static void f4_out_scalar(const struct pass *p, const pf_real *src, pf_real *dst, int32_t count,
                          int32_t groups, int32_t valid, size_t vl) {
    const int64_t step = p->src_step, to = p->dst_even;
    PF_EACH_TIME {
        const pf_real *m = src + i * p->src_next + c;
        const float a = m[step] + m[2 * step], b = m[step] - m[2 * step];
        const float e = m[3 * step] + m[4 * step], f = m[3 * step] - m[4 * step];
        pf_real *d = dst + i * p->dst_next + c;
        d[0] = clamped(p, m[0] + a + e);
        if (valid > 1) d[to] = clamped(p, b + 2 * f);
        if (valid > 2) d[2 * to] = clamped(p, a + 4 * e);
        if (valid > 3) d[3 * to] = clamped(p, m[5 * step] + b + 8 * f);
    }
}
#endif

static void f2_in_scalar(const struct pass *p, const pf_real *src, pf_real *dst, int32_t count,
                         int32_t groups, int32_t valid, size_t vl) {
    (void)valid;
    const int64_t step = p->src_step, even = p->dst_even, pair = even + p->dst_odd;
    PF_EACH_TIME {
        const pf_real *s = src + i * p->src_next + c;
        const float d0 = s[0], d1 = s[step], d2 = s[2 * step], d3 = s[3 * step];
        pf_real *d = dst + i * p->dst_next + c;
        d[0] = (pf_real)(d0 - d2);
        d[even] = (pf_real)(d1 + d2);
        d[pair] = (pf_real)(d2 - d1);
        d[pair + even] = (pf_real)(d1 - d3);
    }
}

static void f2_out_scalar(const struct pass *p, const pf_real *src, pf_real *dst, int32_t count,
                          int32_t groups, int32_t valid, size_t vl) {
    const int64_t step = p->src_step;
    PF_EACH_TIME {
        const pf_real *m = src + i * p->src_next + c;
        pf_real *d = dst + i * p->dst_next + c;
        const float m0 = m[0], m1 = m[step], m2 = m[2 * step], m3 = m[3 * step];
        d[0] = (pf_real)clamped(p, m0 + m1 + m2);
        if (valid > 1) d[p->dst_even] = (pf_real)clamped(p, m1 - m2 - m3);
    }
}

/* R tiles by N columns of one element; both are constants. */
PF_INLINE void tile_scalar(const struct layer *l, const pf_real *v, const pf_real *w, const pf_real *bias,
                           pf_real *m, const int R, const int N) {
    const int64_t nb = l->args->nb;
    float sum[4][4];
    for (int r = 0; r < R; r++)
        for (int n = 0; n < N; n++) sum[r][n] = bias ? (float)bias[n] : 0;
    PF_ROLLED for (int32_t k = 0; k < l->args->channels; v += l->v_block - PITCH) {
        PF_ROLLED for (const int32_t end = PF_MIN(k + PITCH, l->args->channels); k < end; k++, v++, w += nb) {
            for (int r = 0; r < R; r++)
                for (int n = 0; n < N; n++) sum[r][n] += (float)v[r * PITCH] * (float)w[n];
        }
    }
    for (int r = 0; r < R; r++, m += nb)
        for (int n = 0; n < N; n++) m[n] = (pf_real)sum[r][n];
}

static void product_scalar(const struct layer *l, const pf_real *w, const pf_real *bias, int32_t tiles,
                           int32_t columns) {
    const pf_real *v_element = l->v;
    for (int32_t e = 0; e < l->elements; e++, w += (int64_t)l->depth * l->args->nb) {
        const pf_real *const b = e == l->tile + 3 ? bias : NULL;
        for (int32_t i = 0, R; i < tiles; i += R) {
            R = tiles - i >= 4 ? 4 : 1;
            const pf_real *v = v_element + i * PITCH;
            pf_real *m = l->m + e * l->m_step + i * (int64_t)l->args->nb;
            for (int32_t n = 0, N; n < columns; n += N) {
                N = columns - n >= 4 ? 4 : 1;
                const pf_real *const bn = b ? b + n : NULL;
                if (R == 4 && N == 4) {
                    tile_scalar(l, v, w + n, bn, m + n, 4, 4);
                } else if (R == 4) {
                    tile_scalar(l, v, w + n, bn, m + n, 4, 1);
                } else if (N == 4) {
                    tile_scalar(l, v, w + n, bn, m + n, 1, 4);
                } else {
                    tile_scalar(l, v, w + n, bn, m + n, 1, 1);
                }
            }
        }
        v_element += e & 1 ? l->v_odd : l->v_even;
    }
}

#ifndef PF_F16
void PF_NAME(winograd_f4_4x4__scalar)(const void *args, void *const *buf) {
    static const struct method method = {4,     f4_in_scalar, f4_out_scalar, f4_in_scalar, f4_out_scalar,
                                         PITCH, PITCH,        product_scalar};
    convolve(args, buf, &method);
}
#endif

void PF_NAME(winograd_f2_4x4__scalar)(const void *args, void *const *buf) {
    static const struct method method = {2,     f2_in_scalar, f2_out_scalar, f2_in_scalar, f2_out_scalar,
                                         PITCH, PITCH,        product_scalar};
    convolve(args, buf, &method);
}
