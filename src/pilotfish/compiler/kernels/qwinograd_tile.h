/* A tile function of qwinograd.c, which includes this file once for each LMUL (of i32) and number of rows: ROWS
 * Winograd tiles by one chunk of columns, in ROWS accumulators of LMUL vector registers. ROLL(X, a) is X(0, a) ...
 * X(ROWS - 1, a).
 *
 * The sum is one block of assembler, because clang hoists loads until the accumulators spill. It is software
 * pipelined: after row r is multiplied by its scalar, that row's scalar of the next step is loaded, and after the
 * last row the weights of the next step. So at the end of PITCH channels and of the weights it reads one step too
 * far: that is still scratch, and the zeros after the weights. */

#define I32 PF_JOIN(vint32m, LMUL, _t)
#if LMUL == 8
#define HALF m4
#elif LMUL == 4
#define HALF m2
#else
#define HALF m1
#endif
#define I16 PF_JOIN(vint16, HALF, _t)

/* clang-format off */
#define SUM(r, _) I32 c##r;
#define SCALAR(r, _) int64_t s##r;
#define BIAS(r, _) c##r = __riscv_vadd(c##r, bias, vl);
#define STORE(r, _)             \
    __riscv_vse32(q, c##r, vl); \
    q += nb;
#define ROW_LOAD(r, at) "lh %[s" #r "], " #r "*64+" #at "(%[v])\n\t"
#define ROW_FIRST(r, at) "vwmul.vx %[c" #r "], %[x], %[s" #r "]\n\t" ROW_LOAD(r, at)
#define ROW_STEP(r, at) "vwmacc.vx %[c" #r "], %[s" #r "], %[x]\n\t" ROW_LOAD(r, at)
#define WEIGHTS "vle16.v %[x], (%[w])\n\tadd %[w], %[w], %[w_step]\n\t"
#define STEP(at) ROLL(ROW_STEP, at) WEIGHTS
#define OUT(r, _) , [c##r] "=&vr"(c##r), [s##r] "=&r"(s##r)

/* `count` elements, whose inputs, weights and products begin at v, w and m. */
static __attribute__((noinline)) void PF_JOIN(tile_m, LMUL, PF_JOIN(_, ROWS, ))(const struct product *p,
                                                                               const int16_t *v, const int16_t *w,
                                                                               int32_t *m) {
    const size_t vl = p->vl;
    const int64_t nb = p->nb, w_step = nb * (int64_t)sizeof *w, last_quads = p->last_quads, all_blocks = p->blocks;
    const int64_t skip = (p->v_block - PITCH) * (int64_t)sizeof *v;
    const int64_t first_quads = all_blocks == 1 ? last_quads : PITCH / 4;
    const int64_t v_element = p->v_element, w_element = p->w_element, m_element = p->m_element;
    int32_t element = 0;
    PF_ROLLED do {
        ROLL(SUM, )
        ROLL(SCALAR, )
        I16 x;
        const int16_t *v_at = v, *w_at = w;
        int64_t blocks = all_blocks, quads = first_quads, t = (int64_t)vl;
        __asm__ volatile(
            "vsetvli zero, %[t], e16, " PF_TEXT(HALF) ", ta, ma\n\t"
            WEIGHTS
            ROLL(ROW_LOAD, 0)
            ROLL(ROW_FIRST, 2)
            WEIGHTS
            "j 3f\n"

            "1:\n\t" /* the next PITCH channels */
            ROLL(ROW_LOAD, 0)
            "2:\n\t"
            STEP(2)
            "3:\n\t"
            STEP(4) STEP(6) STEP(8)
            "addi %[v], %[v], 8\n\t"
            "addi %[quads], %[quads], -1\n\t"
            "bnez %[quads], 2b\n\t"

            "addi %[blocks], %[blocks], -1\n\t"
            "beqz %[blocks], 4f\n\t"
            "add %[v], %[v], %[skip]\n\t"
            "li %[quads], 8\n\t"
            "addi %[t], %[blocks], -1\n\t"
            "bnez %[t], 1b\n\t"
            "mv %[quads], %[last_quads]\n\t"
            "j 1b\n"
            "4:\n\t"
            : [x] "=&vr"(x), [v] "+r"(v_at), [w] "+r"(w_at), [blocks] "+r"(blocks), [quads] "+r"(quads),
              [t] "+r"(t) ROLL(OUT, )
            : [w_step] "r"(w_step), [skip] "r"(skip), [last_quads] "r"(last_quads)
            : "memory");
        if (element == PLAIN) {
            const I32 bias = __riscv_vsll(PF_JOIN(__riscv_vle32_v_i32m, LMUL, )(p->bias, vl), 2, vl);
            ROLL(BIAS, )
        }
        int32_t *q = m;
        ROLL(STORE, )
        v += v_element;
        w += w_element;
        m += m_element;
    } while (++element < ELEMENTS);
}
/* clang-format on */

#undef I32
#undef I16
#undef HALF
#undef SUM
#undef SCALAR
#undef BIAS
#undef STORE
#undef ROW_LOAD
#undef ROW_FIRST
#undef ROW_STEP
#undef WEIGHTS
#undef STEP
#undef OUT
#undef ROWS
#undef ROLL
