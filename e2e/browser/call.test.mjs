// A call of three browsers over two carriers, on one server process: what everybody sees, hears and does. The same for
// each choice of browsers.

import { equal, ok } from 'node:assert/strict';

import { openPerson } from './lib/person.mjs';
import { videocallServer } from './lib/servers.mjs';
import { scenario } from './lib/stage.mjs';
import { timed, until } from './lib/wait.mjs';

/**
 * What somebody does to their own microphone or camera shows at the others within `prompt`; a relay that was killed and
 * started again has everybody back within `back`.
 */
const LIMITS = { prompt: 1_000, back: 5_000 };
/** Two Firefoxes that draw with the processor keep two cores so busy that asking their pages takes a second. */
const LIMITS_OF_SEVERAL = { prompt: 4_000, back: 15_000 };
/** A closed tab says goodbye; even without it, liveness (5 s) and grace (5 s) end the tile. */
const GONE = 12_000;

const ALICE = { name: 'alice', colour: 'red', hertz: 440 };
const BOB = { name: 'bob', colour: 'green', hertz: 700 };
const CAROL = { name: 'carol', colour: 'blue', hertz: 1100 };

/** Which browser and which carrier everybody has: so that each pair of them meets. */
const CASTS = [
  {
    title: 'Chromium',
    engines: ['chromium', 'chromium', 'chromium'],
    transports: ['webtransport', 'webtransport', 'websocket'],
    limits: LIMITS,
  },
  {
    title: 'Firefox on both carriers, and Chromium',
    engines: ['firefox', 'firefox', 'chromium'],
    transports: ['webtransport', 'websocket', 'webtransport'],
    limits: LIMITS_OF_SEVERAL,
  },
];

/** Each is seen and heard by each other one. */
async function everybodyMeets(people, timeout = 30_000) {
  const pairs = people.flatMap((viewer) => people.filter((other) => other !== viewer).map((other) => [viewer, other]));
  await Promise.all(
    pairs.map(async ([viewer, other]) => {
      await viewer.seesMoving({ name: other.name }, other.colour, timeout);
      await viewer.hears({ name: other.name }, other.hertz, timeout);
    }),
  );
}

/** How many frames of each track have been decoded so far. */
async function decodedFrames(person) {
  const { remoteTracks } = await person.stats();
  return new Map(remoteTracks.map(({ session, track, framesDecoded }) => [`${session}/${track}`, framesDecoded]));
}

/** Waits until somebody is connected and decodes new pictures and sound of everybody else. */
async function isBack(person, people, before, timeout) {
  await person.connected(undefined, timeout);
  const others = people.filter((other) => other !== person).map(({ name }) => name);
  await until(
    `${person.name} decodes new frames of ${others}`,
    async () => {
      const { remoteTracks } = await person.stats();
      // Of a track that went and came back, frames are counted from zero.
      const moves = ({ session, track, framesDecoded }) => {
        const counted = before.get(`${session}/${track}`) ?? 0;
        return framesDecoded > counted || (framesDecoded > 0 && framesDecoded < counted);
      };
      const found = (name, kind) =>
        remoteTracks.some((track) => track.name === name && track.kind === kind && moves(track));
      return others.every((name) => found(name, 'camera') && found(name, 'microphone'));
    },
    timeout,
  );
}

async function threePeople(stage, step, { engines, transports, limits }) {
  const server = await videocallServer(stage);
  const cast = [ALICE, BOB, CAROL].map((who, index) => ({ ...who, engine: engines[index] }));
  const people = await Promise.all(cast.map((who) => openPerson(stage, who)));
  const [alice, bob, carol] = people;

  await step('join', async () => {
    await Promise.all(
      people.map(async (person, index) => {
        const transport = transports[index];
        await person.join(server.url, 'demo', transport === 'websocket' ? { transport } : {});
        await person.connected(transport);
      }),
    );
  });

  await step('see the others moving in their colours and hear their tones', async () => {
    await everybodyMeets(people);
    await Promise.all(people.map((person) => person.sees(2)));
  });

  await step('nobody receives their own tracks, and figures are filled in', async () => {
    for (const person of people) {
      const stats = await person.stats();
      ok(!stats.remoteTracks.some((track) => track.session === stats.session), 'an echo of oneself');
      equal(stats.connection.state, 'connected');
      ok(stats.connection.bytesSent > 0 && stats.connection.bytesReceived > 0);
      ok(stats.connection.rttMs > 0 && stats.connection.rttMs < 1000, `round trip ${stats.connection.rttMs} ms`);
      await until(`${person.name} has figures of both pictures`, async () => {
        const cameras = (await person.stats()).remoteTracks.filter(({ kind }) => kind === 'camera');
        for (const track of cameras) {
          ok(track.framesReceived > 0 && track.framesDecoded > 0 && track.bitrateBps > 0, JSON.stringify(track));
          ok(track.width > 0 && track.height > 0 && track.codec, JSON.stringify(track));
        }
        return cameras.length === 2;
      });
    }
  });

  await step('mute is seen and heard at once', async () => {
    await alice.press('toggle-mic');
    const muted = async () => {
      const tracks = await Promise.all([bob, carol].map((person) => person.remoteTracks('microphone', alice)));
      return tracks.every(([track]) => track.muted);
    };
    ok((await timed('the others know that alice is muted', muted)) < limits.prompt);
    await Promise.all([bob, carol].map((person) => person.hearsNothingOf({ name: 'alice' })));
    await alice.press('toggle-mic');
    await Promise.all([bob, carol].map((person) => person.hears({ name: 'alice' }, ALICE.hertz)));
  });

  await step('a camera that is switched off is seen at once', async () => {
    await carol.press('toggle-camera');
    await Promise.all([alice, bob].map((person) => person.tileIs({ name: 'carol' }, 'off', limits.prompt)));
    await carol.press('toggle-camera');
    await Promise.all([alice, bob].map((person) => person.seesMoving({ name: 'carol' }, carol.colour)));
  });

  await step('a screen is shared and ends', async () => {
    const screen = { name: 'bob', track: 'screen' };
    await bob.press('toggle-screen');
    await Promise.all([alice, carol].map((person) => person.tileIs(screen, 'live')));
    await Promise.all(
      [alice, carol].map(async (person) => {
        // A tile is live with the first decoded picture; the display shows it with one of its next refreshes.
        await until(
          `${person.name} sees a picture of the screen`,
          async () => (await person.sample(screen)).mean.some((channel) => channel > 0),
          limits.prompt,
        );
        await person.seesMoving({ name: 'bob' }, bob.colour);
      }),
    );
    await bob.press('toggle-screen');
    await Promise.all([alice, carol].map((person) => person.tileIs(screen, 'gone')));
  });

  await step('the relay is killed and started again: everybody is back without a reload', async () => {
    await Promise.all(people.map((person) => person.page.evaluate(() => (window.sameDocument = true))));
    await server.kill();
    await Promise.all(people.map((person) => person.connection({ 'data-state': 'reconnecting' }, 10_000)));
    const before = await Promise.all(people.map(decodedFrames));
    await server.up();
    const started = performance.now();
    await Promise.all(people.map((person, index) => isBack(person, people, before[index], limits.back)));
    const took = performance.now() - started;
    ok(took < limits.back, `everybody was back after ${Math.round(took)} ms`);
    await everybodyMeets(people);
    await Promise.all(people.map((person) => person.sees(2)));
    for (const person of people) equal(await person.page.evaluate(() => window.sameDocument), true);
  });

  await step('a closed tab is gone', async () => {
    await carol.page.close({ runBeforeUnload: false });
    await Promise.all([alice, bob].map((person) => person.tileIs({ name: 'carol' }, 'gone', GONE)));
  });

  await step('leave', async () => {
    await bob.press('leave-button');
    await alice.tileIs({ name: 'bob' }, 'gone', limits.prompt);
    await alice.sees(0);
  });
}

for (const cast of CASTS) {
  scenario(`three people on two carriers in one meeting: ${cast.title}`, (stage, step) => threePeople(stage, step, cast));
}

scenario('two people with one name, and a reload', async (stage, step) => {
  const server = await videocallServer(stage);
  const [bob, first, second] = await Promise.all([
    openPerson(stage, BOB),
    openPerson(stage, ALICE),
    openPerson(stage, { name: 'alice', colour: 'yellow', hertz: 880, engine: 'firefox' }),
  ]);

  await step('two people named alice are two tiles', async () => {
    await Promise.all([bob, first, second].map((person) => person.join(server.url, 'names')));
    await bob.sees(2);
    const session = (person) => until('a session is known', async () => (await person.stats()).session);
    const sessions = await Promise.all([first, second].map(session));
    equal(new Set(sessions).size, 2);
    for (const [index, person] of [first, second].entries()) {
      await bob.seesMoving({ session: sessions[index] }, person.colour);
      await bob.hears({ session: sessions[index] }, person.hertz);
    }
    await first.seesMoving({ name: 'alice' }, second.colour);
  });

  for (const person of [first, second]) {
    await step(`a reload in ${person.engine} comes back without a ghost`, async () => {
      const before = (await person.stats()).session;
      await person.page.reload();
      await person.connected();
      await bob.tileIs({ session: before }, 'gone', GONE);
      const now = (await person.stats()).session;
      await bob.seesMoving({ session: now }, person.colour);
      await bob.hears({ session: now }, person.hertz);
      await Promise.all([bob, first, second].map((one) => one.sees(2)));
    });
  }
});
