// A network that drops UDP: the call is up over WebSocket all the same, soon, and the person is told.

import { ok } from 'node:assert/strict';

import { ENGINES } from './lib/browsers.mjs';
import { openPerson } from './lib/person.mjs';
import { swallowUdp } from './lib/ports.mjs';
import { videocallServer } from './lib/servers.mjs';
import { scenario } from './lib/stage.mjs';

/** From the click on Join to being in the meeting. A Firefox that draws with the processor has little left for the rest. */
const UP = { chromium: 3_000, firefox: 5_000 };

async function dropped(stage, step, engine) {
  const hole = await swallowUdp();
  stage.atEnd(() => hole.close());
  // The relay works, but the address it announces leads nowhere.
  const server = await videocallServer(stage, ['--public-webtransport-url', `https://127.0.0.1:${hole.port}/wt`]);
  const [alice, bob] = await Promise.all([
    openPerson(stage, { name: 'alice', colour: 'red', hertz: 440, engine }),
    openPerson(stage, { name: 'bob', colour: 'green', hertz: 700 }),
  ]);

  await step('the call is up seconds after Join', async () => {
    await bob.join(server.url, 'udp', { transport: 'websocket' });
    await bob.connected('websocket');
    await alice.page.goto(`${server.url}/meeting/alice/udp`);
    await alice.page.getByTestId('join-button').waitFor();
    const clicked = performance.now();
    await alice.press('join-button');
    await alice.connected('websocket');
    const took = performance.now() - clicked;
    ok(hole.received() > 0, 'WebTransport was not even tried');
    ok(took < UP[engine], `it took ${Math.round(took)} ms`);
  });

  await step('the person is told', () => alice.isTold(/WebSocket/));

  await step('the call works', async () => {
    await alice.seesMoving({ name: 'bob' }, bob.colour);
    await bob.seesMoving({ name: 'alice' }, alice.colour);
    await bob.hears({ name: 'alice' }, alice.hertz);
  });
}

for (const engine of ENGINES) {
  scenario(`UDP is dropped: ${engine}`, (stage, step) => dropped(stage, step, engine));
}
