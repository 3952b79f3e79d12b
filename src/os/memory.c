/*
 * Memory shared between processes (memfd) and doorbells (eventfd).  What lies
 * in the memory and who may write it is left to the zone.
 */
#include "os/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file.h"

int
lnt_memfd_create(const char *name, size_t size)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return -1;
    /* Without the seal a process that shrinks the file would make all the
       others die of SIGBUS. */
    if (size > INT64_MAX || ftruncate(fd, (off_t)size) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0) {
        if (size > INT64_MAX)
            errno = EFBIG;
        lnt_file_close(fd);
        return -1;
    }
    return fd;
}

size_t
lnt_memfd_size(int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return 0;
    if (st.st_size <= 0) {
        errno = EINVAL;
        return 0;
    }
    return (size_t)st.st_size;
}

void *
lnt_memfd_map(int fd, size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    return p == MAP_FAILED ? NULL : p;
}

void
lnt_memfd_unmap(void *p, size_t size)
{
    if (p)
        munmap(p, size);
}

int
lnt_eventfd_create(void)
{
    return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

void
lnt_eventfd_ring(int fd)
{
    uint64_t one = 1;

    /* EAGAIN: the counter is full, so it is ringing already. */
    while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

void
lnt_eventfd_clear(int fd)
{
    uint64_t n;

    /* EAGAIN: nobody has rung. */
    while (read(fd, &n, sizeof(n)) < 0 && errno == EINTR)
        ;
}
