/* Winograd convolution F(2x2, 3x3) in int8, exact, after Lavin and Gray, "Fast Algorithms for Convolutional Neural
 * Networks" (2015): with weights transformed by twice the usual matrix all numbers are integers, and the sums come out
 * four times as large, which the scale undoes. Transformed inputs fit 10 bits, weights 12, so that products of i16 are
 * added in i32. For a strip of tiles at a time: transform inputs, one matrix product for each of the tile's 16
 * elements, transform and requantize results. */
#include "qwinograd.h"

#include "pf_kernel.h"
#include "qrows.h"

/* Transformed inputs lie in rows of PITCH channels, a constant, so that one pointer reaches those of all tiles of a
 * matrix product. PLAIN is the element that all outputs of a tile take with factor 1: bias is added there. */
enum { TILE = 2, SIDE = 4, ELEMENTS = 16, PLAIN = 5, PITCH = 32 };
enum { CACHE_LINE = 32, MOST_WORDS = 512 };

struct layer {
    const pf_qwinograd_args *args;
    int32_t across, down; /* tiles in a picture's row, in its column */
    int32_t strip;        /* tiles at a time */
    int32_t depth;        /* rows of w for each element */
    int64_t v_element;    /* from an element of the transformed input to the next one */
    int64_t v_block;      /* from PITCH channels to the next */
    int64_t m_element;    /* from an element of the products to the next */
    int16_t *v;           /* scratch: transformed input */
    int32_t *m;           /* ... and products */
};

/* Tiles at a time, so that the products of a block fit in a cache: a multiple of what a matrix product takes at once,
 * or all if there are few more. qwinograd.py has the same rule. */
static int32_t strip_of(const pf_qwinograd_args *a, int32_t unit, int32_t total) {
    const int32_t most = PF_MAX(MOST_WORDS / a->nb / unit, 1) * unit;
    return total <= most + most / 2 ? total : most;
}

static struct layer laid_out(const pf_qwinograd_args *a, int32_t unit, int16_t *scratch) {
    struct layer l = {.args = a};
    l.across = (a->cols + TILE - 1) / TILE;
    l.down = (a->rows + TILE - 1) / TILE;
    l.depth = (a->channels + 3) / 4 * 4;
    l.strip = strip_of(a, unit, a->batch * l.across * l.down);
    l.v_block = (int64_t)(l.strip + 1) / 2 * 2 * PITCH;
    /* A cache line more from element to element, so that they do not all fall in one set of a cache. */
    l.v_element = (a->channels + PITCH - 1) / PITCH * l.v_block + CACHE_LINE;
    l.m_element = (int64_t)(l.strip + 1) / 2 * 2 * a->nb + CACHE_LINE / 2;
    l.v = scratch;
    l.m = (int32_t *)(l.v + ELEMENTS * l.v_element);
    return l;
}

/* Inputs of a run of tiles side by side, from x to v. */
typedef void in_fn(const struct layer *l, const int8_t *x, int16_t *v, int32_t run);
/* m[element][tile][column] = v[element][tile][channel] * w[element][channel][column], and four times the bias. */
typedef void product_fn(const struct layer *l, const int16_t *w, const int32_t *bias, int32_t tiles,
                        int32_t columns);
/* Results of a run of tiles side by side, from m to y; `rows` and `cols` outputs are inside the picture. */
typedef void out_fn(const struct layer *l, const int32_t *m, const float *scale, int8_t *y, int32_t columns,
                    int32_t rows, int32_t cols);

struct method {
    int32_t unit; /* tiles that a matrix product takes at once */
    in_fn *in;
    product_fn *product;
    out_fn *out;
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

static void convolve(const pf_qwinograd_args *a, void *const *buf, const struct method *f) {
    const struct layer l = laid_out(a, f->unit, buf[5]);
    const int32_t total = a->batch * l.across * l.down;
    struct place begin = {0, 0, 0}, at = begin;
    int32_t run;
    PF_ROLLED for (int32_t first = 0; first < total; first += l.strip) {
        const int32_t tiles = PF_MIN(l.strip, total - first);
        PF_ROLLED for (int32_t i = 0; i < tiles; i += run, at = after(&l, at, run)) {
            run = PF_MIN(tiles - i, l.across - at.col);
            const int8_t *x = (const int8_t *)buf[0] + (ptrdiff_t)at.image * a->x_batch_stride;
            x += (ptrdiff_t)at.row * TILE * a->x_row_stride + (ptrdiff_t)at.col * TILE * a->x_col_stride;
            f->in(&l, x, l.v + i * PITCH, run);
        }
        const int16_t *w = buf[1];
        PF_ROLLED for (int32_t n = 0; n < a->n; n += a->nb, w += (int64_t)ELEMENTS * l.depth * a->nb) {
            const int32_t columns = PF_MIN(a->nb, a->n - n);
            f->product(&l, w, (const int32_t *)buf[2] + n, tiles, columns);
            at = begin;
            PF_ROLLED for (int32_t i = 0; i < tiles; i += run, at = after(&l, at, run)) {
                run = PF_MIN(tiles - i, l.across - at.col);
                int8_t *y = (int8_t *)buf[4] + (ptrdiff_t)at.image * a->y_batch_stride + n;
                y += (ptrdiff_t)at.row * TILE * a->y_row_stride + (ptrdiff_t)at.col * TILE * a->y_col_stride;
                f->out(&l, l.m + i * (int64_t)a->nb, (const float *)buf[3] + n, y, columns,
                       PF_MIN(TILE, a->rows - at.row * TILE), PF_MIN(run * TILE, a->cols - at.col * TILE));
            }
        }
        begin = at;
    }
}

#if PF_RVV

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
#define ROLL10(X, a) ROLL8(X, a) X(8, a) X(9, a)
#define ROLL12(X, a) ROLL10(X, a) X(10, a) X(11, a)
#define ROLL14(X, a) ROLL12(X, a) X(12, a) X(13, a)

/* What the products of one chunk of columns have in common. */
struct product {
    size_t vl;
    int64_t nb, v_element, v_block, w_element, m_element;
    int32_t blocks;     /* of PITCH channels */
    int32_t last_quads; /* of channels in the last one */
    const int32_t *bias;
};

typedef void tile_fn(const struct product *p, const int16_t *v, const int16_t *w, int32_t *m);

#define LMUL 8
#define ROWS 1
#define ROLL ROLL1
#include "qwinograd_tile.h"
#define ROWS 2
#define ROLL ROLL2
#include "qwinograd_tile.h"
#define ROWS 3
#define ROLL ROLL3
#include "qwinograd_tile.h"
#undef LMUL
#define LMUL 4
#define ROWS 1
#define ROLL ROLL1
#include "qwinograd_tile.h"
#define ROWS 2
#define ROLL ROLL2
#include "qwinograd_tile.h"
#define ROWS 3
#define ROLL ROLL3
#include "qwinograd_tile.h"
#define ROWS 4
#define ROLL ROLL4
#include "qwinograd_tile.h"
#define ROWS 5
#define ROLL ROLL5
#include "qwinograd_tile.h"
#define ROWS 6
#define ROLL ROLL6
#include "qwinograd_tile.h"
#define ROWS 7
#define ROLL ROLL7
#include "qwinograd_tile.h"
#undef LMUL
#define LMUL 2
#define ROWS 2
#define ROLL ROLL2
#include "qwinograd_tile.h"
#define ROWS 4
#define ROLL ROLL4
#include "qwinograd_tile.h"
#define ROWS 6
#define ROLL ROLL6
#include "qwinograd_tile.h"
#define ROWS 8
#define ROLL ROLL8
#include "qwinograd_tile.h"
#define ROWS 10
#define ROLL ROLL10
#include "qwinograd_tile.h"
#define ROWS 12
#define ROLL ROLL12
#include "qwinograd_tile.h"
#define ROWS 14
#define ROLL ROLL14
#include "qwinograd_tile.h"
#undef LMUL

static tile_fn *const TILES_M8[] = {tile_m8_1, tile_m8_2, tile_m8_3};
static tile_fn *const TILES_M4[] = {tile_m4_1, tile_m4_2, tile_m4_3, tile_m4_4,
                                    tile_m4_5, tile_m4_6, tile_m4_7};
static tile_fn *const TILES_M2[] = {tile_m2_2,  tile_m2_4,  tile_m2_6, tile_m2_8,
                                    tile_m2_10, tile_m2_12, tile_m2_14};

/* In units of `unit` rows, the tiles are split evenly among as few calls as possible, of at most `most` units. */
static void product(const struct layer *l, const int16_t *w, const int32_t *bias, int32_t tiles,
                    int32_t columns, tile_fn *const *tile, int32_t unit, int32_t most, int32_t vlmax) {
    const int32_t units = (tiles + unit - 1) / unit, calls = (units + most - 1) / most, low = units / calls;
    const int32_t taller = units % calls, nb = l->args->nb;
    struct product p = {
        .nb = nb, .v_element = l->v_element, .v_block = l->v_block, .m_element = l->m_element};
    p.w_element = (int64_t)l->depth * nb;
    p.blocks = (l->args->channels + PITCH - 1) / PITCH;
    p.last_quads = (l->depth - (p.blocks - 1) * PITCH) / 4;
    PF_ROLLED for (int32_t column = 0; column < columns; column += vlmax) {
        p.vl = (size_t)PF_MIN(vlmax, columns - column);
        p.bias = bias + column;
        const int16_t *v = l->v;
        int32_t *m = l->m + column;
        PF_ROLLED for (int32_t i = 0; i < calls; i++) {
            const int32_t height = low + (i < taller);
            tile[height - 1](&p, v, w + column, m);
            v += height * unit * PITCH;
            m += (int64_t)height * unit * nb;
        }
    }
}

static void product_m8(const struct layer *l, const int16_t *w, const int32_t *bias, int32_t tiles,
                       int32_t columns) {
    product(l, w, bias, tiles, columns, TILES_M8, 1, 3, (int32_t)__riscv_vsetvlmax_e32m8());
}

static void product_m4(const struct layer *l, const int16_t *w, const int32_t *bias, int32_t tiles,
                       int32_t columns) {
    product(l, w, bias, tiles, columns, TILES_M4, 1, 7, (int32_t)__riscv_vsetvlmax_e32m4());
}

static void product_m2(const struct layer *l, const int16_t *w, const int32_t *bias, int32_t tiles,
                       int32_t columns) {
    product(l, w, bias, tiles, columns, TILES_M2, 2, 7, (int32_t)__riscv_vsetvlmax_e32m2());
}

/* One column of a tile's inputs, a vector of channels each, to its four elements. */
#define COLUMN(c, at)                                                                                    \
    {                                                                                                    \
        const int8_t *p = at;                                                                            \
        const vint8mf2_t row0 = __riscv_vle8_v_i8mf2(p, vl);                                             \
        p += x_row;                                                                                      \
        const vint8mf2_t row1 = __riscv_vle8_v_i8mf2(p, vl);                                             \
        p += x_row;                                                                                      \
        const vint8mf2_t row2 = __riscv_vle8_v_i8mf2(p, vl), row3 = __riscv_vle8_v_i8mf2(p + x_row, vl); \
        c##0 = __riscv_vwsub_vv(row0, row2, vl), c##1 = __riscv_vwadd_vv(row1, row2, vl);                \
        c##2 = __riscv_vwsub_vv(row2, row1, vl), c##3 = __riscv_vwsub_vv(row1, row3, vl);                \
    }
#define PUT(value)                  \
    __riscv_vse16(to, (value), vl); \
    to += v_element;
#define ROW(i)                        \
    PUT(__riscv_vsub(a##i, c##i, vl)) \
    PUT(__riscv_vadd(b##i, c##i, vl)) \
    PUT(__riscv_vsub(c##i, b##i, vl)) \
    PUT(__riscv_vsub(b##i, d##i, vl))

static void in_rvv(const struct layer *l, const int8_t *x, int16_t *v, int32_t run) {
    const ptrdiff_t x_row = l->args->x_row_stride, x_col = l->args->x_col_stride, v_element = l->v_element;
    const int32_t channels = l->args->channels, vlmax = PF_MIN(PITCH, (int32_t)__riscv_vsetvlmax_e16m1());
    PF_ROLLED for (int32_t i = 0; i < channels; i += vlmax) {
        const size_t vl = (size_t)PF_MIN(vlmax, channels - i);
        const int8_t *from = x + i;
        int16_t *tile = v + i / PITCH * l->v_block + i % PITCH;
        vint16m1_t a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3;
        COLUMN(a, from)
        COLUMN(b, from + x_col)
        int32_t left = run;
        PF_ROLLED do {
            from += 2 * x_col;
            COLUMN(c, from)
            COLUMN(d, from + x_col)
            int16_t *to = tile;
            ROW(0) ROW(1) ROW(2) ROW(3) a0 = c0, a1 = c1, a2 = c2, a3 = c3;
            b0 = d0, b1 = d1, b2 = d2, b3 = d3;
            tile += PITCH;
        }
        while (--left);
    }
}

#define GET(name)                                         \
    const vint32m2_t name = __riscv_vle32_v_i32m2(q, vl); \
    q += m_element;
/* The results that lie in row i of a tile's elements: of the left column u, of the right one t. */
#define RESULTS(i)                                                                         \
    GET(m##i##0)                                                                           \
    GET(m##i##1)                                                                           \
    GET(m##i##2)                                                                           \
    GET(m##i##3)                                                                           \
    const vint32m2_t u##i = __riscv_vadd(__riscv_vadd(m##i##0, m##i##1, vl), m##i##2, vl), \
                     t##i = __riscv_vsub(__riscv_vsub(m##i##1, m##i##2, vl), m##i##3, vl);
#define OUTPUT(name, sum)                                                                     \
    vint8mf2_t name;                                                                          \
    {                                                                                         \
        const vfloat32m2_t f = __riscv_vfmul(__riscv_vfcvt_f_x_v_f32m2(sum, vl), scales, vl); \
        const vint16m1_t h = __riscv_vsadd(__riscv_vfncvt_x_f_w_i16m1(f, vl), zero, vl);      \
        name = __riscv_vnclip_wx_i8mf2(h, 0, __RISCV_VXRM_RNU, vl);                           \
        name = __riscv_vmax(name, lo, vl);                                                    \
        name = __riscv_vmin(name, hi, vl);                                                    \
    }

static void out_rvv(const struct layer *l, const int32_t *m, const float *scale, int8_t *y, int32_t columns,
                    int32_t rows, int32_t cols) {
    const pf_qwinograd_args *a = l->args;
    const ptrdiff_t y_row = a->y_row_stride, y_col = a->y_col_stride, m_element = l->m_element, nb = a->nb;
    const int16_t zero = (int16_t)a->zero;
    const int8_t lo = (int8_t)a->lo, hi = (int8_t)a->hi;
    const int32_t vlmax = (int32_t)__riscv_vsetvlmax_e32m2();
    PF_ROLLED for (int32_t n = 0; n < columns; n += vlmax) {
        const size_t vl = (size_t)PF_MIN(vlmax, columns - n);
        /* Sums are four times as large as they should be. */
        const vfloat32m2_t scales = __riscv_vfmul(__riscv_vle32_v_f32m2(scale + n, vl), 0.25f, vl);
        const int32_t *from = m + n;
        int8_t *to = y + n;
        int32_t left = cols;
        PF_ROLLED do {
            const int32_t *q = from;
            RESULTS(0)
            RESULTS(1)
            RESULTS(2)
            RESULTS(3)
            OUTPUT(y00, __riscv_vadd(__riscv_vadd(u0, u1, vl), u2, vl))
            OUTPUT(y01, __riscv_vadd(__riscv_vadd(t0, t1, vl), t2, vl)) __riscv_vse8(to, y00, vl);
            if (left > 1) __riscv_vse8(to + y_col, y01, vl);
            if (rows > 1) {
                OUTPUT(y10, __riscv_vsub(__riscv_vsub(u1, u2, vl), u3, vl))
                OUTPUT(y11, __riscv_vsub(__riscv_vsub(t1, t2, vl), t3, vl))
                __riscv_vse8(to + y_row, y10, vl);
                if (left > 1) __riscv_vse8(to + y_row + y_col, y11, vl);
            }
            from += nb;
            to += 2 * y_col;
            left -= 2;
        }
        while (left > 0);
    }
}

pf_kernel qs8_qc8w_winograd_f2_3x8v__rvv, qs8_qc8w_winograd_f2_7x4v__rvv, qs8_qc8w_winograd_f2_14x2v__rvv;

void qs8_qc8w_winograd_f2_3x8v__rvv(const void *args, void *const *buf) {
    static const struct method method = {3, in_rvv, product_m8, out_rvv};
    convolve(args, buf, &method);
}
void qs8_qc8w_winograd_f2_7x4v__rvv(const void *args, void *const *buf) {
    static const struct method method = {7, in_rvv, product_m4, out_rvv};
    convolve(args, buf, &method);
}
void qs8_qc8w_winograd_f2_14x2v__rvv(const void *args, void *const *buf) {
    static const struct method method = {14, in_rvv, product_m2, out_rvv};
    convolve(args, buf, &method);
}

#endif

static void in_scalar(const struct layer *l, const int8_t *x, int16_t *v, int32_t run) {
    const ptrdiff_t x_row = l->args->x_row_stride, x_col = l->args->x_col_stride;
    for (int32_t i = 0; i < run; i++, x += TILE * x_col, v += PITCH) {
        for (int32_t c = 0; c < l->args->channels; c++) {
            int16_t columns[SIDE][SIDE], *to = v + c / PITCH * l->v_block + c % PITCH;
            for (int j = 0; j < SIDE; j++) {
                const int8_t *p = x + j * x_col + c;
                const int d0 = p[0], d1 = p[x_row], d2 = p[2 * x_row], d3 = p[3 * x_row];
                columns[0][j] = (int16_t)(d0 - d2), columns[1][j] = (int16_t)(d1 + d2);
                columns[2][j] = (int16_t)(d2 - d1), columns[3][j] = (int16_t)(d1 - d3);
            }
            for (int j = 0; j < SIDE; j++, to += SIDE * l->v_element) {
                const int16_t *d = columns[j];
                to[0] = (int16_t)(d[0] - d[2]), to[l->v_element] = (int16_t)(d[1] + d[2]);
                to[2 * l->v_element] = (int16_t)(d[2] - d[1]), to[3 * l->v_element] = (int16_t)(d[1] - d[3]);
            }
        }
    }
}

/* R tiles by N columns of one element; both are constants. Sums may wrap: only the final ones must fit. */
PF_INLINE void tile_scalar(const struct layer *l, const int16_t *v, const int16_t *w, const int32_t *bias,
                           int32_t *m, const int R, const int N) {
    const int64_t nb = l->args->nb;
    uint32_t sum[3][4];
    for (int r = 0; r < R; r++)
        for (int n = 0; n < N; n++) sum[r][n] = bias ? 4 * (uint32_t)bias[n] : 0;
    PF_ROLLED for (int32_t k = 0; k < l->args->channels; v += l->v_block - PITCH) {
        PF_ROLLED for (const int32_t end = PF_MIN(k + PITCH, l->args->channels); k < end; k++, v++, w += nb) {
            for (int r = 0; r < R; r++)
                for (int n = 0; n < N; n++) sum[r][n] += (uint32_t)(v[r * PITCH] * w[n]);
        }
    }
    for (int r = 0; r < R; r++, m += nb)
        for (int n = 0; n < N; n++) m[n] = (int32_t)sum[r][n];
}

/* Functions of their own, as clang would spill the sums for what surrounds them. */
#define SCALAR_TILE(R, N)                                                                             \
    static __attribute__((noinline)) void scalar_##R##x##N(                                           \
        const struct layer *l, const int16_t *v, const int16_t *w, const int32_t *bias, int32_t *m) { \
        tile_scalar(l, v, w, bias, m, R, N);                                                          \
    }
SCALAR_TILE(3, 4)
SCALAR_TILE(3, 1)
SCALAR_TILE(1, 4)
SCALAR_TILE(1, 1)

static void product_scalar(const struct layer *l, const int16_t *w, const int32_t *bias, int32_t tiles,
                           int32_t columns) {
    const int16_t *v_element = l->v;
    for (int e = 0; e < ELEMENTS; e++, w += (int64_t)l->depth * l->args->nb, v_element += l->v_element) {
        for (int32_t i = 0, R; i < tiles; i += R) {
            R = tiles - i >= 3 ? 3 : 1;
            const int16_t *v = v_element + i * PITCH;
            int32_t *m = l->m + e * l->m_element + i * (int64_t)l->args->nb;
            for (int32_t n = 0, N; n < columns; n += N) {
                N = columns - n >= 4 ? 4 : 1;
                const int32_t *const b = e == PLAIN ? bias + n : NULL;
                (R == 3   ? N == 4 ? scalar_3x4 : scalar_3x1
                 : N == 4 ? scalar_1x4
                          : scalar_1x1)(l, v, w + n, b, m + n);
            }
        }
    }
}

static void out_scalar(const struct layer *l, const int32_t *m, const float *scale, int8_t *y,
                       int32_t columns, int32_t rows, int32_t cols) {
    const pf_qwinograd_args *a = l->args;
    for (int32_t at = 0; at < cols; at += TILE, m += a->nb, y += TILE * (ptrdiff_t)a->y_col_stride) {
        for (int32_t n = 0; n < columns; n++) {
            uint32_t left[SIDE], right[SIDE];
            for (int i = 0; i < SIDE; i++) {
                const int32_t *q = m + n + i * SIDE * l->m_element;
                const uint32_t m0 = (uint32_t)q[0], m1 = (uint32_t)q[l->m_element],
                               m2 = (uint32_t)q[2 * l->m_element], m3 = (uint32_t)q[3 * l->m_element];
                left[i] = m0 + m1 + m2;
                right[i] = m1 - m2 - m3;
            }
            for (int j = 0; j < PF_MIN(TILE, cols - at); j++) {
                const uint32_t *s = j ? right : left;
                int8_t *to = y + j * (ptrdiff_t)a->y_col_stride + n;
                const float by = scale[n] * 0.25f;
                to[0] = pf_round_s8((float)(int32_t)(s[0] + s[1] + s[2]) * by, a->zero, a->lo, a->hi);
                if (rows > 1) {
                    const int32_t sum = (int32_t)(s[1] - s[2] - s[3]);
                    to[a->y_row_stride] = pf_round_s8((float)sum * by, a->zero, a->lo, a->hi);
                }
            }
        }
    }
}

pf_kernel qs8_qc8w_winograd_f2_3x4__scalar;

void qs8_qc8w_winograd_f2_3x4__scalar(const void *args, void *const *buf) {
    static const struct method method = {3, in_scalar, product_scalar, out_scalar};
    convolve(args, buf, &method);
}
