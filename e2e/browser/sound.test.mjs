// The two ways of sound to the audio thread: memory that it shares with the engine, and messages where the page is not
// isolated from other origins; and what is told of delays.

import { equal, ok } from 'node:assert/strict';

import { ENGINES } from './lib/browsers.mjs';
import { openPerson } from './lib/person.mjs';
import { videocallServer } from './lib/servers.mjs';
import { scenario } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

const ALICE = { name: 'alice', colour: 'red', hertz: 440 };
const BOB = { name: 'bob', colour: 'green', hertz: 700 };

/** Nobody shows the page in a frame here; that somebody might is what counts. */
const EMBEDDED = ['--embedder', 'https://intranet.example'];

async function meet(stage, step, { engine, options = [], isolated }) {
  const server = await videocallServer(stage, options);
  const people = await Promise.all([{ ...ALICE, engine }, BOB].map((who) => openPerson(stage, who)));
  const [alice, bob] = people;
  await Promise.all(people.map((person) => person.join(server.url, 'sound')));
  await Promise.all(people.map((person) => person.connected()));

  await step('each hears the other', async () => {
    for (const person of people) {
      equal(await person.page.evaluate(() => crossOriginIsolated), isolated);
    }
    await Promise.all([alice.hears({ name: 'bob' }, BOB.hertz), bob.hears({ name: 'alice' }, ALICE.hertz)]);
    const [track] = await alice.remoteTracks('microphone', { name: 'bob' });
    equal(track.sharedMemory, isolated);
  });

  await step('delays are told, and are those of one machine', async () => {
    await until('alice knows the delays of what she receives of bob', async () => {
      const [sound] = await alice.remoteTracks('microphone', { name: 'bob' });
      const [picture] = await alice.remoteTracks('camera', { name: 'bob' });
      const known = [sound.mouthToEarMs, picture.glassToGlassMs, picture.avOffsetMs];
      if (known.some((figure) => typeof figure !== 'number')) throw new Error(JSON.stringify(known));
      ok(sound.mouthToEarMs < 2_000 && picture.glassToGlassMs < 2_000, JSON.stringify(known));
      return true;
    });
  });

  await step('a muted microphone holds no picture back', async () => {
    await bob.press('toggle-mic');
    await until('alice is told of no offset to a sound that is not there', async () => {
      const [picture] = await alice.remoteTracks('camera', { name: 'bob' });
      return picture.avOffsetMs === null;
    });
    await alice.seesMoving({ name: 'bob' }, BOB.colour);
  });
}

for (const engine of ENGINES) {
  scenario(`sound through memory that threads share: ${engine}`, (stage, step) =>
    meet(stage, step, { engine, isolated: true }),
  );

  scenario(`sound by messages, on a page that may be embedded: ${engine}`, (stage, step) =>
    meet(stage, step, { engine, options: EMBEDDED, isolated: false }),
  );
}
