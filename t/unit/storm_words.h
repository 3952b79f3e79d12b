/*
 * What the clients of session_storm.c say: requests of every protocol and
 * application, valid or not, whole or begun, plain or compressed.
 */
#ifndef LNT_T_STORM_WORDS_H
#define LNT_T_STORM_WORDS_H

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "core/strbuf.h"

enum talk {
    PROBE_LINE,
    PROBE_WS,
    PROBE_OWN, /* with a window of its own */
    PROBE_SSE,
    PROBE_RAW,
    CHAT_LINE,
    CHAT_WS,
    CHAT_OWN,
    CHAT_SSE,
    CHAT_RAW,
    ECHO_WS,
    ECHO_RAW,
    HTTP,         /* requests alone */
    HTTP_UPGRADE, /* requests, and at some time an upgrade behind them */
    TALKS
};

static const char *const storm_listeners[TALKS] = {
    [PROBE_LINE] = "listen probe",   [PROBE_WS] = "listen web",
    [PROBE_OWN] = "listen web",      [PROBE_SSE] = "listen web",
    [PROBE_RAW] = "listen rawprobe", [CHAT_LINE] = "listen lines",
    [CHAT_WS] = "listen web",        [CHAT_OWN] = "listen web",
    [CHAT_SSE] = "listen web",       [CHAT_RAW] = "listen rawchat",
    [ECHO_WS] = "listen web",        [ECHO_RAW] = "listen raw",
    [HTTP] = "listen web",           [HTTP_UPGRADE] = "listen web",
};

static unsigned seed = 1;

static inline unsigned
draw(unsigned below)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 16) % below;
}

/* ---- frames ---- */

static inline void
add_bytes(struct lnt_strbuf *out, uint8_t op, const char *p, size_t n)
{
    lnt_strbuf_addc(out, (char)op);
    if (n < 126) {
        lnt_strbuf_addc(out, (char)(0x80 | n));
    } else {
        lnt_strbuf_addc(out, (char)0xfe);
        lnt_strbuf_addc(out, (char)(n >> 8));
        lnt_strbuf_addc(out, (char)n);
    }
    lnt_strbuf_add(out, "\0\0\0\0", 4);
    lnt_strbuf_add(out, p, n);
}

static inline void
add_frame(struct lnt_strbuf *out, uint8_t op, const char *text)
{
    add_bytes(out, op, text, strlen(text));
}

/* A message with its window begun anew; in one frame, in several, or only its
   beginning. */
static inline void
add_zipped(struct lnt_strbuf *out, const char *text)
{
    static z_stream z;
    char room[600];
    size_t n, first, second;

    if (!z.state &&
        deflateInit2(&z, 6, Z_DEFLATED, -9, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        exit(1);
    (void)deflateReset(&z);
    z.next_in = (Bytef *)(uintptr_t)text;
    z.avail_in = (uInt)strlen(text);
    z.next_out = (Bytef *)room;
    z.avail_out = sizeof(room);
    if (deflate(&z, Z_SYNC_FLUSH) != Z_OK || z.avail_out == 0)
        exit(1);
    n = sizeof(room) - z.avail_out - 4; /* without the end of the flush */
    first = draw((unsigned)n + 1);
    second = draw((unsigned)(n - first) + 1);
    switch (draw(5)) {
    case 0:
    case 1:
        add_bytes(out, 0xc1, room, n);
        break;
    case 2:
        add_bytes(out, 0x41, room, first);
        add_frame(out, 0x89, "between");
        add_bytes(out, 0x00, room + first, second);
        add_bytes(out, 0x80, room + first + second, n - first - second);
        break;
    case 3:
        add_bytes(out, 0x41, room, first);
        break;
    case 4:
        add_bytes(out, 0xc1, room, first);
        break;
    }
}

/* ---- requests ---- */

/* One request of the chat, as a line or as JSON. */
static inline void
chat_words(bool human, char *out, size_t size)
{
    unsigned a = draw(6), b = draw(6), r = draw(3);
    static const char *const lines[] = {
        "/nick n%u",     "/msg n%u psst %u %u",
        "/join c%3$u",   "hello",
        "/leave",        "/who",
        "/history 3",    "/quit",
        "/msg n%u a %u",
    };
    static const char *const objects[] = {
        "{\"type\":\"nick\",\"nick\":\"n%u\"}",
        "{\"type\":\"direct\",\"to\":\"n%u\",\"text\":\"psst %u\"}",
        "{\"type\":\"join\",\"room\":\"c%3$u\"}",
        "{\"type\":\"message\",\"room\":\"c%3$u\",\"text\":\"hello\"}",
        "{\"type\":\"leave\",\"room\":\"c%3$u\"}",
        "{\"type\":\"typing\",\"room\":\"c%3$u\"}",
        "{\"type\":\"history\",\"room\":\"c%3$u\"}",
        "{\"type\":\"join\",\"room\":\"c%3$u\",\"nick\":\"n%1$u\"}",
        "{\"type\":",
    };
    unsigned i = draw(sizeof(lines) / sizeof(lines[0]));
    char from[128];
    size_t n = 0;

    /* The numbers by their places, as printf's %1$u. */
    snprintf(from, sizeof(from), "%s", human ? lines[i] : objects[i]);
    unsigned values[] = {a, b, r}, next = 0;
    for (const char *p = from; *p && n + 12 < size; p++) {
        if (*p != '%') {
            out[n++] = *p;
            continue;
        }
        p++;
        unsigned which = next++;
        if (p[1] == '$') {
            which = (unsigned)(*p - '1');
            p += 2;
        }
        n += (size_t)snprintf(out + n, size - n, "%u", values[which % 3]);
    }
    out[n] = '\0';
}

static inline void
probe_words(char *out, size_t size)
{
    static const char letters[] = "eejjpppddssbblcxv"; /* see probe_message */
    size_t n = 1 + draw(8);

    for (size_t i = 0; i < n && i + 1 < size; i++)
        out[i] = letters[draw(draw(3) ? 13 : sizeof(letters) - 1)];
    out[n < size ? n : size - 1] = '\0';
}

static inline void
http_words(struct lnt_strbuf *out)
{
    static const char *const requests[] = {
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /status HTTP/1.1\r\nHost: x\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /chat HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /api/v1/publish HTTP/1.1\r\nHost: x\r\n"
        "Content-Type: application/json\r\nContent-Length: 27\r\n\r\n"
        "{\"room\":\"c1\",\"text\":\"hello\"",
        "POST /api/v1/publish HTTP/1.1\r\nHost: x\r\n"
        "Content-Type: application/json\r\nContent-Length: 29\r\n\r\n"
        "{\"room\":\"c1\",\"text\":\"hello\"}",
        "POST /api/v1/publish HTTP/1.1\r\nHost: x\r\n"
        "Content-Type: application/json\r\nExpect: 100-continue\r\n"
        "Transfer-Encoding: chunked\r\n\r\n",
        "1d\r\n{\"room\":\"c1\",\"text\":\"hello\"}\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHo",
        "no request\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n",
        "\r\n",
    };
    enum { ALL = sizeof(requests) / sizeof(requests[0]) };

    lnt_strbuf_adds(out, requests[draw(draw(3) ? 6 : ALL)]);
}

/* What a client of that kind begins with. */
static inline void
add_head(enum talk talk, struct lnt_strbuf *out)
{
    static const char upgrade[] =
        " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
        "\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    static const char get[] = " HTTP/1.1\r\nHost: x\r\n\r\n";

    switch (talk) {
    case PROBE_WS:
        lnt_strbuf_addf(out, "GET /probe%s", upgrade);
        break;
    case PROBE_OWN:
        lnt_strbuf_addf(out, "GET /probe_own%s", upgrade);
        break;
    case CHAT_WS:
        lnt_strbuf_addf(out, "GET /chat%s", upgrade);
        break;
    case CHAT_OWN:
        lnt_strbuf_addf(out, "GET /own%s", upgrade);
        break;
    case ECHO_WS:
        lnt_strbuf_addf(out, "GET /echo%s", upgrade);
        break;
    case PROBE_SSE:
        lnt_strbuf_addf(out, "GET /look?room=r%u&room=r%u%s", draw(2),
                        2 + draw(2), get);
        break;
    case CHAT_SSE:
        lnt_strbuf_addf(out, "GET /events?room=c%u%s", draw(3), get);
        break;
    case PROBE_LINE:
    case PROBE_RAW:
    case CHAT_LINE:
    case CHAT_RAW:
    case ECHO_RAW:
    case HTTP:
    case HTTP_UPGRADE:
    case TALKS:
        break;
    }
}

/* One message of a WebSocket, or something that is none. */
static inline void
add_message(enum talk talk, struct lnt_strbuf *out, const char *text)
{
    static char large[3000];

    if ((talk == PROBE_OWN || talk == CHAT_OWN || talk == ECHO_WS) && draw(2)) {
        add_zipped(out, text);
        return;
    }
    switch (draw(20)) {
    case 0:
        add_frame(out, 0x88, "\x03\xe8");
        break;
    case 1:
        add_frame(out, 0x83, "no such opcode");
        break;
    case 2:
        add_frame(out, 0x81, "\xff\xfe");
        break;
    case 3:
        add_frame(out, 0x89, "ping");
        break;
    case 4:
        add_frame(out, 0x01, "the first part");
        break;
    case 5:
        add_frame(out, 0x00, "more");
        break;
    case 6:
        add_frame(out, 0x80, "");
        break;
    case 7:
        add_frame(out, 0xc1, "not deflate");
        break;
    case 8:
        memset(large, 'q', sizeof(large) - 1);
        add_frame(out, 0x82, large);
        break;
    default:
        add_frame(out, 0x81, text);
    }
}

/* What a client of that kind says, some of it wrong.  One that has upgraded is
   of another kind from then on. */
static inline void
add_words(enum talk *talk, struct lnt_strbuf *out)
{
    static const enum talk upgrades[] = {
        PROBE_WS, PROBE_OWN, PROBE_SSE, CHAT_WS, CHAT_OWN, CHAT_SSE, ECHO_WS};
    char text[160];

    switch (*talk) {
    case PROBE_SSE:
    case CHAT_SSE:
        if (draw(30) == 0)
            http_words(out);
        return;
    case HTTP_UPGRADE:
        if (draw(4) == 0) {
            *talk = upgrades[draw(sizeof(upgrades) / sizeof(upgrades[0]))];
            add_head(*talk, out);
            return;
        }
        http_words(out);
        return;
    case HTTP:
        http_words(out);
        return;
    case CHAT_LINE:
    case CHAT_WS:
    case CHAT_OWN:
    case CHAT_RAW:
        chat_words(*talk == CHAT_LINE, text, sizeof(text));
        break;
    case PROBE_LINE:
    case PROBE_WS:
    case PROBE_OWN:
    case PROBE_RAW:
    case ECHO_WS:
    case ECHO_RAW:
    case TALKS:
        probe_words(text, sizeof(text));
        break;
    }
    if (*talk == PROBE_LINE || *talk == CHAT_LINE)
        lnt_strbuf_addf(out, "%s\n", text);
    else if (*talk == PROBE_RAW || *talk == CHAT_RAW || *talk == ECHO_RAW)
        lnt_strbuf_adds(out, text);
    else
        add_message(*talk, out, text);
}

#endif
