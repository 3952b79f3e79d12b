// Opens many WebSockets and holds them; speaks on all of them when told to.
//
//   node idle.js URL COUNT [SOURCE ADDRESS]
//
// Says {"event":"open","count":N,"failed":N} when all have been tried,
// {"event":"spoken",...} after a line "speak" on standard input (each
// connection sends a message of its own and waits for its echo), and
// {"event":"closed",...} with the close codes after a line "watch" once all
// connections have ended.  Ends when its input ends.
'use strict';
const http = require('http');
const WebSocket = require('ws');

const [url, countText, source] = process.argv.slice(2);
const count = Number(countText);
const sockets = [];
let failed = 0;
let started = 0;
let lost = 0; // closed while nobody had asked for it
const codes = {};
let watching = false;

const tell = (event, more) =>
    process.stdout.write(JSON.stringify({ event, ...more }) + '\n');

// A socket per connection without an agent's queue; a source address of its
// own for each driver, so that no range of ports runs out.
const agent = new http.Agent({ keepAlive: false, maxSockets: Infinity });

function openNext() {
    if (started === count) {
        return;
    }
    started++;
    const ws = new WebSocket(url, {
        agent, localAddress: source, perMessageDeflate: false,
        handshakeTimeout: 60000,
    });
    let open = false;
    ws.on('open', () => {
        open = true;
        sockets.push(ws);
        settled();
    });
    ws.on('error', (e) => {
        if (!open) {
            failed++;
            tell('error', { message: e.message });
            settled();
        }
    });
    ws.on('close', (code) => {
        if (!open) {
            return;
        }
        lost++;
        codes[code] = (codes[code] || 0) + 1;
        if (watching && lost === sockets.length) {
            tell('closed', { codes });
        }
    });
    ws.on('message', (data) => {
        if (ws.onEcho) {
            ws.onEcho(data.toString());
        }
    });
}

function settled() {
    if (sockets.length + failed === count) {
        tell('open', { count: sockets.length, failed });
    } else {
        openNext();
    }
}

// Every connection once, at most 500 at a time.
function speak() {
    let next = 0;
    let done = 0;
    let wrong = 0;
    const one = () => {
        if (next === sockets.length) {
            return;
        }
        const ws = sockets[next];
        const text = `${process.pid} ${next++}`;
        ws.onEcho = (got) => {
            ws.onEcho = null;
            wrong += got === text ? 0 : 1;
            if (++done === sockets.length) {
                tell('spoken', { count: done, wrong, lost });
            }
            one();
        };
        ws.send(text);
    };
    for (let i = 0; i < 500; i++) {
        one();
    }
}

let input = '';
process.stdin.on('data', (chunk) => {
    input += chunk;
    const lines = input.split('\n');
    input = lines.pop();
    for (const line of lines) {
        if (line === 'speak') {
            speak();
        } else if (line === 'watch') {
            watching = true;
            if (lost === sockets.length) {
                tell('closed', { codes });
            }
        }
    }
});
process.stdin.on('end', () => process.exit(0));

for (let i = 0; i < 64; i++) {
    openNext();
}
