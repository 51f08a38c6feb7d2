/* A tile function of qslideconv.c: a template that it includes with ROWS pixels of a row, LMUL, TAPS in a row of taps
 * and STRIDE between pixels, in taps.
 *
 * The sum is one block of assembler, because clang changes vtype back and forth and spills. One turn of its loop is a
 * row of taps of one channel: its inputs lie side by side, and each is multiplied for all pixels that it is a tap of,
 * right after it was loaded two inputs ahead. Products are of i16 and go into i32 at once: three of int8 could be added
 * in i16 first if their weights allow, but then a step takes a third more instructions, and only 6 % fewer slots at 16
 * channels. At the label, the first two inputs and all weights of the row are loaded: after the last, these are two
 * inputs and the weights that follow in memory. */

/* clang-format off */
#define ROLL(X, a) PF_JOIN(ROLL, ROWS, )(X, a)
#define LOAD(s, at) "lb %[s" PF_TEXT(s) "], " PF_TEXT(at) "(%[at])\n\t"
#define PROD(r, w, s) "vwmacc.vx %[c" PF_TEXT(r) "], %[s" PF_TEXT(s) "], %[w" #w "]\n\t"
#define WEIGHTS(w) "vle16.v %[w" #w "], (%[from])\n\tadd %[from], %[from], %[w_step]\n\t"
#define MOVE "add %[at], %[at], %[pitch]\n\t"
#define LAST PF_JOIN(BEFORE_, ROWS, )
#define NEXT_TO_LAST PF_JOIN(BEFORE_, LAST, )
#if TAPS == 4
#define IF_4(...) __VA_ARGS__
#else
#define IF_4(...)
#endif

#if STRIDE == 1
/* Input i is in scalar 0, 1, or 2 + i % 3. */
#define STEP \
    LOAD(4, 2) PROD(0, 0, 0) \
    LOAD(2, 3) PROD(1, 0, 1) PROD(0, 1, 1) \
    PF_JOIN(FROM_2_TO_, LAST, )(SLIDE_1) \
    WEIGHTS(0) MOVE LOAD(0, 0) \
    PROD(LAST, 1, PF_JOIN(TURN_, ROWS, )) PROD(NEXT_TO_LAST, 2, PF_JOIN(TURN_, ROWS, )) \
    WEIGHTS(1) LOAD(1, 1) \
    PROD(LAST, 2, PF_JOIN(TURN_, NEXT_TO_LAST, )) WEIGHTS(2)
#define SLIDE_1(r, before, before2, after2) \
    LOAD(TURN_##after2, after2) \
    PROD(r, 0, TURN_##r) PROD(before, 1, TURN_##r) PROD(before2, 2, TURN_##r)
#else
/* Inputs 2 r and 2 r + 1 are in scalars 0 and 1, or else 2 and 3 for odd r, and 4 and 5 for even ones. */
#define STEP \
    LOAD(2, 2) PROD(0, 0, 0) LOAD(3, 3) PROD(0, 1, 1) \
    SLIDE_2(1, 0, , ) PF_JOIN(FROM_2_TO_, NEXT_TO_LAST, )(SLIDE_2) \
    LOAD(PF_JOIN(EVEN_, ROWS, ), 2 * ROWS) \
    PROD(LAST, 0, PF_JOIN(EVEN_, LAST, )) PROD(NEXT_TO_LAST, 2, PF_JOIN(EVEN_, LAST, )) \
    WEIGHTS(0) IF_4(LOAD(PF_JOIN(ODD_, ROWS, ), 2 * ROWS + 1)) MOVE LOAD(0, 0) \
    PROD(LAST, 1, PF_JOIN(ODD_, LAST, )) IF_4(PROD(NEXT_TO_LAST, 3, PF_JOIN(ODD_, LAST, ))) \
    WEIGHTS(1) LOAD(1, 1) \
    PROD(LAST, 2, PF_JOIN(EVEN_, ROWS, )) \
    WEIGHTS(2) IF_4(PROD(LAST, 3, PF_JOIN(ODD_, ROWS, )) WEIGHTS(3))
#define SLIDE_2(r, before, before2, after2) SLIDE_2_(r, before, PF_JOIN(AFTER_, r, ))
#define SLIDE_2_(r, before, after) SLIDE_2__(r, before, after)
#define SLIDE_2__(r, before, after) \
    LOAD(EVEN_##after, 2 * after) \
    PROD(r, 0, EVEN_##r) PROD(before, 2, EVEN_##r) \
    LOAD(ODD_##after, 2 * after + 1) \
    PROD(r, 1, ODD_##r) IF_4(PROD(before, 3, ODD_##r))
#endif
#define NAME PF_TILE(TAPS, STRIDE, ROWS, LMUL)
#define IN_OUT(r, _) , [c##r] "+vr"(c##r)

static __attribute__((noinline)) void NAME(const struct job *job, const int8_t *x, int8_t *y, int count) {
    const pf_qslideconv_args *a = job->args;
    const size_t vl = job->vl;
    const ptrdiff_t y_col = a->y_col_stride;
    PF_ROLLED
    do {
        ROLL(START, )
        I16 w0, w1, w2;
        int64_t s0, s1, s2, s3, s4;
#if STRIDE == 2
        int64_t s5;
#endif
#if TAPS == 4
        I16 w3;
#endif
        const int8_t *at = x;
        const int16_t *from = job->w;
        __asm__ volatile(
            "vsetvli zero, %[vl], e16, " PF_TEXT(HALF) ", ta, ma\n\t"
            WEIGHTS(0) WEIGHTS(1) WEIGHTS(2) IF_4(WEIGHTS(3))
            LOAD(0, 0) LOAD(1, 1)
            "1:\n\t"
            STEP
            "bne %[from], %[end], 1b\n\t"
            : [w0] "=&vr"(w0), [w1] "=&vr"(w1), [w2] "=&vr"(w2), [from] "+&r"(from), [at] "+&r"(at),
              [s0] "=&r"(s0), [s1] "=&r"(s1), [s2] "=&r"(s2), [s3] "=&r"(s3), [s4] "=&r"(s4)
#if STRIDE == 2
              , [s5] "=&r"(s5)
#endif
#if TAPS == 4
              , [w3] "=&vr"(w3)
#endif
              ROLL(IN_OUT, )
            : [w_step] "r"((ptrdiff_t)a->nb * 2), [pitch] "r"(job->pitch), [end] "r"(job->end), [vl] "r"(vl)
            : "memory");
        REQUANTIZE
        ROLL(END, )
        x += ROWS * STRIDE;
    } while (--count);
}
/* clang-format on */

#undef LOAD
#undef PROD
#undef WEIGHTS
#undef MOVE
#undef LAST
#undef NEXT_TO_LAST
#undef IF_4
#undef STEP
#undef SLIDE_1
#undef SLIDE_2
#undef SLIDE_2_
#undef SLIDE_2__
#undef NAME
#undef IN_OUT
#undef ROLL
#undef ROWS
