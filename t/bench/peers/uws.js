// The benchmark's peer "uWebSockets.js": one process, for its publish does not
// reach another one.
//
//     node uws.js PORT
//     node uws.js check        is it installed?
//
// Paths: /sub gets what /pub says, /page is 1 KiB from memory, any other one
// is an echo.
'use strict';

// The first is the project's own; the others are what npm has of it.
function load() {
  const names = ['uWebSockets.js', '@trufflesuite/uws-js-unofficial',
    '@btc-vision/uwebsockets.js'];
  for (const name of names) {
    try {
      return require(name);
    } catch (error) {
      // Not there, or not for this node or libc: the next one may be.
    }
  }
  console.error('none of ' + names.join(', ') + ' works here');
  return process.exit(1);
}

const uws = load();
if (process.argv[2] === 'check') process.exit(0);
const page = 'x'.repeat(1024);
const common = {
  compression: uws.DISABLED,
  maxPayloadLength: 1024 * 1024,
  idleTimeout: 120,
};

const app = uws.App();
app.ws('/sub', { ...common, open: (ws) => ws.subscribe('all') });
app.ws('/pub', {
  ...common,
  message: (ws, data, isBinary) => app.publish('all', data, isBinary),
});
app.ws('/*', {
  ...common,
  message: (ws, data, isBinary) => ws.send(data, isBinary),
});
app.get('/page', (response) => {
  response.writeHeader('Content-Type', 'text/plain');
  response.end(page);
});
app.listen('127.0.0.1', Number(process.argv[2]), (socket) => {
  if (!socket) process.exit(1);
});
