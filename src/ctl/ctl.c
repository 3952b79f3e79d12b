/*
 * linnet ctl: one command, one answer.
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/strbuf.h"
#include "ctl/commands.h"
#include "os/socket.h"

enum { TRIES = 10 };

static int
send_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return -1;
        p += sent;
        n -= (size_t)sent;
    }
    return 0;
}

/* To the end of file: after "stop" that is when the server has gone. */
static int
receive_all(int fd, struct lnt_strbuf *in)
{
    for (;;) {
        char *room = lnt_strbuf_reserve(in, 4096);
        ssize_t n = recv(fd, room, 4096, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != ECONNRESET)
            return -1;
        if (n <= 0)
            return 0;
        in->n += (size_t)n;
        in->p[in->n] = '\0';
    }
}

static void
print(FILE *to, const char *prefix, const char *text)
{
    size_t n = strlen(text);
    fprintf(to, "%s%s%s", prefix, text, n && text[n - 1] == '\n' ? "" : "\n");
}

/* What was answered; -1: another server has taken over and is to be asked. */
static int
show(const struct lnt_strbuf *in)
{
    json_error_t error;
    json_t *root = in->n ? json_loadb(in->p, in->n, 0, &error) : NULL;
    if (json_is_true(json_object_get(root, "again"))) {
        json_decref(root);
        return -1;
    }
    const char *text = json_string_value(json_object_get(root, "text"));
    bool ok = json_is_true(json_object_get(root, "ok"));
    if (!text)
        fprintf(stderr, "linnet: the server ended before it answered\n");
    else
        print(ok ? stdout : stderr, ok ? "" : "linnet: ", text);
    int status = text && ok ? 0 : 1;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "linnet: cannot write the answer: %s\n",
                strerror(errno));
        status = 1;
    }
    json_decref(root);
    return status;
}

/* One connection; the exit status, or -1 to ask again. */
static int
ask(const char *path, const struct lnt_strbuf *command)
{
    struct lnt_strbuf in = LNT_STRBUF_INIT;
    int status = 1;
    int fd = lnt_socket_connect_unix(path);
    if (fd < 0) {
        fprintf(stderr, "linnet: no server answers at %s: %s\n", path,
                strerror(errno));
        return 1;
    }
    /* A server that does not take all of it has said why. */
    int sent = send_all(fd, command->p, command->n);
    if ((sent < 0 && errno != EPIPE && errno != ECONNRESET) ||
        receive_all(fd, &in) < 0)
        fprintf(stderr, "linnet: control socket %s: %s\n", path,
                strerror(errno));
    else
        status = show(&in);
    lnt_strbuf_release(&in);
    close(fd);
    return status;
}

int
lnt_ctl_run(const char *path, char *const *words, size_t n)
{
    struct lnt_strbuf out = LNT_STRBUF_INIT;
    int status = -1;
    if (lnt_command_find((const char *const *)words, n, &out) < 0) {
        fprintf(stderr, "linnet: %s\n", out.p);
        lnt_strbuf_release(&out);
        return 2;
    }
    lnt_strbuf_addc(&out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            lnt_strbuf_addc(&out, ',');
        lnt_strbuf_add_json(&out, lnt_str_c(words[i]));
    }
    lnt_strbuf_adds(&out, "]\n");
    /* Each of them has been upgraded since we connected to it. */
    for (int i = 0; status < 0 && i < TRIES; i++)
        status = ask(path, &out);
    if (status < 0) {
        fprintf(stderr,
                "linnet: one upgrade follows the other at %s; try "
                "again later\n",
                path);
        status = 1;
    }
    lnt_strbuf_release(&out);
    return status;
}
