/* One image and one chunk of output channels: a template that firstconv.c includes with ROWS pixels a tile, LMUL, TAPS in a row of taps,
 * STRIDE between outputs in taps, and ROLL(X) = X(0) ... X(ROWS - 1) defined.
 *
 * Neighbouring pixels share inputs: pixel r takes input r * STRIDE + tap. The taps of one remainder g by STRIDE take
 * inputs g, g + STRIDE, ..., which pixel after pixel reads again. So a group of taps loads ROWS of these for its first
 * tap, and a single one for each further tap.
 *
 * Clang likes to load vectors ahead of their use, for which there are few registers here. One scalar of each step is a
 * volatile load, which stops that, but not always; so where no register is left, weights are loaded "tail undisturbed"
 * over those before them, which ties them to the same register. (The sums then say so too, or vtype would change twice
 * a step.) */

#define VECTOR PF_VREAL(LMUL)
#define LOAD(p) PF_LOAD_REAL(LMUL)(p, vl)
#if ROWS * LMUL < 28
#define NEXT_WEIGHTS(p) weights = LOAD(p)
#define SUM(r) c##r = PF_RVV_REAL(vfmacc_vf, LMUL)(c##r, s[r + t], weights, vl);
#else
#define NEXT_WEIGHTS(p) weights = PF_LOAD_REAL_TU(LMUL)(weights, p, vl)
#define SUM(r) c##r = PF_RVV_REAL_TU(vfmacc_vf, LMUL)(c##r, s[r + t], weights, vl);
#endif
#define START(r) VECTOR c##r = weights;
#define CLAMP_LO(r) c##r = PF_RVV_REAL(vfmax_vf, LMUL)(c##r, (pf_real)a->lo, vl);
#define CLAMP_HI(r) c##r = PF_RVV_REAL(vfmin_vf, LMUL)(c##r, (pf_real)a->hi, vl);
#define END(r)                       \
    PF_STORE_REAL(y_tile, c##r, vl); \
    y_tile += y_col;
#define STEP(T)                                                             \
    if (g + T * STRIDE < TAPS) {                                            \
        enum { t = T, fresh = T ? ROWS - 1 + T : 0 };                       \
        s[fresh] = PF_LOAD_HERE(from + fresh * STRIDE * pitch);             \
        if (!T) {                                                           \
            for (int i = 1; i < ROWS; i++) s[i] = from[i * STRIDE * pitch]; \
        }                                                                   \
        NEXT_WEIGHTS(w + (g + T * STRIDE) * nb);                            \
        ROLL(SUM)                                                           \
    }
#define GROUP(G)                               \
    if (G < STRIDE) {                          \
        enum { g = G };                        \
        const pf_real *from = at + g * pitch;  \
        pf_real s[ROWS + (TAPS - 1) / STRIDE]; \
        STEP(0) STEP(1) STEP(2) STEP(3)        \
    }

/* `pitch`: elements from one input pixel to the next, a constant where it can be. */
PF_INLINE void PF_TILE(image)(const ptrdiff_t pitch, const struct job *job, const pf_real *x, pf_real *y) {
    const pf_firstconv_args *a = job->args;
    const size_t vl = job->vl;
    const ptrdiff_t nb = a->nb, y_col = a->y_col_stride, channel_step = a->x_channel_stride;
    const ptrdiff_t row_step = a->x_tap_y_stride - channel_step * a->channels;
    const ptrdiff_t cols = a->cols;
    PF_ROLLED
    for (int32_t rows = a->rows; rows > 0; rows--, x += a->x_row_stride, y += a->y_row_stride) {
        const pf_real *x_tile = x;
        pf_real *y_tile = y;
        PF_ROLLED
        for (ptrdiff_t left = cols; left > 0; left -= ROWS) {
            if (left < ROWS) { /* the last tile ends where the row does, and does some pixels again */
                x_tile -= (ROWS - left) * STRIDE * pitch;
                y_tile -= (ROWS - left) * y_col;
            }
            VECTOR weights = LOAD(job->bias);
            ROLL(START)
            const pf_real *at = x_tile, *w = job->w;
            int32_t taps_y = a->taps_y;
            PF_ROLLED
            do {
                int32_t channels = a->channels;
                PF_ROLLED
                do {
                    GROUP(0) GROUP(1) at += channel_step;
                    w += TAPS * nb;
                } while (--channels);
                at += row_step;
            } while (--taps_y);
            if (job->clamp_lo) {
                ROLL(CLAMP_LO)
            }
            if (job->clamp_hi) {
                ROLL(CLAMP_HI)
            }
            ROLL(END)
            x_tile += ROWS * STRIDE * pitch;
        }
    }
}

static __attribute__((noinline)) void PF_TILE(images)(const struct job *job, const pf_real *x, pf_real *y) {
    const ptrdiff_t pitch = job->args->x_tap_x_stride;
    if (pitch == 1) {
        PF_TILE(image)(1, job, x, y);
    } else if (pitch == 3) {
        PF_TILE(image)(3, job, x, y);
    } else {
        PF_TILE(image)(pitch, job, x, y);
    }
}

#undef VECTOR
#undef LOAD
#undef START
#undef NEXT_WEIGHTS
#undef SUM
#undef CLAMP_LO
#undef CLAMP_HI
#undef END
#undef STEP
#undef GROUP
#undef ROWS
#undef LMUL
#undef TAPS
#undef STRIDE
#undef ROLL
