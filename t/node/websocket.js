// A client of npm ws, for t/websocket.t.
//
//   node websocket.js URL
//
// Talks to an echo server in every way the library has, and says one line
// {"event":"done",...} with what came out.  Offers compression, as it does by
// default.  URL/sub speaks the subprotocols v2.test and v1.test.
'use strict';
const WebSocket = require('ws');

const url = process.argv[2];
const result = { event: 'done' };

function open(path, ...options) {
    return new Promise((resolve, reject) => {
        const ws = new WebSocket(url + path, ...options);
        ws.on('open', () => resolve(ws));
        ws.on('error', reject);
        ws.on('unexpected-response', (request, response) => {
            response.resume();
            reject(new Error(`status ${response.statusCode}`));
        });
    });
}

const next = (ws, event) => new Promise((resolve) => {
    ws.once(event, (...args) => resolve(args));
});

async function echo(ws, data, options) {
    ws.send(data, options || {});
    const [back, binary] = await next(ws, 'message');
    return back.equals(Buffer.from(data)) &&
        binary === (typeof data !== 'string');
}

async function main() {
    let ws = await open('/echo');
    result.extensions = ws.extensions;
    let wrong = 0;
    for (const text of ['', 'a', 'x'.repeat(125), 'x'.repeat(126),
        'grüße € 😀', 'y'.repeat(65535), '€'.repeat(40000)]) {
        wrong += !await echo(ws, text);
    }
    for (const size of [0, 1, 1000, 65536, 130000]) {
        wrong += !await echo(ws, Buffer.alloc(size, size & 255));
    }
    result.wrong = wrong;

    ws.send('in ', { fin: false });
    ws.ping('between');
    ws.send('two', { fin: true });
    const [[pong], [back]] = await Promise.all(
        [next(ws, 'pong'), next(ws, 'message')]);
    result.pong = pong.toString();
    result.fragments = back.toString();

    const got = [];
    const all = new Promise((resolve) => {
        ws.on('message', (m) => {
            got.push(m.toString());
            if (got.length === 5000) {
                resolve();
            }
        });
    });
    for (let i = 0; i < 5000; i++) {
        ws.send(String(i));
    }
    await all;
    result.in_order = got.every((m, i) => m === String(i));
    ws.close(4321, 'enough');
    result.code = (await next(ws, 'close'))[0];

    ws = await open('/echo');
    ws.close();
    result.no_code = (await next(ws, 'close'))[0];

    ws = await open('/sub', ['v0.test', 'v1.test', 'v2.test']);
    result.protocol = ws.protocol;
    ws.terminate();

    result.origin = await open('/echo', { origin: 'http://evil.example' })
        .then(() => 'accepted', (e) => e.message);
    result.nowhere = await open('/nowhere')
        .then(() => 'accepted', (e) => e.message);
    process.stdout.write(JSON.stringify(result) + '\n',
        () => process.exit(0));
}

main().catch((e) => {
    process.stdout.write(JSON.stringify({ event: 'failed',
        error: String(e), result }) + '\n', () => process.exit(1));
});
