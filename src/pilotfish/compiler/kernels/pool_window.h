/* One window of a pool at one LMUL: a template that pool.c includes with LMUL defined. The first tap starts the
 * accumulator, so that no vector is spent on a neutral element. LOAD(p), TAP(v, p) and PUT(p, v) go between memory and
 * vectors of width PF_LMUL; a mean of f16 has vectors of f32. */

#define PF_POOL_WINDOW(NAME, EMPTY, LOAD, TAP, END, PUT)                              \
    static void NAME(const struct window *w, const pf_real *x, pf_real *y) {          \
        PF_ROLLED for (int32_t left = w->channels; left > 0;) {                       \
            const size_t vl = PF_(vl)(left);                                          \
            PF_V v;                                                                   \
            if (w->rows > 0) {                                                        \
                v = PF_(LOAD)(x, vl);                                                 \
                const pf_real *row = x, *p = x + w->col_step;                         \
                int32_t cols = w->cols - 1;                                           \
                for (int32_t rows = w->rows;;) {                                      \
                    PF_ROLLED for (; cols > 0; cols--, p += w->col_step) {            \
                        v = TAP;                                                      \
                    }                                                                 \
                    if (--rows == 0) break;                                           \
                    row += w->row_step;                                               \
                    p = row;                                                          \
                    cols = w->cols;                                                   \
                }                                                                     \
                END                                                                   \
            } else {                                                                  \
                v = PF_(splat)(EMPTY, vl);                                            \
            }                                                                         \
            if (w->bounded) v = PF_(clip)(v, (PF_POOL_S)w->lo, (PF_POOL_S)w->hi, vl); \
            PF_(PUT)(y, v, vl);                                                       \
            x += vl;                                                                  \
            y += vl;                                                                  \
            left -= (int32_t)vl;                                                      \
        }                                                                             \
    }

#define PF_POOL_S pf_real
#ifdef PF_F16
#define PF_LMUL PF_PASTE(h, LMUL, )
#else
#define PF_LMUL PF_PASTE(m, LMUL, )
#endif
PF_POOL_WINDOW(PF_PASTE(pool_max_m, LMUL, ), -__builtin_inff(), load, PF_(maxnum)(v, PF_(load)(p, vl), vl), ,
               store)
#undef PF_LMUL
#undef PF_POOL_S

#define PF_POOL_S float
#define PF_LMUL PF_PASTE(m, LMUL, )
#ifdef PF_F16
PF_POOL_WINDOW(PF_PASTE(pool_mean_m, LMUL, ), 0.0f, loadh, PF_(addh)(v, p, vl),
               v = PF_(muls)(v, w->scale, vl);
               , storeh)
#else
PF_POOL_WINDOW(PF_PASTE(pool_mean_m, LMUL, ), 0.0f, load, PF_(add)(v, PF_(load)(p, vl), vl),
               v = PF_(muls)(v, w->scale, vl);
               , store)
#endif
#undef PF_LMUL
#undef PF_POOL_S

#undef PF_POOL_WINDOW
#undef LMUL
