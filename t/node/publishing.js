// Programs at rooms over HTTP: one publishes at a steady rate, others listen to
// server-sent events.  What each has heard is held against what was answered.
//
//   node publishing.js URL LISTENERS RATE FEW NAME
//
// Each time FEW messages go to the room NAME-few, and three times as many, or
// more, to NAME-many.  LISTENERS listen to each.  Words on standard input:
//
//   go      from now on RATE messages a second are published
//   report  publishing ends when these are out, and when all has arrived
//           {"event":"report"} tells of the time since the last report (see
//           report())
//   ask     one message, and when all listeners have heard it {"event":"heard"}
//           tells how many ms after the answer to it that was
//   said    {"event":"said"} with all that was answered, by room: [seq, text]
'use strict';
const http = require('http');

const [url, listenersText, rateText, fewText, name] = process.argv.slice(2);
const rate = Number(rateText);
const few = Number(fewText);
const TICK = 10; // ms
const SHARE = 4; // every so many is for the room with few
const SETTLE = 15000; // ms, for what was published to arrive
const LATE = 300; // ms, for what comes twice

const tell = (event, more) =>
    process.stdout.write(JSON.stringify({ event, ...more }) + '\n');

let failed = []; // requests that were not answered with 200

class Room {
    constructor(which) {
        this.name = `${name}-${which}`;
        this.said = new Map(); // seq: text, what was answered
        this.listeners = [];
    }
}

class Listener {
    constructor(room) {
        this.room = room;
        this.heard = new Map(); // seq: text
        this.last = 0;
        this.id = '';
        this.ended = this.twice = this.backward = this.gaps = 0;
        room.listeners.push(this);
        this.connect();
    }

    connect() {
        this.text = '';
        const headers = this.id ? { 'Last-Event-ID': this.id } : {};
        this.request = http.get(`${url}/events?room=${this.room.name}`,
            { agent: false, headers }, (r) => {
                if (r.statusCode !== 200) {
                    failed.push(`listen: ${r.statusCode}`);
                }
                r.setEncoding('utf8');
                r.on('data', (d) => this.data(d));
                r.on('error', () => {});
                r.on('close', () => this.lost());
            });
        this.request.on('error', () => this.lost());
    }

    // As a browser does.
    lost() {
        if (this.request) {
            this.request = null;
            this.ended++;
            setTimeout(() => this.connect(), TICK);
        }
    }

    data(d) {
        this.text += d;
        const blocks = this.text.split('\n\n');
        this.text = blocks.pop();
        for (const block of blocks) {
            const data = /^data: (.*)$/m.exec(block);
            const id = /^id: (.*)$/m.exec(block);
            if (data) {
                this.event(JSON.parse(data[1]));
            }
            if (id) {
                this.id = id[1];
            }
        }
    }

    event(m) {
        if (m.type === 'joined') {
            if (!this.joined) {
                this.joined = true;
                this.last = m.seq;
                onJoined();
            } else if (m.recovered) {
                m.history.forEach((h) => this.hear(h));
            }
        } else if (m.type === 'message') {
            this.hear(m);
        } else if (m.type === 'gap') {
            this.gaps++;
        }
    }

    hear(m) {
        this.twice += this.heard.has(m.seq) ? 1 : 0;
        this.backward += m.seq <= this.last ? 1 : 0;
        this.last = m.seq;
        this.heard.set(m.seq, m.text);
        onHeard();
    }

    missing() {
        let n = 0;
        for (const [seq, text] of this.room.said) {
            n += this.heard.get(seq) !== text ? 1 : 0;
        }
        return n;
    }
}

const rooms = { few: new Room('few'), many: new Room('many') };
const all = [];
let joined = 0;
let onHeard = () => {};

function onJoined() {
    if (++joined === 2 * Number(listenersText)) {
        tell('joined');
    }
}

// ---- publishing ----

const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
let number = 0;
let underway = 0;
let unsure = 0; // neither answered nor refused: their connection was lost

function publish(room, then) {
    const text = `number ${number++}`;
    const r = http.request(`${url}/api/v1/publish`, { method: 'POST', agent,
        headers: { 'Content-Type': 'application/json' } }, (answer) => {
        let body = '';
        answer.setEncoding('utf8');
        answer.on('data', (d) => {
            body += d;
        });
        answer.on('end', () => {
            underway--;
            if (answer.statusCode !== 200) {
                failed.push(`${answer.statusCode} ${body}`);
            } else {
                const { seq } = JSON.parse(body).result;
                room.said.set(seq, text);
                then(seq);
            }
        });
    });
    underway++;
    r.on('error', () => {
        underway--;
        unsure++;
    });
    r.end(JSON.stringify({ room: room.name, from: 'program', text }));
}

let timer = null;
let turn = 0;

function go() {
    let credit = 0;
    turn = 0;
    let last = performance.now();
    timer = setInterval(() => {
        const now = performance.now();
        credit += rate * (now - last) / 1000;
        last = now;
        for (; credit >= 1; credit--) {
            const isFew = turn % SHARE === 0 && turn < few * SHARE;
            turn++;
            publish(isFew ? rooms.few : rooms.many, () => {});
        }
    }, TICK);
}

function ask() {
    let seq = 0;
    let begun = 0;
    onHeard = () => {
        if (seq && rooms.few.listeners.every((l) => l.heard.has(seq))) {
            onHeard = () => {};
            tell('heard', { ms: performance.now() - begun });
        }
    };
    publish(rooms.few, (s) => {
        seq = s;
        begun = performance.now();
        onHeard();
    });
}

// ---- the reports ----

function whenSettled(then) {
    const end = performance.now() + SETTLE;
    const look = () => {
        if ((underway === 0 && all.every((l) => l.missing() === 0)) ||
            performance.now() > end) {
            setTimeout(then, LATE);
        } else {
            setTimeout(look, 100);
        }
    };
    look();
}

//   said      messages answered with 200, since the beginning
//   unsure    not answered: the connection was lost meanwhile
//   failed    answered with something else
//   ended     streams that ended (they came again as browsers do)
//   missing   deliveries of what was answered that did not come
//   twice     deliveries of what that listener had already
//   backward  deliveries whose seq was not above the one before
//   gaps      that listeners were told of
//   strange   of ours, heard by a listener, but not answered: at most those
//             unsure
function report() {
    const sum = (f) => all.reduce((n, l) => n + f(l), 0);
    tell('report', {
        said: rooms.few.said.size + rooms.many.said.size, unsure, failed,
        ended: sum((l) => l.ended), missing: sum((l) => l.missing()),
        twice: sum((l) => l.twice), backward: sum((l) => l.backward),
        gaps: sum((l) => l.gaps),
        strange: Math.max(...all.map((l) => [...l.heard].filter(
            ([seq, text]) => text.startsWith('number ') &&
                !l.room.said.has(seq)).length)),
    });
    failed = [];
    unsure = 0;
    for (const l of all) {
        l.ended = l.twice = l.backward = l.gaps = 0;
    }
}

const words = {
    go,
    report() {
        if (turn < few * SHARE) {
            setTimeout(words.report, TICK);
            return;
        }
        clearInterval(timer);
        whenSettled(report);
    },
    ask,
    said() {
        const rows = (room) => [...room.said].sort((a, b) => a[0] - b[0]);
        tell('said', { few: rows(rooms.few), many: rows(rooms.many) });
    },
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

for (const room of Object.values(rooms)) {
    for (let i = 0; i < Number(listenersText); i++) {
        all.push(new Listener(room));
    }
}
