// A change of network in the middle of a call: over WebTransport the same connection goes on from another address, over
// WebSocket there is another connection for the same session. Neither is a break of a second.

import { deepEqual, equal, ok } from 'node:assert/strict';

import { ENGINES } from './lib/browsers.mjs';
import { Detour } from './lib/detour.mjs';
import { listenTo, longestGaps, now, picturesSince, watch } from './lib/flow.mjs';
import { openPerson } from './lib/person.mjs';
import { freePort } from './lib/ports.mjs';
import { videocallServer } from './lib/servers.mjs';
import { scenario } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

/** How often alice's network changes. Who loses one connection after the other waits longer before each try. */
const CHANGES = 2;
/** Milliseconds without a new picture, or without sound. */
const LONGEST_GAP = 1_000;
/** After so many pictures a change is over: two seconds. */
const PICTURES = 30;

/** Alice's way to the server is what `open` gives, bob's is a straight one. */
async function roam(stage, step, { engine, transport, open, counts }) {
  const { server, url, change } = await open(stage);
  const people = await Promise.all([
    openPerson(stage, { name: 'alice', colour: 'red', hertz: 440, engine }),
    openPerson(stage, { name: 'bob', colour: 'green', hertz: 700 }),
  ]);
  const [alice, bob] = people;
  await Promise.all(people.map(listenTo));
  await Promise.all([
    alice.join(url, 'roaming', { transport }),
    bob.join(server.url, 'roaming', { transport: 'websocket' }),
  ]);
  await Promise.all([alice.connected(transport), bob.connected('websocket')]);
  const meet = () =>
    Promise.all([
      alice.seesMoving({ name: 'bob' }, bob.colour),
      bob.seesMoving({ name: 'alice' }, alice.colour),
      alice.hears({ name: 'bob' }, bob.hertz),
      bob.hears({ name: 'alice' }, alice.hertz),
    ]);
  await meet();
  await Promise.all([watch(alice, { name: 'bob' }), watch(bob, { name: 'alice' })]);
  const { session } = await alice.stats();

  for (let index = 1; index <= CHANGES; index += 1) {
    await step(`change ${index} of alice's network`, async () => {
      const since = now();
      await change();
      await until('pictures come both ways', async () => {
        const counts = await Promise.all(people.map((person) => picturesSince(person, since)));
        if (Math.min(...counts) > PICTURES) return true;
        throw new Error(`${counts} pictures`);
      });
      await meet();
      const found = await Promise.all(people.map((person) => longestGaps(person, since)));
      const figures = ({ pictures, sound, looks }) =>
        `${Math.round(pictures)} ms without a picture, ${Math.round(sound)} without sound, ${Math.round(looks)} not looked`;
      console.log(found.map((gaps, index) => `${people[index].name}: ${figures(gaps)}`).join('; '));
      // A machine that was too busy to look was too busy to show something.
      const limit = LONGEST_GAP + Math.min(LONGEST_GAP, Math.max(...found.map(({ looks }) => looks)));
      for (const { pictures, sound } of found) ok(Math.max(pictures, sound) < limit, `${limit} ms would do`);
    });
  }

  await step('it is the same call', async () => {
    const { connection, session: after } = await alice.stats();
    equal(after, session);
    deepEqual({ reconnects: connection.reconnects, moves: connection.moves }, counts);
    equal((await bob.stats()).connection.reconnects, 0);
  });
}

/** With the round trip of a mobile network. */
const DELAYED = { up: { delay_ms: 25 }, down: { delay_ms: 25 } };

async function throughUdp(stage) {
  const port = await freePort();
  const detour = await Detour.open(stage, 'udp', port);
  await detour.begin(DELAYED);
  const announced = ['--public-webtransport-url', `https://${detour.address}/wt`];
  const server = await videocallServer(stage, announced, '127.0.0.1', port);
  return { server, url: server.url, change: async () => ok((await detour.change()) > 0, 'nobody passes here') };
}

async function throughTcp(stage) {
  const server = await videocallServer(stage);
  const detour = await Detour.open(stage, 'tcp', Number(new URL(server.url).port));
  return { server, url: `http://${detour.address}`, change: () => detour.change() };
}

const KINDS = [
  { what: 'another address', transport: 'webtransport', open: throughUdp, counts: { reconnects: 0, moves: 0 } },
  { what: 'another connection', transport: 'websocket', open: throughTcp, counts: { reconnects: CHANGES, moves: 0 } },
];

for (const engine of ENGINES) {
  for (const kind of KINDS) {
    scenario(`a change of network, ${kind.what} over ${kind.transport}: ${engine}`, (stage, step) =>
      roam(stage, step, { engine, ...kind }),
    );
  }
}
