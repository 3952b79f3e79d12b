/*
 * sd_notify(3): tells whoever supervises us how we are.  Nothing depends on
 * whether it arrives.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/process.h"

void
lnt_sd_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct timeval second = {.tv_sec = 1};

    if (!path || (path[0] != '/' && path[0] != '@'))
        return;
    size_t n = strlen(path);
    if (n < 2 || n >= sizeof(un.sun_path))
        return;
    memcpy(un.sun_path, path, n);
    if (path[0] == '@')
        un.sun_path[0] = '\0'; /* the abstract namespace */

    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    /* A supervisor that does not read must not stop us for long. */
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof(second));
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    while (sendto(fd, state, strlen(state), MSG_NOSIGNAL,
                  (struct sockaddr *)&un, len) < 0 &&
           errno == EINTR)
        ;
    close(fd);
}
