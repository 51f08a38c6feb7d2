/* Bytes set to one pattern: frames of zero points, and runs. */
#include "qhalo.h"

#include "pf_kernel.h"

/* n bytes from y on. */
typedef void set_fn(int8_t *y, size_t n, int8_t pattern);

/* The frame is a run before the first row, one between each two, and one after the last. */
PF_INLINE void halo(const pf_qhalo_args *p, int8_t *image, set_fn *set) {
    const int8_t pattern = (int8_t)p->pattern;
    const ptrdiff_t pitch = p->pitch, keep = (ptrdiff_t)p->cols * p->channels;
    const ptrdiff_t head = p->top * pitch + (ptrdiff_t)p->left * p->channels;
    const ptrdiff_t tail = p->bottom * pitch + (ptrdiff_t)p->right * p->channels;
    PF_ROLLED for (int32_t i = 0; i < p->batch; i++, image += (p->top + p->rows + p->bottom) * pitch) {
        int8_t *y = image;
        set(y, (size_t)head, pattern);
        y += head + keep;
        PF_ROLLED for (int32_t r = 1; r < p->rows; r++, y += pitch) set(y, (size_t)(pitch - keep), pattern);
        set(y, (size_t)tail, pattern);
    }
}

PF_INLINE void fill(const pf_qfill_args *p, int8_t *y, set_fn *set) {
    y += p->offset;
    PF_ROLLED for (int64_t r = 0; r < p->rows; r++, y += p->row_stride) {
        set(y, (size_t)p->cols, (int8_t)p->pattern);
    }
}

#define PF_SET(ISA)                                           \
    pf_kernel x8_halo__##ISA, x8_fill__##ISA;                 \
    void x8_halo__##ISA(const void *args, void *const *buf) { \
        halo(args, buf[0], set_##ISA);                        \
    }                                                         \
    void x8_fill__##ISA(const void *args, void *const *buf) { \
        fill(args, buf[0], set_##ISA);                        \
    }

#if PF_RVV

static void set_rvv(int8_t *y, size_t n, int8_t pattern) {
    const size_t one = __riscv_vsetvlmax_e8m1();
    if (n <= one) {
        __riscv_vse8(y, __riscv_vmv_v_x_i8m1(pattern, n), n);
    } else if (n <= 2 * one) {
        __riscv_vse8(y, __riscv_vmv_v_x_i8m2(pattern, n), n);
    } else {
        const vint8m4_t v = __riscv_vmv_v_x_i8m4(pattern, 4 * one);
        size_t vl;
        PF_ROLLED for (; n > 0; n -= vl, y += vl) {
            vl = __riscv_vsetvl_e8m4(n);
            __riscv_vse8(y, v, vl);
        }
    }
}

PF_SET(rvv)

#endif

static void set_scalar(int8_t *y, size_t n, int8_t pattern) {
    for (size_t i = 0; i < n; i++) y[i] = pattern;
}

PF_SET(scalar)
