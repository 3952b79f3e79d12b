// A crowd on all workers under load, of which some are cut off by the end of
// their worker; who is there must be the truth everywhere soon after.
//
//   node presence.js URL CLIENTS SPEAKERS
//
// Everybody joins "hall" and a room of "a" to "d"; SPEAKERS of them say
// something in the hall, the next when it was acknowledged.  Says
// {"event":"joined"}.  Then for each line "killed" on standard input, which
// stands for a worker that has just been killed, waits until somebody is cut
// off, asks everybody else who is in the hall, until all answers are those who
// are left; then those that were cut off come back under their nicks, and
// everybody is asked again.  Says {"event":"round"} with
//
//   lost      how many were cut off
//   left      ms until all answers were right, from the line on
//   left_at   ms until the others had been told of all who left
//   back      ms until all were back and all answers were right
//   taken     how often a nick was taken
//   wrong     the last wrong answer, if time ran out
//   silent    requests that were not answered, a few of them
//   said      messages that were acknowledged in all so far
'use strict';
const WebSocket = require('ws');

const [url, clientsText, speakersText] = process.argv.slice(2);
const clients = Number(clientsText);
const speakers = Number(speakersText);
const crowd = [];
let said = 0;
let taken = 0;
const silent = []; // requests without an answer

const PATIENCE = 10000; // ms; the test says what is too late

const tell = (event, more) =>
    process.stdout.write(JSON.stringify({ event, ...more }) + '\n');
const pause = (ms) => new Promise((then) => { setTimeout(then, ms); });

class Client {
    constructor(number) {
        this.number = number;
        this.nick = `n${String(number).padStart(3, '0')}`;
        this.side = 'abcd'[number % 4];
        this.come();
    }

    come() {
        this.here = this.cut = false;
        this.answers = new Map();
        this.lastId = 0;
        this.gone = new Set(); // who has left the hall
        this.ws = new WebSocket(url, { perMessageDeflate: false });
        this.ws.on('message', (data) => this.message(JSON.parse(data)));
        this.ws.on('error', () => {});
        this.ws.on('close', () => {
            this.here = false;
            this.cut = true;
            this.answers.forEach((answer) => answer(null));
        });
        this.ws.on('open', () => this.join());
    }

    async join() {
        for (const room of ['hall', this.side]) {
            const m = await this.ask({ type: 'join', room, nick: this.nick });
            if (!m) {
                return;
            }
            if (m.code === 'nick_taken') {
                taken++;
                await pause(10);
                this.join();
                return;
            }
            if (m.type !== 'joined' || m.nick !== this.nick) {
                throw new Error(JSON.stringify(m));
            }
        }
        this.here = true;
        if (this.number < speakers) {
            this.speak();
        }
    }

    async speak() {
        while (this.here) {
            const m = await this.ask({ type: 'message', room: 'hall',
                text: `from ${this.nick}` });
            said += m ? 1 : 0;
        }
    }

    message(m) {
        const answer = m.id === undefined ? null : this.answers.get(m.id);
        if (answer) {
            this.answers.delete(m.id);
            answer(m);
        } else if (m.type === 'presence' && m.room === 'hall') {
            this.gone[m.event === 'leave' ? 'add' : 'delete'](m.nick);
        }
    }

    // null when the connection breaks before the answer.
    ask(object) {
        return new Promise((then) => {
            if (this.ws.readyState !== WebSocket.OPEN) {
                then(null);
                return;
            }
            const id = ++this.lastId;
            const text = JSON.stringify({ ...object, id });
            const timer = setTimeout(() => {
                silent.push(`${this.nick} ${text}`);
                then(null);
            }, PATIENCE);
            this.answers.set(id, (m) => {
                clearTimeout(timer);
                then(m);
            });
            this.ws.send(text);
        });
    }

    who(room) {
        return this.ask({ type: 'who', room });
    }
}

const here = () => crowd.filter((c) => c.here);

// Asks everybody until all answers are the nicks of those who are here.
async function agree(since) {
    let wrong = '';
    while (Date.now() - since < PATIENCE) {
        const those = here();
        const truth = those.map((c) => c.nick).sort();
        const answers = await Promise.all(those.map((c) => c.who('hall')));
        const sides = await Promise.all(those.map((c) => c.who(c.side)));
        wrong = '';
        for (const m of answers) {
            if (m && (m.count !== truth.length ||
                      m.members.sort().join() !== truth.join())) {
                wrong = `hall: ${m.count} ${m.members}`;
            }
        }
        sides.forEach((m, i) => {
            const { side } = those[i];
            const nicks = those.filter((c) => c.side === side)
                .map((c) => c.nick).sort();
            if (m && m.members.sort().join() !== nicks.join()) {
                wrong = `${side}: ${m.count} ${m.members}`;
            }
        });
        if (!wrong && those.length === here().length) {
            return { ms: Date.now() - since };
        }
        await pause(5);
    }
    return { ms: PATIENCE, wrong };
}

async function until(check, since) {
    while (!check() && Date.now() - since < PATIENCE) {
        await pause(5);
    }
    return Date.now() - since;
}

async function round() {
    const start = Date.now();
    await until(() => crowd.some((c) => c.cut), start);
    const left = await agree(start);
    const lost = crowd.filter((c) => c.cut);
    const leftAt = await until(() => here().every(
        (c) => lost.every((one) => c.gone.has(one.nick))), start);
    const again = Date.now();
    await until(() => {
        crowd.filter((c) => c.cut).forEach((c) => c.come());
        return here().length === clients;
    }, again);
    const back = await agree(again);
    tell('round', { lost: lost.length, left: left.ms, left_at: leftAt,
        back: back.ms, taken, wrong: left.wrong || back.wrong || '',
        silent: silent.slice(0, 3), said });
}

for (let i = 0; i < clients; i++) {
    crowd.push(new Client(i));
}
until(() => here().length === clients, Date.now()).then(() => tell('joined'));

process.stdin.on('data', () => round());
process.stdin.on('end', () => process.exit(0));
