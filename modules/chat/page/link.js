/*
 * The connection: one WebSocket that comes back by itself, and requests that
 * find their answers by id.  What is said over it is chat.js's business.
 *
 * States: connecting, up, waiting (for the next try), closed (not started, or
 * the server asked us not to come back).
 */
const FIRST_DELAY = 500, LAST_DELAY = 15000; /* ms, as all times here */
const PATIENCE = 12000; /* for a connection, for an answer */
const STABLE_AFTER = 5000;
const NEVER_AGAIN = 4500; /* close codes from here on */

export class Link {
  /* on: {up(), awake(), message(object), state(name, why)} */
  constructor(url, on) {
    Object.assign(this, { url, on, state: 'closed', attempt: 0, lastId: 0 });
    this.asked = new Map();
    addEventListener('online', () => this.wake());
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) {
        this.wake();
      }
    });
  }

  open() {
    this.drop();
    this.set('connecting');
    const socket = this.socket = new WebSocket(this.url);
    this.timer = setTimeout(() => this.lost(), PATIENCE);
    socket.onopen = () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => { this.attempt = 0; }, STABLE_AFTER);
      this.set('up');
      this.on.up();
    };
    socket.onmessage = (event) => this.receive(event.data);
    socket.onclose = ({ code, reason }) => {
      if (code >= NEVER_AGAIN) {
        this.close(reason || `code ${code}`);
      } else {
        this.lost();
      }
    };
  }

  /* For good, until open() is called. */
  close(why) {
    this.drop();
    this.set('closed', why);
  }

  /* Delays double; their upper half is random, so that the clients of a worker
     that went away do not all knock at the same moment. */
  lost() {
    this.drop();
    const full = Math.min(LAST_DELAY, FIRST_DELAY * 2 ** this.attempt++);
    const delay = full * (0.5 + Math.random() / 2);
    this.retryAt = Date.now() + delay;
    this.timer = setTimeout(() => this.open(), delay);
    this.set('waiting');
  }

  /* Closing a socket whose other side is gone can take a browser a minute;
     nobody waits for that. */
  drop() {
    const { socket, asked } = this;
    clearTimeout(this.timer);
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    this.socket = null;
    this.asked = new Map();
    for (const { answer, timer } of asked.values()) {
      clearTimeout(timer);
      answer(null);
    }
  }

  /* The network or the person came back. */
  wake() {
    if (this.state === 'waiting') {
      this.open();
    } else if (this.state === 'up') {
      this.on.awake();
    }
  }

  set(state, why) {
    this.state = state;
    this.on.state(state, why);
  }

  /* false when there is no connection. */
  send(object) {
    if (this.state === 'up') {
      this.socket.send(JSON.stringify(object));
      return true;
    }
    return false;
  }

  /* Sends, and calls answer(object) once; with null if the connection breaks
     before.  No answer in time is a broken connection. */
  ask(object, answer, patience = PATIENCE) {
    const id = ++this.lastId;
    if (!this.send({ ...object, id })) {
      return false;
    }
    const timer = setTimeout(() => this.lost(), patience);
    this.asked.set(id, { answer, timer });
    return true;
  }

  receive(data) {
    const object = JSON.parse(data);
    const one = this.asked.get(object.id);
    if (one) {
      this.asked.delete(object.id);
      clearTimeout(one.timer);
      one.answer(object);
    } else {
      this.on.message(object);
    }
  }
}
