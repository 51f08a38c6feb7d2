/* A tile function of igemm.c, which includes this file once for each LMUL and number of rows: ROWS output pixels by
 * one column chunk, in ROWS accumulators of LMUL vector registers. ROLL(X, a) is X(0, a) X(1, a) ... X(ROWS - 1, a).
 *
 * The sum is one block of assembler, because clang hoists loads until the accumulators spill. It is software
 * pipelined: a step multiplies row r by its scalar, then loads that row's scalar for the next step, and after the
 * last row the vector of weights for the next step. So at each label one step is loaded and not yet multiplied.
 * Nothing is read beyond the runs and the weights. A run of k elements is, in this order: k & 4 elements, in the
 * second half of a pass through the loop of 8; k / 8 times 8; k & 3 one by one. */

#define VECTOR PF_VREAL(LMUL)
#define LOAD(p) PF_LOAD_REAL(LMUL)(p, vl)
#define STORE(p, v) PF_STORE_REAL(p, v, vl)
#define LEAST(v, x) PF_RVV_REAL(vfmax_vf, LMUL)(v, x, vl)
#define GREATEST(v, x) PF_RVV_REAL(vfmin_vf, LMUL)(v, x, vl)

/* clang-format off */
#define POINTER(r, _) \
    const pf_real *p##r = p; \
    p += x_col;
#define CROSSING_POINTER(r, _) p##r = job->x[r];
#define START(r, _) VECTOR c##r = bias;
#define SCALAR(r, _) pf_real s##r;
#ifdef PF_F16
#define STARTED (job->later ? PF_RVV_REAL(vfmv_v_f, LMUL)(0, vl) : LOAD(job->bias))
#else
#define STARTED LOAD(job->bias)
#endif
#define ADD(r, _) \
    c##r = PF_RVV_REAL(vfadd_vv, LMUL)(c##r, LOAD(before), vl); \
    before += y_col;
#define CROSSING_ADD(r, _) c##r = PF_RVV_REAL(vfadd_vv, LMUL)(c##r, LOAD(job->y[r]), vl);
#define CLAMP_LO(r, _) c##r = LEAST(c##r, lo);
#define CLAMP_HI(r, _) c##r = GREATEST(c##r, hi);
#define END(r, _) \
    STORE(y, c##r); \
    y += y_col;
#define CROSSING_END(r, _) STORE(job->y[r], c##r);

#define ROW_LOAD(r, at) PF_FL " %[s" #r "], " #at "*" PF_SIZE "(%[p" #r "])\n\t"
#define ROW_SUM(r, _) "vfmacc.vf %[c" #r "], %[s" #r "], %[v]\n\t"
#define ROW_STEP(r, at) ROW_SUM(r, ) ROW_LOAD(r, at)
#define ROW_ADVANCE(r, elements) "addi %[p" #r "], %[p" #r "], " #elements "*" PF_SIZE "\n\t"
#define ROW_MOVE(r, _) "add %[p" #r "], %[p" #r "], %[t]\n\t"
#define WEIGHTS PF_VLE " %[v], (%[w])\n\tadd %[w], %[w], %[w_step]\n\t"
#define STEP(at) ROLL(ROW_STEP, at) WEIGHTS
#define IN_OUT(r, _) , [c##r] "+vr"(c##r), [p##r] "+r"(p##r), [s##r] "=&f"(s##r)

#define NAME PF_JOIN(tile_m, LMUL, PF_JOIN(_, ROWS, ))

static __attribute__((noinline)) void NAME(const struct job *job, const pf_real *x, pf_real *y, int count) {
    const pf_igemm_args *a = job->args;
    const size_t vl = job->vl;
    const ptrdiff_t x_col = a->x_col_stride, y_col = a->y_col_stride;
    const pf_real lo = (pf_real)a->lo, hi = (pf_real)a->hi;
    PF_ROLLED
    do {
        const pf_real *p = x;
        ROLL(POINTER, )
        x = p;
        if (job->crossing) {
            ROLL(CROSSING_POINTER, )
        }
        const VECTOR bias = STARTED;
        ROLL(START, )
        ROLL(SCALAR, )
        VECTOR weights;
        const pf_real *w = job->w;
        int64_t passes, tap_x = a->taps_x, tap_y = a->taps_y, t = (int64_t)vl;
        __asm__ volatile(
            "vsetvli zero, %[t], " PF_SEW ", m" PF_TEXT(LMUL) ", ta, ma\n\t"
            WEIGHTS
            "lw %[t], %[half](%[job])\n\t"
            "lw %[passes], %[all_passes](%[job])\n\t"
            "bnez %[t], 0f\n\t"
            ROLL(ROW_LOAD, 0)
            "bnez %[passes], 2f\n\t"
            "j 4f\n"
            "0:\n\t"
            ROLL(ROW_LOAD, 4)
            "j 3f\n"

            "1:\n\t"
            ROLL(ROW_ADVANCE, 8)
            STEP(0)
            "2:\n\t"
            STEP(1) STEP(2) STEP(3) STEP(4)
            "3:\n\t"
            STEP(5) STEP(6) STEP(7)
            "addi %[passes], %[passes], -1\n\t"
            "bnez %[passes], 1b\n\t"

            "lw %[passes], %[rest](%[job])\n\t"
            "beqz %[passes], 7f\n\t"
            ROLL(ROW_ADVANCE, 8)
            STEP(0)
            "j 6f\n"
            "4:\n\t"
            "lw %[passes], %[rest](%[job])\n\t"
            "j 6f\n"
            "5:\n\t"
            ROLL(ROW_ADVANCE, 1)
            STEP(0)
            "6:\n\t"
            "addi %[passes], %[passes], -1\n\t"
            "bnez %[passes], 5b\n"

            "7:\n\t" /* the next run, if any */
            "addi %[tap_x], %[tap_x], -1\n\t"
            "ld %[t], %[step_x](%[job])\n\t"
            "bnez %[tap_x], 8f\n\t"
            "addi %[tap_y], %[tap_y], -1\n\t"
            "beqz %[tap_y], 9f\n\t"
            "lw %[tap_x], %[taps_x](%[job])\n\t"
            "ld %[t], %[step_y](%[job])\n"
            "8:\n\t"
            ROLL(ROW_MOVE, )
            "lw %[t], %[half](%[job])\n\t"
            "lw %[passes], %[all_passes](%[job])\n\t"
            "bnez %[t], 10f\n\t"
            STEP(0)
            "bnez %[passes], 2b\n\t"
            "j 4b\n"
            "10:\n\t"
            STEP(4)
            "j 3b\n"
            "9:\n\t"
            ROLL(ROW_SUM, )
            : [v] "=&vr"(weights), [w] "+r"(w), [passes] "=&r"(passes), [tap_x] "+r"(tap_x), [tap_y] "+r"(tap_y),
              [t] "+r"(t) ROLL(IN_OUT, )
            : [w_step] "r"(a->w_k_stride * sizeof *w), [job] "r"(job), [half] "i"(offsetof(struct job, half)),
              [all_passes] "i"(offsetof(struct job, passes)), [rest] "i"(offsetof(struct job, rest)),
              [taps_x] "i"(offsetof(struct job, taps_x)), [step_x] "i"(offsetof(struct job, step_x)),
              [step_y] "i"(offsetof(struct job, step_y))
            : "memory");
#ifdef PF_F16
        if (job->later && job->crossing) {
            ROLL(CROSSING_ADD, )
        } else if (job->later) {
            const pf_real *before = y;
            ROLL(ADD, )
        }
#endif
        if (job->clamps & 1) {
            ROLL(CLAMP_LO, )
        }
        if (job->clamps & 2) {
            ROLL(CLAMP_HI, )
        }
        if (job->crossing) {
            ROLL(CROSSING_END, )
        } else {
            ROLL(END, )
        }
    } while (--count);
}

/* clang-format on */

#undef NAME
#undef VECTOR
#undef LOAD
#undef STORE
#undef LEAST
#undef GREATEST
#undef POINTER
#undef CROSSING_POINTER
#undef START
#undef SCALAR
#undef STARTED
#undef ADD
#undef CROSSING_ADD
#undef CLAMP_LO
#undef CLAMP_HI
#undef END
#undef CROSSING_END
#undef ROW_LOAD
#undef ROW_SUM
#undef ROW_STEP
#undef ROW_ADVANCE
#undef ROW_MOVE
#undef WEIGHTS
#undef STEP
#undef IN_OUT
#undef ROWS
#undef ROLL
