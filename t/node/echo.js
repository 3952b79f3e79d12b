// Echo over WebSocket, many messages in flight, every byte checked.
//
//   node echo.js URL CONNECTIONS DEPTH TOTAL SIZE
//
// Each connection keeps DEPTH messages in flight until TOTAL have come back
// over all of them; payloads differ in length (up to SIZE) and contents, and
// must come back in the order in which they were sent.  Says
// {"event":"done","messages":N,"wrong":N,"closed":N,"ms":N}.
'use strict';
const WebSocket = require('ws');

const [url, ...numbers] = process.argv.slice(2);
const [connections, depth, total, size] = numbers.map(Number);
const pool = Buffer.alloc(size + 65536);
for (let i = 0; i < pool.length; i++) {
    pool[i] = (i * 7919 + (i >> 8)) & 255;
}

let sent = 0;
let received = 0;
let wrong = 0;
let closed = 0;
let finished = false;
const begin = Date.now();

// Message n of connection c: its number in the first 8 bytes, then a window
// of the pool.  Nothing is remembered but the number.
function payload(c, n) {
    const length = 8 + (n * 31 + c * 17) % (size + 1);
    const b = Buffer.allocUnsafe(length);
    pool.copy(b, 0, n % 65521, n % 65521 + length);
    b.writeUInt32BE(c, 0);
    b.writeUInt32BE(n, 4);
    return b;
}

function finish() {
    if (finished) {
        return;
    }
    finished = true;
    process.stdout.write(JSON.stringify({
        event: 'done', messages: received, wrong, closed,
        ms: Date.now() - begin,
    }) + '\n', () => process.exit(0));
}

function run(c) {
    const ws = new WebSocket(url, { perMessageDeflate: false });
    let out = 0;
    let back = 0;
    const send = () => {
        if (sent < total) {
            sent++;
            ws.send(payload(c, out++));
        }
    };
    ws.on('open', () => {
        for (let i = 0; i < depth; i++) {
            send();
        }
    });
    ws.on('message', (data, binary) => {
        if (!binary || !payload(c, back).equals(data)) {
            wrong++;
        }
        back++;
        received++;
        if (received === total) {
            finish();
        } else {
            send();
        }
    });
    ws.on('error', () => {});
    ws.on('close', () => {
        closed++;
        if (!finished && closed === connections) {
            finish();
        }
    });
}

for (let c = 0; c < connections; c++) {
    run(c);
}
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
