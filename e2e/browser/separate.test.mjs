// The relays as processes of their own, with a real NATS server and a real PostgreSQL, and one participant on each.

import { deepEqual, equal, ok } from 'node:assert/strict';

import { openPerson } from './lib/person.mjs';
import { actixApi, natsServer, postgres, webtransportServer } from './lib/servers.mjs';
import { scenario } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

/** Samples at 48 kHz: half a second. */
const LONGEST_SILENCE = 24_000;

/** How many samples of somebody's voice had to be made up so far. */
async function concealed(listener, name) {
  const [voice] = await listener.remoteTracks('microphone', { name });
  return voice.concealedSamples;
}

scenario('a meeting across two relays', async (stage, step) => {
  const [nats, database] = await Promise.all([natsServer(stage), postgres(stage)]);
  const api = await actixApi(stage, { databaseUrl: database.url, natsUrl: nats.url });
  const relay = await webtransportServer(stage, { natsUrl: nats.url });
  const [alice, bob] = await Promise.all([
    openPerson(stage, { name: 'alice', colour: 'red', hertz: 440 }),
    openPerson(stage, { name: 'bob', colour: 'green', hertz: 700 }),
  ]);

  await step('the REST interface learns of the WebTransport relay through NATS', async () => {
    await until('both carriers are offered', async () => {
      const answer = await fetch(`${api.url}/api/v1/meetings/span/join`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ user_id: 'probe' }),
      });
      const { relays } = await answer.json();
      return relays.some(({ transport }) => transport === 'webtransport') && relays.length === 2;
    });
  });

  await step('one participant on each relay', async () => {
    await Promise.all([alice.join(api.url, 'span'), bob.join(api.url, 'span', { transport: 'websocket' })]);
    await Promise.all([alice.connected('webtransport'), bob.connected('websocket')]);
  });

  await step('they see and hear each other', async () => {
    await Promise.all([
      alice.seesMoving({ name: 'bob' }, bob.colour),
      bob.seesMoving({ name: 'alice' }, alice.colour),
      alice.hears({ name: 'bob' }, bob.hertz),
      bob.hears({ name: 'alice' }, alice.hertz),
    ]);
  });

  await step('muting crosses NATS', async () => {
    await alice.press('toggle-camera');
    await bob.tileIs({ name: 'alice' }, 'off', 1_000);
    await alice.press('toggle-camera');
    await bob.seesMoving({ name: 'alice' }, alice.colour);
  });

  await step('without NATS the relays say that others cannot be reached', async () => {
    await nats.kill();
    await Promise.all([alice.isTold(/other servers/), bob.isTold(/other servers/)]);
    equal((await bob.stats()).connection.state, 'connected');
  });

  await step('with NATS they find each other again', async () => {
    await nats.up();
    await Promise.all([
      alice.seesMoving({ name: 'bob' }, bob.colour),
      bob.seesMoving({ name: 'alice' }, alice.colour),
      bob.hears({ name: 'alice' }, alice.hertz),
    ]);
    await bob.page.getByTestId('notice').filter({ hasText: /other servers/ }).waitFor({ state: 'detached' });
    await Promise.all([alice.isTold(/reached again/), bob.isTold(/reached again/)]);
    const notice = bob.page.locator('[aria-live="polite"]').getByTestId('notice').filter({ hasText: /reached again/ });
    equal(await notice.getAttribute('role'), null, 'it is read out at the next pause, not in between');
    await notice.waitFor({ state: 'detached' });
  });

  await step('a relay that is stopped hands its people over without a break', async () => {
    const before = await Promise.all([concealed(alice, 'bob'), concealed(bob, 'alice')]);
    const { session } = await alice.stats();
    await Promise.all([relay.stop(), alice.connected('websocket')]);
    const { connection, session: now } = await alice.stats();
    equal(now, session);
    deepEqual({ moves: connection.moves, reconnects: connection.reconnects }, { moves: 1, reconnects: 0 });
    await Promise.all([
      alice.seesMoving({ name: 'bob' }, bob.colour),
      bob.seesMoving({ name: 'alice' }, alice.colour),
      alice.hears({ name: 'bob' }, bob.hertz),
      bob.hears({ name: 'alice' }, alice.hertz),
    ]);
    const after = await Promise.all([concealed(alice, 'bob'), concealed(bob, 'alice')]);
    const silences = after.map((samples, index) => samples - before[index]);
    ok(Math.max(...silences) < LONGEST_SILENCE, `${silences} samples had to be made up`);
  });

  await step('leaving is seen at once', async () => {
    await alice.press('leave-button');
    await bob.tileIs({ name: 'alice' }, 'gone', 2_000);
  });
});
