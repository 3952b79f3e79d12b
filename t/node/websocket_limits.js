// A client of npm ws, for t/websocket_clients.t.
//
//   node websocket_limits.js URL on|off PATH...
//
// Talks to the echo server at each path, with compression or without: large
// messages, every close code, a message too big.  Says one line
// {"event":"row",...} for each, then {"event":"waiting"} with a connection open
// at each path, and {"event":"gone","codes":[...]} when the server has closed
// them.
'use strict';
const WebSocket = require('ws');

const url = process.argv[2];
const compress = process.argv[3] === 'on';
const paths = process.argv.slice(4);
const codes = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012,
    1013, 1014, 3000, 3999, 4000, 4999];

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');

function open(path) {
    return new Promise((resolve, reject) => {
        const ws = new WebSocket(url + path, {
            perMessageDeflate: compress && { threshold: 0 },
            maxPayload: 32 << 20,
        });
        ws.on('open', () => resolve(ws));
        ws.on('error', reject);
    });
}

const closed = (ws) => new Promise((resolve) => {
    ws.on('close', (code, reason) => resolve([code, reason.toString()]));
});

// Half of it is easy to compress, half is not.
function bytes(n) {
    const b = Buffer.alloc(n, 'linnet ');
    let x = n;
    for (let i = 0; i < n; i += 8192) {
        for (let k = i; k < i + 4096 && k < n; k++) {
            x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
            b[k] = x >>> 24;
        }
    }
    return b;
}

const text = (n) => 'grüße € 😀 '.repeat(n / 16);

function echo(ws, data) {
    return new Promise((resolve, reject) => {
        const fail = (code) => reject(new Error(`closed ${code}`));
        ws.once('close', fail);
        ws.once('message', (back, binary) => {
            ws.off('close', fail);
            resolve(back.equals(Buffer.from(data)) &&
                binary === (typeof data !== 'string'));
        });
        ws.send(data);
    });
}

async function row(path) {
    const result = { event: 'row', path, wrong: [], codes: {} };
    let ws = await open(path);
    result.extensions = ws.extensions;
    for (const n of [0, 1, 125, 126, 65535, 65536, 1 << 20, 16 << 20]) {
        if (!await echo(ws, bytes(n))) {
            result.wrong.push(`binary ${n}`);
        }
    }
    for (const n of [16, 65536, 4 << 20]) {
        if (!await echo(ws, text(n))) {
            result.wrong.push(`text ${n}`);
        }
    }
    let end = closed(ws);
    ws.close();
    result.no_code = (await end)[0];

    for (const code of codes) {
        ws = await open(path);
        end = closed(ws);
        ws.close(code, 'because of ü');
        result.codes[code] = (await end)[0];
    }

    ws = await open(path);
    ws.on('error', () => {});
    end = closed(ws);
    ws.send(Buffer.alloc((16 << 20) + 1));
    [result.too_big, result.reason] = await end;
    return result;
}

async function main() {
    for (const path of paths) {
        say(await row(path).catch((e) => ({
            event: 'row', path, error: String(e),
        })));
    }
    const all = await Promise.all(paths.map(open));
    const ends = all.map(closed);
    say({ event: 'waiting' });
    const seen = (await Promise.all(ends)).map(([code]) => code);
    process.stdout.write(JSON.stringify({ event: 'gone', codes: seen }) + '\n',
        () => process.exit(0));
}

main();
