/* Speaks pf_npy.c through pipes, for tests: each request is a kind, 4 bytes of length, and so many bytes.
 *   'P' file             → "status dtype rank shape... offset bytes\n"
 *   'H' dtype rank i64s  → the header, after 4 bytes of its length */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pf_npy.h"

int main(void) {
    int kind;
    while ((kind = getchar()) != EOF) {
        uint32_t length;
        if (fread(&length, 4, 1, stdin) != 1) return 1;
        unsigned char *data = malloc(length); /* exactly: a sanitizer sees a read beyond it */
        if (length && fread(data, length, 1, stdin) != 1) return 1;
        if (kind == 'P') {
            pf_npy array;
            memset(&array, 0xff, sizeof array);
            pf_npy_status status = pf_npy_parse(data, length, &array);
            printf("%d", (int)status);
            if (status == PF_NPY_OK) {
                printf(" %s %u", pf_dtype_name(array.dtype), array.rank);
                for (uint32_t i = 0; i < array.rank; i++) printf(" %lld", (long long)array.shape[i]);
                printf(" %zu %zu", array.offset, array.bytes);
            }
            printf("\n");
        } else {
            char header[PF_NPY_HEADER_MAX];
            int64_t shape[PF_NPY_RANK_MAX];
            memcpy(shape, data + 2, 8 * (size_t)data[1]);
            uint32_t n = (uint32_t)pf_npy_header(header, data[0], data[1], shape);
            fwrite(&n, 4, 1, stdout);
            fwrite(header, n, 1, stdout);
        }
        fflush(stdout);
        free(data);
    }
    return 0;
}
