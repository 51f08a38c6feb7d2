/* A tile function of igemm.c, which includes this file once for each LMUL and number of rows: ROWS output pixels by
 * one column chunk, in ROWS accumulators of LMUL vector registers. ROLL(X, a) is X(0, a) X(1, a) ... X(ROWS - 1, a).
 *
 * The sum is one block of assembler, because clang hoists loads until the accumulators spill. It is software
 * pipelined: a step multiplies row r by its scalar, then loads that row's scalar for the next step, and after the
 * last row the vector of weights for the next step. So at each label one step is loaded and not yet multiplied.
 * Nothing is read beyond the runs and the weights. A run of k elements is, in this order: k & 4 elements, in the
 * second half of a pass through the loop of 8; k / 8 times 8; k & 3 one by one. */

#define F32 PF_JOIN(vfloat32m, LMUL, _t)
#define LOAD(p) PF_JOIN(__riscv_vle32_v_f32m, LMUL, )(p, vl)
#define STORE(p, v) PF_JOIN(__riscv_vse32_v_f32m, LMUL, )(p, v, vl)
#define LEAST(v, x) PF_JOIN(__riscv_vfmax_vf_f32m, LMUL, )(v, x, vl)
#define GREATEST(v, x) PF_JOIN(__riscv_vfmin_vf_f32m, LMUL, )(v, x, vl)

/* clang-format off */
#define POINTER(r, _) \
    const float *p##r = p; \
    p += x_col;
#define CROSSING_POINTER(r, _) p##r = job->x[r];
#define START(r, _) F32 c##r = bias;
#define SCALAR(r, _) float s##r;
#define CLAMP_LO(r, _) c##r = LEAST(c##r, lo);
#define CLAMP_HI(r, _) c##r = GREATEST(c##r, hi);
#define END(r, _) \
    STORE(y, c##r); \
    y += y_col;
#define CROSSING_END(r, _) STORE(job->y[r], c##r);

#define ROW_LOAD(r, at) "flw %[s" #r "], " #at "(%[p" #r "])\n\t"
#define ROW_SUM(r, _) "vfmacc.vf %[c" #r "], %[s" #r "], %[v]\n\t"
#define ROW_STEP(r, at) ROW_SUM(r, ) ROW_LOAD(r, at)
#define ROW_ADVANCE(r, bytes) "addi %[p" #r "], %[p" #r "], " #bytes "\n\t"
#define ROW_MOVE(r, _) "add %[p" #r "], %[p" #r "], %[t]\n\t"
#define WEIGHTS "vle32.v %[v], (%[w])\n\tadd %[w], %[w], %[w_step]\n\t"
#define STEP(at) ROLL(ROW_STEP, at) WEIGHTS
#define IN_OUT(r, _) , [c##r] "+vr"(c##r), [p##r] "+r"(p##r), [s##r] "=&f"(s##r)

#define NAME PF_JOIN(tile_m, LMUL, PF_JOIN(_, ROWS, ))

static __attribute__((noinline)) void NAME(const struct job *job, const float *x, float *y, int count) {
    const pf_igemm_args *a = job->args;
    const size_t vl = job->vl;
    const ptrdiff_t x_col = a->x_col_stride, y_col = a->y_col_stride;
    const float lo = a->lo, hi = a->hi;
    PF_ROLLED
    do {
        const float *p = x;
        ROLL(POINTER, )
        x = p;
        if (job->crossing) {
            ROLL(CROSSING_POINTER, )
        }
        const F32 bias = LOAD(job->bias);
        ROLL(START, )
        ROLL(SCALAR, )
        F32 weights;
        const float *w = job->w;
        int64_t passes, tap_x = a->taps_x, tap_y = a->taps_y, t = (int64_t)vl;
        __asm__ volatile(
            "vsetvli zero, %[t], e32, m" PF_TEXT(LMUL) ", ta, ma\n\t"
            WEIGHTS
            "lw %[t], %[half](%[job])\n\t"
            "lw %[passes], %[all_passes](%[job])\n\t"
            "bnez %[t], 0f\n\t"
            ROLL(ROW_LOAD, 0)
            "bnez %[passes], 2f\n\t"
            "j 4f\n"
            "0:\n\t"
            ROLL(ROW_LOAD, 16)
            "j 3f\n"

            "1:\n\t"
            ROLL(ROW_ADVANCE, 32)
            STEP(0)
            "2:\n\t"
            STEP(4) STEP(8) STEP(12) STEP(16)
            "3:\n\t"
            STEP(20) STEP(24) STEP(28)
            "addi %[passes], %[passes], -1\n\t"
            "bnez %[passes], 1b\n\t"

            "lw %[passes], %[rest](%[job])\n\t"
            "beqz %[passes], 7f\n\t"
            ROLL(ROW_ADVANCE, 32)
            STEP(0)
            "j 6f\n"
            "4:\n\t"
            "lw %[passes], %[rest](%[job])\n\t"
            "j 6f\n"
            "5:\n\t"
            ROLL(ROW_ADVANCE, 4)
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
            STEP(16)
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
#undef F32
#undef LOAD
#undef STORE
#undef LEAST
#undef GREATEST
#undef POINTER
#undef CROSSING_POINTER
#undef START
#undef SCALAR
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
