#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "os/clock.h"
#include "os/memory.h"
#include "t/unit/tap.h"
#include "t/unit/tmp.h"

static void
reading(void)
{
    const char *path = tmp_write("f", "a\0b", 3);
    size_t n = 99;
    char *text = lnt_file_read(path, 3, &n);

    ok(text != NULL, "read");
    is_mem(text, n + 1, "a\0b\0", 4, "whole, with a NUL behind");
    free(text);
    ok(!lnt_file_read(path, 2, &n) && errno == EFBIG, "too large");
    text = lnt_file_read(tmp_write("empty", "", 0), 0, &n);
    ok(text && n == 0 && text[0] == '\0', "an empty one");
    free(text);
    ok(!lnt_file_read(tmp_dir(), 100, &n) && errno == EISDIR, "a folder");
    ok(!lnt_file_read(tmp_path("none"), 100, &n) && errno == ENOENT, "none");
    const char *fifo = tmp_path("fifo");
    mkfifo(fifo, 0600);
    ok(!lnt_file_read(fifo, 100, &n) && errno == EINVAL, "a FIFO: no hang");
    ok(!lnt_file_read("/dev/zero", 100, &n) && errno == EINVAL, "a device");
    text = lnt_file_read("/proc/self/maps", 1 << 20, &n);
    ok(text && n > 1000 && strlen(text) == n, "one that tells no size");
    free(text);
    ok(!lnt_file_read("/proc/self/maps", 10, &n) && errno == EFBIG,
       "and is too large");
    if (geteuid() == 0) {
        skip(1, "root may read everything");
    } else {
        chmod(path, 0);
        ok(!lnt_file_read(path, 100, &n) && errno == EACCES, "not ours");
    }
}

static void
folders(void)
{
    struct stat st;
    mode_t mask = umask(022);

    is_int(lnt_file_mkdirs(tmp_path("a/b/c"), 0755), 0, "with parents");
    ok(stat(tmp_path("a/b/c"), &st) == 0 && S_ISDIR(st.st_mode), "there");
    is_int(st.st_mode & 07777, 0755, "with the mode");
    is_int(lnt_file_mkdirs(tmp_path("a/b/c"), 0755), 0, "again");
    is_int(lnt_file_mkdirs(tmp_path("a//b/d/"), 0755), 0, "double slashes");
    ok(stat(tmp_path("a/b/d"), &st) == 0, "there");
    is_int(lnt_file_mkdirs("/", 0755), 0, "the root");
    is_int(lnt_file_mkdirs("", 0755), 0, "nothing");
    tmp_write("file", "x", 1);
    is_int(lnt_file_mkdirs(tmp_path("file"), 0755), -1, "a file in the way");
    is_int(errno, ENOTDIR, "ENOTDIR");
    is_int(lnt_file_mkdirs(tmp_path("file/x"), 0755), -1, "or above");
    is_int(errno, ENOTDIR, "ENOTDIR");
    ok(lnt_file_mkdirs("/proc/nope", 0755) < 0 && errno != EEXIST,
       "where none can be made");
    umask(mask);
}

static void
appending(void)
{
    const char *path = tmp_path("log");
    int fd = lnt_file_append(path);

    ok(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC), "opened");
    ok(!(fcntl(fd, F_GETFL) & O_NONBLOCK), "blocking");
    ok(write(fd, "a", 1) == 1, "write");
    int other = lnt_file_append(path);
    ok(write(other, "b", 1) == 1, "write");
    ok(write(fd, "c", 1) == 1, "write");
    char *text = tmp_read(path);
    is_str(text, "abc", "each at the end");
    free(text);
    close(other);
    errno = 42;
    lnt_file_close(fd);
    is_int(errno, 42, "close keeps errno");
    ok(fcntl(fd, F_GETFD) < 0, "and closes");
    errno = 42;
    lnt_file_close(-1);
    is_int(errno, 42, "close of nothing");
    ok(lnt_file_append(tmp_dir()) < 0 && errno == EISDIR, "a folder");
    fd = lnt_file_append(tmp_path("fifo"));
    ok(fd >= 0, "a FIFO without a reader: no hang, and it is open");
    ok(fcntl(fd, F_GETFL) & O_NONBLOCK, "non-blocking");
    int reader = open(tmp_path("fifo"), O_RDONLY | O_NONBLOCK);
    char byte = 0;
    ok(write(fd, "x", 1) == 1 && read(reader, &byte, 1) == 1 && byte == 'x',
       "a reader that comes later gets what was written");
    close(reader);
    close(fd);
    /* Root may open it all the same. */
    chmod(tmp_path("fifo"), 0200);
    fd = lnt_file_append(tmp_path("fifo"));
    ok(geteuid() == 0 ? fd >= 0 : fd < 0 && errno == ENXIO,
       "one that may only be written to says that nobody reads");
    if (fd >= 0)
        close(fd);
}

static void
shared_memory(void)
{
    int fd = lnt_memfd_create("test", 12345);

    ok(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC), "a memfd");
    is_int(lnt_memfd_size(fd), 12345, "its size");
    ok(ftruncate(fd, 100) < 0 && errno == EPERM, "cannot shrink");
    char *p = lnt_memfd_map(fd, 12345);
    ok(p && p[0] == 0 && p[12344] == 0, "mapped, zeroed");
    fflush(NULL);
    if (fork() == 0) {
        p[12344] = 'x';
        _exit(0);
    }
    wait(NULL);
    is_int(p[12344], 'x', "shared with a child");
    lnt_memfd_unmap(p, 12345);
    lnt_memfd_unmap(NULL, 0);
    close(fd);
    ok(lnt_memfd_create("huge", SIZE_MAX) < 0 && errno == EFBIG, "too large");
    ok(lnt_memfd_size(-1) == 0 && errno == EBADF, "no descriptor");
    ok(!lnt_memfd_map(-1, 4096), "nothing to map");
    int pair[2];
    ok(pipe(pair) == 0 && lnt_memfd_size(pair[0]) == 0, "not a file");
    close(pair[0]);
    close(pair[1]);
}

static bool
rings(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

static void
doorbells(void)
{
    int fd = lnt_eventfd_create();

    ok(fd >= 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK), "a doorbell");
    ok(!rings(fd), "silent");
    lnt_eventfd_clear(fd);
    ok(!rings(fd), "cleared without having rung");
    for (int i = 0; i < 5; i++)
        lnt_eventfd_ring(fd);
    ok(rings(fd), "rung");
    lnt_eventfd_clear(fd);
    ok(!rings(fd), "cleared once for all");
    uint64_t almost = UINT64_MAX - 1;
    ok(write(fd, &almost, sizeof(almost)) == sizeof(almost), "full");
    lnt_eventfd_ring(fd);
    ok(rings(fd), "a ring more does not block");
    close(fd);
}

static void
clocks(void)
{
    uint64_t a = lnt_clock_ms(), b = lnt_clock_ms();
    uint64_t wall = lnt_clock_wall_us();

    ok(b >= a && b - a < 10000, "monotonic");
    ok(wall / 1000000 - (uint64_t)time(NULL) + 2 < 4, "wall");
}

int
main(void)
{
    reading();
    folders();
    appending();
    shared_memory();
    doorbells();
    clocks();
    return done_testing();
}
