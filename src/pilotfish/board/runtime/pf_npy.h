/* Arrays in files: reads and writes NumPy's .npy format. The bytes may come from anywhere, so everything is checked.
 * Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
#ifndef PF_NPY_H
#define PF_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pf_model.h"

/* A batch has one dimension more than a tensor of the model. */
#define PF_NPY_RANK_MAX (PF_RANK_MAX + 1)
/* Most bytes of a header that pf_npy_header writes; a multiple of 64. */
#define PF_NPY_HEADER_MAX 320

typedef enum {
    PF_NPY_OK = 0,
    PF_NPY_MAGIC,   /* not an .npy file at all */
    PF_NPY_VERSION, /* neither format 1 nor 2 */
    PF_NPY_HEADER,  /* a header that is cut off or not of NumPy's form */
    PF_NPY_ENDIAN,  /* big-endian elements */
    PF_NPY_ORDER,   /* column-major order */
    PF_NPY_DTYPE,   /* an element type that no model takes */
    PF_NPY_RANK,    /* too many dimensions */
    PF_NPY_SIZE     /* more or fewer bytes of data than the shape says */
} pf_npy_status;

typedef struct {
    pf_dtype dtype;
    uint32_t rank;
    int64_t shape[PF_NPY_RANK_MAX];
    size_t offset; /* of the data in the file */
    size_t bytes;  /* of the data */
} pf_npy;

size_t pf_dtype_bytes(pf_dtype dtype);
const char *pf_dtype_name(pf_dtype dtype);

bool pf_npy_is(const unsigned char *file, size_t bytes);
pf_npy_status pf_npy_parse(const unsigned char *file, size_t bytes, pf_npy *out);
/* A clause that goes on a sentence about the file. */
const char *pf_npy_words(pf_npy_status status);

/* The header of a file of that type and shape; rank is at most PF_NPY_RANK_MAX. Returns its length. */
size_t pf_npy_header(char out[PF_NPY_HEADER_MAX], pf_dtype dtype, uint32_t rank, const int64_t *shape);

#endif
