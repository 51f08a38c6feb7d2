/* The 3x3 kernels of qdwconv.c in assembler, because clang changes vtype back and forth and spills.
 *
 * v0-v8 are the weights of vl channels, tap a across and l along in v(3a + l); v20 the bias, v24 the scale. Sliding
 * along, an output begins in one column of three inputs (S), goes on in the next (M) and ends in the one after (E): its
 * sum is in i32 in v12 or v16. Products are added in i16 first: the three of a column where that is exact (T), or in
 * pairs (P). Every piece expects and leaves vtype at i8.
 *
 * PF_QDW_FUNCTION defines a function, with the vtypes that PF_T8, PF_T16 and PF_T32 then are. */
#ifndef PF_QDWCONV_ASM_H
#define PF_QDWCONV_ASM_H

/* A line is a step. */
/* clang-format off */

#define PF_E8 "vsetvli zero, zero, " PF_T8 "\n\t"
#define PF_E16 "vsetvli zero, zero, " PF_T16 "\n\t"
#define PF_E32 "vsetvli zero, zero, " PF_T32 "\n\t"

#define PF_LOAD(v, from) "vle8.v " v ", (%[" from "])\n\tadd %[" from "], %[" from "], %[along]\n\t"
#define PF_LOADS PF_LOAD("v9", "p") PF_LOAD("v10", "q") PF_LOAD("v11", "r")
#define PF_MUL(d, x, w) "vwmul.vv " d ", " x ", " w "\n\t"
#define PF_MAC(d, x, w) "vwmacc.vv " d ", " x ", " w "\n\t"
#define PF_ADD(sum, t) "vwadd.wv " sum ", " sum ", " t "\n\t"

/* The column's products for an output that goes on, for one that ends, or for both, added to their sums. P keeps the
 * third product of an output that begins in v30, for the next column to add its own to it. */
#define PF_M_T(sum)           \
    PF_MUL("v28", "v9", "v1") \
    PF_MAC("v28", "v10", "v4") PF_MAC("v28", "v11", "v7") PF_E16 PF_ADD(sum, "v28") PF_E8
#define PF_M_P(sum)           \
    PF_MUL("v28", "v9", "v1") \
    PF_MAC("v30", "v11", "v7") PF_MAC("v28", "v10", "v4") PF_E16 PF_ADD(sum, "v30") PF_ADD(sum, "v28") PF_E8
#define PF_E_T(sum)           \
    PF_MUL("v28", "v9", "v2") \
    PF_MAC("v28", "v10", "v5") PF_MAC("v28", "v11", "v8") PF_E16 PF_ADD(sum, "v28") PF_E8
#define PF_E_P(sum)           \
    PF_MUL("v28", "v9", "v2") \
    PF_MUL("v30", "v11", "v8") PF_MAC("v28", "v10", "v5") PF_E16 PF_ADD(sum, "v30") PF_ADD(sum, "v28") PF_E8
#define PF_EM_T(end, mid)                                                                           \
    PF_MUL("v28", "v9", "v2")                                                                       \
    PF_MUL("v30", "v9", "v1")                                                                       \
    PF_MAC("v28", "v10", "v5")                                                                      \
    PF_MAC("v30", "v10", "v4") PF_MAC("v28", "v11", "v8") PF_MAC("v30", "v11", "v7") PF_E16 PF_ADD( \
        end, "v28") PF_ADD(mid, "v30") PF_E8
#define PF_EM_P(end, mid)                                                                                   \
    PF_MUL("v28", "v9", "v2")                                                                               \
    PF_MAC("v30", "v11", "v7")                                                                              \
    PF_MAC("v28", "v10", "v5")                                                                              \
    PF_E16 PF_ADD(mid, "v30") PF_ADD(end, "v28") PF_E8 PF_MUL("v28", "v9", "v1") PF_MUL("v30", "v11", "v8") \
        PF_MAC("v28", "v10", "v4") PF_E16 PF_ADD(end, "v30") PF_ADD(mid, "v28") PF_E8
/* The column's products for the output that begins; then, at i16, its sum. */
#define PF_BEGIN_T PF_MUL("v28", "v9", "v0") PF_MAC("v28", "v10", "v3") PF_MAC("v28", "v11", "v6")
#define PF_BEGIN_P PF_MUL("v28", "v9", "v0") PF_MUL("v30", "v11", "v6") PF_MAC("v28", "v10", "v3")
#define PF_NEW(sum, t) "vwadd.wv " sum ", v20, " t "\n\t"
/* The end of an output, in two parts, with i16 between them; v10 and v11 are free. */
#define PF_ROUND(sum)                                                                  \
    PF_E32 "vfcvt.f.x.v " sum ", " sum "\n\tvfmul.vv " sum ", " sum ", v24\n\t" PF_E16 \
           "vfncvt.x.f.w v10, " sum "\n\tvsadd.vx v10, v10, %[zero]\n\t"
#define PF_PUT(clamp) \
    PF_E8 "vnclip.wi v10, v10, 0\n\t" clamp "vse8.v v10, (%[o])\n\tadd %[o], %[o], %[y_along]\n\t"
#define PF_CLAMP "vmax.vx v10, v10, %[lo]\n\tvmin.vx v10, v10, %[hi]\n\t"

/* Columns, by what is in them. */
#define PF_S(K, sum) PF_LOADS PF_BEGIN_##K PF_E16 PF_NEW(sum, "v28") PF_E8
#define PF_MS(K, mid, sum) PF_LOADS PF_M_##K(mid) PF_BEGIN_##K PF_E16 PF_NEW(sum, "v28") PF_E8
#define PF_EMS(K, end, mid, clamp) \
    PF_LOADS PF_EM_##K(end, mid) PF_BEGIN_##K PF_ROUND(end) PF_NEW(end, "v28") PF_PUT(clamp)
#define PF_EM(K, end, mid, clamp) PF_LOADS PF_EM_##K(end, mid) PF_ROUND(end) PF_PUT(clamp)
#define PF_E(K, end, clamp) PF_LOADS PF_E_##K(end) PF_ROUND(end) PF_PUT(clamp)

#define PF_WEIGHT(v) "vle8.v " v ", (%[p])\n\tadd %[p], %[p], %[w_along]\n\t"
#define PF_WEIGHTS(first, second, third) \
    "mv %[p], %[w]\n\tadd %[w], %[w], %[w_across]\n\t" PF_WEIGHT(first) PF_WEIGHT(second) PF_WEIGHT(third)
#define PF_START                                                                                   \
    "vsetvli zero, %[vl], " PF_T32                                                                 \
    "\n\tvle32.v v20, (%[bias])\n\tvle32.v v24, (%[scale])\n\t" PF_E8 PF_WEIGHTS("v0", "v1", "v2") \
        PF_WEIGHTS("v3", "v4", "v5") PF_WEIGHTS("v6", "v7", "v8")
#define PF_LINE                                                                   \
    "mv %[p], %[x]\n\tadd %[q], %[p], %[across]\n\tadd %[r], %[q], %[across]\n\t" \
    "add %[end], %[x], %[span]\n\tadd %[x], %[x], %[x_line]\n\t"                  \
    "mv %[o], %[y]\n\tadd %[y], %[y], %[y_line]\n\t"

/* Stride 1, two outputs at least. Lines of odd length begin in the other accumulator, so that all end alike. */
#define PF_STRIDE1(K, clamp) \
    PF_START                 \
    "1:\n\t" PF_LINE                                                                     \
    "bnez %[odd], 5f\n\t"                                                                \
    PF_S(K, "v12") PF_MS(K, "v12", "v16")                                                \
    "beq %[p], %[end], 4f\n"                                                             \
    "2:\n\t" PF_EMS(K, "v12", "v16", clamp)                                              \
    "3:\n\t" PF_EMS(K, "v16", "v12", clamp)                                              \
    "bne %[p], %[end], 2b\n"                                                             \
    "4:\n\t" PF_EM(K, "v12", "v16", clamp) PF_E(K, "v16", clamp)                         \
    "addi %[lines], %[lines], -1\n\tbnez %[lines], 1b\n\tj 6f\n"                         \
    "5:\n\t" PF_S(K, "v16") PF_MS(K, "v16", "v12")                                       \
    "j 3b\n"                                                                             \
    "6:\n\t"

/* Stride 2: an output ends in the column where the next begins, so one accumulator is enough. Of two columns, the odd
 * one is in v9-v11, the even one in v16, v17 and v9. P adds the third products of two columns as a pair. */
#define PF_FIRST_T PF_S(T, "v12")
#define PF_FIRST_P PF_LOADS PF_BEGIN_P PF_E16 PF_NEW("v12", "v28") PF_ADD("v12", "v30") PF_E8
#define PF_NEXT_T                                                                                 \
    PF_LOADS PF_LOAD("v16", "p") PF_LOAD("v17", "q") PF_MUL("v28", "v9", "v1") PF_LOAD("v9", "r") \
        PF_MUL("v30", "v16", "v2") PF_MUL("v18", "v16", "v0") PF_MAC("v28", "v10", "v4")          \
            PF_MAC("v30", "v17", "v5") PF_MAC("v18", "v17", "v3") PF_MAC("v28", "v11", "v7")      \
                PF_MAC("v30", "v9", "v8") PF_MAC("v18", "v9", "v6") PF_E16 PF_ADD("v12", "v28")   \
                    PF_ADD("v12", "v30") PF_ROUND("v12") PF_NEW("v12", "v18")
#define PF_NEXT_P                                                                                 \
    PF_LOADS PF_LOAD("v16", "p") PF_LOAD("v17", "q") PF_MUL("v28", "v9", "v1") PF_LOAD("v9", "r") \
        PF_MUL("v30", "v16", "v2") PF_MUL("v18", "v11", "v7") PF_MAC("v28", "v10", "v4")          \
            PF_MAC("v30", "v17", "v5") PF_MAC("v18", "v9", "v8") PF_E16 PF_ADD("v12", "v28")      \
                PF_ADD("v12", "v30") PF_ADD("v12", "v18") PF_E8 PF_MUL("v28", "v16", "v0")        \
                    PF_MUL("v30", "v9", "v6") PF_MAC("v28", "v17", "v3") PF_ROUND("v12")          \
                        PF_NEW("v12", "v28") PF_ADD("v12", "v30")
#define PF_STRIDE2(K, clamp) \
    PF_START                 \
    "1:\n\t" PF_LINE PF_FIRST_##K                                                        \
    "2:\n\t" PF_NEXT_##K PF_PUT(clamp)                                                   \
    "bne %[p], %[end], 2b\n\t"                                                           \
    "addi %[lines], %[lines], -1\n\tbnez %[lines], 1b\n\t"

#define PF_QDW_FUNCTION(NAME, CODE)                                                                          \
    static void NAME(const struct slide *s, const int8_t *x, const int8_t *w, const int32_t *bias,           \
                     const float *scale, int8_t *y, long lines, size_t vl) {                                 \
        const int8_t *p, *q, *r, *end;                                                                       \
        int8_t *o;                                                                                           \
        __asm__ volatile(CODE                                                                                \
                         : [x] "+r"(x), [y] "+r"(y), [w] "+r"(w), [lines] "+r"(lines), [p] "=&r"(p),         \
                           [q] "=&r"(q), [r] "=&r"(r), [o] "=&r"(o), [end] "=&r"(end)                        \
                         : [bias] "r"(bias), [scale] "r"(scale), [vl] "r"(vl),                               \
                           [across] "r"(s->x_tap_across), [along] "r"(s->x_tap_along),                       \
                           [x_line] "r"(s->x_line), [y_line] "r"(s->y_line), [y_along] "r"(s->y_along),      \
                           [span] "r"(s->span), [odd] "r"(s->odd), [w_across] "r"(s->w_across),              \
                           [w_along] "r"(s->w_along), [zero] "r"(s->zero), [lo] "r"(s->lo), [hi] "r"(s->hi)  \
                         : "memory", "vl", "vtype", "vxsat", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", \
                           "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", \
                           "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30",      \
                           "v31");                                                                           \
    }

/* clang-format on */

#endif
