/* Sum and product of two int8 tensors. qadd.h has the arguments, qadd.py the table rows. */
#include "qadd.h"

#include "pf_vec.h"
#include "qrows.h"

/* The arguments are copied, because stores of bytes might otherwise change them as far as clang knows. */
#define PF_QADD(NAME, ROW, PRODUCT, EXACT)                                            \
    pf_kernel NAME;                                                                   \
    void NAME(const void *args, void *const *buf) {                                   \
        const pf_qadd_args own = *(const pf_qadd_args *)args, *const p = &own;        \
        const int8_t *a0 = buf[0], *b0 = buf[1];                                      \
        int8_t *y0 = buf[2];                                                          \
        PF_ROLLED for (int64_t i = 0; i < p->dims[0]; i++) {                          \
            const int8_t *a1 = a0, *b1 = b0;                                          \
            int8_t *y1 = y0;                                                          \
            PF_ROLLED for (int64_t j = 0; j < p->dims[1]; j++) {                      \
                const int8_t *a = a1, *b = b1;                                        \
                int8_t *y = y1;                                                       \
                PF_ROLLED for (int64_t k = 0; k < p->dims[2]; k++) {                  \
                    ROW(p, PRODUCT, EXACT, a, b, y);                                  \
                    a += p->a_strides[2], b += p->b_strides[2], y += p->y_strides[2]; \
                }                                                                     \
                a1 += p->a_strides[1], b1 += p->b_strides[1], y1 += p->y_strides[1];  \
            }                                                                         \
            a0 += p->a_strides[0], b0 += p->b_strides[0], y0 += p->y_strides[0];      \
        }                                                                             \
    }

#if PF_RVV

#define PF_F m8
#define PF_H m4
#define PF_B m2
#include "qadd_row.h"
#define PF_F m2
#define PF_H m1
#define PF_B mf2
#include "qadd_row.h"

PF_QADD(qs8_add_8v__rvv, row_m8, 0, 0)
PF_QADD(qs8_add_2v__rvv, row_m2, 0, 0)
PF_QADD(qs8_add_exact_8v__rvv, row_m8, 0, 1)
PF_QADD(qs8_mul_8v__rvv, row_m8, 1, 0)
PF_QADD(qs8_mul_2v__rvv, row_m2, 1, 0)
PF_QADD(qs8_mul_exact_8v__rvv, row_m8, 1, 1)

#endif

PF_INLINE void row_scalar(const pf_qadd_args *p, const int product, const int exact, const int8_t *a,
                          const int8_t *b, int8_t *y) {
    (void)exact; /* it always is */
    for (int64_t i = 0; i < p->dims[3]; i++) {
        const float v = (float)(a[i] - p->a_zero) * p->a_scale;
        const float w = (float)(b[i] - p->b_zero) * p->b_scale;
        float both;
        if (product) {
            both = v * w;
        } else {
            both = v + w; /* a statement of its own, so that it is not fused */
        }
        y[i] = pf_round_s8(both / p->y_scale, p->y_zero, p->lo, p->hi);
    }
}

PF_QADD(qs8_add__scalar, row_scalar, 0, 1)
PF_QADD(qs8_mul__scalar, row_scalar, 1, 1)
