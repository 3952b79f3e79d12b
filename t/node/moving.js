// Rooms full of clients that talk at a steady rate while the server does
// something to them; what each received is checked, and how long it took.
//
//   node moving.js URL CLIENTS ROOMS RATE NAME
//
// CLIENTS join ROOMS rooms (NAME0, NAME1, ...), evenly.  Words on standard
// input:
//
//   go      from now on RATE messages a second are sent in total
//   report  sending ends, and when all has arrived {"event":"report"} tells
//           of the time since the last report (see report())
//   return  who lost its connection comes again under its old nick, then
//           {"event":"returned"} tells whether every room has exactly the
//           members that it should have
'use strict';
const WebSocket = require('ws');

const [url, clientsText, roomsText, rateText, name] = process.argv.slice(2);
const clients = Number(clientsText);
const rate = Number(rateText);
const TICK = 10; // ms
const JOINING = 64; // at a time
const SETTLE = 15000; // ms, for what was sent to arrive
const LATE = 300; // ms, for what comes twice

const tell = (event, more) =>
    process.stdout.write(JSON.stringify({ event, ...more }) + '\n');

class Room {
    constructor(number) {
        this.name = `${name}${number}`;
        this.members = [];
        this.seqOf = new Map(); // text: seq
        this.acked = new Set();
        this.lastSeq = 0;
    }
}

let closed = {};
let errors = [];
let latencies = []; // of every delivery, ms
let disagree = 0; // a text has two numbers
let sent = 0;
let onJoined = () => {};

class Client {
    constructor(number, room) {
        this.nick = `${name}-${number}`;
        this.room = room;
        room.members.push(this);
        this.connect();
    }

    connect() {
        this.open = this.joined = false;
        this.since = this.lastSeq = this.room.lastSeq;
        this.seen = new Map(); // text: seq
        this.pending = new Map(); // id: text
        this.twice = this.backward = this.longest = 0;
        const ws = this.ws = new WebSocket(url, { perMessageDeflate: false });
        ws.on('open', () => {
            this.open = true;
            this.send({ type: 'join', room: this.room.name, nick: this.nick,
                id: 'join' });
        });
        ws.on('message', (data) => this.message(JSON.parse(data)));
        ws.on('error', () => {});
        ws.on('close', (code) => {
            this.open = false;
            closed[code] = (closed[code] || 0) + 1;
            if (!this.joined) {
                onJoined();
            }
        });
    }

    send(object) {
        this.ws.send(JSON.stringify(object));
    }

    speak() {
        const id = sent++;
        const text = `${id} ${performance.now()}`;
        this.pending.set(id, text);
        this.send({ type: 'message', room: this.room.name, text, id });
    }

    message(m) {
        if (m.id === 'who') {
            this.members = m.members;
            return;
        }
        switch (m.type) {
        case 'joined':
            if (m.id === 'join') {
                this.joined = true;
                onJoined();
            }
            break;
        case 'ack':
            if (this.pending.has(m.id)) {
                this.room.acked.add(this.pending.get(m.id));
                this.pending.delete(m.id);
            }
            break;
        case 'message':
            this.hear(m);
            break;
        case 'error':
            errors.push(m);
            if (!this.joined) {
                onJoined();
            }
            break;
        default: // presence
        }
    }

    hear(m) {
        const known = this.room.seqOf.get(m.text);
        const took = performance.now() - Number(m.text.split(' ')[1]);
        if (known !== undefined && known !== m.seq) {
            disagree++;
        }
        this.room.seqOf.set(m.text, m.seq);
        this.room.lastSeq = Math.max(this.room.lastSeq, m.seq);
        this.twice += this.seen.has(m.text) ? 1 : 0;
        this.backward += m.seq <= this.lastSeq ? 1 : 0;
        this.lastSeq = m.seq;
        this.seen.set(m.text, m.seq);
        this.longest = Math.max(this.longest, took);
        latencies.push(took);
    }

    missing() {
        let n = 0;
        for (const [text, seq] of this.room.seqOf) {
            n += seq > this.since && !this.seen.has(text) ? 1 : 0;
        }
        return n;
    }
}

const rooms = [];
const all = [];
for (let i = 0; i < Number(roomsText); i++) {
    rooms.push(new Room(i));
}

// ---- sending ----

let talking = null;
let turn = 0;

function talk() {
    let credit = 0;
    let last = performance.now();
    talking = setInterval(() => {
        const now = performance.now();
        credit += rate * (now - last) / 1000;
        last = now;
        for (; credit >= 1; credit--) {
            // Prime to most sizes, so that all rooms have their turn.
            for (let tries = 0; tries < clients; tries++) {
                const c = all[turn = (turn + 7919) % clients];
                if (c.open && c.joined) {
                    c.speak();
                    break;
                }
            }
        }
    }, TICK);
}

// ---- the reports ----

function settled() {
    for (const c of all) {
        if (c.open && c.pending.size > 0) {
            return false;
        }
    }
    // Cheap first: the numbers, which are equal in the end.
    return all.every((c) => !c.open || c.missing() === 0);
}

function whenSettled(then) {
    const end = performance.now() + SETTLE;
    const look = () => {
        if (settled() || performance.now() > end) {
            setTimeout(then, LATE);
        } else {
            setTimeout(look, 100);
        }
    };
    look();
}

const quantile = (sorted, q) => sorted.length === 0 ? 0
    : Math.round(sorted[Math.min(sorted.length - 1,
        Math.floor(sorted.length * q))] * 10) / 10;

//   clients      still connected
//   closed       close codes of the others, how often each
//   sent, acked  messages; lost: acknowledged and received by nobody
//   missing      deliveries that did not come, to clients still there
//   twice        deliveries of what that client had already
//   backward     deliveries whose seq was not above the one before
//   unanswered   messages of clients still there without acknowledgement
//   p50, p99, max   of all deliveries, ms from the sender to the receiver
//   pause99      the same for the longest of each client
function report() {
    const here = all.filter((c) => c.open);
    const sum = (f) => here.reduce((n, c) => n + f(c), 0);
    const sorted = Float64Array.from(latencies).sort();
    const longest = Float64Array.from(here.map((c) => c.longest)).sort();
    let acked = 0;
    let lost = 0;
    for (const r of rooms) {
        acked += r.acked.size;
        for (const text of r.acked) {
            lost += r.seqOf.has(text) || !r.members.some((c) => c.open) ? 0 : 1;
        }
    }
    tell('report', {
        clients: here.length, closed, sent, acked, lost, disagree,
        missing: sum((c) => c.missing()), twice: sum((c) => c.twice),
        backward: sum((c) => c.backward), unanswered: sum((c) => c.pending.size),
        p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99),
        max: quantile(sorted, 1), pause99: quantile(longest, 0.99),
        deliveries: sorted.length, errors: errors.slice(0, 5),
    });
    sent = disagree = 0;
    closed = {};
    errors = [];
    latencies = [];
    for (const r of rooms) {
        r.seqOf.clear();
        r.acked.clear();
    }
    for (const c of all) {
        c.seen.clear();
        c.pending.clear();
        c.twice = c.backward = c.longest = 0;
    }
}

// ---- coming and coming again ----

// Calls step(i) for 0..n-1, JOINING at a time; each is over when onJoined is
// called; then calls then.
function crowd(n, step, then) {
    let begun = 0;
    let over = 0;
    if (n === 0) {
        then();
        return;
    }
    onJoined = () => {
        over++;
        if (begun < n) {
            step(begun++);
        } else if (over === n) {
            then();
        }
    };
    while (begun < Math.min(n, JOINING)) {
        step(begun++);
    }
}

function compare() {
    let wrong = 0;
    let example = '';
    for (const r of rooms) {
        const want = r.members.filter((c) => c.open).map((c) => c.nick).sort();
        const asked = r.members.find((c) => c.open);
        const got = (asked && asked.members || []).slice().sort();
        if (asked && want.join() !== got.join()) {
            wrong++;
            example = `${r.name}: ${want.length} wanted, ${got.length} there: ` +
                got.filter((n) => !want.includes(n)).slice(0, 5).join();
        }
    }
    tell('returned', { clients: all.filter((c) => c.open).length, wrong,
        example, errors: errors.slice(0, 5) });
    errors = [];
}

function comeAgain() {
    const lost = all.filter((c) => !c.open);
    crowd(lost.length, (i) => lost[i].connect(), () => {
        for (const r of rooms) {
            const c = r.members.find((m) => m.open);
            if (c) {
                c.members = null;
                c.send({ type: 'who', room: r.name, id: 'who' });
            }
        }
        const end = performance.now() + 5000;
        const look = () => {
            const all = rooms.every((r) => {
                const c = r.members.find((m) => m.open);
                return !c || c.members;
            });
            if (all || performance.now() > end) {
                compare();
            } else {
                setTimeout(look, 20);
            }
        };
        look();
    });
}

const words = {
    go: talk,
    report() {
        clearInterval(talking);
        whenSettled(report);
    },
    return: comeAgain,
};

let input = '';
process.stdin.on('data', (chunk) => {
    input += chunk;
    const lines = input.split('\n');
    input = lines.pop();
    for (const line of lines) {
        if (Object.hasOwn(words, line)) {
            words[line]();
        }
    }
});
process.stdin.on('end', () => process.exit(0));

crowd(clients, (i) => all.push(new Client(i, rooms[i % rooms.length])),
    () => tell('joined'));
