/* Bytes looked up in a table of 256: any function of one int8. */
#include "lut8.h"

#include "pf_vec.h"
#include "qrows.h"

/* Four at a time, or clang makes pointers for each. */
static void look_up(const uint8_t *table, const uint8_t *x, uint8_t *y, int64_t n) {
    PF_ROLLED for (; n >= 4; n -= 4, x += 4, y += 4) {
        const uint8_t a = table[x[0]], b = table[x[1]], c = table[x[2]], d = table[x[3]];
        y[0] = a, y[1] = b, y[2] = c, y[3] = d;
    }
    PF_ROLLED for (; n > 0; n--) *y++ = table[*x++];
}

pf_kernel x8_lut__scalar;

void x8_lut__scalar(const void *args, void *const *buf) {
    const pf_lut8_args *p = args;
    PF_ROWS(uint8_t, uint8_t, look_up, buf[2], x, y, p->dims[3])
}

#if PF_RVV

typedef void row(const uint8_t *table, const uint8_t *x, uint8_t *y, int64_t n);

/* The whole table in one vector of 256 bytes. */
#define PF_LUT_ROW(LMUL)                                                                        \
    static void look_up_##LMUL(const uint8_t *table, const uint8_t *x, uint8_t *y, int64_t n) { \
        const vuint8##LMUL##_t values = __riscv_vle8_v_u8##LMUL(table, 256);                    \
        size_t vl;                                                                              \
        PF_ROLLED for (size_t left = (size_t)n; left > 0; left -= vl, x += vl, y += vl) {       \
            vl = __riscv_vsetvl_e8##LMUL(left);                                                 \
            const vuint8##LMUL##_t at = __riscv_vle8_v_u8##LMUL(x, vl);                         \
            __riscv_vse8(y, __riscv_vrgather(values, at, vl), vl);                              \
        }                                                                                       \
    }

PF_LUT_ROW(m8)
PF_LUT_ROW(m4)
PF_LUT_ROW(m2)

/* Vectors of 128 bytes at most: an index beyond the vector gives 0, so both halves can be looked up and combined. */
static void look_up_halves(const uint8_t *table, const uint8_t *x, uint8_t *y, int64_t n) {
    size_t vl;
    PF_ROLLED for (size_t left = (size_t)n; left > 0; left -= vl, x += vl, y += vl) {
        const vuint8m8_t first = __riscv_vle8_v_u8m8(table, 128),
                         second = __riscv_vle8_v_u8m8(table + 128, 128);
        vl = __riscv_vsetvl_e8m8(left);
        const vuint8m8_t at = __riscv_vle8_v_u8m8(x, vl), found = __riscv_vrgather(first, at, vl);
        const vuint8m8_t more = __riscv_vrgather(second, __riscv_vxor(at, 128, vl), vl);
        __riscv_vse8(y, __riscv_vor(found, more, vl), vl);
    }
}

pf_kernel x8_lut_8v__rvv;

/* A gather takes the square of its LMUL on the machines we know, so the smallest that holds the table is best. */
void x8_lut_8v__rvv(const void *args, void *const *buf) {
    const pf_lut8_args *p = args;
    const size_t bytes = __riscv_vsetvlmax_e8m1();
    row *const look_up = bytes < 32    ? look_up_halves
                         : bytes < 64  ? look_up_m8
                         : bytes < 128 ? look_up_m4
                                       : look_up_m2;
    PF_ROWS(uint8_t, uint8_t, look_up, buf[2], x, y, p->dims[3])
}

#endif
