/* The product of one row and a matrix. Every weight is used once, so that what counts is the work beside
 * multiplying: vectors along the columns if there are many, along the sum if there are few. */
#include "gemv.h"

#include "pf_kernel.h"

pf_kernel f32_gemv_1x4__scalar, f32_gemv_4x1__scalar;

static void clamp(const pf_gemv_args *a, float *y) {
    if (a->lo > -__builtin_inff()) {
        for (int i = 0; i < a->n; i++) y[i] = __builtin_fmaxf(y[i], a->lo);
    }
    if (a->hi < __builtin_inff()) {
        for (int i = 0; i < a->n; i++) y[i] = __builtin_fminf(y[i], a->hi);
    }
}

#if PF_RVV

pf_kernel f32_gemv_1x8v__rvv, f32_gemv_5x4v__rvv;

/* One step of the sum over k for all columns of a chunk, with the weights at w. */
#define STEP(i, lmul)                                                                   \
    sum = __riscv_vfmacc_vf_f32##lmul(sum, x[i], __riscv_vle32_v_f32##lmul(w, vl), vl); \
    w += a->nb;

/* vl columns of a block, from the weight at w. */
#define COLUMNS(lmul)                                                                                    \
    static void columns_##lmul(const pf_gemv_args *a, const float *x, const float *w, const float *bias, \
                               float *y, size_t vl) {                                                    \
        vfloat32##lmul##_t sum = __riscv_vle32_v_f32##lmul(bias, vl);                                    \
        PF_ROLLED                                                                                        \
        for (const float *end = x + (a->k & ~7); x != end; x += 8) {                                     \
            STEP(0, lmul)                                                                                \
            STEP(1, lmul) STEP(2, lmul) STEP(3, lmul) STEP(4, lmul) STEP(5, lmul) STEP(6, lmul)          \
                STEP(7, lmul)                                                                            \
        }                                                                                                \
        PF_ROLLED                                                                                        \
        for (int left = a->k & 7; left; left--, x++) {                                                   \
            STEP(0, lmul)                                                                                \
        }                                                                                                \
        if (a->lo > -__builtin_inff()) sum = __riscv_vfmax_vf_f32##lmul(sum, a->lo, vl);                 \
        if (a->hi < __builtin_inff()) sum = __riscv_vfmin_vf_f32##lmul(sum, a->hi, vl);                  \
        __riscv_vse32_v_f32##lmul(y, sum, vl);                                                           \
    }
COLUMNS(m2)
COLUMNS(m4)
COLUMNS(m8)

void f32_gemv_1x8v__rvv(const void *args, void *const *buf) {
    const pf_gemv_args *a = args;
    const float *x = buf[0], *bias = buf[2];
    float *y = buf[3];
    const int lanes = (int)__riscv_vsetvlmax_e32m1();
    for (int col = 0, vl; col < a->n; col += vl) {
        const int block = col / a->nb, within = col % a->nb;
        const int left = PF_MIN(a->nb - within, a->n - col);
        const float *w = (const float *)buf[1] + (ptrdiff_t)block * a->k * a->nb + within;
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
    vfloat32m4_t sum##r; \
    float y##r = bias[r]; \
    const float *w##r = w + (ptrdiff_t)r * a->k;
#define START(r, before, t, u) "vmv.v.i %[sum" #r "], 0\n\tvfmv.s.f %[sum" #r "], %[y" #r "]\n\t"
#define LOAD(r, t) "vle32.v %[" #t "], (%[w" #r "])\n\tadd %[w" #r "], %[w" #r "], %[step]\n\t"
#define MULTIPLY(r, t) "vfmacc.vv %[sum" #r "], %[v], %[" #t "]\n\t"
#define LOAD_AND_MULTIPLY(r, before, t, u) LOAD(r, t) MULTIPLY(before, u)
#define END(r, before, t, u) \
    "vfredusum.vs %[sum" #r "], %[sum" #r "], %[v]\n\tvfmv.f.s %[y" #r "], %[sum" #r "]\n\t"
#define IN_OUT(r, before, t, u) , [sum##r] "=&vr"(sum##r), [w##r] "+r"(w##r), [y##r] "+f"(y##r)
#define STORE(r, before, t, u) y[r] = y##r;

/* n outputs at once, so that they share the loads of x; not clamped. Vectors of `whole` elements first, then one of
 * the rest, which leaves the sums beyond its end alone. In assembler, as clang moves and spills the sums in C. */
#define OUTPUTS(n) \
    static void outputs_##n(const pf_gemv_args *a, const float *x, const float *w, const float *bias, float *y) { \
        const size_t whole = __riscv_vsetvlmax_e32m4(), k = (size_t)a->k; \
        SUM(0, , t0, ) AFTER_##n(SUM) \
        vfloat32m4_t v, t0, t1; \
        size_t rest = k % whole; \
        const float *end = x + (k - rest); \
        __asm__ volatile( \
            "vsetvli zero, %[whole], e32, m4, tu, ma\n\t" \
            START(0, , t0, ) AFTER_##n(START) \
            "beq %[x], %[end], 2f\n" \
            "1:\n\t" \
            "vle32.v %[v], (%[x])\n\tadd %[x], %[x], %[step]\n\t" \
            LOAD(0, t0) AFTER_##n(LOAD_AND_MULTIPLY) LAST_##n \
            "bne %[x], %[end], 1b\n" \
            "2:\n\t" \
            "beqz %[rest], 3f\n\t" \
            "vsetvli zero, %[rest], e32, m4, tu, ma\n\t" \
            "add %[end], %[x], %[step]\n\t" \
            "li %[rest], 0\n\t" \
            "j 1b\n" \
            "3:\n\t" \
            "vsetvli zero, %[whole], e32, m4, tu, ma\n\t" \
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

void f32_gemv_5x4v__rvv(const void *args, void *const *buf) {
    static void (*const outputs[])(const pf_gemv_args *, const float *, const float *, const float *,
                                   float *) = {outputs_1, outputs_2, outputs_3, outputs_4, outputs_5};
    const pf_gemv_args *a = args;
    const float *w = buf[1], *bias = buf[2];
    float *y = buf[3];
    const int groups = (a->n + 4) / 5;
    for (int g = 0, done = 0, some; g < groups; g++, done += some) {
        some = (a->n - done) / (groups - g); /* nearly equal groups */
        outputs[some - 1](a, buf[0], w + (ptrdiff_t)done * a->k, bias + done, y + done);
    }
    clamp(a, y);
}

#endif

/* `columns` columns of a block, with the first weight at w. */
PF_INLINE void scalar_columns(const int columns, const pf_gemv_args *a, const float *x, const float *w,
                              const float *bias, float *y) {
    float sum[4];
    for (int c = 0; c < columns; c++) sum[c] = bias[c];
    for (int i = 0; i < a->k; i++, w += a->nb) {
        for (int c = 0; c < columns; c++) sum[c] += x[i] * w[c];
    }
    for (int c = 0; c < columns; c++) y[c] = sum[c];
}

void f32_gemv_1x4__scalar(const void *args, void *const *buf) {
    const pf_gemv_args *a = args;
    const float *x = buf[0], *bias = buf[2];
    float *y = buf[3];
    for (int col = 0, columns; col < a->n; col += columns) {
        const int block = col / a->nb, within = col % a->nb;
        const float *w = (const float *)buf[1] + (ptrdiff_t)block * a->k * a->nb + within;
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
PF_INLINE void scalar_outputs(const int outputs, const pf_gemv_args *a, const float *x, const float *w,
                              const float *bias, float *y) {
    float sum[4];
    for (int r = 0; r < outputs; r++) sum[r] = bias[r];
    for (int i = 0; i < a->k; i++) {
        for (int r = 0; r < outputs; r++) sum[r] += x[i] * w[(ptrdiff_t)r * a->k + i];
    }
    for (int r = 0; r < outputs; r++) y[r] = sum[r];
}

void f32_gemv_4x1__scalar(const void *args, void *const *buf) {
    const pf_gemv_args *a = args;
    const float *w = buf[1], *bias = buf[2];
    float *y = buf[3];
    int j = 0;
    for (; j + 4 <= a->n; j += 4) scalar_outputs(4, a, buf[0], w + (ptrdiff_t)j * a->k, bias + j, y + j);
    for (; j < a->n; j++) scalar_outputs(1, a, buf[0], w + (ptrdiff_t)j * a->k, bias + j, y + j);
    clamp(a, y);
}
