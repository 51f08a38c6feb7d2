/* winograd.c in f16. */
#define PF_F16 1
#include "winograd.c"
