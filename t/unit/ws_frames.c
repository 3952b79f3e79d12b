/*
 * Frames: echoes of all sizes, pings, reserved bits, opcodes, fragments, the
 * close handshake (Autobahn families 1 to 5 and 7).
 */
#include "t/unit/ws_cases.h"

enum {
    FIN = 0x80,
    CONT = 0,
    TEXT = 1,
    BINARY = 2,
    CLOSE = 8,
    PING = 9,
    PONG = 10
};

static struct ws_case c;

static char *
filled(size_t n, char with)
{
    char *p = malloc(n + 1);
    if (!p)
        abort();
    memset(p, with, n);
    p[n] = '\0';
    return p;
}

static void
test_echo(void)
{
    static const size_t sizes[] = {0, 1, 7, 125, 126, 127, 128, 65535, 65536};
    char name[80];
    for (unsigned type = TEXT; type <= BINARY; type++)
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            size_t n = sizes[i];
            char *p = filled(n, type == TEXT ? '*' : '\xfe');
            ws_put(&c.in, FIN | type, p, n);
            ws_want(&c.out, FIN | type, p, n);
            ws_close_cleanly(&c);
            snprintf(name, sizeof(name), "1.%u echo of %zu bytes", type, n);
            ws_check(&c, name);
            free(p);
        }

    for (unsigned i = 0; i < 40; i++) {
        char text[64];
        snprintf(text, sizeof(text), "message number %u of many", i);
        size_t n = i < 38 ? strlen(text) - i % 20 : 0;
        ws_put(&c.in, FIN | (i % 3 ? TEXT : BINARY), text, n);
        ws_want(&c.out, FIN | (i % 3 ? TEXT : BINARY), text, n);
        if (i % 7 == 0) {
            ws_puts(&c.in, FIN | PING, "p");
            ws_wants(&c.out, FIN | PONG, "p");
        }
    }
    ws_close_cleanly(&c);
    ws_check(&c, "many in one read");

    for (unsigned form = 2; form <= 8; form += 6) {
        ws_put_form(&c.in, FIN | TEXT, "hello", 5, form);
        ws_put_form(&c.in, FIN | TEXT, "", 0, form);
        ws_put_form(&c.in, FIN | BINARY, "w\xffrld", 5, form);
    }
    for (unsigned i = 0; i < 2; i++) {
        ws_wants(&c.out, FIN | TEXT, "hello");
        ws_wants(&c.out, FIN | TEXT, "");
        ws_wants(&c.out, FIN | BINARY, "w\xffrld");
    }
    ws_close_cleanly(&c);
    ws_check(&c, "lengths longer than they need to be");
}

static void
test_pings(void)
{
    char *p = filled(126, '\xfe');

    ws_puts(&c.in, FIN | PING, "");
    ws_wants(&c.out, FIN | PONG, "");
    ws_close_cleanly(&c);
    ws_check(&c, "2.1 ping without payload");

    ws_puts(&c.in, FIN | PING, "Hello, world!");
    ws_wants(&c.out, FIN | PONG, "Hello, world!");
    ws_close_cleanly(&c);
    ws_check(&c, "2.2 ping with text");

    ws_put(&c.in, FIN | PING, "\x00\xff\xfe\xfd\xfc\xfb\x00\xff", 8);
    ws_want(&c.out, FIN | PONG, "\x00\xff\xfe\xfd\xfc\xfb\x00\xff", 8);
    ws_close_cleanly(&c);
    ws_check(&c, "2.3 ping with bytes");

    ws_put(&c.in, FIN | PING, p, 125);
    ws_want(&c.out, FIN | PONG, p, 125);
    ws_close_cleanly(&c);
    ws_check(&c, "2.4 and 2.6 ping with 125 bytes");

    ws_put(&c.in, FIN | PING, p, 126);
    ws_wants_failure(&c, 1002, "control frame too long or fragmented");
    ws_check(&c, "2.5 ping with 126 bytes");

    ws_puts(&c.in, FIN | PONG, "");
    ws_puts(&c.in, FIN | PONG, "unsolicited pong payload");
    ws_puts(&c.in, FIN | PING, "ping payload");
    ws_wants(&c.out, FIN | PONG, "ping payload");
    ws_close_cleanly(&c);
    ws_check(&c, "2.7 to 2.9 pongs nobody asked for");

    for (unsigned i = 0; i < 10; i++) {
        char text[20];
        snprintf(text, sizeof(text), "payload-%u", i);
        ws_puts(&c.in, FIN | PING, text);
        ws_wants(&c.out, FIN | PONG, text);
    }
    ws_close_cleanly(&c);
    ws_check(&c, "2.10 and 2.11 ten pings");
    free(p);
}

static void
test_reserved(void)
{
    char name[80];
    for (unsigned rsv = 1; rsv <= 7; rsv++) {
        unsigned types[] = {TEXT, BINARY, PING, CLOSE};
        for (size_t i = 0; i < 4; i++) {
            ws_puts(&c.in, FIN | TEXT, "Hello, world!");
            ws_wants(&c.out, FIN | TEXT, "Hello, world!");
            ws_puts(&c.in, FIN | rsv << 4 | types[i], "Hello");
            ws_puts(&c.in, FIN | PING, "");
            ws_wants_failure(&c, 1002,
                             "reserved bits set without an extension");
            snprintf(name, sizeof(name), "3.%u reserved bits with opcode %u",
                     rsv, types[i]);
            ws_check(&c, name);
        }
    }
    static const unsigned opcodes[] = {3, 4, 5, 6, 7, 11, 12, 13, 14, 15};
    for (size_t i = 0; i < 10; i++)
        for (unsigned n = 0; n < 2; n++) {
            ws_puts(&c.in, FIN | TEXT, "Hello, world!");
            ws_wants(&c.out, FIN | TEXT, "Hello, world!");
            ws_puts(&c.in, FIN | opcodes[i], n ? "reserved opcode" : "");
            ws_puts(&c.in, FIN | PING, "");
            ws_wants_failure(&c, 1002, "unknown opcode");
            snprintf(name, sizeof(name), "4.x opcode %u", opcodes[i]);
            ws_check(&c, name);
        }
}

static void
test_mask(void)
{
    ws_puts(&c.in, FIN | TEXT, "one");
    ws_wants(&c.out, FIN | TEXT, "one");
    ws_wants(&c.in, FIN | TEXT, "two"); /* as a server would */
    ws_wants_failure(&c, 1002, "frame not masked");
    ws_check(&c, "a frame without a mask");

    ws_wants(&c.in, FIN | CLOSE, "");
    ws_wants_failure(&c, 1002, "frame not masked");
    ws_check(&c, "a close without a mask");
}

static void
test_fragments(void)
{
    ws_puts(&c.in, PING, "fragment1");
    ws_puts(&c.in, FIN | CONT, "fragment2");
    ws_wants_failure(&c, 1002, "control frame too long or fragmented");
    ws_check(&c, "5.1 ping in fragments");

    ws_puts(&c.in, PONG, "fragment1");
    ws_puts(&c.in, FIN | CONT, "fragment2");
    ws_wants_failure(&c, 1002, "control frame too long or fragmented");
    ws_check(&c, "5.2 pong in fragments");

    for (unsigned type = TEXT; type <= BINARY; type++) {
        ws_puts(&c.in, type, "fragment1");
        ws_puts(&c.in, FIN | CONT, "fragment2");
        ws_wants(&c.out, FIN | type, "fragment1fragment2");
        ws_close_cleanly(&c);
        ws_check(&c, "5.3 to 5.5 two fragments");

        ws_puts(&c.in, type, "fragment1");
        ws_puts(&c.in, FIN | PING, "ping payload");
        ws_puts(&c.in, FIN | CONT, "fragment2");
        ws_wants(&c.out, FIN | PONG, "ping payload");
        ws_wants(&c.out, FIN | type, "fragment1fragment2");
        ws_close_cleanly(&c);
        ws_check(&c, "5.6 to 5.8 a ping between fragments");
    }

    for (unsigned fin = 0; fin <= FIN; fin += FIN) {
        ws_puts(&c.in, fin | CONT, "non-continuation payload");
        ws_puts(&c.in, FIN | TEXT, "Hello, world!");
        ws_wants_failure(&c, 1002, "continuation without a message");
        ws_check(&c, "5.9 to 5.14 continuation of nothing");

        ws_puts(&c.in, TEXT, "fragment1");
        ws_puts(&c.in, FIN | CONT, "fragment2");
        ws_puts(&c.in, fin | CONT, "fragment3");
        ws_puts(&c.in, FIN | TEXT, "fragment4");
        ws_wants(&c.out, FIN | TEXT, "fragment1fragment2");
        ws_wants_failure(&c, 1002, "continuation without a message");
        ws_check(&c, "5.15 continuation behind a message");
    }
    for (unsigned i = 0; i < 2; i++) {
        ws_puts(&c.in, CONT, "fragment1");
        ws_puts(&c.in, TEXT, "fragment2");
        ws_puts(&c.in, FIN | CONT, "fragment3");
    }
    ws_wants_failure(&c, 1002, "continuation without a message");
    ws_check(&c, "5.16 and 5.17 continuation first");

    ws_puts(&c.in, TEXT, "fragment1");
    ws_puts(&c.in, FIN | TEXT, "fragment2");
    ws_wants_failure(&c, 1002, "new message inside a fragmented one");
    ws_check(&c, "5.18 all fragments are text");

    ws_puts(&c.in, TEXT, "fragment1");
    ws_puts(&c.in, CONT, "fragment2");
    ws_puts(&c.in, FIN | PING, "pongme 1!");
    ws_wants(&c.out, FIN | PONG, "pongme 1!");
    ws_puts(&c.in, CONT, "fragment3");
    ws_puts(&c.in, CONT, "fragment4");
    ws_puts(&c.in, FIN | PING, "pongme 2!");
    ws_wants(&c.out, FIN | PONG, "pongme 2!");
    ws_puts(&c.in, FIN | CONT, "fragment5");
    ws_wants(&c.out, FIN | TEXT,
             "fragment1fragment2fragment3fragment4fragment5");
    ws_close_cleanly(&c);
    ws_check(&c, "5.19 and 5.20 pings among five fragments");

    ws_puts(&c.in, TEXT, "");
    ws_puts(&c.in, CONT, "");
    ws_puts(&c.in, FIN | CONT, "");
    ws_wants(&c.out, FIN | TEXT, "");
    ws_puts(&c.in, BINARY, "");
    ws_puts(&c.in, CONT, "x");
    ws_puts(&c.in, FIN | CONT, "");
    ws_wants(&c.out, FIN | BINARY, "x");
    ws_puts(&c.in, FIN | TEXT, "whole");
    ws_wants(&c.out, FIN | TEXT, "whole");
    ws_close_cleanly(&c);
    ws_check(&c, "empty fragments");

    ws_puts(&c.in, TEXT, "unfinished");
    ws_close_cleanly(&c);
    ws_check(&c, "a close between fragments");
}

static void
test_close(void)
{
    char *long_reason = filled(124, '*');
    char payload[128] = "\x03\xe8";

    ws_puts(&c.in, FIN | TEXT, "Hello World!");
    ws_wants(&c.out, FIN | TEXT, "Hello World!");
    ws_close_cleanly(&c);
    ws_check(&c, "7.1.1 message, then close");

    ws_close_cleanly(&c);
    ws_put(&c.in, FIN | CLOSE, "\x03\xe8", 2);
    ws_check(&c, "7.1.2 two closes");

    ws_close_cleanly(&c);
    ws_puts(&c.in, FIN | PING, "late");
    ws_check(&c, "7.1.3 ping after close");

    ws_close_cleanly(&c);
    ws_puts(&c.in, FIN | TEXT, "late");
    ws_puts(&c.in, 0x7f, "and wrong");
    ws_check(&c, "7.1.4 text after close");

    ws_puts(&c.in, TEXT, "fragment1");
    ws_close_cleanly(&c);
    ws_puts(&c.in, FIN | CONT, "fragment2");
    ws_check(&c, "7.1.5 close inside a message");

    ws_puts(&c.in, FIN | CLOSE, "");
    ws_wants(&c.out, FIN | CLOSE, "");
    c.end = WS_ENDED;
    ws_check(&c, "7.3.1 close without code");

    ws_put(&c.in, FIN | CLOSE, "\x03", 1);
    ws_wants_failure(&c, 1002, "close frame with half a code");
    ws_check(&c, "7.3.2 close with one byte");

    ws_put(&c.in, FIN | CLOSE, "\x03\xe8Hello World!", 14);
    ws_want(&c.out, FIN | CLOSE, "\x03\xe8", 2);
    c.end = WS_ENDED;
    ws_check(&c, "7.3.4 close with a reason");

    memcpy(payload + 2, long_reason, 123);
    ws_put(&c.in, FIN | CLOSE, payload, 125);
    ws_want(&c.out, FIN | CLOSE, "\x03\xe8", 2);
    c.end = WS_ENDED;
    ws_check(&c, "7.3.5 close with the longest reason");

    memcpy(payload + 2, long_reason, 124);
    ws_put(&c.in, FIN | CLOSE, payload, 126);
    ws_wants_failure(&c, 1002, "control frame too long or fragmented");
    ws_check(&c, "7.3.6 close with 126 bytes");

    ws_put(&c.in, FIN | CLOSE, "\x03\xe8\xce\xba\xed\xa0\x80\x65", 8);
    ws_wants_failure(&c, 1007, "close reason is not UTF-8");
    ws_check(&c, "7.5.1 reason that is not UTF-8");

    ws_put(&c.in, FIN | CLOSE, "\x03\xe8\xf0\x9f\x98", 5);
    ws_wants_failure(&c, 1007, "close reason is not UTF-8");
    ws_check(&c, "reason cut inside a character");
    free(long_reason);
}

static void
test_codes(void)
{
    static const unsigned valid[] = {1000, 1001, 1002, 1003, 1007, 1008,
                                     1009, 1010, 1011, 1012, 1013, 1014,
                                     3000, 3999, 4000, 4999};
    static const unsigned invalid[] = {0,    999,  1004, 1005, 1006, 1015,
                                       1016, 1100, 2000, 2999, 5000, 65535};
    char name[80];
    for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++) {
        uint8_t code[2] = {(uint8_t)(valid[i] >> 8), (uint8_t)valid[i]};
        ws_put(&c.in, FIN | CLOSE, code, 2);
        ws_want(&c.out, FIN | CLOSE, code, 2);
        c.end = WS_ENDED;
        snprintf(name, sizeof(name), "7.7 code %u", valid[i]);
        ws_check(&c, name);
    }
    for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
        uint8_t code[2] = {(uint8_t)(invalid[i] >> 8), (uint8_t)invalid[i]};
        ws_put(&c.in, FIN | CLOSE, code, 2);
        ws_wants_failure(&c, 1002, "close code not allowed");
        snprintf(name, sizeof(name), "7.9 and 7.13 code %u", invalid[i]);
        ws_check(&c, name);
    }
}

int
main(void)
{
    test_echo();
    test_pings();
    test_reserved();
    test_mask();
    test_fragments();
    test_close();
    test_codes();
    return done_testing();
}
