// The pages around a call: what they say, that they work by keyboard and on a phone.

import { equal, match, ok } from 'node:assert/strict';
import { join } from 'node:path';

import { openBrowser } from './lib/browsers.mjs';
import { openPerson } from './lib/person.mjs';
import { videocallServer } from './lib/servers.mjs';
import { scenario } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

/** The width of a small phone, in CSS pixels. */
const PHONE = { width: 390, height: 760 };

/** Nothing of a page lies beyond its right edge. */
async function fits(page) {
  const [content, width] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  ok(content <= width, `the page is ${content} pixels wide in a window of ${width}`);
}

scenario('home and pre-join', async (stage, step) => {
  const server = await videocallServer(stage);
  const alice = await openPerson(stage, { name: 'alice', colour: 'red', hertz: 440 });
  const { page } = alice;
  const picture = (name) => page.screenshot({ path: join(stage.folder('pages'), `${name}.png`) });

  await step('the home page asks for what is missing', async () => {
    await page.goto(server.url);
    await page.getByTestId('join-button').click();
    await page.getByText('Enter a name.').waitFor();
    await page.getByTestId('name-input').fill('ann lee');
    await page.getByTestId('meeting-input').fill('a.b');
    await page.getByTestId('join-button').click();
    await page.getByText(/name cannot contain a space/).waitFor();
    await picture('home');
  });

  await step('by keyboard alone from the home page into the meeting', async () => {
    await page.getByTestId('name-input').fill('');
    await page.getByTestId('name-input').focus();
    await page.keyboard.type('alice');
    const isFocused = (id) => page.getByTestId(id).evaluate((element) => element === document.activeElement);
    const tabTo = async (id) => {
      for (let presses = 0; presses < 30; presses += 1) {
        if (await isFocused(id)) return;
        await page.keyboard.press('Tab');
      }
      throw new Error(`${id} cannot be reached by the Tab key`);
    };
    await tabTo('meeting-input');
    await page.keyboard.press('Control+A');
    await page.keyboard.type('keys');
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/meeting\/alice\/keys$/);
    await until('the preview shows a picture', () =>
      page.getByTestId('preview').evaluate((video) => video.videoWidth > 0 && !video.paused),
    );
    await picture('pre-join');
    await tabTo('join-button');
    await page.keyboard.press('Enter');
    await alice.connected('webtransport');
    await page.getByTestId('self-tile').waitFor();
    await picture('alone');
  });

  await step('leaving leads to a page that offers to come back', async () => {
    await alice.press('leave-button');
    await page.getByTestId('rejoin-button').click();
    await alice.connected('webtransport');
    await alice.press('leave-button');
    await page.getByTestId('home-button').click();
    await page.getByTestId('name-input').waitFor();
  });

  const long = 'x'.repeat(65);
  for (const path of ['alice/a.b', 'alice/a*', `alice/${long}`, 'ann%20lee/demo'].map((ids) => `/meeting/${ids}`)) {
    await step(`the address ${path.slice(0, 30)} is refused before anything is opened`, async () => {
      const requests = [];
      const note = (request) => requests.push(request.url());
      page.on('request', note);
      await page.goto(server.url + path);
      await page.getByTestId('notice').waitFor();
      page.off('request', note);
      ok(!requests.some((url) => url.includes('/api/')), 'the server was asked');
    });
  }

  await step('other addresses lead nowhere, with a way home', async () => {
    equal((await page.goto(`${server.url}/nowhere`)).status(), 404);
    await page.goto(`${server.url}/meeting/alice`);
    await page.getByTestId('home-button').click();
    await page.getByTestId('name-input').waitFor();
  });

  await step('everything fits a phone', async () => {
    await page.setViewportSize(PHONE);
    for (const path of ['/', '/meeting/alice/phone', '/meeting/alice/a.b', '/meeting/alice']) {
      await page.goto(server.url + path);
      await page.locator('main').waitFor();
      await fits(page);
    }
    await alice.join(server.url, 'phone');
    await alice.connected('webtransport');
    await fits(page);
    await picture('phone');
  });
});

scenario('a person who allows neither camera nor microphone', async (stage, step) => {
  const server = await videocallServer(stage);
  const bob = await openPerson(stage, { name: 'bob', colour: 'green', hertz: 700 });
  await bob.join(server.url, 'denied');
  await bob.connected('webtransport');
  const browser = await openBrowser(stage, ['--use-fake-device-for-media-stream']);
  const page = await (await browser.newContext({ permissions: [] })).newPage();

  await step('is told so before the call, and can join all the same', async () => {
    await page.goto(`${server.url}/meeting/alice/denied`);
    await page.getByTestId('notice').first().waitFor();
    match(await page.getByTestId('notice').first().innerText(), /allow/i);
    await page.getByTestId('join-button').click();
    await page.locator('[data-testid="connection"][data-state="connected"]').waitFor();
  });

  await step('sees the others, and is there for them without a picture', async () => {
    const tile = page.locator('[data-testid="tile"][data-name="bob"][data-track="camera"]');
    await until('bob is live', async () => (await tile.getAttribute('data-state')) === 'live');
    await bob.sees(1);
    await bob.tileIs({ name: 'alice' }, 'off');
  });
});

/** The smallest thing that a finger hits, in CSS pixels (WCAG 2.2, 2.5.8 has 24). */
const FINGER = 40;

scenario('a call on a phone', async (stage, step) => {
  const server = await videocallServer(stage);
  const device = { isMobile: true, hasTouch: true, deviceScaleFactor: 2 };
  const [alice, bob] = await Promise.all([
    openPerson(stage, { name: 'alice', colour: 'red', hertz: 440, viewport: PHONE, device }),
    openPerson(stage, { name: 'bob', colour: 'green', hertz: 700 }),
  ]);
  const { page } = alice;
  await Promise.all([alice.join(server.url, 'pocket'), bob.join(server.url, 'pocket')]);

  for (const [how, viewport] of [
    ['upright', PHONE],
    ['on its side', { width: PHONE.height, height: PHONE.width }],
  ]) {
    await step(`held ${how}, the other one is seen, and every button is in reach`, async () => {
      await page.setViewportSize(viewport);
      await alice.seesMoving({ name: 'bob' }, bob.colour);
      await fits(page);
      const { width, height } = await alice.tile({ name: 'bob' }).boundingBox();
      ok(width * height > (viewport.width * viewport.height) / 8, `the tile is ${width} by ${height} pixels`);
      for (const id of ['toggle-mic', 'toggle-camera', 'leave-button']) {
        const box = await page.getByTestId(id).boundingBox();
        ok(box.width >= FINGER && box.height >= FINGER, `${id} is ${box.width} by ${box.height} pixels`);
        ok(box.x >= 0 && box.x + box.width <= viewport.width, `${id} is beyond the edge`);
        ok(box.y >= 0 && box.y + box.height <= viewport.height, `${id} is below the edge`);
      }
      await page.screenshot({ path: join(stage.folder('pages'), `phone-${viewport.width}.png`) });
    });
  }

  await step('by touch', async () => {
    await page.getByTestId('toggle-camera').tap();
    await bob.tileIs({ name: 'alice' }, 'off');
    await page.getByTestId('leave-button').tap();
    await bob.sees(0);
  });
});
