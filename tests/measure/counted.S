# The fake model's run function, for tests of counting: every instruction is counted by hand.
#   pf_status run(weights, arena, inputs, outputs, hook, context)
    .option arch, +v
    .text
    .globl run
run:                                # without a hook: 3 + 2 steps of 3 and 1 + 21 + (3 + 1) + 22 ...
    addi sp, sp, -32                # prologue: 4 scalar
    sd ra, 0(sp)
    sd s0, 8(sp)
    sd s1, 16(sp)
    mv s0, a4
    mv s1, a5
    beqz s0, 1f                     # hook before step 0
    mv a0, s1
    li a1, 0
    li a2, 0
    jalr s0
1:  li t0, 10                       # step 0: 1 + 10 x 2 = 21 scalar
2:  addi t0, t0, -1
    bnez t0, 2b
    beqz s0, 3f
    mv a0, s1
    li a1, 0
    li a2, 1
    jalr s0
    mv a0, s1
    li a1, 1
    li a2, 0
    jalr s0
3:  vsetivli x0, 4, e32, m4, ta, ma # step 1: 1 vset, 1 arithmetic of 4 slots, 1 of 8, 1 load of 4
    vmv.v.i v8, 0
    vwadd.vv v16, v8, v8
    vle32.v v8, (sp)
    beqz s0, 4f
    mv a0, s1
    li a1, 1
    li a2, 1
    jalr s0
4:  ld ra, 0(sp)                    # epilogue: 6 scalar
    ld s0, 8(sp)
    ld s1, 16(sp)
    addi sp, sp, 32
    li a0, 0
    ret
    .section .note.GNU-stack,"",@progbits
