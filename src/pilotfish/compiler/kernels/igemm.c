/* Matrix products and convolutions. Column blocks are the outer loop and tiles of pixels the inner one, so that a
 * block of weights stays in the cache while the image passes.
 *
 * In f16 the vector kernels sum in f16, which loses a bit of precision with every factor 4 of K. So K is cut into
 * pieces of at most PIECE: each is summed on its own, from zero, and then added to y. The scalar twin sums in f32. */
#include "igemm.h"

#include "pf_real.h"

pf_kernel PF_NAME(igemm_4x4__scalar);

/* An image whose rows or columns lie at one distance is a single long row. */
static pf_igemm_args flattened(const pf_igemm_args *given) {
    pf_igemm_args a = *given;
    if (a.cols == 1) {
        a.cols = a.rows;
        a.x_col_stride = a.x_row_stride;
        a.y_col_stride = a.y_row_stride;
        a.rows = 1;
    } else if (a.x_row_stride == a.cols * a.x_col_stride && a.y_row_stride == a.cols * a.y_col_stride) {
        a.cols *= a.rows;
        a.rows = 1;
    }
    if (a.rows == 1) { /* then images may be rows */
        a.rows = a.batch;
        a.x_row_stride = a.x_batch_stride;
        a.y_row_stride = a.y_batch_stride;
        a.batch = 1;
        if (a.x_row_stride == a.cols * a.x_col_stride && a.y_row_stride == a.cols * a.y_col_stride) {
            a.cols *= a.rows;
            a.rows = 1;
        }
    }
    if (a.taps_x == 1) { /* the inner loop over taps has less to do */
        a.taps_x = a.taps_y;
        a.x_tap_x_stride = a.x_tap_y_stride;
        a.taps_y = 1;
    }
    return a;
}

#if PF_RVV_REALS

enum { HEIGHT_MAX = 16 };

/* What the tiles of one column chunk have in common. */
struct job {
    const pf_igemm_args *args;
    const pf_real *w;
    const pf_real *bias;
    size_t vl;
    int64_t step_x; /* bytes from where the loop leaves the pointers to the run beside */
    int64_t step_y; /* ... to the first run of the next row of taps */
    int32_t taps_x;
    int32_t half;   /* k & 4: then pointers start 4 elements early, in the second half of the first pass */
    int32_t passes; /* through the loop over 8 elements */
    int32_t rest;   /* k & 3 */
    int32_t clamps; /* 1: there is a least value; 2: a greatest one */
    int later;      /* y holds the sum so far */
    int crossing;   /* the tile's pixels are not at one distance: they are at x[] and y[] */
    const pf_real *x[HEIGHT_MAX];
    pf_real *y[HEIGHT_MAX];
};

/* `count` tiles one after the other, from x to y. */
typedef void tile_fn(const struct job *job, const pf_real *x, pf_real *y, int count);

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
#define ROLL15(X, a) ROLL14(X, a) X(14, a)
#define ROLL16(X, a) ROLL15(X, a) X(15, a)

#define LMUL 4
#define ROWS 1
#define ROLL ROLL1
#include "igemm_tile.h"
#define ROWS 2
#define ROLL ROLL2
#include "igemm_tile.h"
#define ROWS 3
#define ROLL ROLL3
#include "igemm_tile.h"
#define ROWS 4
#define ROLL ROLL4
#include "igemm_tile.h"
#define ROWS 5
#define ROLL ROLL5
#include "igemm_tile.h"
#define ROWS 6
#define ROLL ROLL6
#include "igemm_tile.h"
#define ROWS 7
#define ROLL ROLL7
#include "igemm_tile.h"
#undef LMUL

#define LMUL 2
#define ROWS 1
#define ROLL ROLL1
#include "igemm_tile.h"
#define ROWS 2
#define ROLL ROLL2
#include "igemm_tile.h"
#define ROWS 4
#define ROLL ROLL4
#include "igemm_tile.h"
#define ROWS 6
#define ROLL ROLL6
#include "igemm_tile.h"
#define ROWS 8
#define ROLL ROLL8
#include "igemm_tile.h"
#define ROWS 10
#define ROLL ROLL10
#include "igemm_tile.h"
#define ROWS 12
#define ROLL ROLL12
#include "igemm_tile.h"
#define ROWS 14
#define ROLL ROLL14
#include "igemm_tile.h"
#undef LMUL

#define LMUL 1
#define ROWS 1
#define ROLL ROLL1
#include "igemm_tile.h"
#define ROWS 2
#define ROLL ROLL2
#include "igemm_tile.h"
#define ROWS 4
#define ROLL ROLL4
#include "igemm_tile.h"
#define ROWS 6
#define ROLL ROLL6
#include "igemm_tile.h"
#define ROWS 8
#define ROLL ROLL8
#include "igemm_tile.h"
#define ROWS 10
#define ROLL ROLL10
#include "igemm_tile.h"
#define ROWS 12
#define ROLL ROLL12
#include "igemm_tile.h"
#define ROWS 14
#define ROLL ROLL14
#include "igemm_tile.h"
#define ROWS 16
#define ROLL ROLL16
#include "igemm_tile.h"
#undef LMUL

/* Tile functions of one LMUL. A height is a multiple of `unit`, or 1. */
struct kind {
    int lmul;
    int height_max;
    int unit;
    tile_fn *one;     /* of height 1 */
    tile_fn *tile[8]; /* of height unit, 2 unit, ... height_max */
};

static const struct kind KIND_M4 = {
    4, 7, 1, tile_m4_1, {tile_m4_1, tile_m4_2, tile_m4_3, tile_m4_4, tile_m4_5, tile_m4_6, tile_m4_7}};
static const struct kind KIND_M2 = {
    2, 14, 2, tile_m2_1, {tile_m2_2, tile_m2_4, tile_m2_6, tile_m2_8, tile_m2_10, tile_m2_12, tile_m2_14}};
static const struct kind KIND_M1 = {
    1,
    16,
    2,
    tile_m1_1,
    {tile_m1_2, tile_m1_4, tile_m1_6, tile_m1_8, tile_m1_10, tile_m1_12, tile_m1_14, tile_m1_16}};

/* The fewest tiles for a number of pixels, and those of nearly one height: `taller` of (low + 1) * unit rows,
 * then `lower` of low * unit, then `ones` of a single row. */
struct split {
    int low, taller, lower, ones;
};

static struct split split(const struct kind *kind, int pixels) {
    const int units = pixels / kind->unit, most = kind->height_max / kind->unit;
    const int tiles = (units + most - 1) / most;
    struct split s = {0, 0, 0, pixels % kind->unit};
    if (tiles) {
        s.low = units / tiles;
        s.taller = units % tiles;
        s.lower = tiles - s.taller;
    }
    return s;
}

/* A row of pixels at one distance. */
static void line(const struct kind *kind, const struct job *job, const struct split *s, const pf_real *x,
                 pf_real *y) {
    const ptrdiff_t x_col = job->args->x_col_stride, y_col = job->args->y_col_stride;
    const ptrdiff_t tall = (ptrdiff_t)s->taller * (s->low + 1) * kind->unit;
    const ptrdiff_t all = tall + (ptrdiff_t)s->lower * s->low * kind->unit;
    if (s->taller) kind->tile[s->low](job, x, y, s->taller);
    if (s->lower) kind->tile[s->low - 1](job, x + tall * x_col, y + tall * y_col, s->lower);
    if (s->ones) kind->one(job, x + all * x_col, y + all * y_col, s->ones);
}

/* An image in tiles that go on in the next row where a row ends. */
static void image(const struct kind *kind, struct job *job, const struct split *s, const pf_real *x,
                  pf_real *y) {
    const pf_igemm_args *a = job->args;
    int col = 0;
    const int tiles = s->taller + s->lower + s->ones;
    for (int t = 0; t < tiles; t++) {
        const int units = t < s->taller ? s->low + 1 : s->low;
        const int one = t >= s->taller + s->lower;
        const int height = one ? 1 : units * kind->unit;
        const pf_real *x_tile = x + (ptrdiff_t)col * a->x_col_stride;
        pf_real *y_tile = y + (ptrdiff_t)col * a->y_col_stride;
        job->crossing = col + height > a->cols;
        for (int i = 0; i < height; i++) {
            job->x[i] = x + (ptrdiff_t)col * a->x_col_stride;
            job->y[i] = y + (ptrdiff_t)col * a->y_col_stride;
            if (++col == a->cols) {
                col = 0;
                x += a->x_row_stride;
                y += a->y_row_stride;
            }
        }
        (one ? kind->one : kind->tile[units - 1])(job, x_tile, y_tile, 1);
    }
}

/* Whether fewer tiles are worth the pointers that have to be made for those which cross rows. */
static int crosses(const struct kind *kind, const pf_igemm_args *a) {
    const int64_t pixels = (int64_t)a->rows * a->cols, depth = (int64_t)a->taps_y * a->taps_x * a->k;
    const int64_t in_rows = (int64_t)a->rows * ((a->cols + kind->height_max - 1) / kind->height_max);
    const int64_t in_all = (pixels + kind->height_max - 1) / kind->height_max;
    return (in_rows - in_all) * (kind->lmul + 1) * depth > 16 * pixels;
}

/* Sums the products of the given taps and adds bias to them or, if `later`, what is in y. */
static void sum(const struct kind *kind, const pf_igemm_args *a, const pf_real *x0, const pf_real *w,
                const pf_real *bias, pf_real *y0, int later) {
    struct job job; /* not initialized: its pointers would be set to zero at every call */
    job.args = a;
    job.taps_x = a->taps_x;
    job.half = a->k & 4;
    job.passes = (int32_t)((uint32_t)(a->k + 4) / 8);
    job.rest = a->k & 3;
    job.crossing = 0;
    job.later = later;
    job.clamps = (a->lo > -__builtin_inff()) + 2 * (a->hi < __builtin_inff());
    const int64_t passed = job.rest ? 8 * job.passes + job.rest - 1 : 8 * (job.passes - 1);
    job.step_x = (int64_t)sizeof *w * (a->x_tap_x_stride - passed);
    job.step_y =
        (int64_t)sizeof *w * (a->x_tap_y_stride - (int64_t)(a->taps_x - 1) * a->x_tap_x_stride - passed);
    const int cross = crosses(kind, a);
    const struct split s = split(kind, cross ? a->rows * a->cols : a->cols);
    const int longest = (int)PF_VLMAX_REAL(1) * kind->lmul;
    for (int col = 0; col < a->n; col += (int)job.vl) {
        const int block = col / a->nb, within = col % a->nb;
        const int left = PF_MIN(a->nb - within, a->n - col);
        job.vl = (size_t)PF_MIN(left, longest);
        job.w = w + (ptrdiff_t)block * a->w_block_stride + within;
        job.bias = bias + col;
        for (int b = 0; b < a->batch; b++) {
            const pf_real *x = x0 + (ptrdiff_t)b * a->x_batch_stride - job.half;
            pf_real *y = y0 + (ptrdiff_t)b * a->y_batch_stride + col;
            if (cross) {
                image(kind, &job, &s, x, y);
                continue;
            }
            for (int r = 0; r < a->rows; r++) {
                line(kind, &job, &s, x + (ptrdiff_t)r * a->x_row_stride, y + (ptrdiff_t)r * a->y_row_stride);
            }
        }
    }
}

#ifdef PF_F16

enum { PIECE = 256 };

/* A piece lies together in w: some rows of taps or, if a row has more than PIECE products, some taps of a row or, if a
 * tap has, some of its inputs. igemm.py has the same rule. */
static void run(const struct kind *kind, const void *args, void *const *buf) {
    const pf_igemm_args a = flattened(args);
    const int32_t parts = (a.k + PIECE - 1) / PIECE, k = ((a.k + parts - 1) / parts + 7) / 8 * 8;
    const int32_t row = a.taps_x * a.k;
    const int32_t taps_y = PF_MAX(1, PIECE / row), taps_x = row <= PIECE ? a.taps_x : PF_MAX(1, PIECE / a.k);
    pf_igemm_args piece = a;
    int later = 0;
    for (int32_t ty = 0; ty < a.taps_y; ty += taps_y) {
        piece.taps_y = PF_MIN(taps_y, a.taps_y - ty);
        for (int32_t tx = 0; tx < a.taps_x; tx += taps_x) {
            piece.taps_x = PF_MIN(taps_x, a.taps_x - tx);
            for (int32_t i = 0; i < a.k; i += k) {
                piece.k = PF_MIN(k, a.k - i);
                const int last = ty + taps_y >= a.taps_y && tx + taps_x >= a.taps_x && i + k >= a.k;
                piece.lo = last ? a.lo : -__builtin_inff();
                piece.hi = last ? a.hi : __builtin_inff();
                const ptrdiff_t before = ((ptrdiff_t)ty * a.taps_x + tx) * a.k + i;
                sum(kind, &piece,
                    (const pf_real *)buf[0] + (ptrdiff_t)ty * a.x_tap_y_stride +
                        (ptrdiff_t)tx * a.x_tap_x_stride + i,
                    (const pf_real *)buf[1] + before * a.w_k_stride, buf[2], buf[3], later);
                later = 1;
            }
        }
    }
}

#else

static void run(const struct kind *kind, const void *args, void *const *buf) {
    const pf_igemm_args a = flattened(args);
    sum(kind, &a, buf[0], buf[1], buf[2], buf[3], 0);
}

#endif

pf_kernel PF_NAME(igemm_7x4v__rvv), PF_NAME(igemm_14x2v__rvv), PF_NAME(igemm_16x1v__rvv);

void PF_NAME(igemm_7x4v__rvv)(const void *args, void *const *buf) {
    run(&KIND_M4, args, buf);
}
void PF_NAME(igemm_14x2v__rvv)(const void *args, void *const *buf) {
    run(&KIND_M2, args, buf);
}
void PF_NAME(igemm_16x1v__rvv)(const void *args, void *const *buf) {
    run(&KIND_M1, args, buf);
}

#endif

/* `depth` steps over K; where it is a constant, as rows and columns are, all loops unroll. */
PF_INLINE const pf_real *scalar_steps(const int rows, const int columns, const int depth, const pf_real *x[4],
                                      const pf_real *w, ptrdiff_t w_step, float sum[4][4]) {
    PF_UNROLLED
    for (int i = 0; i < depth; i++, w += w_step) {
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < columns; c++) sum[r][c] += (float)x[r][i] * (float)w[c];
        }
    }
    for (int r = 0; r < rows; r++) x[r] += depth;
    return w;
}

/* rows x columns sums in registers. */
PF_INLINE void scalar_tile(const int rows, const int columns, const pf_igemm_args *a, const pf_real *x,
                           const pf_real *w, const pf_real *bias, pf_real *y) {
    float sum[4][4];
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < columns; c++) sum[r][c] = bias[c];
    }
    const ptrdiff_t x_col = a->x_col_stride, y_col = a->y_col_stride, w_step = a->w_k_stride;
    for (int tap_y = 0; tap_y < a->taps_y; tap_y++) {
        for (int tap_x = 0; tap_x < a->taps_x; tap_x++) {
            const pf_real *p[4];
            for (int r = 0; r < rows; r++) {
                p[r] = x + (ptrdiff_t)tap_y * a->x_tap_y_stride + (ptrdiff_t)tap_x * a->x_tap_x_stride +
                       r * x_col;
            }
            PF_ROLLED
            for (int left = a->k / 4; left; left--) w = scalar_steps(rows, columns, 4, p, w, w_step, sum);
            PF_ROLLED
            for (int left = a->k % 4; left; left--) w = scalar_steps(rows, columns, 1, p, w, w_step, sum);
        }
    }
    const int has_lo = a->lo > -__builtin_inff(), has_hi = a->hi < __builtin_inff();
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < columns; c++) {
            if (has_lo) sum[r][c] = __builtin_fmaxf(sum[r][c], a->lo);
            if (has_hi) sum[r][c] = __builtin_fminf(sum[r][c], a->hi);
            y[r * y_col + c] = (pf_real)sum[r][c];
        }
    }
}

static void scalar_line(const pf_igemm_args *a, int columns, const pf_real *x, const pf_real *w,
                        const pf_real *bias, pf_real *y) {
    int left = a->cols;
    for (; left >= 4; left -= 4, x += 4 * (ptrdiff_t)a->x_col_stride, y += 4 * (ptrdiff_t)a->y_col_stride) {
        if (columns == 4) {
            scalar_tile(4, 4, a, x, w, bias, y);
        } else {
            scalar_tile(4, 1, a, x, w, bias, y);
        }
    }
    for (; left; left--, x += a->x_col_stride, y += a->y_col_stride) {
        if (columns == 4) {
            scalar_tile(1, 4, a, x, w, bias, y);
        } else {
            scalar_tile(1, 1, a, x, w, bias, y);
        }
    }
}

void PF_NAME(igemm_4x4__scalar)(const void *args, void *const *buf) {
    const pf_igemm_args a = flattened(args);
    for (int col = 0, columns; col < a.n; col += columns) {
        const int block = col / a.nb, within = col % a.nb;
        columns = PF_MIN(a.nb - within, a.n - col) >= 4 ? 4 : 1;
        const pf_real *w = (const pf_real *)buf[1] + (ptrdiff_t)block * a.w_block_stride + within;
        const pf_real *bias = (const pf_real *)buf[2] + col;
        for (int b = 0; b < a.batch; b++) {
            const pf_real *x = (const pf_real *)buf[0] + (ptrdiff_t)b * a.x_batch_stride;
            pf_real *y = (pf_real *)buf[3] + (ptrdiff_t)b * a.y_batch_stride + col;
            for (int r = 0; r < a.rows; r++) {
                scalar_line(&a, columns, x + (ptrdiff_t)r * a.x_row_stride, w, bias,
                            y + (ptrdiff_t)r * a.y_row_stride);
            }
        }
    }
}
