/* gemv.c in f16. */
#define PF_F16 1
#include "gemv.c"
