/* Lists of numbers for templates: C's preprocessor cannot count. */
#ifndef PF_QSLIDECONV_LISTS_H
#define PF_QSLIDECONV_LISTS_H

/* clang-format off */
/* X(0, a) X(1, a) ... */
#define ROLL1(X, a) X(0, a)
#define ROLL2(X, a) ROLL1(X, a) X(1, a)
#define ROLL3(X, a) ROLL2(X, a) X(2, a)
#define ROLL4(X, a) ROLL3(X, a) X(3, a)
#define ROLL5(X, a) ROLL4(X, a) X(4, a)
#define ROLL6(X, a) ROLL5(X, a) X(5, a)
#define ROLL7(X, a) ROLL6(X, a) X(6, a)
#define ROLL8(X, a) ROLL7(X, a) X(7, a)
#define ROLL9(X, a) ROLL8(X, a) X(8, a)
#define ROLL10(X, a) ROLL9(X, a) X(9, a)
#define ROLL11(X, a) ROLL10(X, a) X(10, a)
#define ROLL12(X, a) ROLL11(X, a) X(11, a)
#define ROLL13(X, a) ROLL12(X, a) X(12, a)
#define ROLL14(X, a) ROLL13(X, a) X(13, a)
#define ROLL15(X, a) ROLL14(X, a) X(14, a)
#define ROLL16(X, a) ROLL15(X, a) X(15, a)
#define ROLL17(X, a) ROLL16(X, a) X(16, a)
#define ROLL18(X, a) ROLL17(X, a) X(17, a)
#define ROLL19(X, a) ROLL18(X, a) X(18, a)
#define ROLL20(X, a) ROLL19(X, a) X(19, a)
#define ROLL21(X, a) ROLL20(X, a) X(20, a)
#define ROLL22(X, a) ROLL21(X, a) X(21, a)
#define ROLL23(X, a) ROLL22(X, a) X(22, a)
#define ROLL24(X, a) ROLL23(X, a) X(23, a)

/* X(r, r - 1, r - 2, r + 2) for r = 2, 3, ... */
#define FROM_2_TO_1(X)
#define FROM_2_TO_2(X) FROM_2_TO_1(X) X(2, 1, 0, 4)
#define FROM_2_TO_3(X) FROM_2_TO_2(X) X(3, 2, 1, 5)
#define FROM_2_TO_4(X) FROM_2_TO_3(X) X(4, 3, 2, 6)
#define FROM_2_TO_5(X) FROM_2_TO_4(X) X(5, 4, 3, 7)
#define FROM_2_TO_6(X) FROM_2_TO_5(X) X(6, 5, 4, 8)
#define FROM_2_TO_7(X) FROM_2_TO_6(X) X(7, 6, 5, 9)
#define FROM_2_TO_8(X) FROM_2_TO_7(X) X(8, 7, 6, 10)
#define FROM_2_TO_9(X) FROM_2_TO_8(X) X(9, 8, 7, 11)
#define FROM_2_TO_10(X) FROM_2_TO_9(X) X(10, 9, 8, 12)
#define FROM_2_TO_11(X) FROM_2_TO_10(X) X(11, 10, 9, 13)
#define FROM_2_TO_12(X) FROM_2_TO_11(X) X(12, 11, 10, 14)
#define FROM_2_TO_13(X) FROM_2_TO_12(X) X(13, 12, 11, 15)
#define FROM_2_TO_14(X) FROM_2_TO_13(X) X(14, 13, 12, 16)
#define FROM_2_TO_15(X) FROM_2_TO_14(X) X(15, 14, 13, 17)
#define FROM_2_TO_16(X) FROM_2_TO_15(X) X(16, 15, 14, 18)
#define FROM_2_TO_17(X) FROM_2_TO_16(X) X(17, 16, 15, 19)
#define FROM_2_TO_18(X) FROM_2_TO_17(X) X(18, 17, 16, 20)
#define FROM_2_TO_19(X) FROM_2_TO_18(X) X(19, 18, 17, 21)
#define FROM_2_TO_20(X) FROM_2_TO_19(X) X(20, 19, 18, 22)
#define FROM_2_TO_21(X) FROM_2_TO_20(X) X(21, 20, 19, 23)
#define FROM_2_TO_22(X) FROM_2_TO_21(X) X(22, 21, 20, 24)
#define FROM_2_TO_23(X) FROM_2_TO_22(X) X(23, 22, 21, 25)

/* r - 1, and r + 1 */
#define BEFORE_1 0
#define BEFORE_2 1
#define BEFORE_3 2
#define BEFORE_4 3
#define BEFORE_5 4
#define BEFORE_6 5
#define BEFORE_7 6
#define BEFORE_8 7
#define BEFORE_9 8
#define BEFORE_10 9
#define BEFORE_11 10
#define BEFORE_12 11
#define BEFORE_13 12
#define BEFORE_14 13
#define BEFORE_15 14
#define BEFORE_16 15
#define BEFORE_17 16
#define BEFORE_18 17
#define BEFORE_19 18
#define BEFORE_20 19
#define BEFORE_21 20
#define BEFORE_22 21
#define BEFORE_23 22
#define BEFORE_24 23
#define AFTER_0 1
#define AFTER_1 2
#define AFTER_2 3
#define AFTER_3 4
#define AFTER_4 5
#define AFTER_5 6
#define AFTER_6 7
#define AFTER_7 8
#define AFTER_8 9
#define AFTER_9 10
#define AFTER_10 11
#define AFTER_11 12
#define AFTER_12 13
#define AFTER_13 14
#define AFTER_14 15
#define AFTER_15 16
#define AFTER_16 17
#define AFTER_17 18
#define AFTER_18 19
#define AFTER_19 20
#define AFTER_20 21
#define AFTER_21 22
#define AFTER_22 23
#define AFTER_23 24

/* 2 + r % 3: scalars of a ring of three */
#define TURN_1 3
#define TURN_2 4
#define TURN_3 2
#define TURN_4 3
#define TURN_5 4
#define TURN_6 2
#define TURN_7 3
#define TURN_8 4
#define TURN_9 2
#define TURN_10 3
#define TURN_11 4
#define TURN_12 2
#define TURN_13 3
#define TURN_14 4
#define TURN_15 2
#define TURN_16 3
#define TURN_17 4
#define TURN_18 2
#define TURN_19 3
#define TURN_20 4
#define TURN_21 2
#define TURN_22 3
#define TURN_23 4
#define TURN_24 2
#define TURN_25 3

/* Scalars of two pairs */
#define EVEN_1 2
#define ODD_1 3
#define EVEN_2 4
#define ODD_2 5
#define EVEN_3 2
#define ODD_3 3
#define EVEN_4 4
#define ODD_4 5
#define EVEN_5 2
#define ODD_5 3
#define EVEN_6 4
#define ODD_6 5
#define EVEN_7 2
#define ODD_7 3
#define EVEN_8 4
#define ODD_8 5
#define EVEN_9 2
#define ODD_9 3
#define EVEN_10 4
#define ODD_10 5
#define EVEN_11 2
#define ODD_11 3
#define EVEN_12 4
#define ODD_12 5
#define EVEN_13 2
#define ODD_13 3
#define EVEN_14 4
#define ODD_14 5
#define EVEN_15 2
#define ODD_15 3
#define EVEN_16 4
#define ODD_16 5
#define EVEN_17 2
#define ODD_17 3
#define EVEN_18 4
#define ODD_18 5
#define EVEN_19 2
#define ODD_19 3
#define EVEN_20 4
#define ODD_20 5
#define EVEN_21 2
#define ODD_21 3
#define EVEN_22 4
#define ODD_22 5
#define EVEN_23 2
#define ODD_23 3
#define EVEN_24 4
#define ODD_24 5
/* clang-format on */

#endif
