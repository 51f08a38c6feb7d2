/* The tile function of qigemm.c that most work is done in: ROWS output pixels by one column chunk, in ROWS
 * accumulators of LMUL vector registers. qigemm.c includes this file once for each. ROLL(X, a) is X(0, a) X(1, a) ...
 * X(ROWS - 1, a).
 *
 * If GROUPED, the products of a group are first summed in i16, from int8 weights, and then added to the accumulator;
 * if not, weights are widened to i16 and the products are summed in i32 right away, which is better for few columns.
 * If WHOLE, rows of weights fill vector registers, and two of them are loaded at once.
 *
 * The sum is one block of assembler, because clang changes vtype back and forth and spills. There is a loop for each
 * kind of item; a jump table leads to those that the block has, in their order. It is software pipelined: a step
 * multiplies row r by its scalar, then loads that row's scalar for the next step, and weights are loaded a step or two
 * before their use. So at each loop's head the first step is loaded and not yet multiplied; after the last item that
 * is an input that was there before, and what follows the weights. Tall tiles have scalars for half of their rows:
 * the first half of a step loads those of the second half. */

/* SCALARS(X, a) rolls over the scalars. LOW, if the tile is tall, and HIGH are X(row, scalar, row that the scalar is
 * loaded for next, a). */
#if ROWS == 1
#define ROLL ROLL1
#define HIGH HIGH1
#elif ROWS == 2
#define ROLL ROLL2
#define HIGH HIGH2
#elif ROWS == 5
#define ROLL ROLL5
#define HIGH HIGH5
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

#include "qigemm_types.h"

/* clang-format off */
#define ROW_LOAD(r, at) "lb %[s" #r "], " #at "(%[p" #r "])\n\t"
#define ROW_MOVE(r, _) "add %[p" #r "], %[p" #r "], %[t]\n\t"
#define LOAD(s, r, at) "lb %[s" #s "], " #at "(%[p" #r "])\n\t"
#define TEMPORARY(r, _) I16 t##r;
#define IN_OUT(r, _) , [c##r] "+vr"(c##r), [p##r] "+r"(p##r) IN_OUT_TEMPORARY(r)
#define IN_OUT_SCALAR(r, _) , [s##r] "=&r"(s##r)
#define ROW_ADD(r, _) "vwadd.wv %[c" #r "], %[c" #r "], %[t" #r "]\n\t"

#if GROUPED
#define TYPE "vsetvli zero, %[vl], e8, " PF_TEXT(QUARTER) ", ta, ma\n\t"
#define MULTIPLY_FIRST(r, s, w) "vwmul.vx %[t" #r "], " w ", %[s" #s "]\n\t"
#define MULTIPLY_NEXT(r, s, w) "vwmacc.vx %[t" #r "], %[s" #s "], " w "\n\t"
#define FLUSH "vsetvli zero, %[vl], e16, " PF_TEXT(HALF) ", ta, ma\n\t" ROLL(ROW_ADD, ) TYPE
#define IN_OUT_TEMPORARY(r) , [t##r] "=&vr"(t##r)
#define EXTEND
#else
#define TYPE "vsetvli zero, %[vl], e16, " PF_TEXT(HALF) ", ta, ma\n\t"
#define MULTIPLY_FIRST(r, s, w) "vwmacc.vx %[c" #r "], %[s" #s "], " w "\n\t"
#define MULTIPLY_NEXT MULTIPLY_FIRST
#define FLUSH
#define IN_OUT_TEMPORARY(r)
#define EXTEND "vsext.vf2 %[w0], %[w1]\n\t"
#endif

/* Weights. W<t> is where row t of an item lies. E<T>_<t> is loaded before the even step t of an item of T rows, ODD
 * before odd ones, A<T> after the last. */
#if WHOLE
#define PAIR(to) "vl" PAIR_REGISTERS "re8.v " to ", (%[from])\n\tadd %[from], %[from], %[two]\n\t"
#define SINGLE(to) "vl" ROW_REGISTERS "re8.v " to ", (%[from])\n\tadd %[from], %[from], %[one]\n\t"
#define PAIR_REGISTERS "4"
#define ROW_REGISTERS "2"
#define W0 "v0"
#define W1 "v2"
#define W2 "v4"
#define W3 "v6"
#define W4 W0
#define W5 W1
#define W6 W2
#define W7 W3
#define W8 W0
#define ODD
#define E1_0
#define A1 SINGLE(W0)
#define E2_0
#define A2 PAIR(W0)
#define E3_0 SINGLE(W2)
#define E3_2 PAIR(W0)
#define A3
#define E4_0 PAIR(W2)
#define E4_2 PAIR(W0)
#define A4
#define E5_0 PAIR(W2)
#define E5_2 SINGLE(W0)
#define E5_4
#define A5 PAIR(W0)
#define E6_0 PAIR(W2)
#define E6_2 PAIR(W0)
#define E6_4
#define A6 PAIR(W0)
#define E7_0 PAIR(W2)
#define E7_2 PAIR(W0)
#define E7_4 SINGLE(W2)
#define E7_6 PAIR(W0)
#define A7
#define E8_0 PAIR(W2)
#define E8_2 PAIR(W0)
#define E8_4 PAIR(W2)
#define E8_6 PAIR(W0)
#define A8
#define E9_0 PAIR(W2)
#define E9_2 PAIR(W0)
#define E9_4 PAIR(W2)
#define E9_6 SINGLE(W0)
#define E9_8
#define A9 PAIR(W0)
#define WEIGHTS_FIRST PAIR(W0)
#define ONES_FIRST "sub %[from], %[from], %[one]\n\t" /* of the pair that was loaded only a row is used */
#else
#define SINGLE(to) "vle8.v " to ", (%[from])\n\tadd %[from], %[from], %[one]\n\t"
#if GROUPED
#define W0 "%[w0]"
#define W1 "%[w1]"
#define ODD SINGLE(W0)
#define EVEN SINGLE(W1)
#define LAST_EVEN
#define LAST_ODD SINGLE(W0)
#define WEIGHTS_FIRST SINGLE(W0)
#else
#define W0 "%[w0]"
#define W1 "%[w0]"
#define ODD SINGLE("%[w1]")
#define EVEN ODD
#define LAST_EVEN ODD
#define LAST_ODD
#define WEIGHTS_FIRST ODD EXTEND
#endif
#define W2 W0
#define W3 W1
#define W4 W0
#define W5 W1
#define W6 W0
#define W7 W1
#define W8 W0
#define E1_0 LAST_EVEN
#define A1 LAST_ODD
#define E2_0 EVEN
#define A2
#define E3_0 EVEN
#define E3_2 LAST_EVEN
#define A3 LAST_ODD
#define E4_0 EVEN
#define E4_2 EVEN
#define A4
#define E5_0 EVEN
#define E5_2 EVEN
#define E5_4 LAST_EVEN
#define A5 LAST_ODD
#define E6_0 EVEN
#define E6_2 EVEN
#define E6_4 EVEN
#define A6
#define E7_0 EVEN
#define E7_2 EVEN
#define E7_4 EVEN
#define E7_6 LAST_EVEN
#define A7 LAST_ODD
#define E8_0 EVEN
#define E8_2 EVEN
#define E8_4 EVEN
#define E8_6 EVEN
#define A8
#define E9_0 EVEN
#define E9_2 EVEN
#define E9_4 EVEN
#define E9_6 EVEN
#define E9_8 LAST_EVEN
#define A9 LAST_ODD
#define ONES_FIRST
#endif

#define FIRST(r, s, next, w, at) MULTIPLY_FIRST(r, s, w) LOAD(s, next, at)
#define NEXT(r, s, next, w, at) MULTIPLY_NEXT(r, s, w) LOAD(s, next, at)
/* In the last step of an item pointers move on, after their last load. */
#define FIRST_LOAD_MOVE(r, s, next, w, at) MULTIPLY_FIRST(r, s, w) LOAD(s, next, at) ROW_MOVE(next, )
#define NEXT_LOAD_MOVE(r, s, next, w, at) MULTIPLY_NEXT(r, s, w) LOAD(s, next, at) ROW_MOVE(next, )
#define FIRST_MOVE_LOAD(r, s, next, w, at) MULTIPLY_FIRST(r, s, w) ROW_MOVE(next, ) LOAD(s, next, 0)
#define NEXT_MOVE_LOAD(r, s, next, w, at) MULTIPLY_NEXT(r, s, w) ROW_MOVE(next, ) LOAD(s, next, 0)
/* Step `at` of an item; KIND is FIRST at the begin of a group. */
#define STEP(weights, KIND, at, next) weights LOW(KIND, W##at, at) HIGH(KIND, W##at, next) EXTEND
#define LAST(weights, KIND, at, after) \
    weights \
    "lw %[t], 4(%[step])\n\t" \
    "addi %[step], %[step], 4\n\t" \
    LOW(KIND##_LOAD_MOVE, W##at, at) HIGH(KIND##_MOVE_LOAD, W##at, 0) EXTEND after

#define ITEM1 LAST(E1_0, FIRST, 0, A1)
#define ITEM2 STEP(E2_0, FIRST, 0, 1) LAST(ODD, NEXT, 1, A2)
#define ITEM3 STEP(E3_0, FIRST, 0, 1) STEP(ODD, NEXT, 1, 2) LAST(E3_2, NEXT, 2, A3)
#define ITEM4 STEP(E4_0, FIRST, 0, 1) STEP(ODD, NEXT, 1, 2) STEP(E4_2, NEXT, 2, 3) LAST(ODD, NEXT, 3, A4)
#define ITEM5 \
    STEP(E5_0, FIRST, 0, 1) STEP(ODD, NEXT, 1, 2) STEP(E5_2, NEXT, 2, 3) STEP(ODD, NEXT, 3, 4) \
    LAST(E5_4, NEXT, 4, A5)
#define ITEM6 \
    STEP(E6_0, FIRST, 0, 1) STEP(ODD, NEXT, 1, 2) STEP(E6_2, NEXT, 2, 3) STEP(ODD, NEXT, 3, 4) \
    STEP(E6_4, NEXT, 4, 5) LAST(ODD, NEXT, 5, A6)
#define ITEM22 \
    STEP(E4_0, FIRST, 0, 1) STEP(ODD, NEXT, 1, 2) FLUSH STEP(E4_2, FIRST, 2, 3) LAST(ODD, NEXT, 3, A4)
#define ITEM32 \
    STEP(E5_0, FIRST, 0, 1) STEP(ODD, NEXT, 1, 2) STEP(E5_2, NEXT, 2, 3) FLUSH \
    STEP(ODD, FIRST, 3, 4) LAST(E5_4, NEXT, 4, A5)
#define ITEM33 \
    STEP(E6_0, FIRST, 0, 1) STEP(ODD, NEXT, 1, 2) STEP(E6_2, NEXT, 2, 3) FLUSH \
    STEP(ODD, FIRST, 3, 4) STEP(E6_4, NEXT, 4, 5) LAST(ODD, NEXT, 5, A6)
#define ITEM43 \
    STEP(E7_0, FIRST, 0, 1) STEP(ODD, NEXT, 1, 2) STEP(E7_2, NEXT, 2, 3) STEP(ODD, NEXT, 3, 4) FLUSH \
    STEP(E7_4, FIRST, 4, 5) STEP(ODD, NEXT, 5, 6) LAST(E7_6, NEXT, 6, A7)
#define ITEM44 \
    STEP(E8_0, FIRST, 0, 1) STEP(ODD, NEXT, 1, 2) STEP(E8_2, NEXT, 2, 3) STEP(ODD, NEXT, 3, 4) FLUSH \
    STEP(E8_4, FIRST, 4, 5) STEP(ODD, NEXT, 5, 6) STEP(E8_6, NEXT, 6, 7) LAST(ODD, NEXT, 7, A8)
#define ITEM54 \
    STEP(E9_0, FIRST, 0, 1) STEP(ODD, NEXT, 1, 2) STEP(E9_2, NEXT, 2, 3) STEP(ODD, NEXT, 3, 4) \
    STEP(E9_4, NEXT, 4, 5) FLUSH \
    STEP(ODD, FIRST, 5, 6) STEP(E9_6, NEXT, 6, 7) STEP(ODD, NEXT, 7, 8) LAST(E9_8, NEXT, 8, A9)

/* To the loop of the next section, or to the end. */
#define NEXT_SECTION \
    "lw %[t], (%[section])\n\t" \
    "lw %[end], 4(%[section])\n\t" \
    "addi %[section], %[section], 8\n\t" \
    "add %[t], %[t], %[table]\n\t" \
    "add %[end], %[end], %[block]\n\t" \
    "jr %[t]\n"
#define SECTION(label, before, item) \
    #label ":\n\t" \
    before \
    "1:\n\t" \
    item \
    FLUSH \
    "bne %[step], %[end], 1b\n\t" \
    NEXT_SECTION

static __attribute__((noinline)) void PF_JOIN(tile_m, LMUL, PF_JOIN(_, ROWS, ))(const struct job *job, const int8_t *x,
                                                                               int8_t *y, int count) {
    TILE_VALUES
    const ptrdiff_t one = a->nb;
#if WHOLE
    const ptrdiff_t two = 2 * one;
#endif
    PF_ROLLED
    do {
        TILE_START
        SCALARS(SCALAR, )
#if GROUPED
        ROLL(TEMPORARY, )
#endif
#if !WHOLE
#if GROUPED
        I8 w0, w1;
#else
        I16 w0;
        I8 w1;
#endif
#endif
        const int8_t *from = w_first;
        const int32_t *section = block + SECTIONS_AT, *step = first_step, *end;
        int64_t t, table;
        __asm__ volatile(
            TYPE
            "lw %[t], (%[step])\n\t"
            "lla %[table], 3f\n\t"
            ROLL(ROW_MOVE, )
            SCALARS(ROW_LOAD, 0)
            WEIGHTS_FIRST
            NEXT_SECTION
            ".option push\n\t"
            ".option norvc\n"
            "3:\n\t" /* in the order of qigemm.py */
            "j 4f\n\tj 5f\n\tj 6f\n\tj 7f\n\tj 8f\n\tj 9f\n\tj 10f\n\tj 11f\n\tj 12f\n\tj 13f\n\tj 14f\n\tj 15f\n\t"
            "j 16f\n\t"
            ".option pop\n"
            SECTION(4, , ITEM54)
            SECTION(5, , ITEM44)
            SECTION(6, , ITEM43)
            SECTION(7, , ITEM33)
            SECTION(8, , ITEM32)
            SECTION(9, , ITEM22)
            SECTION(10, , ITEM6)
            SECTION(11, , ITEM5)
            SECTION(12, , ITEM4)
            SECTION(13, , ITEM3)
            SECTION(14, , ITEM2)
            SECTION(15, ONES_FIRST, ITEM1)
            "16:\n\t"
            : [from] "+r"(from), [section] "+r"(section), [step] "+r"(step), [end] "=&r"(end), [t] "=&r"(t),
              [table] "=&r"(table)
#if !WHOLE
              , [w0] "=&vr"(w0), [w1] "=&vr"(w1)
#endif
              ROLL(IN_OUT, ) SCALARS(IN_OUT_SCALAR, )
            : [one] "r"(one), [block] "r"(block), [vl] "r"(vl)
#if WHOLE
              , [two] "r"(two)
#endif
            : "memory"
#if WHOLE
              , "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7"
#endif
        );
        TILE_END
    } while (--count);
}
/* clang-format on */

#define QIGEMM_UNDEF
#include "qigemm_types.h"
#undef ROLL
#undef SCALARS
#undef LOW
#undef HIGH
#undef ROW_LOAD
#undef ROW_MOVE
#undef LOAD
#undef TEMPORARY
#undef IN_OUT
#undef IN_OUT_SCALAR
#undef ROW_ADD
#undef TYPE
#undef MULTIPLY_FIRST
#undef MULTIPLY_NEXT
#undef FLUSH
#undef IN_OUT_TEMPORARY
#undef EXTEND
#undef PAIR
#undef SINGLE
#undef PAIR_REGISTERS
#undef ROW_REGISTERS
#undef W0
#undef W1
#undef W2
#undef W3
#undef W4
#undef W5
#undef W6
#undef W7
#undef W8
#undef ODD
#undef EVEN
#undef LAST_EVEN
#undef LAST_ODD
#undef E1_0
#undef A1
#undef E2_0
#undef A2
#undef E3_0
#undef E3_2
#undef A3
#undef E4_0
#undef E4_2
#undef A4
#undef E5_0
#undef E5_2
#undef E5_4
#undef A5
#undef E6_0
#undef E6_2
#undef E6_4
#undef A6
#undef E7_0
#undef E7_2
#undef E7_4
#undef E7_6
#undef A7
#undef E8_0
#undef E8_2
#undef E8_4
#undef E8_6
#undef A8
#undef E9_0
#undef E9_2
#undef E9_4
#undef E9_6
#undef E9_8
#undef A9
#undef WEIGHTS_FIRST
#undef ONES_FIRST
#undef FIRST
#undef NEXT
#undef FIRST_LOAD_MOVE
#undef NEXT_LOAD_MOVE
#undef FIRST_MOVE_LOAD
#undef NEXT_MOVE_LOAD
#undef STEP
#undef LAST
#undef ITEM1
#undef ITEM2
#undef ITEM3
#undef ITEM4
#undef ITEM5
#undef ITEM6
#undef ITEM22
#undef ITEM32
#undef ITEM33
#undef ITEM43
#undef ITEM44
#undef ITEM54
#undef NEXT_SECTION
#undef SECTION
#undef GROUPED
#undef WHOLE
#undef ROWS
