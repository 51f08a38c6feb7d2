/* Depthwise convolution, NHWC, vector over channels. dwconv.h has the arguments, dwconv.py the table rows. */
#include "dwconv.h"

#include <math.h>

#include "pf_real.h"

#if PF_RVV_REALS

/* The two directions of a picture are alike: a kernel works in tiles of R lines and slides along them.
 * Strides of x, y and w for one step across the lines, and for one step along them. */
typedef struct {
    int32_t lines, length;
    int64_t x_across, x_along, y_across, y_along, w_across, w_along;
    int32_t lower, upper; /* whether there are such bounds: else clang compares floats all the time */
} plane;

static void upright(const pf_dwconv_args *a, plane *p) {
    p->lines = a->rows, p->length = a->cols;
    p->x_across = a->x_row_stride, p->x_along = a->x_col_stride;
    p->y_across = a->y_row_stride, p->y_along = a->y_col_stride;
    p->w_across = (int64_t)a->channels * a->taps_x, p->w_along = a->channels;
    p->lower = a->lo > -INFINITY, p->upper = a->hi < INFINITY;
}

static void turned(const pf_dwconv_args *a, plane *p) {
    p->lines = a->cols, p->length = a->rows;
    p->x_across = a->x_col_stride, p->x_along = a->x_row_stride;
    p->y_across = a->y_col_stride, p->y_along = a->y_row_stride;
    p->w_across = a->channels, p->w_along = (int64_t)a->channels * a->taps_x;
    p->lower = a->lo > -INFINITY, p->upper = a->hi < INFINITY;
}

/* Lines that are computed when the last tile of R overlaps the one before; of fewer than R none can be. */
static int64_t covered(int64_t lines, int64_t R) {
    return lines < R ? INT32_MAX : (lines + R - 1) / R * R;
}

/* The better direction for tiles of R lines, each of which costs two columns more than it is long. `_plane` in
 * dwconv.py has the same rule. */
static __attribute__((noinline)) void arrange(const pf_dwconv_args *a, int R, plane *p) {
    const int64_t up = covered(a->rows, R) * (a->cols + 2), turn = covered(a->cols, R) * (a->rows + 2);
    up <= turn ? upright(a, p) : turned(a, p);
}

/* Lines from one reload of the weights to the next: a multiple of R whose pixels, a cache line of each, fit
 * in a first-level cache, because the next channels lie in the same cache lines. */
static int32_t strip_of(const plane *p, int R) {
    return R * PF_MAX(1, 256 / (p->length * R));
}

/* The tiles of R lines that begin in lines [first, end), for vl channels. Pointers are to the picture's first
 * pixel and these channels. */
typedef void block(const pf_dwconv_args *a, const plane *p, const pf_real *x, const pf_real *w,
                   const pf_real *bias, pf_real *y, int32_t first, int32_t end, size_t vl);

/* Calls `run` for every picture, strip and block of channels. */
static __attribute__((noinline)) void walk(const pf_dwconv_args *a, void *const *buf, const plane *p, int R,
                                           size_t vlmax, block *run) {
    const int32_t strip = strip_of(p, R);
    PF_ROLLED for (int32_t b = 0; b < a->batch; b++) {
        PF_ROLLED for (int32_t first = 0; first < p->lines; first += strip) {
            const pf_real *x = (const pf_real *)buf[0] + b * a->x_batch_stride, *w = buf[1], *bias = buf[2];
            pf_real *y = (pf_real *)buf[3] + b * a->y_batch_stride;
            size_t vl;
            PF_ROLLED for (size_t left = (size_t)a->channels; left > 0; left -= vl) {
                vl = PF_MIN(left, vlmax);
                run(a, p, x, w, bias, y, first, PF_MIN(first + strip, p->lines), vl);
                x += vl, w += vl, bias += vl, y += vl;
            }
        }
    }
}

/* The nine weights of vl channels and their bias, in registers. */
#define PF_WEIGHTS(LMUL)                                                                    \
    const PF_VREAL(LMUL) wb = PF_LOAD_REAL(LMUL)(bias, vl), w0 = PF_LOAD_REAL(LMUL)(w, vl), \
                         w1 = PF_LOAD_REAL(LMUL)(w + p.w_along, vl),                        \
                         w2 = PF_LOAD_REAL(LMUL)(w + 2 * p.w_along, vl),                    \
                         w3 = PF_LOAD_REAL(LMUL)(w + p.w_across, vl),                       \
                         w4 = PF_LOAD_REAL(LMUL)(w + p.w_across + p.w_along, vl),           \
                         w5 = PF_LOAD_REAL(LMUL)(w + p.w_across + 2 * p.w_along, vl),       \
                         w6 = PF_LOAD_REAL(LMUL)(w + 2 * p.w_across, vl),                   \
                         w7 = PF_LOAD_REAL(LMUL)(w + 2 * p.w_across + p.w_along, vl),       \
                         w8 = PF_LOAD_REAL(LMUL)(w + 2 * p.w_across + 2 * p.w_along, vl);

#define PF_ADD(acc, w) acc = __riscv_vfmacc(acc, v, w, vl)
/* The first product of an output overwrites the input vector, so it must be that vector's last use. */
#define PF_BEGIN(acc) acc = __riscv_vfmadd(v, w0, wb, vl)

/* Sliding along, the outputs that begin in a column of inputs are A, those in their second column B, and
 * those that end C; S, M and F say which of them there are. PF_TAPn adds the products of input v for line r,
 * which it meets with its tap n across. */
#define PF_TAP(r, wf, wm, A, B, C, F, M) \
    if (r < R) {                         \
        if (F) PF_ADD(C##r, wf);         \
        if (M) PF_ADD(B##r, wm);         \
    }
#define PF_TAP0(r, A, B, C, F, M, S) \
    PF_TAP(r, w2, w1, A, B, C, F, M) \
    if (r < R && S) PF_BEGIN(A##r);
#define PF_TAP1(r, A, B, C, F, M, S) \
    PF_TAP(r, w5, w4, A, B, C, F, M) \
    if (r < R && S) PF_ADD(A##r, w3);
#define PF_TAP2(r, A, B, C, F, M, S) \
    PF_TAP(r, w8, w7, A, B, C, F, M) \
    if (r < R && S) PF_ADD(A##r, w6);
#define PF_LO(acc) acc = __riscv_vfmax(acc, lo, vl)
#define PF_HI(acc) acc = __riscv_vfmin(acc, hi, vl)
#define PF_PUT(acc)                \
    {                              \
        PF_STORE_REAL(q, acc, vl); \
        q += p.y_across;           \
    }
#define PF_OUTPUT1(acc)        \
    if (p.lower) PF_LO(acc);   \
    if (p.upper) PF_HI(acc);   \
    PF_STORE_REAL(y, acc, vl); \
    y += p.y_along;
#define PF_OUTPUTS(C)               \
    {                               \
        pf_real *q = y;             \
        y += p.y_along;             \
        if (p.lower) {              \
            PF_LO(C##0);            \
            PF_LO(C##1);            \
            if (R > 2) PF_LO(C##2); \
            if (R > 3) PF_LO(C##3); \
            if (R > 4) PF_LO(C##4); \
            if (R > 5) PF_LO(C##5); \
        }                           \
        if (p.upper) {              \
            PF_HI(C##0);            \
            PF_HI(C##1);            \
            if (R > 2) PF_HI(C##2); \
            if (R > 3) PF_HI(C##3); \
            if (R > 4) PF_HI(C##4); \
            if (R > 5) PF_HI(C##5); \
        }                           \
        PF_PUT(C##0)                \
        PF_PUT(C##1)                \
        if (R > 2) PF_PUT(C##2)     \
        if (R > 3) PF_PUT(C##3)     \
        if (R > 4) PF_PUT(C##4)     \
        if (R > 5) PF_PUT(C##5)     \
    }

#define PF_INPUT(i, taps)                       \
    if (i < R + 2) {                            \
        PF_VREAL(1) v = PF_LOAD_REAL(1)(q, vl); \
        q += p.x_across;                        \
        taps                                    \
    }
/* Stride 1: input i meets the lines i (with tap 0), i-1 and i-2. */
#define PF_COLUMN(...)                                                                       \
    {                                                                                        \
        const pf_real *q = x;                                                                \
        x += p.x_along;                                                                      \
        PF_INPUT(0, PF_TAP0(0, __VA_ARGS__))                                                 \
        PF_INPUT(1, PF_TAP1(0, __VA_ARGS__) PF_TAP0(1, __VA_ARGS__))                         \
        PF_INPUT(2, PF_TAP2(0, __VA_ARGS__) PF_TAP1(1, __VA_ARGS__) PF_TAP0(2, __VA_ARGS__)) \
        PF_INPUT(3, PF_TAP2(1, __VA_ARGS__) PF_TAP1(2, __VA_ARGS__) PF_TAP0(3, __VA_ARGS__)) \
        PF_INPUT(4, PF_TAP2(2, __VA_ARGS__) PF_TAP1(3, __VA_ARGS__) PF_TAP0(4, __VA_ARGS__)) \
        PF_INPUT(5, PF_TAP2(3, __VA_ARGS__) PF_TAP1(4, __VA_ARGS__) PF_TAP0(5, __VA_ARGS__)) \
        PF_INPUT(6, PF_TAP2(4, __VA_ARGS__) PF_TAP1(5, __VA_ARGS__))                         \
        PF_INPUT(7, PF_TAP2(5, __VA_ARGS__))                                                 \
    }
#define PF_LINES(A) PF_VREAL(1) A##0 = none, A##1 = none, A##2 = none, A##3 = none, A##4 = none, A##5 = none

PF_INLINE void stride1(const pf_dwconv_args *a, const plane *at_plane, const pf_real *xs, const pf_real *w,
                       const pf_real *bias, pf_real *ys, int32_t first, int32_t end, size_t vl, const int R) {
    const plane p = *at_plane;
    const pf_real lo = (pf_real)a->lo, hi = (pf_real)a->hi;
    const PF_VREAL(1) none = PF_RVV_REAL(vundefined, 1)();
    PF_WEIGHTS(1)
    PF_ROLLED for (int32_t at = first; at < end; at += R) {
        const int32_t line = PF_MIN(at, p.lines - R);
        const pf_real *x = xs + line * p.x_across;
        pf_real *y = ys + line * p.y_across;
        PF_LINES(d);
        PF_LINES(e);
        PF_LINES(f);
        /* Three sets of accumulators change roles from column to column. Entering in the middle makes the
         * loop end in the same roles at every length, and keeps clang's loop passes from a pointer for each
         * address. */
        const int32_t full = p.length - 2;
        const pf_real *const last = x + p.length * p.x_along;
        if (full % 3 == 1) {
            PF_COLUMN(f, f, f, 0, 0, 1)
            PF_COLUMN(d, f, f, 0, 1, 1)
            goto third;
        }
        if (full % 3 == 2) {
            PF_COLUMN(e, e, e, 0, 0, 1)
            PF_COLUMN(f, e, e, 0, 1, 1)
            goto second;
        }
        PF_COLUMN(d, d, d, 0, 0, 1)
        PF_COLUMN(e, d, d, 0, 1, 1)
        if (full == 0) goto ending;
    begin:
        PF_COLUMN(f, e, d, 1, 1, 1)
        PF_OUTPUTS(d)
    second:
        PF_COLUMN(d, f, e, 1, 1, 1)
        PF_OUTPUTS(e)
    third:
        PF_COLUMN(e, d, f, 1, 1, 1)
        PF_OUTPUTS(f)
        if (x != last) goto begin;
    ending:
        PF_COLUMN(f, e, d, 1, 1, 0)
        PF_OUTPUTS(d)
        PF_COLUMN(f, f, e, 1, 0, 0)
        PF_OUTPUTS(e)
    }
}

/* Stride 2: even columns end an output and begin the next, odd ones continue one. */
#define PF_COLUMN2(...)                         \
    {                                           \
        const pf_real *q = x;                   \
        x += along;                             \
        PF_VREAL(2) v = PF_LOAD_REAL(2)(q, vl); \
        PF_TAP0(0, __VA_ARGS__)                 \
        v = PF_LOAD_REAL(2)(q += across, vl);   \
        PF_TAP1(0, __VA_ARGS__)                 \
        v = PF_LOAD_REAL(2)(q += across, vl);   \
        PF_TAP2(0, __VA_ARGS__)                 \
    }

/* Two lines would share inputs, but need 34 registers. */
static void stride2(const pf_dwconv_args *a, const plane *at_plane, const pf_real *xs, const pf_real *w,
                    const pf_real *bias, pf_real *ys, int32_t first, int32_t end, size_t vl) {
    const plane p = *at_plane;
    const pf_real lo = (pf_real)a->lo, hi = (pf_real)a->hi;
    const int64_t across = p.x_across / 2, along = p.x_along / 2;
    const int R = 1;
    PF_WEIGHTS(2)
    PF_ROLLED for (int32_t line = first; line < end; line++) {
        const pf_real *x = xs + line * p.x_across;
        pf_real *y = ys + line * p.y_across;
        PF_VREAL(2) d0 = wb, e0 = wb;
        const pf_real *const last = x + (2 * p.length - 1) * along;
        if (p.length % 2 == 0) {
            PF_COLUMN2(e, e, e, 0, 0, 1)
            goto second;
        }
        PF_COLUMN2(d, d, d, 0, 0, 1)
        if (p.length == 1) goto ending;
    begin:
        PF_COLUMN2(d, d, d, 0, 1, 0)
        PF_COLUMN2(e, d, d, 1, 0, 1)
        PF_OUTPUT1(d0)
    second:
        PF_COLUMN2(e, e, e, 0, 1, 0)
        PF_COLUMN2(d, e, e, 1, 0, 1)
        PF_OUTPUT1(e0)
        if (x != last) goto begin;
    ending:
        PF_COLUMN2(d, d, d, 0, 1, 0)
        PF_COLUMN2(d, d, d, 1, 0, 0)
        PF_OUTPUT1(d0)
    }
}

/* Up to eight outputs side by side, d0 to d7, of the plane p; T of them are there. */
#define PF_OUTPUTS_8(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define PF_START_T(i) PF_VREAL(2) d##i = wb;
#define PF_LO_T(i) \
    if (i < T) PF_LO(d##i);
#define PF_HI_T(i) \
    if (i < T) PF_HI(d##i);
#define PF_STORE_T(i)               \
    if (i < T) {                    \
        PF_STORE_REAL(y, d##i, vl); \
        y += p.y_along;             \
    }
#define PF_END_T              \
    if (p.lower) {            \
        PF_OUTPUTS_8(PF_LO_T) \
    }                         \
    if (p.upper) {            \
        PF_OUTPUTS_8(PF_HI_T) \
    }                         \
    PF_OUTPUTS_8(PF_STORE_T)

/* Where the taps of an output lie. */
typedef struct {
    int32_t rows, cols;
    int64_t x_row, x_col; /* to the row of taps below, to the tap beside */
    int64_t w_step;
} window;

static window window_of(const pf_dwconv_args *a) {
    return (window){a->taps_y, a->taps_x, a->x_tap_y_stride, a->x_tap_x_stride, a->channels};
}

/* Any taps, strides and dilations: T outputs share each weight. */
PF_INLINE void any_outputs(const pf_dwconv_args *a, const plane p, const window t, const pf_real *x,
                           const pf_real *w, PF_VREAL(2) wb, pf_real *y, size_t vl, const int T) {
    const pf_real lo = (pf_real)a->lo, hi = (pf_real)a->hi;
    PF_OUTPUTS_8(PF_START_T)
    int32_t rows = t.rows;
    PF_ROLLED
    do {
        const pf_real *xt = x;
        int32_t cols = t.cols;
        PF_ROLLED
        do {
            const PF_VREAL(2) v = PF_LOAD_REAL(2)(w, vl);
            const pf_real *q = xt;
#define PF_MULTIPLY_T(i)                                            \
    if (i < T) {                                                    \
        d##i = __riscv_vfmacc(d##i, PF_LOAD_REAL(2)(q, vl), v, vl); \
        q += p.x_along;                                             \
    }
            PF_OUTPUTS_8(PF_MULTIPLY_T)
            xt += t.x_col, w += t.w_step;
        } while (--cols);
        x += t.x_row;
    } while (--rows);
    PF_END_T
}

static void any(const pf_dwconv_args *a, const plane *at_plane, const pf_real *xs, const pf_real *w,
                const pf_real *bias, pf_real *ys, int32_t first, int32_t end, size_t vl) {
    const plane p = *at_plane;
    const window t = window_of(a);
    const PF_VREAL(2) wb = PF_LOAD_REAL(2)(bias, vl);
    PF_ROLLED for (int32_t line = first; line < end; line++) {
        const pf_real *x = xs + line * p.x_across;
        pf_real *y = ys + line * p.y_across;
        int32_t left = p.length;
        PF_ROLLED for (; left >= 8; left -= 8, x += 8 * p.x_along, y += 8 * p.y_along) {
            any_outputs(a, p, t, x, w, wb, y, vl, 8);
        }
        if (left & 4) {
            any_outputs(a, p, t, x, w, wb, y, vl, 4);
            x += 4 * p.x_along, y += 4 * p.y_along;
        }
        if (left & 2) {
            any_outputs(a, p, t, x, w, wb, y, vl, 2);
            x += 2 * p.x_along, y += 2 * p.y_along;
        }
        if (left & 1) any_outputs(a, p, t, x, w, wb, y, vl, 1);
    }
}

void PF_NAME(dwconv_2v__rvv)(const void *args, void *const *buf) {
    plane p;
    upright(args, &p);
    walk(args, buf, &p, 1, PF_VLMAX_REAL(2), any);
}

/* Five taps beside each other, any number of such rows: the weights of a row are in registers, and each input is
 * loaded once for all of seven outputs. Output i takes input j with weight j - S * i. */
#define PF_SHARE_T(i)                                                   \
    if (i < T) {                                                        \
        if (input == S * i) d##i = __riscv_vfmacc(d##i, v, w0, vl);     \
        if (input == S * i + 1) d##i = __riscv_vfmacc(d##i, v, w1, vl); \
        if (input == S * i + 2) d##i = __riscv_vfmacc(d##i, v, w2, vl); \
        if (input == S * i + 3) d##i = __riscv_vfmacc(d##i, v, w3, vl); \
        if (input == S * i + 4) d##i = __riscv_vfmacc(d##i, v, w4, vl); \
    }
#define PF_SHARED(j)                                  \
    if (j < S * (T - 1) + 5) {                        \
        const int input = j;                          \
        const PF_VREAL(2) v = PF_LOAD_REAL(2)(q, vl); \
        q += t.x_col;                                 \
        PF_OUTPUTS_8(PF_SHARE_T)                      \
    }

PF_INLINE void five(const pf_dwconv_args *a, const plane *at_plane, const pf_real *xs, const pf_real *ws,
                    const pf_real *bias, pf_real *ys, int32_t first, int32_t end, size_t vl, const int S) {
    const int T = 7;
    const plane p = *at_plane;
    const window t = window_of(a);
    const pf_real lo = (pf_real)a->lo, hi = (pf_real)a->hi;
    PF_ROLLED for (int32_t line = first; line < end; line++) {
        PF_ROLLED for (int32_t at = 0; at < p.length; at += T) {
            const int32_t col = PF_MIN(at, p.length - T);
            const pf_real *x = xs + line * p.x_across + col * p.x_along, *w = ws;
            pf_real *y = ys + line * p.y_across + col * p.y_along;
            const PF_VREAL(2) wb = PF_LOAD_REAL(2)(bias, vl);
            PF_OUTPUTS_8(PF_START_T)
            int32_t rows = t.rows;
            PF_ROLLED
            do {
                const PF_VREAL(2) w0 = PF_LOAD_REAL(2)(w, vl);
                const PF_VREAL(2) w1 = PF_LOAD_REAL(2)(w += t.w_step, vl);
                const PF_VREAL(2) w2 = PF_LOAD_REAL(2)(w += t.w_step, vl);
                const PF_VREAL(2) w3 = PF_LOAD_REAL(2)(w += t.w_step, vl);
                const PF_VREAL(2) w4 = PF_LOAD_REAL(2)(w += t.w_step, vl);
                w += t.w_step;
                const pf_real *q = x;
                PF_SHARED(0)
                PF_SHARED(1)
                PF_SHARED(2)
                PF_SHARED(3)
                PF_SHARED(4)
                PF_SHARED(5)
                /* Keeps clang from loading so many inputs early that sums spill. */
                if (S == 1) (void)PF_LOAD_HERE(q);
                PF_SHARED(6)
                PF_SHARED(7)
                PF_SHARED(8)
                PF_SHARED(9)
                PF_SHARED(10)
                PF_SHARED(11)
                PF_SHARED(12)
                PF_SHARED(13)
                PF_SHARED(14)
                PF_SHARED(15)
                PF_SHARED(16)
                x += t.x_row;
            } while (--rows);
            PF_END_T
        }
    }
}

#define PF_FIVE(S)                                                                                     \
    static void five_s##S(const pf_dwconv_args *a, const plane *p, const pf_real *x, const pf_real *w, \
                          const pf_real *bias, pf_real *y, int32_t first, int32_t end, size_t vl) {    \
        five(a, p, x, w, bias, y, first, end, vl, S);                                                  \
    }                                                                                                  \
    void PF_NAME(dwconv_5x5s##S##_7x2v__rvv)(const void *args, void *const *buf) {                     \
        plane p;                                                                                       \
        upright(args, &p);                                                                             \
        walk(args, buf, &p, 1, PF_VLMAX_REAL(2), five_s##S);                                           \
    }

PF_FIVE(1)
PF_FIVE(2)

#define PF_STRIDE1(R)                                                                                    \
    static void stride1_##R(const pf_dwconv_args *a, const plane *p, const pf_real *x, const pf_real *w, \
                            const pf_real *bias, pf_real *y, int32_t first, int32_t end, size_t vl) {    \
        stride1(a, p, x, w, bias, y, first, end, vl, R);                                                 \
    }                                                                                                    \
    void PF_NAME(dwconv_3x3s1_##R##x1v__rvv)(const void *args, void *const *buf) {                       \
        plane p;                                                                                         \
        arrange(args, R, &p);                                                                            \
        walk(args, buf, &p, R, PF_VLMAX_REAL(1), stride1_##R);                                           \
    }

PF_STRIDE1(2)
PF_STRIDE1(3)
PF_STRIDE1(4)
PF_STRIDE1(5)
PF_STRIDE1(6)

void PF_NAME(dwconv_3x3s2_1x2v__rvv)(const void *args, void *const *buf) {
    plane p;
    arrange(args, 1, &p);
    walk(args, buf, &p, 1, PF_VLMAX_REAL(2), stride2);
}

#endif

#if defined(__riscv)
/* One instruction each. */
#define PF_AT_LEAST(x, lo) __builtin_fmaxf(x, lo)
#define PF_AT_MOST(x, hi) __builtin_fminf(x, hi)
#else
#define PF_AT_LEAST(x, lo) PF_MAX(x, lo)
#define PF_AT_MOST(x, hi) PF_MIN(x, hi)
#endif

/* Without vectors: T outputs side by side and N channels; constants, so that all but the loops over taps unroll. */
#define PF_FULL _Pragma("clang loop unroll(full)")
PF_INLINE void outputs_scalar(const pf_dwconv_args *a, const pf_real *x, const pf_real *w,
                              const pf_real *bias, pf_real *y, const int T, const int N) {
    float sum[3][4];
    PF_FULL for (int t = 0; t < T; t++) {
        PF_FULL for (int n = 0; n < N; n++) sum[t][n] = bias[n];
    }
    const int64_t x_col = a->x_col_stride, tap_x = a->x_tap_x_stride, channels = a->channels;
    int32_t rows = a->taps_y;
    PF_ROLLED
    do {
        const pf_real *xt = x;
        int32_t cols = a->taps_x;
        PF_ROLLED
        do {
            PF_FULL for (int t = 0; t < T; t++) {
                PF_FULL for (int n = 0; n < N; n++) sum[t][n] += (float)xt[t * x_col + n] * (float)w[n];
            }
            xt += tap_x, w += channels;
        } while (--cols);
        x += a->x_tap_y_stride;
    } while (--rows);
    if (a->lo > -INFINITY) {
        PF_FULL for (int t = 0; t < T; t++) {
            PF_FULL for (int n = 0; n < N; n++) sum[t][n] = PF_AT_LEAST(sum[t][n], a->lo);
        }
    }
    if (a->hi < INFINITY) {
        PF_FULL for (int t = 0; t < T; t++) {
            PF_FULL for (int n = 0; n < N; n++) sum[t][n] = PF_AT_MOST(sum[t][n], a->hi);
        }
    }
    PF_FULL for (int t = 0; t < T; t++, y += a->y_col_stride) {
        PF_FULL for (int n = 0; n < N; n++) y[n] = (pf_real)sum[t][n];
    }
}

#define PF_SCALAR(T, N)                                                                                 \
    static __attribute__((noinline)) void outputs_##T##x##N(                                            \
        const pf_dwconv_args *a, const pf_real *x, const pf_real *w, const pf_real *bias, pf_real *y) { \
        outputs_scalar(a, x, w, bias, y, T, N);                                                         \
    }
PF_SCALAR(3, 4)
PF_SCALAR(3, 1)
PF_SCALAR(1, 4)
PF_SCALAR(1, 1)

void PF_NAME(dwconv__scalar)(const void *args, void *const *buf) {
    const pf_dwconv_args *a = args;
    const pf_real *w = buf[1], *bias = buf[2];
    for (int32_t line = 0; line < a->batch * a->rows; line++) {
        const int32_t b = line / a->rows, r = line % a->rows;
        const pf_real *x = (const pf_real *)buf[0] + b * a->x_batch_stride + r * a->x_row_stride;
        pf_real *y = (pf_real *)buf[3] + b * a->y_batch_stride + r * a->y_row_stride;
        for (int32_t col = 0, T; col < a->cols;
             col += T, x += T * a->x_col_stride, y += T * a->y_col_stride) {
            T = a->cols - col >= 3 ? 3 : 1;
            for (int32_t c = 0, N; c < a->channels; c += N) {
                N = a->channels - c >= 4 ? 4 : 1;
                if (T == 3) {
                    (N == 4 ? outputs_3x4 : outputs_3x1)(a, x + c, w + c, bias + c, y + c);
                } else {
                    (N == 4 ? outputs_1x4 : outputs_1x1)(a, x + c, w + c, bias + c, y + c);
                }
            }
        }
    }
}
