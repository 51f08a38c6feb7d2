/* The small tile function of qigemm.c, for pixels that are left over and for vector lengths that the weights were not
 * packed for: like that of qigemm_tile.h, but with loops for items, groups and steps. */
#if ROWS == 1
#define ROLL ROLL1
#else
#define ROLL ROLL2
#endif
#include "qigemm_types.h"

/* clang-format off */
#if GROUPED
#define FIRST(r, _) I16 t##r = OP(vwmul_vx, i16, HALF)(w, *p##r++, vl);
#define NEXT(r, _) t##r = OP(vwmacc_vx, i16, HALF)(t##r, *p##r++, w, vl);
#define ADD(r, _) c##r = OP(vwadd_wv, i32m, LMUL)(c##r, t##r, vl);
#else
#define FIRST(r, _) c##r = OP(vwmacc_vx, i32m, LMUL)(c##r, *p##r++, OP(vsext_vf2, i16, HALF)(w, vl), vl);
#define NEXT FIRST
#define ADD(r, _)
#endif
#define MOVE(r, _) p##r += move;

static __attribute__((noinline)) void PF_JOIN(rest_m, LMUL, PF_JOIN(_, ROWS, ))(const struct job *job, const int8_t *x,
                                                                               int8_t *y, int count) {
    TILE_VALUES
    const ptrdiff_t one = a->nb;
    PF_ROLLED
    do {
        TILE_START
        const int8_t *from = w_first;
        const int32_t *section = block + SECTIONS_AT, *step = first_step;
        ptrdiff_t move = *step;
        PF_ROLLED
        for (; section[0] != 4 * KINDS; section += 2) {
            const uint8_t *sizes = GROUP_SIZES[section[0] / 4];
            const int32_t *end = block + section[1] / 4;
            PF_ROLLED
            while (step != end) {
                ROLL(MOVE, )
                step++;
                const int rows = sizes[0] + sizes[1];
                int size = sizes[0], left = rows;
                PF_ROLLED
                do {
                    left -= size;
                    I8 w = OP(vle8_v, i8, QUARTER)(from, vl);
                    from += one;
                    ROLL(FIRST, )
                    PF_ROLLED
                    while (--size) {
                        w = OP(vle8_v, i8, QUARTER)(from, vl);
                        from += one;
                        ROLL(NEXT, )
                    }
                    ROLL(ADD, )
                    size = left;
                } while (left);
                move = *step - rows;
            }
        }
        TILE_END
    } while (--count);
}
/* clang-format on */

#define QIGEMM_UNDEF
#include "qigemm_types.h"
#undef ROLL
#undef FIRST
#undef NEXT
#undef ADD
#undef MOVE
#undef ROWS
