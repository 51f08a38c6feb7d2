/* Whole files in and out of memory. Failures are an errno, 0 if there was none. */
#ifndef PF_FILE_H
#define PF_FILE_H

#include <stddef.h>

typedef struct {
    const void *data;
    size_t bytes;
} pf_bytes;

/* Zeroed memory at the start of a page; null if there is not that much. Never freed: the program ends. */
void *pf_memory(size_t bytes);

int pf_file_read(const char *path, unsigned char **data, size_t *bytes);

/* Writes the parts one after the other to a temporary name beside `path`, then renames: the file is there whole or as
 * it was before. */
int pf_file_write(const char *path, const pf_bytes *parts, size_t n);

/* Removes what pf_file_write has not finished, for a signal handler. */
void pf_file_abandon(void);

#endif
