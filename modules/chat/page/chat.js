/*
 * The chat: rooms, people, commands and what is around the logs.  The
 * connection is in link.js, what a room shows of its messages in log.js.
 *
 * A room is known by its name; a conversation with one person is a room named
 * "@nick" that only this page knows of.
 */
import { Link } from './link.js';
import { Log, make, mark } from './log.js';

const TYPING_EVERY = 3000, TYPING_SHOWN = 5000; /* ms, as all times here */
const NICK_TRIES = 6, NICK_DELAY = 250; /* doubling */
const BANNER_AFTER = 700; /* shorter gaps are nobody's business */
const PING_PATIENCE = 5000;
const PAGE = 50; /* older messages asked for at a time */
const GAP = 'You may have missed messages here.';
const HELP = 'You can type /join ROOM, /leave, /nick NAME, /msg NAME TEXT, ' +
  '/who; a double slash says a slash.';

const ui = {};
for (const el of document.querySelectorAll('[id]')) {
  ui[el.id] = el;
}
const { body } = document;
const narrow = matchMedia('(max-width: 760px)');

const rooms = new Map();
let active = null;   /* the room in sight */
let me = '';         /* our nick, as the server has it */
let wanted = '';     /* the nick we would like; '' for any */
let known = false;   /* this connection has its nick */
let entered = false; /* past the welcome page */
let announced = '';  /* what the server said last */
let nickTries = 0, bannerTimer = 0, ticking = 0, peopleDue = false;

const socket = new URL(body.dataset.socket, location.href);
socket.protocol = socket.protocol.replace('http', 'ws');
const link = new Link(socket.href, { up, awake, state, message: receive });

/* Storage may be refused; then nothing is remembered. */
function recall(area, key) {
  try {
    return JSON.parse(window[area].getItem(`linnet.${key}`)) ?? '';
  } catch {
    return '';
  }
}

function remember(area, key, value) {
  try {
    window[area].setItem(`linnet.${key}`, JSON.stringify(value));
  } catch { /* not remembered */ }
}

/* ---- rooms ---- */

const nameOf = (text) => text.trim().replace(/^#/, '')
  .replace(/^[^@].*/, (name) => name.toLowerCase());
const isOpen = (room) => rooms.get(room.name) === room;
const publicRooms = () => [...rooms.values()].filter((room) => !room.peer);

function hashName() {
  try {
    return nameOf(decodeURIComponent(location.hash));
  } catch {
    return '';
  }
}

const hashOf = (name) => `#${encodeURIComponent(name).replace('%40', '@')}`;

/* The room of that name, made if it is new. */
function roomAt(name) {
  if (rooms.has(name)) {
    return rooms.get(name);
  }
  const peer = name.startsWith('@') ? name.slice(1) : '';
  const room = { name, peer, topic: '', epoch: null, seq: 0, unread: 0,
    joined: peer && known, members: new Set(), count: 0, more: false,
    called: false, draft: '', typing: new Map(), typedAt: 0 };
  room.log = new Log(`Messages ${peer ? 'with' : 'in'} ${peer || name}`, {
    retry: (item) => transmit(room, item),
    scrolled: () => room === active && showBelow(),
    top: () => earlier(room),
  });
  room.badge = make('b', 'badge');
  room.button = make('button', '', peer ? mark(peer) : make('i', '', '#'),
    make('bdi', '', peer || name), room.badge);
  room.button.onclick = () => go(name);
  room.tab = make('li', '', room.button);
  rooms.set(name, room);
  ui.logs.append(room.log.el);
  ui[peer ? 'peers' : 'public'].append(room.tab);
  if (peer) {
    room.log.note('Only the two of you see this, and it is not kept.');
  } else if (known) {
    join(room);
  }
  listed();
  return room;
}

function listed() {
  ui['h-peers'].hidden = !ui.peers.children.length;
  remember('sessionStorage', 'rooms', publicRooms().map((room) => room.name));
}

/* Goes to a room by way of the address, so that Back leads back. */
function go(name) {
  if (hashName() === name) {
    show(roomAt(name));
  } else {
    location.hash = hashOf(name);
  }
}

function show(room) {
  drawer('');
  if (active === room) {
    return;
  }
  if (active) {
    active.draft = ui.text.value;
    active.log.setFresh(null);
    active.log.hide();
    active.button.ariaCurrent = null;
  }
  active = room;
  room.button.ariaCurrent = 'page';
  ui.text.value = room.draft;
  ui.text.placeholder = room.peer ? `Write to ${room.peer}`
    : `Say something in #${room.name}`;
  ui.name.textContent = room.peer || `#${room.name}`;
  ui.leave.textContent = room.peer ? 'Close' : 'Leave';
  body.classList.toggle('direct', Boolean(room.peer));
  room.log.show();
  looked();
  grow();
  showRoom();
  showTyping();
  focusText();
}

/* Not where it would bring up a keyboard on the screen. */
function focusText() {
  if (matchMedia('(pointer: fine)').matches) {
    ui.text.focus();
  }
}

function forget(room) {
  rooms.delete(room.name);
  room.log.remove();
  room.tab.remove();
}

function leave(room, tell = true) {
  if (tell && !room.peer) {
    link.send({ type: 'leave', room: room.name });
  }
  forget(room);
  listed();
  const [next] = publicRooms();
  if (!next) {
    [...rooms.values()].forEach(forget);
    link.close();
    active = null;
    entered = false;
    history.replaceState(null, '', location.pathname);
    welcome();
  } else if (room === active) {
    active = null;
    history.replaceState(null, '', hashOf(next.name));
    show(next);
  }
}

/* ---- joining, and coming back ---- */

function up() {
  nickTries = 0;
  identify(wanted || me);
}

/* The first join of a connection brings its nick, the others follow. */
function identify(nick) {
  const all = publicRooms();
  const first = all.includes(active) ? active : all[0];
  join(first, nick, (answer) => {
    if (answer.type === 'joined') {
      known = true;
      setNick(answer.nick);
      comeIn();
      for (const room of rooms.values()) {
        if (room.peer) {
          room.joined = true;
          resend(room, false);
        } else if (room !== first) {
          join(room);
        }
      }
    } else if (!entered) {
      refuse(answer);
    } else if (answer.code === 'nick_taken' && nickTries < NICK_TRIES) {
      /* By ourselves: the connection that broke has not been missed yet. */
      setTimeout(() => link.state === 'up' && !known && identify(nick),
        NICK_DELAY * 2 ** nickTries++);
    } else if (nick && /nick/.test(answer.code)) {
      identify('');
    } else {
      if (isOpen(first)) {
        refused(first, answer);
      }
      if (entered) {
        identify(nick);
      }
    }
  });
}

function join(room, nick, answered) {
  const { epoch, seq } = room;
  link.ask({ type: 'join', room: room.name, nick: nick || undefined,
    limit: PAGE, since: epoch === null ? undefined : { epoch, seq } },
  (answer) => {
    if (!answer) {
      return;
    }
    /* Whoever left it meanwhile has a nick all the same. */
    if (isOpen(room) && answer.type === 'joined') {
      joined(room, answer);
    } else if (isOpen(room) && !answered) {
      refused(room, answer);
    }
    answered?.(answer);
  });
}

function joined(room, m) {
  const again = room.epoch !== null, same = room.epoch === m.epoch;
  let past = m.history ?? [];
  if (again && !same) {
    const last = room.log.last?.time ?? 0;
    past = past.filter((one) => one.time > last);
    room.log.forgetOrder();
  }
  const whole = same && (m.recovered || m.seq === room.seq ||
    past[0]?.seq <= room.seq);
  if (again && !whole) {
    room.log.note(GAP, 'gap');
  }
  setNick(m.nick);
  past.forEach((one) => take(room, one, again));
  if (m.motd && m.motd !== announced) {
    announced = m.motd;
    room.log.note(m.motd);
  }
  Object.assign(room, { epoch: m.epoch, seq: m.seq, joined: true,
    topic: m.topic ?? '', more: room.more || past.length > 0 });
  people(room, m);
  resend(room, whole);
  if (room === active) {
    showRoom();
  }
}

/* The server could not keep up: what it has of what was lost here. */
function refill(room) {
  const { newest } = room.log;
  link.ask({ type: 'history', room: room.name, limit: PAGE * 2 }, (m) => {
    const past = m?.messages ?? [];
    if (!(past[0]?.seq <= newest)) {
      room.log.note(GAP, 'gap', null, newest);
    }
    past.forEach((one) => take(room, one, true));
  });
  link.ask({ type: 'who', room: room.name },
    (m) => m?.members && people(room, m));
}

/* Pending messages: what never went out goes now.  Whether the others arrived
   is known only when nothing is missing. */
function resend(room, whole) {
  for (const item of room.log.pending) {
    if (!item.fate && (whole || !item.sent)) {
      transmit(room, item);
    } else if (!item.fate) {
      room.log.fail(item, 'The connection broke; this may not have arrived.');
    }
  }
}

function comeIn() {
  if (!entered) {
    entered = true;
    ui.welcome.hidden = true;
    ui.chat.hidden = false;
    show(publicRooms()[0]);
  }
  if (wanted && me !== wanted) {
    active.log.note(`The name ${wanted} is taken at the moment, so you are ` +
      `${me}. Type /nick ${wanted} to try again.`);
  } else {
    remember('localStorage', 'nick', wanted);
  }
  remember('sessionStorage', 'nick', wanted);
}

/* What the welcome page asked for was refused. */
function refuse({ code, message }) {
  publicRooms().forEach(forget);
  link.close();
  welcome();
  ui.problem.textContent = code === 'nick_taken'
    ? 'Somebody has this name right now. Choose another?' : message;
  (code === 'bad_room' ? ui['enter-room'] : ui['enter-nick']).select();
}

/* A later join was. */
function refused(room, { message }) {
  leave(room, false);
  if (active) {
    active.log.note(`${room.name}: ${message}`);
  } else {
    ui.problem.textContent = message;
  }
}

/* ---- messages out ---- */

function say(text) {
  const item = active.log.message({ seq: null, from: me, text, own: true,
    time: Date.now() / 1000 });
  active.log.toEnd();
  if (active.joined) {
    transmit(active, item);
  }
}

function transmit(room, item) {
  const { name, peer, log } = room;
  log.clearFate(item);
  item.sent = link.ask(peer ? { type: 'direct', to: peer, text: item.text }
    : { type: 'message', room: name, text: item.text }, (answer) => {
    if (answer?.type === 'error' && item.seq === null) {
      log.fail(item, answer.message);
    } else if (answer) {
      log.confirm(item, peer ? log.newest + 1 : answer.seq);
    }
  }) || item.sent;
}

function command(line) {
  const [, word, what, rest] = line.match(/^\/(\S*)\s*(\S*)\s*(.*)$/s);
  if (word === 'join' && what) {
    go(nameOf(what));
  } else if (word === 'leave') {
    leave(rooms.get(nameOf(what)) ?? active);
  } else if (word === 'nick' && what) {
    rename(what);
  } else if (word === 'msg' && what) {
    const name = `@${what.replace(/^@/, '')}`;
    go(name);
    show(roomAt(name));
    if (rest) {
      say(rest);
    }
  } else if (word === 'who') {
    active.log.note([...active.members].join(', ') || `${active.count} people`);
  } else {
    active.log.note(HELP);
  }
}

function rename(nick) {
  const was = wanted;
  wanted = nick;
  remember('sessionStorage', 'nick', nick);
  const sent = link.ask({ type: 'nick', nick }, (answer) => {
    if (answer?.type === 'error') {
      wanted = was;
      active.log.note(answer.message);
    } else if (answer) {
      setNick(nick);
      remember('localStorage', 'nick', nick);
    }
    ui.nick.value = me;
  });
  if (!sent) {
    active.log.note(`You will be ${nick} once the connection is back.`);
  }
}

/* ---- messages in ---- */

function receive(m) {
  const room = rooms.get(m.room);
  if (room && m.seq > room.seq) {
    room.seq = m.seq;
  }
  if (m.type === 'message' && room) {
    take(room, m, true);
  } else if (m.type === 'presence' && room?.joined) {
    presence(room, m);
  } else if (m.type === 'typing' && room) {
    typing(room, m.nick);
  } else if (m.type === 'gap' && room) {
    refill(room);
  } else if (m.type === 'direct') {
    const from = roomAt(`@${m.from}`);
    take(from, { ...m, seq: from.log.newest + 1 }, true);
  } else if (m.type === 'notice') {
    announced = m.text;
    active?.log.note(m.text);
  } else if (m.type === 'error') {
    active?.log.note(m.message);
  }
}

function itemOf({ seq, from, text, time }) {
  const own = from === me;
  return { seq, from, text, time, own, mention: !own && calls(text) };
}

function calls(text) {
  const name = me.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return RegExp(`(?<![\\p{L}\\p{N}_-])${name}(?![\\p{L}\\p{N}_-])`, 'iu')
    .test(text);
}

/* fresh: said just now, or while our connection was away. */
function take(room, m, fresh) {
  const item = itemOf(m);
  const ours = item.own && room.log.pending.find(
    (one) => one.sent && !one.fate && one.text === m.text);
  if (ours) {
    room.log.confirm(ours, m.seq, m.time);
    return;
  }
  stopTyping(room, m.from);
  const placed = room.log.message(item);
  if (placed && fresh && !item.own && (room !== active || document.hidden)) {
    if (room.unread++ === 0) {
      room.log.setFresh(placed);
    }
    room.called ||= item.mention || Boolean(room.peer);
    showUnread(room);
  }
}

function presence(room, { event, nick, from }) {
  const whole = room.members.size === room.count;
  stopTyping(room, from ?? nick);
  if (event === 'nick') {
    room.members.delete(from);
    if (from === me) {
      setNick(nick);
    }
    room.log.presence(nick === me ? `you are now ${nick}`
      : `${from} is now ${nick}`);
  } else if (nick !== me) {
    room.log.presence(`${nick} ${event === 'join' ? 'joined' : 'left'}`);
  }
  room.members[event === 'leave' ? 'delete' : 'add'](nick);
  if (whole) {
    room.count = room.members.size;
    showPeople();
  } else {
    link.ask({ type: 'who', room: room.name },
      (answer) => answer?.members && people(room, answer));
  }
}

function people(room, { members, count }) {
  room.members = new Set(members);
  room.count = count ?? room.members.size;
  showPeople();
}

function setNick(nick) {
  me = ui.nick.value = nick;
  ui.mine.replaceChildren(mark(nick));
}

function earlier(room) {
  const before = room.log.oldest;
  if (room.more && before && !room.log.full) {
    room.more = false;
    link.ask({ type: 'history', room: room.name, before, limit: PAGE }, (m) => {
      if (m?.messages?.length) {
        room.log.prepend(m.messages.map(itemOf));
        room.more = m.more;
      }
    });
  }
}

/* ---- what is around the log ---- */

function typing(room, nick) {
  clearTimeout(room.typing.get(nick));
  room.typing.set(nick, setTimeout(() => stopTyping(room, nick),
    TYPING_SHOWN));
  showTyping();
}

function stopTyping(room, nick) {
  clearTimeout(room.typing.get(nick));
  if (room.typing.delete(nick)) {
    showTyping();
  }
}

function showTyping() {
  const names = [...active?.typing.keys() ?? []];
  ui.typing.textContent = names.length > 3 ? 'Several people are typing'
    : `${names.join(', ')} ${names.length > 1 ? 'are' : 'is'} typing`;
  ui.typing.classList.toggle('on', names.length > 0);
}

function showRoom() {
  ui.topic.textContent = ui.topic.title =
    active.peer ? 'Direct messages' : active.topic;
  showPeople();
}

/* Once a frame, however many come and go. */
function showPeople() {
  if (peopleDue) {
    return;
  }
  peopleDue = true;
  requestAnimationFrame(() => {
    peopleDue = false;
    if (!active) {
      return;
    }
    ui['h-members'].textContent = `Here \u00b7 ${active.count}`;
    ui.count.textContent = active.count || '';
    const names = [...active.members].sort((a, b) => a.localeCompare(b));
    ui.members.replaceChildren(...names.map((nick) => {
      const button = make('button', '', mark(nick), make('bdi', '', nick),
        make('small', '', nick === me ? 'you' : ''));
      button.disabled = nick === me;
      button.title = nick === me ? '' : `Write to ${nick}`;
      button.onclick = () => go(`@${nick}`);
      return make('li', '', button);
    }));
  });
}

function showUnread({ unread, called, tab, badge }) {
  badge.textContent = unread > 99 ? '99+' : unread || '';
  badge.ariaLabel = `${unread} new`;
  tab.classList.toggle('unread', unread > 0);
  tab.classList.toggle('called', unread > 0 && called);
  const sum = [...rooms.values()].reduce((n, room) => n + room.unread, 0);
  ui.elsewhere.hidden = sum === 0;
  document.title = (sum ? `(${sum}) ` : '') +
    `${ui.name.textContent} \u00b7 linnet`;
}

/* What is in sight is read. */
function looked() {
  if (active && !document.hidden) {
    active.unread = 0;
    active.called = false;
    showUnread(active);
  }
}

function showBelow() {
  const { stick, below } = active.log;
  ui.below.hidden = stick;
  ui.below.classList.toggle('new', below > 0);
  ui.below.textContent = (below === 0 ? 'Latest' : below === 1
    ? '1 new message' : `${below} new messages`) + ' \u2193';
}

/* ---- the connection, as people see it ---- */

function state(name, why) {
  const gone = navigator.onLine ? 'Connection lost.' : 'You are offline.';
  const trying = link.attempt ? 'Reconnecting\u2026' : 'Connecting\u2026';
  known = false;
  body.dataset.state = name;
  ui.state.textContent = { connecting: trying, up: 'Connected',
    waiting: navigator.onLine ? trying : 'Offline', closed: 'Closed' }[name];
  clearInterval(ticking);
  ui['banner-in'].textContent = name === 'connecting' ? trying : '';
  ui['banner-text'].textContent = name !== 'closed' ? gone
    : `The server ended this connection${why ? `: ${why}` : ''}.`;
  ui.again.textContent = name === 'closed' ? 'Connect again' : 'Try now';
  ui.again.disabled = name === 'connecting';
  if (name === 'up') {
    clearTimeout(bannerTimer);
    bannerTimer = 0;
    ui.banner.hidden = true;
    ui.spoken.textContent &&= 'Connected again.';
    return;
  }
  rooms.forEach((room) => { room.joined = false; });
  bannerTimer ||= setTimeout(() => {
    ui.banner.hidden = false;
    ui.spoken.textContent = ui['banner-text'].textContent;
  }, BANNER_AFTER);
  if (name === 'waiting') {
    tick();
    ticking = setInterval(tick, 250);
  }
}

function tick() {
  const left = Math.max(1, Math.ceil((link.retryAt - Date.now()) / 1000));
  ui['banner-in'].textContent = `Trying again in ${left} s`;
  if (!entered) {
    ui.problem.textContent = `No answer. Trying again in ${left} s.`;
  }
}

/* Somebody looks at the page again: is the connection that we think we have
   still one?  No answer makes link.js get another. */
function awake() {
  link.ask({ type: 'ping' }, () => {}, PING_PATIENCE);
}

/* ---- the page ---- */

function drawer(name) {
  const was = body.dataset.drawer;
  body.dataset.drawer = name;
  ui.room.inert = Boolean(name);
  for (const one of ['rooms', 'people']) {
    ui[`open-${one}`].ariaExpanded = String(one === name);
  }
  if (name) {
    ui[name].querySelector('button').focus();
  } else if (was) {
    ui[`open-${was}`].focus();
  }
}

function grow() {
  ui.text.style.height = 'auto';
  ui.text.style.height = `${ui.text.scrollHeight}px`;
}

function busy(on) {
  ui.come.disabled = on;
  ui.come.textContent = on ? 'Coming in\u2026' : 'Come in';
}

function welcome() {
  ui.chat.hidden = true;
  ui.welcome.hidden = false;
  ui.problem.textContent = '';
  busy(false);
  document.title = 'linnet';
  ui['enter-nick'].value = wanted || recall('localStorage', 'nick');
  ui['enter-room'].value = hashName().replace(/^@.*/, '') || 'lobby';
  ui['enter-nick'].focus();
}

function enter(nick, names) {
  wanted = nick;
  me = '';
  names.forEach(roomAt);
  busy(true);
  ui.problem.textContent = '';
  link.open();
}

/* A form's text when it is submitted, if there is one. */
function onSubmit(form, input, then) {
  form.onsubmit = (event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (text) {
      then(text);
    }
  };
}

onSubmit(ui.enter, ui['enter-room'], (text) => {
  const name = nameOf(text.replace(/^@/, ''));
  history.replaceState(null, '', hashOf(name));
  enter(ui['enter-nick'].value.trim(), [name]);
});

onSubmit(ui.join, ui['join-room'], (text) => {
  ui['join-room'].value = '';
  go(nameOf(text));
});

onSubmit(ui['nick-form'], ui.nick, (text) => {
  rename(text);
  focusText();
});
ui.nick.onblur = () => { ui.nick.value = me; };

onSubmit(ui.say, ui.text, (text) => {
  ui.text.value = '';
  active.typedAt = 0;
  grow();
  if (/^\/(?!\/)/.test(text)) {
    command(text);
  } else {
    say(text.replace(/^\/\//, '/'));
  }
});

ui.text.onkeydown = (event) => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    ui.say.requestSubmit();
  }
};

ui.text.oninput = () => {
  const now = Date.now();
  grow();
  if (/^[^/]/.test(ui.text.value) && !active.peer && active.joined &&
      now - active.typedAt > TYPING_EVERY) {
    active.typedAt = now;
    link.send({ type: 'typing', room: active.name });
  }
};

ui.below.onclick = () => {
  active.log.toEnd();
  focusText();
};
ui.leave.onclick = () => leave(active);
ui.again.onclick = () => link.open();
for (const button of ui.chat.querySelectorAll('[data-drawer]')) {
  button.onclick = () => drawer(button.dataset.drawer);
}
for (const width of [narrow, matchMedia('(max-width: 1040px)')]) {
  width.onchange = () => drawer('');
}

addEventListener('keydown', (event) => {
  if (!active || event.ctrlKey || event.metaKey) {
    return;
  }
  if (event.key === 'Escape' && body.dataset.drawer) {
    drawer('');
  } else if (event.key === 'Escape') {
    active.log.toEnd();
    ui.text.focus();
  } else if (event.altKey && /^Arrow(Up|Down)$/.test(event.key)) {
    const all = [...ui.rooms.querySelectorAll('li button')];
    const step = event.key === 'ArrowUp' ? all.length - 1 : 1;
    all[(all.indexOf(active.button) + step) % all.length].click();
    event.preventDefault();
  } else if (/^[^ ]$/u.test(event.key) && !event.altKey &&
             event.target.matches?.('body, .log')) {
    ui.text.focus();
  }
});

addEventListener('hashchange', () => {
  const name = hashName();
  if (entered && /^@?./.test(name)) {
    show(roomAt(name));
  }
});
document.addEventListener('visibilitychange', looked);

/* Some browsers do not make the page smaller for a phone's keyboard. */
visualViewport?.addEventListener('resize', () => {
  const covered = innerHeight - visualViewport.height > 80;
  body.style.height = covered ? `${visualViewport.height}px` : '';
  scrollTo(0, 0);
});

/* A reload comes back to where it was. */
const names = recall('sessionStorage', 'rooms');
welcome();
if (names.length) {
  const here = hashName();
  entered = true;
  ui.welcome.hidden = true;
  ui.chat.hidden = false;
  enter(recall('sessionStorage', 'nick'), names);
  show(here ? roomAt(here) : rooms.get(names[0]));
}
