// What goes wrong around a call is said in words, where the person looks.

import { equal } from 'node:assert/strict';

import { DEVICES, openBrowser } from './lib/browsers.mjs';
import { openPerson } from './lib/person.mjs';
import { videocallServer } from './lib/servers.mjs';
import { scenario } from './lib/stage.mjs';

/** The page gives a server that does not answer this long at the first attempt, and some. */
const GIVEN_UP = 25_000;

/** Waits until the page says something like this. */
async function says(page, pattern, timeout = 10_000) {
  await page.getByTestId('notice').filter({ hasText: pattern }).first().waitFor({ timeout });
}

scenario('a meeting that is full, and a server that is gone', async (stage, step) => {
  const server = await videocallServer(stage, ['--max-sessions-per-meeting', '1']);
  const [alice, bob] = await Promise.all([
    openPerson(stage, { name: 'alice', colour: 'red', hertz: 440 }),
    openPerson(stage, { name: 'bob', colour: 'green', hertz: 700 }),
  ]);

  await step('who comes too late is told that the meeting is full, and can try again', async () => {
    await bob.join(server.url, 'full');
    await bob.connected();
    await alice.join(server.url, 'full');
    await says(alice.page, /full/);
    await bob.press('leave-button');
    await alice.page.getByTestId('rejoin-button').click();
    await alice.connected();
    await alice.press('leave-button');
  });

  await step('who joins when the server is gone is told so', async () => {
    await alice.page.goto(`${server.url}/meeting/alice/gone`);
    await alice.page.getByTestId('join-button').waitFor();
    await server.kill();
    await alice.press('join-button');
    await says(alice.page, /server|reached|connect/i, GIVEN_UP);
  });
});

scenario('a machine without devices, and a browser that lacks something', async (stage, step) => {
  const server = await videocallServer(stage);

  await step('no camera and no microphone', async () => {
    const none = '--use-fake-device-for-media-stream=device-count=0';
    const browser = await openBrowser(stage, ['--use-fake-ui-for-media-stream', none]);
    const page = await (await browser.newContext()).newPage();
    await page.goto(`${server.url}/meeting/alice/devices`);
    await says(page, /not found|no access/i);
    await page.getByTestId('join-button').click();
    await page.locator('[data-testid="connection"][data-state="connected"]').waitFor();
    await page.getByTestId('self-tile').waitFor();
    await browser.close();
  });

  await step('no codecs', async () => {
    const browser = await openBrowser(stage, DEVICES);
    const page = await (await browser.newContext()).newPage();
    await page.addInitScript(() => {
      delete globalThis.VideoEncoder;
      delete globalThis.VideoDecoder;
    });
    await page.goto(`${server.url}/meeting/alice/codecs`);
    await says(page, /missing[^]*WebCodecs/i);
    equal(await page.getByTestId('join-button').count(), 0);
    await browser.close();
  });
});
