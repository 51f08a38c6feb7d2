/* One window of a pool at one LMUL: a template that pool.c includes with PF_LMUL defined. The first tap
 * starts the accumulator, so that no vector is spent on a neutral element. */

#define PF_POOL_WINDOW(NAME, EMPTY, TAP, END)                                 \
    static void PF_(NAME)(const struct window *w, const float *x, float *y) { \
        PF_ROLLED for (int32_t left = w->channels; left > 0;) {               \
            const size_t vl = PF_(vl)(left);                                  \
            PF_V v;                                                           \
            if (w->rows > 0) {                                                \
                v = PF_(load)(x, vl);                                         \
                const float *row = x, *p = x + w->col_step;                   \
                int32_t cols = w->cols - 1;                                   \
                for (int32_t rows = w->rows;;) {                              \
                    PF_ROLLED for (; cols > 0; cols--, p += w->col_step) {    \
                        v = PF_(TAP)(v, PF_(load)(p, vl), vl);                \
                    }                                                         \
                    if (--rows == 0) break;                                   \
                    row += w->row_step;                                       \
                    p = row;                                                  \
                    cols = w->cols;                                           \
                }                                                             \
                END                                                           \
            } else {                                                          \
                v = PF_(splat)(EMPTY, vl);                                    \
            }                                                                 \
            if (w->bounded) v = PF_(clip)(v, w->lo, w->hi, vl);               \
            PF_(store)(y, v, vl);                                             \
            x += vl;                                                          \
            y += vl;                                                          \
            left -= (int32_t)vl;                                              \
        }                                                                     \
    }

PF_POOL_WINDOW(pool_max, -__builtin_inff(), maxnum, )
PF_POOL_WINDOW(pool_mean, 0.0f, add, v = PF_(muls)(v, w->scale, vl);)

#undef PF_POOL_WINDOW
#undef PF_LMUL
