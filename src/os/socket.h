/*
 * Sockets: addresses as users write them, listeners, stream and seqpacket
 * sockets, descriptors passed between processes (SCM_RIGHTS).
 */
#ifndef LNT_OS_SOCKET_H
#define LNT_OS_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

struct lnt_addr {
    struct sockaddr_storage ss;
    socklen_t len;
    bool both; /* of [::] alone: IPv4, too, as "port" means it */
};

enum { LNT_ADDR_TEXT = 128 }; /* room for any formatted address, with NUL */

/*
 * Reads "host:port", "port", "[v6]:port" or "unix:path" (numeric hosts,
 * "localhost" and "*" only: nothing is looked up).  "port" alone and "*:port"
 * mean every interface, IPv4 and IPv6; "0.0.0.0:port" and "[::]:port" mean one
 * of the two.  Returns 0, or -1 with *why set to a static text that says what
 * was expected.
 */
int lnt_addr_parse(struct lnt_addr *a, const char *text, const char **why);

/* Writes "127.0.0.1:80", "[::1]:80", "*:80" or "unix:/path" into out; returns
   out. */
const char *lnt_addr_format(const struct lnt_addr *a, char *out, size_t size);

bool lnt_addr_equal(const struct lnt_addr *a, const struct lnt_addr *b);
/* Whether the kernel refuses to listen on one while somebody listens on the
   other.  Unix sockets overlap when both paths name one file; folders are
   looked at for that, so ".." and symbolic links are seen through. */
bool lnt_addr_overlaps(const struct lnt_addr *a, const struct lnt_addr *b);
bool lnt_addr_is_unix(const struct lnt_addr *a);
/* Whether it is one of this machine for itself: a unix socket or loopback. */
bool lnt_addr_is_local(const struct lnt_addr *a);

/* What counts as one client: a v4 address, also one mapped into v6, or the /64
   that a v6 address is in, the least that a customer is given. */
struct lnt_network {
    uint64_t prefix;
    uint32_t family; /* 4 or 6 */
};
/* false: a unix socket's, which is nobody's in particular. */
bool lnt_addr_network(const struct lnt_addr *a, struct lnt_network *net);

/* The same for two paths: whether both name one entry of one folder. */
bool lnt_path_same(const char *a, const char *b);

/*
 * A non-blocking, close-on-exec listening stream socket.  Where a port of
 * every interface was asked for and the machine has no IPv6, falls back to
 * 0.0.0.0.
 * A stale unix socket file (nobody accepts on it) is replaced, a live one is
 * EADDRINUSE.  mode is that of the file of a unix socket.  Returns the fd or
 * -1 with errno.
 */
int lnt_socket_listen(const struct lnt_addr *a, int backlog, mode_t mode);
/*
 * For an address that overlaps with one this server listens on, and is to
 * replace it.  lnt_socket_share lets other sockets of the same user have the
 * port, too (SO_REUSEPORT); lnt_socket_bind_beside makes a socket that is bound
 * beside those, and takes no connections before listen(2).
 */
int lnt_socket_share(int fd);
int lnt_socket_bind_beside(const struct lnt_addr *a);
/* Whether this process could bind a TCP socket to a now: 0, or -1 with errno.
   Nobody can connect to it meanwhile. */
int lnt_socket_try(const struct lnt_addr *a);
/* What a is for a socket that was handed over: the text that came along may
   be of a version that knew no difference between port and [::]:port. */
void lnt_socket_adopt(struct lnt_addr *a, int fd);
/* The same mode for a unix socket that is there already.  0 or -1. */
int lnt_socket_chmod(const struct lnt_addr *a, mode_t mode);

/* One connection, non-blocking, close-on-exec; peer may be NULL.  fd or -1. */
int lnt_socket_accept(int fd, struct lnt_addr *peer);

/* Bytes of the path of a unix socket. */
enum { LNT_UNIX_PATH_MAX = 107 };

/* Blocking connect to a unix stream socket; fd or -1 with errno. */
int lnt_socket_connect_unix(const char *path);

/* Whether somebody listens at path; *pid is who, if that is known.  Does not
   wait. */
bool lnt_socket_probe_unix(const char *path, pid_t *pid);

/* A non-blocking, close-on-exec SOCK_SEQPACKET pair.  0 or -1. */
int lnt_socket_pair(int fds[2]);

void lnt_socket_nodelay(int fd);
/* TCP_USER_TIMEOUT: unacknowledged data ends the connection after ms, 0: when
   the system says. */
void lnt_socket_user_timeout(int fd, uint64_t ms);
/* Bytes written that the peer has not acknowledged. */
size_t lnt_socket_unacked(int fd);
/* Whether bytes wait here for room at a TCP peer, and would be lost if it sent
   anything to a socket that was closed. */
bool lnt_socket_has_unsent(int fd);

enum { LNT_FDS_MAX = 200 }; /* descriptors in one message (kernel: 253) */

/*
 * Sends one message with nfds descriptors.  Returns the bytes sent, or -1 with
 * errno (EAGAIN: try again when writable).  Never raises SIGPIPE.
 */
ssize_t lnt_socket_send_fds(int fd, const struct iovec *iov, size_t niov,
                            const int *fds, size_t nfds);

/*
 * Receives one message.  *nfds is the room in fds on the way in, the number
 * received on the way out; they are close-on-exec and the caller's to close.
 * A message or descriptor list that did not fit is closed and reported as -1
 * with EMSGSIZE.  A message whose descriptors this process may not have (it is
 * at its limit of open files) comes without any.  0 is end of file.
 */
ssize_t lnt_socket_recv_fds(int fd, void *buf, size_t size, int *fds,
                            size_t *nfds);

#endif
