// Somebody joins four others who are seen and heard: all of them are there at once. How quickly a quiet machine does it
// is measured by `make bench ARGS=join`.

import { ok } from 'node:assert/strict';

import { FOUR, leave, openFour, timedJoin } from './lib/joining.mjs';
import { openPerson } from './lib/person.mjs';
import { videocallServer } from './lib/servers.mjs';
import { scenario } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

/** Milliseconds from the click to the last of four pictures, on a machine that is busy with four senders and more. */
const SEEN = 3_000;

for (const transport of ['webtransport', 'websocket']) {
  scenario(`the fifth of a call over ${transport}`, async (stage, step) => {
    const server = await videocallServer(stage);
    const meeting = 'five';
    openFour(stage, server.url, meeting, transport);
    const alice = await openPerson(stage, { name: 'alice', colour: 'red', hertz: 440 });

    await step('four others come', async () => {
      await alice.join(server.url, meeting, { transport });
      await alice.sees(FOUR.length, 30_000);
      await Promise.all(FOUR.map((name) => alice.seesMoving({ name })));
      await leave(alice);
    });

    await step('who joins sees them all at once', async () => {
      const took = await timedJoin(alice, server.url, meeting, transport, FOUR);
      console.log(`${Math.round(took)} ms after the click`);
      ok(took < SEEN, `${Math.round(took)} ms`);
      await alice.connected(transport);
    });

    await step('they move, and can be heard', async () => {
      await Promise.all(FOUR.map((name) => alice.seesMoving({ name })));
      await until('sound of all four comes', async () => {
        const voices = (await Promise.all(FOUR.map((name) => alice.remoteTracks('microphone', { name })))).flat();
        const silent = voices.filter(({ framesDecoded }) => !(framesDecoded > 0));
        if (voices.length === FOUR.length && silent.length === 0) return true;
        throw new Error(JSON.stringify(voices));
      });
    });
  });
}
