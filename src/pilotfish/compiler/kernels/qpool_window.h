/* One window of an int8 pool: a template for qpool.c, with PF_B, PF_H and PF_W the LMULs of i8, i16 and i32. */

#define PF_VB PF_PASTE(vint8, PF_B, _t)
#define PF_VH PF_PASTE(vint16, PF_H, _t)
#define PF_VW PF_PASTE(vint32, PF_W, _t)
#define PF_AT(name, lmul) PF_PASTE(__riscv_##name, lmul, )
#define PF_FOR(name) PF_PASTE(name, _, PF_B)

PF_INLINE void PF_FOR(put)(const struct window *w, PF_VB v, int8_t *y, size_t vl) {
    if (w->bounded) v = __riscv_vmin(__riscv_vmax(v, w->lo, vl), w->hi, vl);
    __riscv_vse8(y, v, vl);
}

static inline void PF_FOR(largest)(const struct window *w, const int8_t *x, int8_t *y) {
    const ptrdiff_t row_step = w->row_step, col_step = w->col_step;
    const int32_t w_rows = w->rows, w_cols = w->cols;
    size_t vl;
    PF_ROLLED for (size_t left = (size_t)w->channels; left > 0; left -= vl, x += vl, y += vl) {
        vl = PF_AT(vsetvl_e8, PF_B)(left);
        PF_VB v;
        if (w_rows > 0) { /* the first tap starts the accumulator */
            v = PF_AT(vle8_v_i8, PF_B)(x, vl);
            const int8_t *row = x, *p = x + col_step;
            int32_t cols = w_cols - 1;
            for (int32_t rows = w_rows;;) {
                PF_ROLLED for (; cols > 0; cols--, p += col_step) {
                    v = __riscv_vmax(v, PF_AT(vle8_v_i8, PF_B)(p, vl), vl);
                }
                if (--rows == 0) break;
                p = row += row_step;
                cols = w_cols;
            }
        } else {
            v = PF_AT(vmv_v_x_i8, PF_B)(INT8_MIN, vl);
        }
        PF_FOR(put)(w, v, y, vl);
    }
}

/* Up to 256 taps are added in i16, then these sums in i32. */
static inline void PF_FOR(mean)(const struct window *w, const int8_t *x, int8_t *y) {
    const ptrdiff_t row_step = w->row_step, col_step = w->col_step;
    const int32_t w_rows = w->rows, w_cols = w->cols;
    size_t vl;
    PF_ROLLED for (size_t left = (size_t)w->channels; left > 0; left -= vl, x += vl, y += vl) {
        vl = PF_AT(vsetvl_e8, PF_B)(left);
        PF_VW sum = PF_AT(vmv_v_x_i32, PF_W)(w->start, vl);
        PF_VH part = PF_AT(vmv_v_x_i16, PF_H)(0, vl);
        int32_t room = 256;
        const int8_t *row = x;
        PF_ROLLED for (int32_t rows = w_rows; rows > 0; rows--, row += row_step) {
            const int8_t *p = row;
            PF_ROLLED for (int32_t cols = w_cols; cols > 0;) {
                if (room == 0) {
                    sum = __riscv_vwadd_wv(sum, part, vl);
                    part = PF_AT(vmv_v_x_i16, PF_H)(0, vl);
                    room = 256;
                }
                int32_t run = PF_MIN(cols, room);
                cols -= run;
                room -= run;
                PF_ROLLED for (; run > 0; run--, p += col_step) {
                    part = __riscv_vwadd_wv(part, PF_AT(vle8_v_i8, PF_B)(p, vl), vl);
                }
            }
        }
        sum = __riscv_vwadd_wv(sum, part, vl);
        const PF_VH h = PF_AT(vfncvt_x_f_w_i16, PF_H)(
            __riscv_vfmul(PF_AT(vfcvt_f_x_v_f32, PF_W)(sum, vl), w->scale, vl), vl);
        PF_FOR(put)(w, PF_AT(vnclip_wx_i8, PF_B)(__riscv_vsadd(h, w->zero, vl), 0, __RISCV_VXRM_RDN, vl), y,
                    vl);
    }
}

#undef PF_VB
#undef PF_VH
#undef PF_VW
#undef PF_AT
#undef PF_FOR
#undef PF_B
#undef PF_H
#undef PF_W
