// The relays as processes of their own, with a real NATS server and a real PostgreSQL, and one participant on each.

import { equal } from 'node:assert/strict';

import { openPerson } from './lib/person.mjs';
import { actixApi, natsServer, postgres, webtransportServer } from './lib/servers.mjs';
import { scenario } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

scenario('a meeting across two relays', async (stage, step) => {
  const [nats, database] = await Promise.all([natsServer(stage), postgres(stage)]);
  const api = await actixApi(stage, { databaseUrl: database.url, natsUrl: nats.url });
  await webtransportServer(stage, { natsUrl: nats.url });
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
  });

  await step('leaving crosses NATS', async () => {
    await alice.press('leave-button');
    await bob.tileIs({ name: 'alice' }, 'gone', 2_000);
  });
});
