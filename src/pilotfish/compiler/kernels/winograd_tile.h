/* A tile function of winograd.c, which includes this file once for each LMUL and number of rows: ROWS Winograd tiles
 * by one chunk of columns, in ROWS accumulators of LMUL vector registers. ROLL(X, a) is X(0, a) ... X(ROWS - 1, a).
 *
 * The sum is one block of assembler, because clang hoists loads until the accumulators spill. It is software
 * pipelined: after row r is multiplied by its scalar, that row's scalar of the next step is loaded, and after the
 * last row the weights of the next step. So at the end of PITCH channels and of the weights it reads one step too
 * far: that is still scratch, and the zeros after the weights. */

#define VECTOR PF_VREAL(LMUL)
#define ROW_LOAD(r, at) PF_FL " %[s" #r "], " #r "*128+" #at "*" PF_SIZE "(%[v])\n\t"
#define ROW_FIRST(r, at) "vfmul.vf %[c" #r "], %[x], %[s" #r "]\n\t" ROW_LOAD(r, at)
#define ROW_STEP(r, at) "vfmacc.vf %[c" #r "], %[s" #r "], %[x]\n\t" ROW_LOAD(r, at)
#define WEIGHTS PF_VLE " %[x], (%[w])\n\tadd %[w], %[w], %[w_step]\n\t"
#define STEP(at) ROLL(ROW_STEP, at) WEIGHTS
#define SUM(r, _) VECTOR c##r;
#define SCALAR(r, _) pf_real s##r;
#define OUT(r, _) , [c##r] "=&vr"(c##r), [s##r] "=&f"(s##r)
#define BIAS(r, _) c##r = __riscv_vfadd(c##r, bias, vl);
#define STORE(r, _)             \
    PF_STORE_REAL(q, c##r, vl); \
    q += m_row;

/* clang-format off */
static __attribute__((noinline)) void PF_JOIN(tile_m, LMUL, PF_JOIN(_, ROWS, ))(const struct product *p, const pf_real *v,
                                                                               const pf_real *w, pf_real *m,
                                                                               int32_t element, int32_t count) {
    const size_t vl = p->vl;
    const int64_t w_row = p->w_row * (int64_t)sizeof *w, m_row = p->m_row;
    const int64_t skip = (p->v_block - PITCH) * (int64_t)sizeof *v;
    const int64_t last_quads = p->last_quads, all_blocks = p->blocks;
    const int64_t first_quads = all_blocks == 1 ? last_quads : PITCH / 4;
    PF_ROLLED do {
        ROLL(SUM, )
        ROLL(SCALAR, )
        VECTOR x;
        const pf_real *v_at = v, *w_at = w;
        int64_t blocks = all_blocks, quads = first_quads, t = (int64_t)vl;
        __asm__ volatile(
            "vsetvli zero, %[t], " PF_SEW ", m" PF_TEXT(LMUL) ", ta, ma\n\t"
            WEIGHTS
            ROLL(ROW_LOAD, 0)
            ROLL(ROW_FIRST, 1)
            WEIGHTS
            "j 3f\n"

            "1:\n\t" /* the next PITCH channels */
            ROLL(ROW_LOAD, 0)
            "2:\n\t"
            STEP(1)
            "3:\n\t"
            STEP(2) STEP(3) STEP(4)
            "addi %[v], %[v], 4*" PF_SIZE "\n\t"
            "addi %[quads], %[quads], -1\n\t"
            "bnez %[quads], 2b\n\t"

            "addi %[blocks], %[blocks], -1\n\t"
            "beqz %[blocks], 4f\n\t"
            "add %[v], %[v], %[skip]\n\t"
            "li %[quads], 32/" PF_SIZE "\n\t"
            "addi %[t], %[blocks], -1\n\t"
            "bnez %[t], 1b\n\t"
            "mv %[quads], %[last_quads]\n\t"
            "j 1b\n"
            "4:\n\t"
            : [x] "=&vr"(x), [v] "+r"(v_at), [w] "+r"(w_at), [blocks] "+r"(blocks), [quads] "+r"(quads),
              [t] "+r"(t) ROLL(OUT, )
            : [w_step] "r"(w_row), [skip] "r"(skip), [last_quads] "r"(last_quads)
            : "memory");
        if (element == p->plain) {
            const VECTOR bias = PF_LOAD_REAL(LMUL)(p->bias, vl);
            ROLL(BIAS, )
        }
        pf_real *q = m;
        ROLL(STORE, )
        v += element & 1 ? p->v_odd : p->v_even;
        w += p->w_element;
        m += p->m_element;
        element++;
    } while (--count);
}
/* clang-format on */

#undef VECTOR
#undef ROW_LOAD
#undef ROW_FIRST
#undef ROW_STEP
#undef WEIGHTS
#undef STEP
#undef SUM
#undef SCALAR
#undef OUT
#undef BIAS
#undef STORE
#undef ROWS
#undef ROLL
