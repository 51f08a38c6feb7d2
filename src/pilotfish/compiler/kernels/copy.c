/* Copies with any strides, fills, and frames of zeros.
 *
 * The compiler orders and merges the dimensions (copy.py), so here the last dimension is the one worth a
 * vector and the last but one repeats it; the other four only move the pointers.
 */
#include "copy.h"

#include "pf_kernel.h"

/* Calls PLANE(p, x, y) for each index of the four outer dimensions. */
#define PF_COPY_WALK(T, PLANE)                                                            \
    const pf_copy_args *p = args;                                                         \
    const int64_t *d = p->dims, *in = p->in_strides, *out = p->out_strides;               \
    const T *x0 = (const T *)buf[0] + p->in_offset;                                       \
    T *y0 = (T *)buf[1] + p->out_offset;                                                  \
    PF_ROLLED for (int64_t i = 0; i < d[0]; i++, x0 += in[0], y0 += out[0]) {             \
        const T *x1 = x0;                                                                 \
        T *y1 = y0;                                                                       \
        PF_ROLLED for (int64_t j = 0; j < d[1]; j++, x1 += in[1], y1 += out[1]) {         \
            const T *x2 = x1;                                                             \
            T *y2 = y1;                                                                   \
            PF_ROLLED for (int64_t k = 0; k < d[2]; k++, x2 += in[2], y2 += out[2]) {     \
                const T *x3 = x2;                                                         \
                T *y3 = y2;                                                               \
                PF_ROLLED for (int64_t l = 0; l < d[3]; l++, x3 += in[3], y3 += out[3]) { \
                    PLANE(p, x3, y3);                                                     \
                }                                                                         \
            }                                                                             \
        }                                                                                 \
    }

/* The frame is a run before the first row, one between each two, and one after the last. */
#define PF_HALO(SET)                                                                            \
    const pf_halo_args *p = args;                                                               \
    const ptrdiff_t keep = (ptrdiff_t)p->cols * p->channels,                                    \
                    head = (ptrdiff_t)p->top * p->pitch + (ptrdiff_t)p->left * p->channels;     \
    const ptrdiff_t gap = p->pitch - keep,                                                      \
                    tail = (ptrdiff_t)p->bottom * p->pitch + (ptrdiff_t)p->right * p->channels; \
    uint32_t *image = buf[0];                                                                   \
    PF_ROLLED for (int32_t i = 0; i < p->batch;                                                 \
                   i++, image += (ptrdiff_t)(p->top + p->rows + p->bottom) * p->pitch) {        \
        uint32_t *y = image;                                                                    \
        SET(y, (size_t)head, 0);                                                                \
        y += head + keep;                                                                       \
        PF_ROLLED for (int32_t r = 1; r < p->rows; r++, y += p->pitch) SET(y, (size_t)gap, 0);  \
        SET(y, (size_t)tail, 0);                                                                \
    }

#if PF_RVV

/* One vector's worth of columns, down all rows. */
#define PF_COPY_DOWN(T, MOVE)   \
    do {                        \
        const T *a = x;         \
        T *b = y;               \
        int64_t n = p->dims[4]; \
        PF_ROLLED do {          \
            MOVE;               \
            a += in[4];         \
            b += out[4];        \
        }                       \
        while (--n);            \
    } while (0)

/* Columns outside, rows inside: strided accesses then stay in few cache lines from row to row. */
#define PF_COPY_COLUMNS(B, L)                                                                                \
    static void columns_x##B##m##L(const pf_copy_args *p, const uint##B##_t *x, uint##B##_t *y) {            \
        typedef uint##B##_t T;                                                                               \
        const int64_t *in = p->in_strides, *out = p->out_strides;                                            \
        const ptrdiff_t step = in[5] * (B / 8), out_step = out[5] * (B / 8);                                 \
        PF_ROLLED for (int64_t left = p->dims[5]; left > 0;) {                                               \
            const size_t vl = __riscv_vsetvl_e##B##m##L((size_t)left);                                       \
            if (in[5] == 1 && out[5] == 1) {                                                                 \
                PF_COPY_DOWN(T, __riscv_vse##B(b, __riscv_vle##B##_v_u##B##m##L(a, vl), vl));                \
            } else if (in[5] == 0 && out[5] == 1) {                                                          \
                PF_COPY_DOWN(T, __riscv_vse##B(b, __riscv_vmv_v_x_u##B##m##L(*a, vl), vl));                  \
            } else if (out[5] == 1) {                                                                        \
                PF_COPY_DOWN(T, __riscv_vse##B(b, __riscv_vlse##B##_v_u##B##m##L(a, step, vl), vl));         \
            } else if (in[5] == 1) {                                                                         \
                PF_COPY_DOWN(T, __riscv_vsse##B(b, out_step, __riscv_vle##B##_v_u##B##m##L(a, vl), vl));     \
            } else {                                                                                         \
                PF_COPY_DOWN(T,                                                                              \
                             __riscv_vsse##B(b, out_step, __riscv_vlse##B##_v_u##B##m##L(a, step, vl), vl)); \
            }                                                                                                \
            x += (int64_t)vl * in[5];                                                                        \
            y += (int64_t)vl * out[5];                                                                       \
            left -= (int64_t)vl;                                                                             \
        }                                                                                                    \
    }

/* Long contiguous rows go one after the other instead, as memory likes it; short ones take a small LMUL. */
#define PF_COPY(B)                                                                           \
    PF_COPY_COLUMNS(B, 2)                                                                    \
    PF_COPY_COLUMNS(B, 8)                                                                    \
    static void plane_x##B(const pf_copy_args *p, const uint##B##_t *x, uint##B##_t *y) {    \
        const int64_t cols = p->dims[5];                                                     \
        if (cols <= (int64_t)__riscv_vsetvlmax_e##B##m2()) {                                 \
            columns_x##B##m2(p, x, y);                                                       \
        } else if (cols <= (int64_t)__riscv_vsetvlmax_e##B##m8() || p->in_strides[5] != 1 || \
                   p->out_strides[5] != 1) {                                                 \
            columns_x##B##m8(p, x, y);                                                       \
        } else {                                                                             \
            PF_ROLLED for (int64_t r = 0; r < p->dims[4]; r++) {                             \
                const uint##B##_t *a = x + r * p->in_strides[4];                             \
                uint##B##_t *b = y + r * p->out_strides[4];                                  \
                PF_ROLLED for (size_t left = (size_t)cols; left > 0;) {                      \
                    const size_t vl = __riscv_vsetvl_e##B##m8(left);                         \
                    __riscv_vse##B(b, __riscv_vle##B##_v_u##B##m8(a, vl), vl);               \
                    a += vl;                                                                 \
                    b += vl;                                                                 \
                    left -= vl;                                                              \
                }                                                                            \
            }                                                                                \
        }                                                                                    \
    }                                                                                        \
    void x##B##_copy__rvv(const void *args, void *const *buf) {                              \
        PF_COPY_WALK(uint##B##_t, plane_x##B)                                                \
    }

PF_COPY(8)
PF_COPY(16)
PF_COPY(32)
PF_COPY(64)

static void set_run(uint32_t *y, size_t n, uint32_t pattern) {
    if (n <= __riscv_vsetvlmax_e32m2()) {
        __riscv_vse32(y, __riscv_vmv_v_x_u32m2(pattern, n), n);
        return;
    }
    const vuint32m8_t v = __riscv_vmv_v_x_u32m8(pattern, __riscv_vsetvlmax_e32m8());
    PF_ROLLED while (n > 0) {
        const size_t vl = __riscv_vsetvl_e32m8(n);
        __riscv_vse32(y, v, vl);
        y += vl;
        n -= vl;
    }
}

void x32_fill__rvv(const void *args, void *const *buf) {
    const pf_fill_args *p = args;
    uint32_t *y = (uint32_t *)buf[0] + p->offset;
    PF_ROLLED for (int64_t r = 0; r < p->rows; r++, y += p->row_stride) {
        set_run(y, (size_t)p->cols, (uint32_t)p->pattern);
    }
}

void x32_halo__rvv(const void *args, void *const *buf){PF_HALO(set_run)}
#endif

/* Without vectors: one loop over the last dimension. The compiler turns the contiguous one into what the
 * machine copies fastest. */
#define PF_COPY_SCALAR(B)                                                                         \
    static void plane_scalar_x##B(const pf_copy_args *p, const uint##B##_t *x, uint##B##_t *y) {  \
        const int64_t in = p->in_strides[5], out = p->out_strides[5], cols = p->dims[5];          \
        for (int64_t r = 0; r < p->dims[4]; r++, x += p->in_strides[4], y += p->out_strides[4]) { \
            if (in == 1 && out == 1) {                                                            \
                for (int64_t i = 0; i < cols; i++) y[i] = x[i];                                   \
            } else {                                                                              \
                PF_SCALAR_LOOP for (int64_t i = 0; i < cols; i++) y[i * out] = x[i * in];         \
            }                                                                                     \
        }                                                                                         \
    }                                                                                             \
    void x##B##_copy__scalar(const void *args, void *const *buf) {                                \
        PF_COPY_WALK(uint##B##_t, plane_scalar_x##B)                                              \
    }

PF_COPY_SCALAR(8) PF_COPY_SCALAR(16) PF_COPY_SCALAR(32) PF_COPY_SCALAR(64)

    static void set_run_scalar(uint32_t *y, size_t n, uint32_t pattern) {
    for (size_t i = 0; i < n; i++) y[i] = pattern;
}

void x32_fill__scalar(const void *args, void *const *buf) {
    const pf_fill_args *p = args;
    uint32_t *y = (uint32_t *)buf[0] + p->offset;
    for (int64_t r = 0; r < p->rows; r++, y += p->row_stride) {
        set_run_scalar(y, (size_t)p->cols, (uint32_t)p->pattern);
    }
}

void x32_halo__scalar(const void *args, void *const *buf) {
    PF_HALO(set_run_scalar)
}
