// A room full of clients: everybody sends, everybody must receive everything
// once and in one same order.
//
//   node fanout.js URL CLIENTS MESSAGES ROOM
//
// Each client joins ROOM, waits for a line "go" on standard input, and sends
// its MESSAGES one after the other, the next when the last was acknowledged.
// Says {"event":"joined"} when all are in, {"event":"half"} when half of the
// messages have been acknowledged, and at the end {"event":"done"} with
//
//   clients   how many were still connected at the end
//   closed    close codes of the others
//   texts     how many different messages the clients received
//   same      how many clients received exactly the same sequence
//   twice     deliveries of something received before by that client
//   backward  deliveries whose seq was not above the one before
//   missing   acknowledged messages (of anybody) that a client still there
//             did not receive
//   foreign   messages whose text nobody sent
//   errors    error answers
'use strict';
const crypto = require('crypto');
const WebSocket = require('ws');

const [url, clientsText, messagesText, room] = process.argv.slice(2);
const clients = Number(clientsText);
const messages = Number(messagesText);
const all = [];
const acked = new Set();
const sentTexts = new Set();
const closed = {};
const errors = [];
let joined = 0;
let half = false;
let ending = false;
let finished = false;

const tell = (event, more) =>
    process.stdout.write(JSON.stringify({ event, ...more }) + '\n');

class Client {
    constructor(number) {
        this.number = number;
        this.open = false;
        this.texts = [];
        this.seen = new Set();
        this.lastSeq = 0;
        this.twice = 0;
        this.backward = 0;
        this.next = 0;
        this.done = false;
        const ws = this.ws = new WebSocket(url, { perMessageDeflate: false });
        ws.on('open', () => {
            this.open = true;
            this.send({ type: 'join', room, nick: `n${number}`, id: 'join' });
        });
        ws.on('message', (data) => this.message(JSON.parse(data)));
        ws.on('error', () => {});
        ws.on('close', (code) => {
            this.open = false;
            closed[code] = (closed[code] || 0) + 1;
            check();
        });
    }

    send(object) {
        this.ws.send(JSON.stringify(object));
    }

    speak() {
        if (this.next === messages) {
            this.done = true;
            check();
            return;
        }
        this.text = `${this.number}.${this.next++}`;
        sentTexts.add(this.text);
        this.send({ type: 'message', room, text: this.text, id: this.next });
    }

    message(m) {
        switch (m.type) {
        case 'joined':
            if (++joined === clients) {
                tell('joined');
            }
            break;
        case 'ack':
            acked.add(this.text);
            if (!half && acked.size * 2 >= clients * messages) {
                half = true;
                tell('half');
            }
            this.speak();
            break;
        case 'message':
            if (this.seen.has(m.text)) {
                this.twice++;
            }
            if (m.seq <= this.lastSeq) {
                this.backward++;
            }
            this.lastSeq = m.seq;
            this.seen.add(m.text);
            this.texts.push(m.text);
            check();
            break;
        case 'error':
            errors.push(m);
            break;
        default: // presence
        }
    }
}

// The end: everybody who is still there has said all and has received all
// that was acknowledged.
function check() {
    if (finished || ending) {
        return;
    }
    for (const c of all) {
        if (c.open && (!c.done || c.seen.size < acked.size)) {
            return;
        }
    }
    for (const c of all) {
        for (const text of c.open ? acked : []) {
            if (!c.seen.has(text)) {
                return;
            }
        }
    }
    // What is delivered twice may come late.
    ending = true;
    setTimeout(report, 300);
}

function report() {
    if (finished) {
        return;
    }
    finished = true;
    const here = all.filter((c) => c.open);
    const orders = new Map();
    let missing = 0;
    let twice = 0;
    let backward = 0;
    let foreign = 0;
    const texts = new Set();
    for (const c of here) {
        const h = crypto.createHash('sha1').update(c.texts.join('\n'))
            .digest('hex');
        orders.set(h, (orders.get(h) || 0) + 1);
        twice += c.twice;
        backward += c.backward;
        for (const t of acked) {
            missing += c.seen.has(t) ? 0 : 1;
        }
        for (const t of c.seen) {
            foreign += sentTexts.has(t) ? 0 : 1;
            texts.add(t);
        }
    }
    tell('done', {
        clients: here.length, closed, acked: acked.size, texts: texts.size,
        same: Math.max(0, ...orders.values()), twice, backward, missing,
        foreign, errors: errors.slice(0, 5),
    });
}

let input = '';
process.stdin.on('data', (chunk) => {
    input += chunk;
    const lines = input.split('\n');
    input = lines.pop();
    for (const line of lines) {
        if (line === 'go') {
            all.forEach((c) => c.speak());
        } else if (line === 'report') {
            report();
        }
    }
});
process.stdin.on('end', () => process.exit(0));

for (let i = 0; i < clients; i++) {
    all.push(new Client(i));
}
