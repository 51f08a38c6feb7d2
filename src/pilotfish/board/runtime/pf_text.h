/* Writes text to a file descriptor through a small buffer: what the runner needs of printf, without its 20 KB. */
#ifndef PF_TEXT_H
#define PF_TEXT_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    int file;
    size_t length;
    char buffer[512];
} pf_text;

void pf_put(pf_text *text, const char *words);
void pf_put_number(pf_text *text, uint64_t value);
/* "1x3x32x32", or "scalar". */
void pf_put_shape(pf_text *text, uint32_t rank, const int64_t *shape);
void pf_flush(pf_text *text);

#endif
