/* The product of one row and a matrix of few columns, in int8. Vectors run along the sum, and some columns share the
 * loads of x. Many columns are better served by qigemm with one pixel. */
#include "qgemv.h"

#include "pf_kernel.h"
#include "qrows.h"

enum { COLUMNS_MAX = 64 };

pf_kernel qs8_qc8w_gemv_4x1__scalar;

#if PF_RVV

pf_kernel qs8_qc8w_gemv_4x4v__rvv;

/* clang-format off */
#define EACH1(X) X(0, u0)
#define EACH2(X) EACH1(X) X(1, u1)
#define EACH3(X) EACH2(X) X(2, u0)
#define EACH4(X) EACH3(X) X(3, u1)
/* After the load of one column's weights comes the multiplication of the column before. */
#define AHEAD1(X)
#define AHEAD2(X) X(1, u1, 0, u0)
#define AHEAD3(X) AHEAD2(X) X(2, u0, 1, u1)
#define AHEAD4(X) AHEAD3(X) X(3, u1, 2, u0)
#define LAST1(X) X(0, u0)
#define LAST2(X) X(1, u1)
#define LAST3(X) X(2, u0)
#define LAST4(X) X(3, u1)

#define COLUMN(r, u) \
    vint32m4_t sum##r = __riscv_vmv_v_x_i32m4(0, chunk); \
    vint16m2_t t##r; \
    const int8_t *w##r = w + (ptrdiff_t)r * a->k;
#define LOAD(r, u) "vle8.v %[" #u "], (%[w" #r "])\n\tadd %[w" #r "], %[w" #r "], %[chunk]\n\t"
#define FIRST(r, u) "vwmul.vv %[t" #r "], %[v], %[" #u "]\n\t"
#define SECOND(r, u) "vwmacc.vv %[t" #r "], %[v], %[" #u "]\n\t"
#define LOAD_FIRST(r, u, before, u_before) LOAD(r, u) FIRST(before, u_before)
#define LOAD_SECOND(r, u, before, u_before) LOAD(r, u) SECOND(before, u_before)
#define ADD(r, u) "vwadd.wv %[sum" #r "], %[sum" #r "], %[t" #r "]\n\t"
#define IN_OUT(r, u) , [sum##r] "+vr"(sum##r), [t##r] "=&vr"(t##r), [w##r] "+r"(w##r)
#define SINGLE(r, u) \
    t##r = __riscv_vwmul_vv_i16m2(v, __riscv_vle8_v_i8m1(w##r, vl), vl); \
    w##r += vl; \
    sum##r = __riscv_vwadd_wv_i32m4_tu(sum##r, sum##r, t##r, vl);
#define REDUCE(r, u) \
    sums[r] = __riscv_vmv_x_s_i32m1_i32( \
        __riscv_vredsum_vs_i32m4_i32m1(sum##r, __riscv_vmv_s_x_i32m1(0, 1), chunk));
#define X_LOAD "vle8.v %[v], (%[x])\n\tadd %[x], %[x], %[chunk]\n\t"

/* n columns at once. Two products at a time are added in i16, and then to the sums. In assembler, as clang would
 * change vtype for each column. */
#define COLUMNS(n) \
    static void columns_##n(const pf_qgemv_args *a, const int8_t *x, const int8_t *w, int32_t *sums) { \
        const size_t chunk = __riscv_vsetvlmax_e8m1(); \
        EACH##n(COLUMN) \
        int32_t left = a->k; \
        vint8m1_t v; \
        if (a->pairs && left >= (int32_t)(2 * chunk)) { \
            const int8_t *end = x + ((size_t)left / (2 * chunk) * (2 * chunk)); \
            left -= (int32_t)(end - x); \
            vint8m1_t u0, u1; \
            __asm__ volatile( \
                "1:\n\t" \
                "vsetvli zero, %[chunk], e8, m1, ta, ma\n\t" \
                X_LOAD LOAD(0, u0) AHEAD##n(LOAD_FIRST) LAST##n(FIRST) \
                X_LOAD LOAD(0, u0) AHEAD##n(LOAD_SECOND) LAST##n(SECOND) \
                "vsetvli zero, %[chunk], e16, m2, ta, ma\n\t" \
                EACH##n(ADD) \
                "bne %[x], %[end], 1b\n\t" \
                : [v] "=&vr"(v), [u0] "=&vr"(u0), [u1] "=&vr"(u1), [x] "+r"(x) EACH##n(IN_OUT) \
                : [chunk] "r"(chunk), [end] "r"(end) \
                : "memory"); \
        } \
        PF_ROLLED \
        while (left) { \
            const size_t vl = PF_MIN((size_t)left, chunk); \
            v = __riscv_vle8_v_i8m1(x, vl); \
            EACH##n(SINGLE) \
            x += vl; \
            left -= (int32_t)vl; \
        } \
        EACH##n(REDUCE) \
    }
COLUMNS(1)
COLUMNS(2)
COLUMNS(3)
COLUMNS(4)
/* clang-format on */

void qs8_qc8w_gemv_4x4v__rvv(const void *args, void *const *buf) {
    static void (*const columns[])(const pf_qgemv_args *, const int8_t *, const int8_t *, int32_t *) = {
        columns_1, columns_2, columns_3, columns_4};
    const pf_qgemv_args *a = args;
    const int8_t *w = buf[1];
    const int32_t *bias = buf[2];
    const float *scale = buf[3];
    int8_t *y = buf[4];
    int32_t sums[COLUMNS_MAX];
    const int groups = (a->n + 3) / 4;
    for (int g = 0, done = 0, some; g < groups; g++, done += some) {
        some = (a->n - done) / (groups - g); /* nearly equal groups */
        columns[some - 1](a, buf[0], w + (ptrdiff_t)done * a->k, sums + done);
    }
    PF_ROLLED
    for (size_t j = 0, vl; j < (size_t)a->n; j += vl) {
        vl = __riscv_vsetvl_e32m2((size_t)a->n - j);
        const vint32m2_t sum = __riscv_vadd_vv_i32m2(__riscv_vle32_v_i32m2(sums + j, vl),
                                                     __riscv_vle32_v_i32m2(bias + j, vl), vl);
        const vfloat32m2_t scaled = __riscv_vfmul_vv_f32m2(__riscv_vfcvt_f_x_v_f32m2(sum, vl),
                                                           __riscv_vle32_v_f32m2(scale + j, vl), vl);
        const vint16m1_t rounded =
            __riscv_vsadd_vx_i16m1(__riscv_vfncvt_x_f_w_i16m1(scaled, vl), (int16_t)a->zero, vl);
        vint8mf2_t narrow = __riscv_vnclip_wx_i8mf2(rounded, 0, __RISCV_VXRM_RNU, vl);
        narrow = __riscv_vmax_vx_i8mf2(narrow, (int8_t)a->lo, vl);
        narrow = __riscv_vmin_vx_i8mf2(narrow, (int8_t)a->hi, vl);
        __riscv_vse8_v_i8mf2(y + j, narrow, vl);
    }
}

#endif

/* `columns` columns, a constant, with the first weight at w. */
PF_INLINE void scalar_columns(const int columns, const pf_qgemv_args *a, const int8_t *x, const int8_t *w,
                              const int32_t *bias, const float *scale, int8_t *y) {
    int32_t sum[4];
    for (int c = 0; c < columns; c++) sum[c] = bias[c];
    const ptrdiff_t k = a->k;
    _Pragma("clang loop unroll_count(4)") for (ptrdiff_t i = 0; i < k; i++) {
        for (int c = 0; c < columns; c++) sum[c] += x[i] * w[c * k + i];
    }
    for (int c = 0; c < columns; c++) y[c] = pf_round_s8((float)sum[c] * scale[c], a->zero, a->lo, a->hi);
}

void qs8_qc8w_gemv_4x1__scalar(const void *args, void *const *buf) {
    const pf_qgemv_args *a = args;
    const int8_t *w = buf[1];
    const int32_t *bias = buf[2];
    const float *scale = buf[3];
    int8_t *y = buf[4];
    int j = 0;
    for (; j + 4 <= a->n; j += 4) {
        scalar_columns(4, a, buf[0], w + (ptrdiff_t)j * a->k, bias + j, scale + j, y + j);
    }
    for (; j < a->n; j++) {
        scalar_columns(1, a, buf[0], w + (ptrdiff_t)j * a->k, bias + j, scale + j, y + j);
    }
}
