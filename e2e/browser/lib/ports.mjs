// Free ports of the loopback interface.

import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';

const HOST = '127.0.0.1';

/** Ports handed out by this process, so that two servers of one test never get the same. */
const given = new Set();

/** A port on which nothing listens, neither on TCP nor on UDP. */
export async function freePort() {
  for (;;) {
    const port = await listening(createServer(), (server) => server.listen(0, HOST));
    if (!given.has(port) && (await udpIsFree(port))) {
      given.add(port);
      return port;
    }
  }
}

/** A UDP socket that takes what comes and answers nothing, like a firewall that drops. */
export async function swallowUdp() {
  const socket = createSocket('udp4');
  await new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(0, HOST, resolve);
  });
  let packets = 0;
  socket.on('message', () => (packets += 1));
  return { port: socket.address().port, received: () => packets, close: () => socket.close() };
}

/** Whether somebody takes TCP connections there. */
export function accepts(port) {
  return new Promise((resolve) => {
    const socket = connect(port, HOST);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

function listening(server, listen) {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
    listen(server);
  });
}

function udpIsFree(port) {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', () => resolve(false));
    socket.bind(port, HOST, () => socket.close(() => resolve(true)));
  });
}
