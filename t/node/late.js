// Those who come late: clients that join, or come back, while others speak;
// what they are told of the past and what they hear afterwards must fit
// together without a message twice or left out.
//
//   node late.js URL ROOM speak WINDOW SECONDS [BYTES [RATE]]
//
// One that speaks as fast as it is acknowledged, WINDOW messages at a time, for
// SECONDS from a line "go" on or until another line, each with so many BYTES
// more, at most RATE a second.  Says {"event":"joined"}; at the end
// {"event":"spoken"} with how many were acknowledged and the seq of the last.
//
//   node late.js URL ROOM listen
//
// One that listens.  Says {"event":"joined"}.  When a line with a seq comes, it
// goes on until it has heard that one, and silence; then it says
// {"event":"heard"} with
//
//   seqs        of the messages it has heard
//   gaps        seqs of the gaps it was told of
//   pause       ms, the longest between two messages
//   page        seqs of the history that it asked for when told of the first
//               gap (again, as long as its worker is so far behind that all
//               that is kept comes as events yet), and
//   next        the first seq that it heard after that
//   code        with which it was closed, 0 when it was not
//
//   node late.js URL ROOM race JOINERS
//
// One that listens all the time, and JOINERS that come, read pages of history,
// go and come back, over and over.  Says {"event":"joined"}.  When a line with
// a seq comes, it goes on until the listener has heard that one, and silence;
// then it says {"event":"raced"} with
//
//   heard       messages that the listener has heard
//   visits      joins without since, and
//   wrong       those after which history and events were not exactly what the
//               listener heard
//   returns     joins with since, and
//   recovered   those answered with recovered, and
//   unlike      those of them in which something was missing or came twice
//   pages       pages of history, and
//   torn        those that were not what the listener heard just before
//   examples    a few of what went wrong
//
//   node late.js URL ROOM drop CLIENTS MESSAGES SECONDS
//
// A room of CLIENTS in which MESSAGES are said over SECONDS; one of them breaks
// before the first and comes back after the last.  Says {"event":"dropped"}
// with recovered, missed, twice, backward and later: how many messages said
// after its return it heard.
'use strict';
const WebSocket = require('ws');

const [url, room, mode, ...rest] = process.argv.slice(2);
const numbers = rest.map(Number);

const tell = (event, more) =>
    process.stdout.write(JSON.stringify({ event, ...more }) + '\n');
const pause = (ms) => new Promise((then) => { setTimeout(then, ms); });

// A client; what comes goes to hear(object), answers to whoever asked.
class Client {
    constructor(hear) {
        this.hear = hear;
        this.answers = new Map();
        this.lastId = 0;
        this.ws = new WebSocket(url, { perMessageDeflate: false });
        this.ws.on('message', (data) => this.message(JSON.parse(data)));
        this.ws.on('error', () => {});
        this.closed = new Promise((then) => this.ws.on('close', then));
        this.open = new Promise((then) => this.ws.on('open', then));
    }

    message(m) {
        const answer = m.id === undefined ? null : this.answers.get(m.id);
        if (answer) {
            this.answers.delete(m.id);
            answer(m);
        } else {
            this.hear(m);
        }
    }

    // The answer comes before anything that the server sends after it.
    ask(object, answer) {
        const id = ++this.lastId;
        this.answers.set(id, answer);
        this.ws.send(JSON.stringify({ ...object, id }));
    }

    join(since, answer) {
        this.open.then(() => this.ask({ type: 'join', room, since }, (m) => {
            if (m.type !== 'joined') {
                throw new Error(JSON.stringify(m));
            }
            answer(m);
        }));
    }
}

// ---- one that speaks ----

function speak(window, seconds, bytes = 0, rate = Infinity) {
    let said = 0;
    let acknowledged = 0;
    let seq = 0;
    let start = 0;
    let over = false;
    const more = ' '.padEnd(bytes, 'x');
    const text = () => `${process.pid}.${said++}${more}`;
    const one = () => client.ask(
        { type: 'message', room, text: text() }, (m) => {
            if (m.type !== 'ack') {
                throw new Error(JSON.stringify(m));
            }
            acknowledged++;
            seq = Math.max(seq, m.seq);
            const early = start + said * 1000 / rate - Date.now();
            if (early > 0) {
                setTimeout(next, early);
            } else {
                next();
            }
        });
    const next = () => {
        if (!over) {
            one();
        } else if (acknowledged === said) {
            tell('spoken', { acknowledged, seq });
            client.ws.close();
        }
    };
    const client = new Client(() => {});
    client.join(undefined, () => {
        tell('joined');
        process.stdin.once('data', () => {
            start = Date.now();
            for (let i = 0; i < window; i++) {
                one();
            }
            const end = setTimeout(() => { over = true; }, seconds * 1000);
            process.stdin.once('data', () => {
                clearTimeout(end);
                over = true;
            });
        });
    });
}

// ---- one that listens ----

function listen() {
    const heard = { seqs: [], gaps: [], pause: 0, page: null, next: 0,
        code: 0 };
    let last = 0;
    let end = 0; /* the largest seq that it knows of */
    let asked = false;
    const client = new Client((m) => {
        const now = Date.now();
        end = Math.max(end, m.seq ?? 0);
        if (m.type === 'gap') {
            heard.gaps.push(m.seq);
        }
        if (heard.gaps.length > 0 && !heard.page && !asked) {
            asked = true;
            client.ask({ type: 'history', room, limit: 100 }, (page) => {
                asked = false;
                if (page.messages.length > 0) {
                    heard.page = page.messages.map((one) => one.seq);
                }
            });
        }
        if (m.type !== 'message') {
            return;
        }
        heard.pause = Math.max(heard.pause, last ? now - last : 0);
        last = now;
        heard.seqs.push(m.seq);
        if (heard.page && !heard.next) {
            heard.next = m.seq;
        }
    });
    client.closed.then((code) => { heard.code = code; });
    client.join(undefined, () => tell('joined'));
    process.stdin.once('data', async (line) => {
        while (end < Number(line) || Date.now() - last < 300) {
            await pause(50);
        }
        const { code } = heard;
        client.ws.close();
        tell('heard', { ...heard, code });
    });
}

// ---- the race ----

const STAY = 150; // messages heard in one visit
const PAGES = 3;

function race(joiners) {
    const heard = [];
    const visits = []; // {kind, seqs, end}
    const result = { visits: 0, wrong: 0, returns: 0, recovered: 0,
        unlike: 0, pages: 0, torn: 0, examples: [] };
    let stopping = false;
    let last = Date.now();

    const listener = new Client((m) => {
        if (m.type === 'message') {
            heard.push(m.seq);
            last = Date.now();
        }
    });

    // One visit; gives the seq of the last message that was heard.
    function visit(since) {
        return new Promise((then) => {
            const seqs = [];
            let stayed = 0;
            let leaving = 0;
            const client = new Client((m) => {
                if (m.type !== 'message' || leaving) {
                    return;
                }
                seqs.push(m.seq);
                if (++stayed === STAY) {
                    leave();
                }
            });
            const leave = () => {
                leaving = 1;
                clearTimeout(bored);
                client.ws.terminate();
                then(seqs.at(-1));
            };
            const bored = setTimeout(leave, 2000);
            client.join(since ?? undefined, (m) => {
                visit.epoch = m.epoch;
                const past = m.history.map((one) => one.seq);
                seqs.push(...past);
                visits.push({ seqs, after: m.recovered ? since.seq : null,
                    again: Boolean(since), recovered: m.recovered });
                if (!since && past.length) {
                    pages(client, past[0], PAGES);
                }
            });
        });
    }

    function pages(client, before, left) {
        client.ask({ type: 'history', room, before, limit: 20 }, (m) => {
            const seqs = m.messages.map((one) => one.seq);
            visits.push({ page: true, seqs, before });
            if (left > 1 && seqs.length) {
                pages(client, seqs[0], left - 1);
            }
        });
    }

    async function come(n) {
        await pause(n * 7);
        while (!stopping) {
            const seq = await visit(null);
            await pause(Math.random() * 40);
            if (seq && !stopping) {
                await visit({ epoch: visit.epoch, seq });
            }
        }
    }

    // Whether seqs is what was heard from index on.
    const same = (seqs, index) => index >= 0 &&
        seqs.every((seq, i) => heard[index + i] === seq);

    function judge(one, where) {
        let good = true;
        if (one.page) {
            const end = where.get(one.before);
            good = !one.seqs.length || same(one.seqs, end - one.seqs.length);
            result.pages++;
            result.torn += good ? 0 : 1;
        } else if (one.again) {
            result.returns++;
            if (one.recovered) {
                result.recovered++;
                good = same(one.seqs, where.get(one.after) + 1);
                result.unlike += good ? 0 : 1;
            }
        } else {
            result.visits++;
            good = !one.seqs.length || same(one.seqs, where.get(one.seqs[0]));
            result.wrong += good ? 0 : 1;
        }
        if (!good && result.examples.length < 3) {
            const from = where.get(one.seqs[0]) ?? 0;
            result.examples.push({ ...one,
                heard: heard.slice(from, from + one.seqs.length + 5) });
        }
    }

    async function stop(seq) {
        stopping = true;
        await all;
        while (heard.at(-1) < seq || Date.now() - last < 300) {
            await pause(50);
        }
        const where = new Map(heard.map((seq, i) => [seq, i]));
        visits.forEach((one) => judge(one, where));
        tell('raced', { heard: heard.length, ...result });
        listener.ws.close();
    }

    let all = null;
    listener.join(undefined, (m) => {
        heard.push(...m.history.map((one) => one.seq));
        tell('joined');
        all = Promise.all(Array.from({ length: joiners }, (_, n) => come(n)));
    });
    process.stdin.once('data', (line) => stop(Number(line)));
}

// ---- one that breaks ----

async function drop(clients, messages, seconds) {
    const joined = [];
    const crowd = [];
    let epoch = 0;
    let seen = 0; /* by the one that breaks */
    const said = [];
    for (let i = 0; i < clients; i++) {
        const client = new Client((m) => {
            if (i === 0 && m.seq > seen) {
                seen = m.seq;
            }
        });
        crowd.push(client);
        joined.push(new Promise((then) => client.join(undefined, then)));
    }
    for (const answer of joined) {
        const m = await answer;
        epoch = m.epoch;
        seen = Math.max(seen, answer === joined[0] ? m.seq : 0);
    }
    const speakers = crowd.slice(1);
    const say = () => new Promise((then) => speakers[said.length % (clients - 1)]
        .ask({ type: 'message', room, text: 'x'.repeat(60) }, (m) => then(m.seq)));
    said.push(await say());
    while (seen < said[0]) {
        await pause(5);
    }
    crowd[0].ws.terminate();
    await crowd[0].closed;

    const start = Date.now();
    const missed = [];
    for (let i = 0; i < messages; i++) {
        const due = start + i * seconds * 1000 / messages;
        if (due > Date.now()) {
            await pause(due - Date.now());
        }
        missed.push(await say());
        said.push(missed.at(-1));
    }

    const got = [];
    const back = new Client((m) => m.type === 'message' && got.push(m.seq));
    const m = await new Promise((then) => back.join({ epoch, seq: seen }, then));
    got.unshift(...m.history.map((one) => one.seq));
    const later = [await say(), await say()];
    for (let i = 0; i < 400 && !got.includes(later[1]); i++) {
        await pause(10);
    }
    const set = new Set(got);
    tell('dropped', {
        recovered: m.recovered,
        missed: missed.filter((seq) => !set.has(seq)).length,
        twice: got.length - set.size,
        backward: got.filter((seq, i) => i > 0 && seq <= got[i - 1]).length,
        foreign: got.filter((seq) => !missed.includes(seq) &&
            !later.includes(seq)).length,
        later: later.filter((seq) => set.has(seq)).length,
        members: m.members.length,
    });
    process.exit(0);
}

process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
({ speak, listen, race, drop })[mode](...numbers);
