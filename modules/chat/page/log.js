/*
 * The log of one room: its last items in order, and the DOM that shows them.
 * Messages are ordered and told apart by seq; our own that the server has not
 * acknowledged stand at the end.  Text enters the page as text nodes only.
 * Where messages come from is chat.js's business.
 */
const KEEP = 500, KEEP_READING = 800; /* items; while someone reads above */
const TOGETHER = 300; /* s between messages under one name */
const EVENTS_A_LINE = 12;
const NEAR = 48; /* px from an end */
const ADDRESS = /\bhttps?:\/\/[^\s<>"'`]+/gi;

const format = (options) => new Intl.DateTimeFormat([], options).format;
const clock = format({ timeStyle: 'short' });
const fullTime = format({ dateStyle: 'full', timeStyle: 'medium' });
const weekday = format({ weekday: 'long', day: 'numeric', month: 'long' });

export function make(tag, cls, ...children) {
  const el = document.createElement(tag);
  el.className = cls;
  el.append(...children);
  return el;
}

/* The same colour for the same name on every screen. */
function paint(el, nick) {
  let h = 2166136261;
  for (const c of nick.toLowerCase()) {
    h = Math.imul(h ^ c.codePointAt(0), 16777619);
  }
  el.style.setProperty('--hue', ((h >>> 8) % 24) * 15);
  return el;
}

export function mark(nick) {
  const initial = nick.match(/[\p{L}\p{N}]/u)?.[0] ?? '?';
  const el = paint(make('span', 'mark', initial.toUpperCase()), nick);
  el.ariaHidden = 'true';
  return el;
}

/* Text with its http and https addresses made into links. */
function linked(text) {
  const out = [];
  let at = 0;
  for (const found of text.matchAll(ADDRESS)) {
    let address = found[0].replace(/[.,;:!?*_~\]}]+$/, '');
    if (!address.includes('(')) {
      address = address.replace(/\)+$/, '');
    }
    if (URL.canParse(address)) {
      const a = make('a', '', address);
      a.href = address;
      a.target = '_blank';
      a.rel = 'noopener noreferrer';
      out.push(text.slice(at, found.index), a);
      at = found.index + address.length;
    }
  }
  return [...out, text.slice(at)];
}

const dayOf = (time) => new Date(time * 1000).toDateString();

function dayName(time) {
  const now = Date.now() / 1000, then = dayOf(time);
  return then === dayOf(now) ? 'Today'
    : then === dayOf(now - 86400) ? 'Yesterday' : weekday(time * 1000);
}

export class Log {
  /* on: {retry(item), scrolled(), top()} */
  constructor(label, on) {
    this.on = on;
    this.items = [];
    this.known = new Set(); /* the seqs in items */
    this.newest = 0;
    this.cut = 0;   /* highest seq that was cut off above */
    this.below = 0; /* new messages below what is in sight */
    this.stick = true;
    this.list = make('ol', 'items');
    this.el = make('div', 'log', this.list);
    Object.assign(this.el, { tabIndex: 0, hidden: true,
      ariaLabel: label, onscroll: () => this.scrolled() });
    this.el.setAttribute('role', 'log');
    this.sizes = new ResizeObserver(() => this.settle());
    this.sizes.observe(this.el);
  }

  remove() {
    this.sizes.disconnect();
    this.el.remove();
  }

  /* ---- what comes in ---- */

  /* Puts a message {seq, from, text, time, own, mention} in its place; seq is
     null while it is pending.  The item, or null if it was there already. */
  message(m, older = false) {
    if (this.known.has(m.seq) || (m.seq && m.seq <= this.cut && !older)) {
      return null;
    }
    return this.place({ kind: 'message', ...m });
  }

  /* A line about the room; lines that follow each other share one. */
  presence(text) {
    const last = this.last;
    if (last?.events?.length < EVENTS_A_LINE) {
      last.events.push(text);
      last.el.firstChild.textContent = last.events.join(' \u00b7 ');
      this.settle();
    } else {
      this.note(text, 'presence', [text]);
    }
  }

  /* behind the message seq */
  note(text, kind = 'note', events = null, seq = this.newest) {
    this.place({ kind, text, events, seq, time: Date.now() / 1000 });
  }

  /* A pending item is number seq now. */
  confirm(item, seq, time = item.time) {
    if (item.seq !== null) {
      return;
    }
    this.clearFate(item);
    item.el.classList.remove('pending');
    const at = this.items.indexOf(item);
    this.items.splice(at, 1);
    this.regroup(at);
    if (this.known.has(seq)) {
      item.el.remove();
    } else {
      Object.assign(item, { seq, time });
      this.insert(item);
    }
  }

  fail(item, why) {
    const again = make('button', 'quiet', 'Send again');
    const away = make('button', 'quiet', 'Discard');
    again.onclick = () => this.on.retry(item);
    away.onclick = () => {
      this.items.splice(this.items.indexOf(item), 1);
      item.el.remove();
    };
    this.clearFate(item);
    item.fate = make('div', 'fate', `${why} `, again, ' ', away);
    item.el.append(item.fate);
    this.settle();
  }

  clearFate(item) {
    item.fate?.remove();
    item.fate = null;
  }

  /* Messages before what is shown; what is being read stays where it is. */
  prepend(messages) {
    const { scrollHeight, scrollTop } = this.el;
    this.loading = true;
    messages.forEach((m) => this.message(m, true));
    this.loading = false;
    this.el.scrollTop = scrollTop + this.el.scrollHeight - scrollHeight;
  }

  /* The seqs of another epoch mean nothing any more. */
  forgetOrder() {
    this.known.clear();
    this.newest = this.cut = 0;
    for (const item of this.items) {
      item.seq &&= 0;
    }
  }

  get pending() {
    return this.items.filter((item) => item.seq === null);
  }

  /* The last one that is not pending. */
  get last() {
    return this.items.findLast((item) => item.seq !== null);
  }

  get oldest() {
    return this.items.find((i) => i.kind === 'message' && i.seq)?.seq;
  }

  get full() {
    return this.items.length >= KEEP;
  }

  /* ---- order ---- */

  place(item) {
    item.el = this.build(item);
    this.insert(item);
    if (!this.stick && item.kind === 'message' && !item.own && !this.loading) {
      this.below++;
      this.on.scrolled();
    }
    this.settle();
    return item;
  }

  insert(item) {
    const { items } = this;
    let at = items.length;
    while (at > 0 && item.seq !== null &&
           (items[at - 1].seq === null || items[at - 1].seq > item.seq)) {
      at--;
    }
    const next = items[at]?.el ?? null;
    if (!item.el.isConnected || item.el.nextSibling !== next) {
      this.list.insertBefore(item.el, next);
    }
    items.splice(at, 0, item);
    if (item.kind === 'message' && item.seq) {
      this.known.add(item.seq);
      this.newest = Math.max(this.newest, item.seq);
    }
    this.regroup(at);
    this.regroup(at + 1);
    this.trim();
  }

  trim() {
    const keep = this.stick ? KEEP : KEEP_READING;
    if (this.items.length <= keep || this.loading) {
      return;
    }
    for (const gone of this.items.splice(0, this.items.length - keep)) {
      this.known.delete(gone.seq);
      this.cut = Math.max(this.cut, gone.seq);
      gone.el.remove();
    }
    this.regroup(0);
  }

  /* Whether the item there goes under the name of the one above, and whether a
     day begins with it. */
  regroup(at) {
    const item = this.items[at], above = this.items[at - 1];
    if (!item) {
      return;
    }
    const newDay = !above || dayOf(above.time) !== dayOf(item.time);
    item.el.classList.toggle('follows', !newDay && item !== this.fresh &&
      item.kind === 'message' && above.from === item.from &&
      item.time - above.time < TOGETHER);
    if (newDay && (above || item.kind === 'message')) {
      item.el.dataset.day = dayName(item.time);
    } else {
      delete item.el.dataset.day;
    }
  }

  build(item) {
    const li = make('li', item.kind);
    if (item.kind !== 'message') {
      li.append(make('p', '', item.text));
      return li;
    }
    const when = new Date(item.time * 1000);
    const time = make('time', '', clock(when));
    time.dateTime = when.toISOString();
    time.title = fullTime(when);
    const text = make('p', 'text', ...linked(item.text));
    text.dir = 'auto';
    li.append(mark(item.from), make('div', 'head',
      paint(make('bdi', 'from', item.from), item.from), time), text);
    li.classList.toggle('pending', item.seq === null);
    li.classList.toggle('mention', Boolean(item.mention));
    return li;
  }

  /* ---- what is seen ---- */

  /* A line above item: from here on nobody has looked yet.  null: none. */
  setFresh(item) {
    const was = this.fresh;
    this.fresh = item;
    for (const one of [was, item]) {
      one?.el.classList.toggle('fresh', one === item);
      this.regroup(this.items.indexOf(one));
    }
  }

  /* What was said before is not read out, what comes from now on is. */
  show() {
    this.el.hidden = false;
    this.el.ariaLive = 'off';
    setTimeout(() => { this.el.ariaLive = 'polite'; }, 1000);
    this.el.scrollTop = this.scrollTop ?? 0;
    this.settle();
    this.on.scrolled();
  }

  hide() {
    this.scrollTop = this.el.scrollTop;
    this.el.hidden = true;
  }

  /* Keeps the end in sight, if it was. */
  settle() {
    if (this.stick) {
      this.el.scrollTop = this.el.scrollHeight;
    }
  }

  toEnd() {
    this.stick = true;
    this.below = 0;
    this.settle();
    this.trim();
    this.on.scrolled();
  }

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight, hidden } = this.el;
    if (hidden) {
      return;
    }
    this.stick = scrollHeight - clientHeight - scrollTop < NEAR;
    if (this.stick) {
      this.below = 0;
    } else if (scrollTop < NEAR) {
      this.on.top();
    }
    this.on.scrolled();
  }
}
