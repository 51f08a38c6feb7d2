/* A tile function of qigemm.c, which includes this file once for each LMUL and number of rows: ROWS output pixels by
 * one column chunk, in ROWS accumulators of LMUL vector registers.
 *
 * If GROUPED, the products of a group are first summed in i16, from int8 weights, and then added to the accumulator;
 * if not, weights are widened to i16 and the products are summed in i32 right away, which is better for few columns.
 *
 * The sum is one block of assembler, because clang changes vtype back and forth and spills. It is software pipelined:
 * a step multiplies row r by its scalar, then loads that row's scalar for the next step, and after the last row the
 * weights for the next step. So at each label one step is loaded and not yet multiplied; after the last group it is
 * an input that was there before, and what follows the weights. Tall tiles have scalars for half of their rows: the
 * first half of a step loads those of the second half. */

/* ROLL(X, a) is X(0, a) X(1, a) ... X(ROWS - 1, a); SCALARS(X, a) as many as there are scalars. LOW, if the tile is
 * tall, and HIGH are X(row, scalar, row that the scalar is loaded for next, a). */
#if ROWS == 1
#define ROLL ROLL1
#define HIGH HIGH1
#elif ROWS == 2
#define ROLL ROLL2
#define HIGH HIGH2
#elif ROWS == 3
#define ROLL ROLL3
#define HIGH HIGH3
#elif ROWS == 4
#define ROLL ROLL4
#define HIGH HIGH4
#elif ROWS == 5
#define ROLL ROLL5
#define HIGH HIGH5
#elif ROWS == 6
#define ROLL ROLL6
#define SCALARS ROLL3
#define LOW LOW6
#define HIGH HIGH6
#elif ROWS == 8
#define ROLL ROLL8
#define SCALARS ROLL4
#define LOW LOW8
#define HIGH HIGH8
#elif ROWS == 10
#define ROLL ROLL10
#define SCALARS ROLL5
#define LOW LOW10
#define HIGH HIGH10
#elif ROWS == 12
#define ROLL ROLL12
#define SCALARS ROLL6
#define LOW LOW12
#define HIGH HIGH12
#endif
#ifndef LOW
#define LOW NO_LOW
#define SCALARS ROLL
#endif

#define I32 PF_JOIN(vint32m, LMUL, _t)
#define F32 PF_JOIN(vfloat32m, LMUL, _t)
#if LMUL == 8
#define HALF m4
#define QUARTER m2
#elif LMUL == 4
#define HALF m2
#define QUARTER m1
#elif LMUL == 2
#define HALF m1
#define QUARTER mf2
#else
#define HALF mf2
#define QUARTER mf4
#endif
#define I16 PF_JOIN(vint16, HALF, _t)
#define I8 PF_JOIN(vint8, QUARTER, _t)
#define OP(name, type, lmul) PF_JOIN(__riscv_##name##_, type, lmul)

/* clang-format off */
#define POINTER(r, _) \
    const int8_t *p##r = p; \
    p += x_col;
#define CROSSING_POINTER(r, _) p##r = job->x[r];
#define START(r, _) I32 c##r = OP(vle32_v, i32m, LMUL)(bias, vl);
#define SCALAR(r, _) int64_t s##r;
#define SCALED(r, _) F32 f##r = OP(vfmul_vv, f32m, LMUL)(OP(vfcvt_f_x_v, f32m, LMUL)(c##r, vl), scale, vl);
#define ROUNDED(r, _) \
    const I16 h##r = OP(vsadd_vx, i16, HALF)(OP(vfncvt_x_f_w, i16, HALF)(f##r, vl), zero, vl);
#define NARROWED(r, _) I8 q##r = OP(vnclip_wx, i8, QUARTER)(h##r, 0, __RISCV_VXRM_RNU, vl);
#define CLAMP_LO(r, _) q##r = OP(vmax_vx, i8, QUARTER)(q##r, lo, vl);
#define CLAMP_HI(r, _) q##r = OP(vmin_vx, i8, QUARTER)(q##r, hi, vl);
#define END(r, _) \
    OP(vse8_v, i8, QUARTER)(y, q##r, vl); \
    y += y_col;
#define CROSSING_END(r, _) OP(vse8_v, i8, QUARTER)(job->y[r], q##r, vl);

#define ROW_LOAD(r, at) "lb %[s" #r "], " #at "(%[p" #r "])\n\t"
#define ROW_MOVE(r, _) "add %[p" #r "], %[p" #r "], %[t]\n\t"
#if GROUPED
#define TYPE_FIRST "vsetvli zero, %[vl], e8, " PF_TEXT(QUARTER) ", ta, ma\n\t"
#define WEIGHTS "vle8.v %[w], (%[from])\n\tadd %[from], %[from], %[w_step]\n\t"
#define MULTIPLY_FIRST(r, s) "vwmul.vx %[t" #r "], %[w], %[s" #s "]\n\t"
#define MULTIPLY_NEXT(r, s) "vwmacc.vx %[t" #r "], %[s" #s "], %[w]\n\t"
#define ROW_ADD(r, _) "vwadd.wv %[c" #r "], %[c" #r "], %[t" #r "]\n\t"
#define FLUSH \
    "vsetvli zero, %[vl], e16, " PF_TEXT(HALF) ", ta, ma\n\t" \
    ROLL(ROW_ADD, ) \
    TYPE_FIRST
#define TEMPORARY(r, _) I16 t##r;
#define IN_OUT_TEMPORARY(r) , [t##r] "=&vr"(t##r)
#else
#define TYPE_FIRST "vsetvli zero, %[vl], e16, " PF_TEXT(HALF) ", ta, ma\n\t"
#define WEIGHTS "vle8.v %[w8], (%[from])\n\tadd %[from], %[from], %[w_step]\n\tvsext.vf2 %[w], %[w8]\n\t"
#define MULTIPLY_FIRST(r, s) "vwmacc.vx %[c" #r "], %[s" #s "], %[w]\n\t"
#define MULTIPLY_NEXT MULTIPLY_FIRST
#define FLUSH
#define TEMPORARY(r, _)
#define IN_OUT_TEMPORARY(r)
#endif
#define LOAD(s, r, at) "lb %[s" #s "], " #at "(%[p" #r "])\n\t"
#define FIRST_LOAD(r, s, next, at) MULTIPLY_FIRST(r, s) LOAD(s, next, at)
#define NEXT_LOAD(r, s, next, at) MULTIPLY_NEXT(r, s) LOAD(s, next, at)
/* In the last step of a group pointers move on, after their last load. */
#define FIRST_LOAD_MOVE(r, s, next, at) MULTIPLY_FIRST(r, s) LOAD(s, next, at) ROW_MOVE(next, )
#define NEXT_LOAD_MOVE(r, s, next, at) MULTIPLY_NEXT(r, s) LOAD(s, next, at) ROW_MOVE(next, )
#define FIRST_MOVE_LOAD(r, s, next, at) MULTIPLY_FIRST(r, s) ROW_MOVE(next, ) LOAD(s, next, at)
#define NEXT_MOVE_LOAD(r, s, next, at) MULTIPLY_NEXT(r, s) ROW_MOVE(next, ) LOAD(s, next, at)
#define IN_OUT(r, _) , [c##r] "+vr"(c##r), [p##r] "+r"(p##r) IN_OUT_TEMPORARY(r)
#define IN_OUT_SCALAR(r, _) , [s##r] "=&r"(s##r)

/* The steps of a group before its last. */
#define STEPS1
#define STEPS2 LOW(FIRST_LOAD, 0) HIGH(FIRST_LOAD, 1) WEIGHTS
#define STEPS3 STEPS2 LOW(NEXT_LOAD, 1) HIGH(NEXT_LOAD, 2) WEIGHTS
#define STEPS4 STEPS3 LOW(NEXT_LOAD, 2) HIGH(NEXT_LOAD, 3) WEIGHTS
#define STEPS5 STEPS4 LOW(NEXT_LOAD, 3) HIGH(NEXT_LOAD, 4) WEIGHTS
#define STEPS6 STEPS5 LOW(NEXT_LOAD, 4) HIGH(NEXT_LOAD, 5) WEIGHTS
/* All groups of `size` steps; they end where word `size` of the block says. */
#define GROUPS(size, word, last, KIND) \
    "lw %[end], " #word "(%[block])\n\t" \
    "add %[end], %[end], %[block]\n\t" \
    "beq %[step], %[end], 2f\n" \
    "1:\n\t" \
    STEPS##size \
    "lw %[t], 4(%[step])\n\t" \
    "addi %[step], %[step], 4\n\t" \
    LOW(KIND##_LOAD_MOVE, last) HIGH(KIND##_MOVE_LOAD, 0) WEIGHTS \
    FLUSH \
    "bne %[step], %[end], 1b\n" \
    "2:\n\t"

#define NAME PF_JOIN(tile_m, LMUL, PF_JOIN(_, ROWS, ))

static __attribute__((noinline)) void NAME(const struct job *job, const int8_t *x, int8_t *y, int count) {
    const pf_qigemm_args *a = job->args;
    const size_t vl = job->vl;
    const ptrdiff_t x_col = a->x_col_stride, y_col = a->y_col_stride, w_step = a->nb;
    const int32_t *const bias = job->bias, *const block = job->block;
    const float *const scales = job->scale;
    const int8_t *const w_first = job->w;
    const int16_t zero = (int16_t)a->zero;
    const int8_t lo = (int8_t)a->lo, hi = (int8_t)a->hi;
    const int32_t clamps = job->clamps, crossing = job->crossing;
    PF_ROLLED
    do {
        const int8_t *p = x;
        ROLL(POINTER, )
        x = p;
        if (crossing) {
            ROLL(CROSSING_POINTER, )
        }
        ROLL(START, )
        SCALARS(SCALAR, )
        ROLL(TEMPORARY, )
#if GROUPED
        I8 w;
#else
        I8 w8;
        I16 w;
#endif
        const int8_t *from = w_first;
        const int32_t *step = block + STEPS_AT, *end;
        int64_t t;
        __asm__ volatile(
            TYPE_FIRST
            "lw %[t], (%[step])\n\t"
            ROLL(ROW_MOVE, )
            SCALARS(ROW_LOAD, 0)
            WEIGHTS
            GROUPS(6, 0, 5, NEXT)
            GROUPS(5, 4, 4, NEXT)
            GROUPS(4, 8, 3, NEXT)
            GROUPS(3, 12, 2, NEXT)
            GROUPS(2, 16, 1, NEXT)
            GROUPS(1, 20, 0, FIRST)
            : [w] "=&vr"(w), [from] "+r"(from), [step] "+r"(step), [end] "=&r"(end), [t] "=&r"(t)
#if !GROUPED
              , [w8] "=&vr"(w8)
#endif
              ROLL(IN_OUT, ) SCALARS(IN_OUT_SCALAR, )
            : [w_step] "r"(w_step), [block] "r"(block), [vl] "r"(vl)
            : "memory");
        const F32 scale = OP(vle32_v, f32m, LMUL)(scales, vl);
        ROLL(SCALED, )
        ROLL(ROUNDED, )
        ROLL(NARROWED, )
        if (clamps & 1) {
            ROLL(CLAMP_LO, )
        }
        if (clamps & 2) {
            ROLL(CLAMP_HI, )
        }
        if (crossing) {
            ROLL(CROSSING_END, )
        } else {
            ROLL(END, )
        }
    } while (--count);
}

/* clang-format on */

#undef ROLL
#undef HIGH
#undef SCALARS
#undef LOW
#undef I32
#undef F32
#undef HALF
#undef QUARTER
#undef I16
#undef I8
#undef OP
#undef POINTER
#undef CROSSING_POINTER
#undef START
#undef SCALAR
#undef SCALED
#undef ROUNDED
#undef NARROWED
#undef CLAMP_LO
#undef CLAMP_HI
#undef END
#undef CROSSING_END
#undef ROW_LOAD
#undef ROW_MOVE
#undef TYPE_FIRST
#undef WEIGHTS
#undef MULTIPLY_FIRST
#undef MULTIPLY_NEXT
#undef ROW_ADD
#undef FLUSH
#undef TEMPORARY
#undef IN_OUT_TEMPORARY
#undef LOAD
#undef FIRST_LOAD
#undef NEXT_LOAD
#undef FIRST_LOAD_MOVE
#undef NEXT_LOAD_MOVE
#undef FIRST_MOVE_LOAD
#undef NEXT_MOVE_LOAD
#undef IN_OUT
#undef IN_OUT_SCALAR
#undef STEPS1
#undef STEPS2
#undef STEPS3
#undef STEPS4
#undef STEPS5
#undef STEPS6
#undef GROUPS
#undef NAME
#undef ROWS
