// The thread that carries a call: when it starts and ends, and what a person is told when it fails.

import { equal } from 'node:assert/strict';

import { ENGINES } from './lib/browsers.mjs';
import { openPerson } from './lib/person.mjs';
import { videocallServer } from './lib/servers.mjs';
import { scenario } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

const ALICE = { name: 'alice', colour: 'red', hertz: 440 };
const BOB = { name: 'bob', colour: 'green', hertz: 700 };

/** Waits until a page has this many threads besides its own. */
async function hasWorkers(person, count) {
  await until(`${person.name}'s page has ${count} workers`, () => person.page.workers().length === count);
}

async function startsAndEnds(stage, step, engine) {
  const server = await videocallServer(stage);
  const alice = await openPerson(stage, { ...ALICE, engine });
  const lobby = `${server.url}/meeting/alice/thread`;

  await step('it is there before Join is pressed, and it is the one that is used', async () => {
    await alice.page.goto(lobby);
    await alice.page.getByTestId('join-button').waitFor();
    await hasWorkers(alice, 1);
    const [worker] = alice.page.workers();
    await alice.press('join-button');
    await alice.connected();
    equal(alice.page.workers().length, 1);
    equal(alice.page.workers()[0], worker);
  });

  await step('it ends when the call is left', async () => {
    await alice.press('leave-button');
    await hasWorkers(alice, 0);
  });

  await step('who comes back gets another one', async () => {
    await alice.press('rejoin-button');
    await alice.connected();
    await hasWorkers(alice, 1);
    await alice.press('leave-button');
    await hasWorkers(alice, 0);
  });

  await step('it ends when nobody joins after all', async () => {
    await alice.page.goto(lobby);
    await alice.page.getByTestId('join-button').waitFor();
    await hasWorkers(alice, 1);
    await alice.page.getByRole('button', { name: /change|other/i }).first().click();
    await hasWorkers(alice, 0);
  });
}

async function cannotDecode(stage, step) {
  const server = await videocallServer(stage);
  const [alice, bob] = await Promise.all([openPerson(stage, ALICE), openPerson(stage, BOB)]);
  const tile = alice.page.locator('[data-testid="tile"][data-name="bob"]');
  await alice.page.goto(`${server.url}/meeting/alice/decoders`);
  await hasWorkers(alice, 1);
  const [worker] = alice.page.workers();
  await worker.evaluate(() => {
    self.configure = VideoDecoder.prototype.configure;
    VideoDecoder.prototype.configure = () => {
      throw new DOMException('no such decoder', 'NotSupportedError');
    };
  });
  await Promise.all([alice.press('join-button'), bob.join(server.url, 'decoders')]);

  await step('a picture that the browser cannot decode: the tile says so, and the voice is heard', async () => {
    await tile.and(alice.page.locator('[data-state="undecodable"]')).waitFor();
    await tile.getByText('cannot decode').waitFor();
    await alice.hears({ name: 'bob' }, BOB.hertz);
    await bob.seesMoving({ name: 'alice' }, ALICE.colour);
  });

  await step('it is there as soon as it can be decoded', async () => {
    await worker.evaluate(() => {
      VideoDecoder.prototype.configure = self.configure;
    });
    await alice.seesMoving({ name: 'bob' }, BOB.colour);
    equal(await tile.getAttribute('data-state'), 'live');
  });
}

async function fails(stage, step) {
  const server = await videocallServer(stage);
  const [alice, bob] = await Promise.all([openPerson(stage, ALICE), openPerson(stage, BOB)]);
  await bob.join(server.url, 'broken');
  await bob.connected();

  await step('its script cannot be loaded: the person is told, and can try again', async () => {
    await alice.page.route('**/engine-worker.js', (route) => route.abort());
    await alice.join(server.url, 'broken');
    await alice.page.getByText(/has stopped: .*script/).waitFor();
    await alice.page.unroute('**/engine-worker.js');
    await alice.press('rejoin-button');
    await alice.connected();
    await bob.seesMoving({ name: 'alice' }, alice.colour);
  });

  await step('it stops in a call: the person is told, devices are let go, the others see her gone', async () => {
    const preview = await alice.page.getByTestId('self-tile').locator('video').evaluateHandle((video) => video.srcObject);
    await alice.page.workers()[0].evaluate(() => {
      setTimeout(() => {
        throw new Error('out of order');
      });
    });
    await alice.page.getByText(/has stopped: .*out of order/).waitFor();
    await hasWorkers(alice, 0);
    const states = await preview.evaluate((stream) => stream.getTracks().map((track) => track.readyState));
    equal(states.join(), 'ended');
    await bob.tileIs({ name: 'alice' }, 'gone');
  });

  await step('and can come back', async () => {
    await alice.press('rejoin-button');
    await alice.connected();
    await bob.seesMoving({ name: 'alice' }, alice.colour);
    await alice.hears({ name: 'bob' }, BOB.hertz);
  });
}

for (const engine of ENGINES) {
  scenario(`the thread of a call starts before it and ends with it: ${engine}`, (stage, step) =>
    startsAndEnds(stage, step, engine),
  );
}

scenario('the thread of a call fails', fails);

// In Chromium alone, as a page's thread cannot be reached from outside in Firefox before the call.
scenario('pictures cannot be decoded', cannotDecode);
