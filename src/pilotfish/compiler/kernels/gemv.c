/* The product of one row and a matrix. Every weight is used once, so that what counts is the work beside
 * multiplying: vectors along the columns if there are many, along the sum if there are few. */
#include "gemv.h"

#include "pf_real.h"

pf_kernel PF_NAME(gemv_1x4__scalar), PF_NAME(gemv_4x1__scalar);

static void clamp(const pf_gemv_args *a, pf_real *y) {
    if (a->lo > -__builtin_inff()) {
        for (int i = 0; i < a->n; i++) y[i] = (pf_real)__builtin_fmaxf((float)y[i], a->lo);
    }
    if (a->hi < __builtin_inff()) {
        for (int i = 0; i < a->n; i++) y[i] = (pf_real)__builtin_fminf((float)y[i], a->hi);
    }
}

#if PF_RVV_REALS

pf_kernel PF_NAME(gemv_1x8v__rvv), PF_NAME(gemv_5x4v__rvv);

/* One step of the sum over k for all columns of a chunk, with the weights at w. */
#define STEP(i, lmul)                                                             \
    sum = PF_RVV_REAL(vfmacc_vf, lmul)(sum, x[i], PF_LOAD_REAL(lmul)(w, vl), vl); \
    w += nb;

/* `k` steps, added to a sum. */
#define STEPS(lmul)                                                                             \
    PF_INLINE PF_VREAL(lmul) steps_m##lmul(PF_VREAL(lmul) sum, int32_t k, const pf_real *x,     \
                                           const pf_real *w, ptrdiff_t nb, size_t vl) {         \
        PF_ROLLED                                                                               \
        for (const pf_real *end = x + (k & ~7); x != end; x += 8) {                             \
            STEP(0, lmul)                                                                       \
            STEP(1, lmul)                                                                       \
            STEP(2, lmul) STEP(3, lmul) STEP(4, lmul) STEP(5, lmul) STEP(6, lmul) STEP(7, lmul) \
        }                                                                                       \
        PF_ROLLED                                                                               \
        for (int left = k & 7; left; left--, x++) {                                             \
            STEP(0, lmul)                                                                       \
        }                                                                                       \
        return sum;                                                                             \
    }

#ifdef PF_F16
/* In pieces of so many products, each summed from zero, as f16 loses precision in long sums. */
enum { PIECE = 256 };
#define ALL_STEPS(sum, lmul)                                                                          \
    PF_ROLLED for (int32_t i = 0; i < a->k; i += PIECE) {                                             \
        const PF_VREAL(lmul) none = PF_RVV_REAL(vfmv_v_f, lmul)(0, vl);                               \
        const PF_VREAL(lmul) piece =                                                                  \
            steps_m##lmul(none, PF_MIN(PIECE, a->k - i), x + i, w + (ptrdiff_t)i * a->nb, a->nb, vl); \
        sum = PF_RVV_REAL(vfadd_vv, lmul)(sum, piece, vl);                                            \
    }
#else
#define ALL_STEPS(sum, lmul) sum = steps_m##lmul(sum, a->k, x, w, a->nb, vl);
#endif

/* vl columns of a block, from the weight at w. */
#define COLUMNS(lmul)                                                                              \
    STEPS(lmul)                                                                                    \
    static void columns_m##lmul(const pf_gemv_args *a, const pf_real *x, const pf_real *w,         \
                                const pf_real *bias, pf_real *y, size_t vl) {                      \
        PF_VREAL(lmul) sum = PF_LOAD_REAL(lmul)(bias, vl);                                         \
        ALL_STEPS(sum, lmul)                                                                       \
        if (a->lo > -__builtin_inff()) sum = PF_RVV_REAL(vfmax_vf, lmul)(sum, (pf_real)a->lo, vl); \
        if (a->hi < __builtin_inff()) sum = PF_RVV_REAL(vfmin_vf, lmul)(sum, (pf_real)a->hi, vl);  \
        PF_STORE_REAL(y, sum, vl);                                                                 \
    }
COLUMNS(2)
COLUMNS(4)
COLUMNS(8)

void PF_NAME(gemv_1x8v__rvv)(const void *args, void *const *buf) {
    const pf_gemv_args *a = args;
    const pf_real *x = buf[0], *bias = buf[2];
    pf_real *y = buf[3];
    const int lanes = (int)PF_VLMAX_REAL(1);
    for (int col = 0, vl; col < a->n; col += vl) {
        const int block = col / a->nb, within = col % a->nb;
        const int left = PF_MIN(a->nb - within, a->n - col);
        const pf_real *w = (const pf_real *)buf[1] + (ptrdiff_t)block * a->k * a->nb + within;
        vl = PF_MIN(left, 8 * lanes);
        if (vl > 4 * lanes) {
            columns_m8(a, x, w, bias + col, y + col, (size_t)vl);
        } else if (vl > 2 * lanes) {
            columns_m4(a, x, w, bias + col, y + col, (size_t)vl);
        } else {
            columns_m2(a, x, w, bias + col, y + col, (size_t)vl);
        }
    }
}

/* clang-format off */
#define AFTER_1(X)
#define AFTER_2(X) X(1, 0, t1, t0)
#define AFTER_3(X) AFTER_2(X) X(2, 1, t0, t1)
#define AFTER_4(X) AFTER_3(X) X(3, 2, t1, t0)
#define AFTER_5(X) AFTER_4(X) X(4, 3, t0, t1)
#define LAST_1 MULTIPLY(0, t0)
#define LAST_2 MULTIPLY(1, t1)
#define LAST_3 MULTIPLY(2, t0)
#define LAST_4 MULTIPLY(3, t1)
#define LAST_5 MULTIPLY(4, t0)

#define SUM(r, before, t, u) \
    PF_VREAL(4) sum##r; \
    pf_real y##r = bias[r]; \
    const pf_real *w##r = w + (ptrdiff_t)r * a->k;
#define START(r, before, t, u) "vmv.v.i %[sum" #r "], 0\n\tvfmv.s.f %[sum" #r "], %[y" #r "]\n\t"
#define LOAD(r, t) PF_VLE " %[" #t "], (%[w" #r "])\n\tadd %[w" #r "], %[w" #r "], %[step]\n\t"
#define MULTIPLY(r, t) "vfmacc.vv %[sum" #r "], %[v], %[" #t "]\n\t"
#define LOAD_AND_MULTIPLY(r, before, t, u) LOAD(r, t) MULTIPLY(before, u)
#define END(r, before, t, u) \
    "vfredusum.vs %[sum" #r "], %[sum" #r "], %[v]\n\tvfmv.f.s %[y" #r "], %[sum" #r "]\n\t"
#define IN_OUT(r, before, t, u) , [sum##r] "=&vr"(sum##r), [w##r] "+r"(w##r), [y##r] "+f"(y##r)
#define STORE(r, before, t, u) y[r] = y##r;

/* n outputs at once, so that they share the loads of x; not clamped. Vectors of `whole` elements first, then one of
 * the rest, which leaves the sums beyond its end alone. In assembler, as clang moves and spills the sums in C. */
#define OUTPUTS(n) \
    static void outputs_##n(const pf_gemv_args *a, const pf_real *x, const pf_real *w, const pf_real *bias, pf_real *y) { \
        const size_t whole = PF_VLMAX_REAL(4), k = (size_t)a->k; \
        SUM(0, , t0, ) AFTER_##n(SUM) \
        PF_VREAL(4) v, t0, t1; \
        size_t rest = k % whole; \
        const pf_real *end = x + (k - rest); \
        __asm__ volatile( \
            "vsetvli zero, %[whole], " PF_SEW ", m4, tu, ma\n\t" \
            START(0, , t0, ) AFTER_##n(START) \
            "beq %[x], %[end], 2f\n" \
            "1:\n\t" \
            PF_VLE " %[v], (%[x])\n\tadd %[x], %[x], %[step]\n\t" \
            LOAD(0, t0) AFTER_##n(LOAD_AND_MULTIPLY) LAST_##n \
            "bne %[x], %[end], 1b\n" \
            "2:\n\t" \
            "beqz %[rest], 3f\n\t" \
            "vsetvli zero, %[rest], " PF_SEW ", m4, tu, ma\n\t" \
            "add %[end], %[x], %[step]\n\t" \
            "li %[rest], 0\n\t" \
            "j 1b\n" \
            "3:\n\t" \
            "vsetvli zero, %[whole], " PF_SEW ", m4, tu, ma\n\t" \
            "vmv.s.x %[v], zero\n\t" \
            END(0, , t0, ) AFTER_##n(END) \
            : [v] "=&vr"(v), [t0] "=&vr"(t0), [t1] "=&vr"(t1), [x] "+r"(x), [end] "+r"(end), [rest] "+r"(rest) \
              IN_OUT(0, , t0, ) AFTER_##n(IN_OUT) \
            : [whole] "r"(whole), [step] "r"(whole * sizeof *x) \
            : "memory"); \
        STORE(0, , t0, ) AFTER_##n(STORE) \
    }
OUTPUTS(1)
OUTPUTS(2)
OUTPUTS(3)
OUTPUTS(4)
OUTPUTS(5)
/* clang-format on */

void PF_NAME(gemv_5x4v__rvv)(const void *args, void *const *buf) {
    static void (*const outputs[])(const pf_gemv_args *, const pf_real *, const pf_real *, const pf_real *,
                                   pf_real *) = {outputs_1, outputs_2, outputs_3, outputs_4, outputs_5};
    const pf_gemv_args *a = args;
    const pf_real *w = buf[1], *bias = buf[2];
    pf_real *y = buf[3];
    const int groups = (a->n + 4) / 5;
    for (int g = 0, done = 0, some; g < groups; g++, done += some) {
        some = (a->n - done) / (groups - g); /* nearly equal groups */
        outputs[some - 1](a, buf[0], w + (ptrdiff_t)done * a->k, bias + done, y + done);
    }
    clamp(a, y);
}

#endif

/* `columns` columns of a block, with the first weight at w. */
PF_INLINE void scalar_columns(const int columns, const pf_gemv_args *a, const pf_real *x, const pf_real *w,
                              const pf_real *bias, pf_real *y) {
    float sum[4];
    for (int c = 0; c < columns; c++) sum[c] = bias[c];
    for (int i = 0; i < a->k; i++, w += a->nb) {
        for (int c = 0; c < columns; c++) sum[c] += (float)x[i] * (float)w[c];
    }
    for (int c = 0; c < columns; c++) y[c] = (pf_real)sum[c];
}

void PF_NAME(gemv_1x4__scalar)(const void *args, void *const *buf) {
    const pf_gemv_args *a = args;
    const pf_real *x = buf[0], *bias = buf[2];
    pf_real *y = buf[3];
    for (int col = 0, columns; col < a->n; col += columns) {
        const int block = col / a->nb, within = col % a->nb;
        const pf_real *w = (const pf_real *)buf[1] + (ptrdiff_t)block * a->k * a->nb + within;
        columns = PF_MIN(a->nb - within, a->n - col) >= 4 ? 4 : 1;
        if (columns == 4) {
            scalar_columns(4, a, x, w, bias + col, y + col);
        } else {
            scalar_columns(1, a, x, w, bias + col, y + col);
        }
    }
    clamp(a, y);
}

/* `outputs` outputs, with the first weight at w. */
PF_INLINE void scalar_outputs(const int outputs, const pf_gemv_args *a, const pf_real *x, const pf_real *w,
                              const pf_real *bias, pf_real *y) {
    float sum[4];
    for (int r = 0; r < outputs; r++) sum[r] = bias[r];
    for (int i = 0; i < a->k; i++) {
        for (int r = 0; r < outputs; r++) sum[r] += (float)x[i] * (float)w[(ptrdiff_t)r * a->k + i];
    }
    for (int r = 0; r < outputs; r++) y[r] = (pf_real)sum[r];
}

void PF_NAME(gemv_4x1__scalar)(const void *args, void *const *buf) {
    const pf_gemv_args *a = args;
    const pf_real *w = buf[1], *bias = buf[2];
    pf_real *y = buf[3];
    int j = 0;
    for (; j + 4 <= a->n; j += 4) scalar_outputs(4, a, buf[0], w + (ptrdiff_t)j * a->k, bias + j, y + j);
    for (; j < a->n; j++) scalar_outputs(1, a, buf[0], w + (ptrdiff_t)j * a->k, bias + j, y + j);
    clamp(a, y);
}
