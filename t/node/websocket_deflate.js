// A client of npm ws that compresses, for t/websocket_deflate.t.
//
//   node websocket_deflate.js URL PATH...
//
// Talks to the echo server at each path on all kinds of terms, and says one
// line {"event":"done","rows":[...]} with what came out of each.
'use strict';
const WebSocket = require('ws');

const url = process.argv[2];
const paths = process.argv.slice(3);

const all = [
    {},
    { serverNoContextTakeover: true },
    { clientNoContextTakeover: true },
    { serverNoContextTakeover: true, clientNoContextTakeover: true },
    { serverMaxWindowBits: 9 },
    { serverMaxWindowBits: 12, clientMaxWindowBits: 10 },
    { clientMaxWindowBits: 9, serverNoContextTakeover: true },
    { clientMaxWindowBits: false },
];

function open(path, terms) {
    return new Promise((resolve, reject) => {
        const ws = new WebSocket(url + path, {
            perMessageDeflate: { threshold: 0, ...terms },
        });
        ws.on('open', () => resolve(ws));
        ws.on('error', reject);
    });
}

function message(i) {
    const words = ['hello', 'everybody', 'grüße', '€', 'later', '😀'];
    let text = '';
    for (let k = 0; k < 3 + i % 40; k++) {
        text += words[(i * 7 + k * k) % words.length] + ' ';
    }
    return JSON.stringify({ type: 'message', room: 'lobby', seq: i, text });
}

function noise(n) {
    const b = Buffer.alloc(n);
    let seed = n;
    for (let i = 0; i < n; i++) {
        seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
        b[i] = seed >>> 24;
    }
    return b;
}

async function row(path, terms) {
    const ws = await open(path, terms);
    const sent = [];
    let wrong = 0;
    let got = 0;
    const through = new Promise((resolve, reject) => {
        ws.on('close', (code) => reject(new Error(`closed ${code}`)));
        ws.on('message', (data, binary) => {
            const want = sent[got++];
            wrong += !data.equals(Buffer.from(want)) ||
                binary !== (typeof want !== 'string');
            if (got === sent.length) {
                resolve();
            }
        });
    });
    for (let i = 0; i < 300; i++) {
        sent.push(message(i));
    }
    sent.push('', 'x', 'y'.repeat(100000), noise(5), noise(20000),
        Buffer.alloc(70000), message(1).repeat(200), message(2));
    for (const data of sent) {
        ws.send(data);
    }
    for (let i = 0; i < 20; i++) {
        const text = message(i).repeat(3);
        sent.push(text);
        const bytes = Buffer.from(text);
        ws.send(bytes.subarray(0, 100), { binary: false, fin: false });
        ws.ping('between');
        ws.send(bytes.subarray(100, 101), { binary: false, fin: false });
        ws.send(bytes.subarray(101), { binary: false, fin: true });
    }
    await through;
    const result = {
        path,
        terms: JSON.stringify(terms),
        extensions: ws.extensions,
        wrong,
        got,
        bytes: ws._socket.bytesRead,
        plain: sent.reduce((n, d) => n + Buffer.byteLength(d), 0),
    };
    ws.removeAllListeners('close');
    const closed = new Promise((resolve) => ws.on('close', resolve));
    ws.close(1000);
    result.code = await closed;
    return result;
}

async function main() {
    const rows = [];
    for (const path of paths) {
        for (const terms of all) {
            rows.push(await row(path, terms).catch((e) => ({
                path, terms: JSON.stringify(terms), error: String(e),
            })));
        }
    }
    process.stdout.write(JSON.stringify({ event: 'done', rows }) + '\n',
        () => process.exit(0));
}

main();
