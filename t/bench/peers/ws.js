// The benchmark's peer "node ws": a cluster of two workers; what a publisher
// says goes from its worker to the other one by way of the primary.
//
//     node ws.js PORT
//
// Paths: /sub gets what /pub says, any other one is an echo.
'use strict';

const cluster = require('cluster');
const WORKERS = 2;

if (cluster.isPrimary) {
  for (let i = 0; i < WORKERS; i++) {
    cluster.fork().on('message', (text) => {
      for (const worker of Object.values(cluster.workers)) worker.send(text);
    });
  }
} else {
  const WebSocket = require('ws');
  const server = new WebSocket.Server({
    host: '127.0.0.1',
    port: Number(process.argv[2]),
    backlog: 4096,
    perMessageDeflate: false,
  });
  const subscribers = new Set();

  server.on('connection', (socket, request) => {
    socket.on('error', () => socket.terminate());
    if (request.url === '/sub') {
      subscribers.add(socket);
      socket.on('close', () => subscribers.delete(socket));
    } else if (request.url === '/pub') {
      socket.on('message', (data) => process.send(data.toString()));
    } else {
      socket.on('message', (data, isBinary) =>
        socket.send(data, { binary: isBinary }));
    }
  });
  process.on('message', (text) => {
    for (const socket of subscribers) socket.send(text);
  });
}
