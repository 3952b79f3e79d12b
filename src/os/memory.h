/*
 * Memory shared between processes and the descriptors that go with it.
 */
#ifndef LNT_OS_MEMORY_H
#define LNT_OS_MEMORY_H

#include <stddef.h>

/* A close-on-exec memfd of size bytes, sealed against shrinking; fd or -1. */
int lnt_memfd_create(const char *name, size_t size);
/* Size of the memfd in bytes, or 0 with errno. */
size_t lnt_memfd_size(int fd);
/* Shared mapping of the whole, or NULL with errno. */
void *lnt_memfd_map(int fd, size_t size);
void lnt_memfd_unmap(void *p, size_t size);

/* A non-blocking, close-on-exec eventfd; fd or -1. */
int lnt_eventfd_create(void);
void lnt_eventfd_ring(int fd);
void lnt_eventfd_clear(int fd);

#endif
