// What a person sees of how the call is: indicators with reasons, statistics, pages of people, settings of the sound.

import { equal, match, ok } from 'node:assert/strict';

import { openPerson } from './lib/person.mjs';
import { Child } from './lib/process.mjs';
import { program, videocallServer } from './lib/servers.mjs';
import { scenario } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

const ANA = { name: 'ana', colour: 'red', hertz: 440 };

function robot(stage, url, name, extra = ['--no-audio']) {
  const args = ['stream', '--url', url, '--user-id', name, '--meeting-id', 'seeing', '--source', 'test'];
  args.push('--resolution', '160x90', '--fps', '5', '--bitrate-kbps', '50', ...extra);
  return stage.own(new Child(stage.logs, name, program('videocall-cli'), args));
}

async function namesOnPage(person) {
  const tiles = person.page.locator('[data-testid="tile"][data-track="camera"]');
  return tiles.evaluateAll((found) => found.map((tile) => tile.dataset.name));
}

/** Waits until the indicator of a tile, or of nobody's for oneself, is there; gives what it says. */
async function indicated(person, name, grades, timeout = 20_000) {
  const tile = name ? person.tile({ name }) : person.page.getByTestId('self-tile');
  await until(
    `${person.name} sees that ${name ?? 'their own call'} is ${grades}`,
    async () => {
      const grade = await tile.getAttribute('data-quality', { timeout: 1_000 });
      if (grades.includes(grade)) return true;
      throw new Error(grade);
    },
    timeout,
  );
  return said(tile);
}

/** What the mark of a tile says, empty if there is none: asked for once, as the mark may go between two questions. */
async function said(tile) {
  const labels = await tile.getByTestId('quality').evaluateAll((marks) => marks.map((mark) => mark.getAttribute('aria-label')));
  return labels[0] ?? '';
}

scenario('how the call is can be seen', async (stage, step) => {
  const server = await videocallServer(stage);
  const ana = await openPerson(stage, { ...ANA, viewport: { width: 390, height: 720 } });
  await ana.page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await ana.join(server.url, 'seeing');
  await ana.connected();
  const bob = robot(stage, server.url, 'bob');
  await ana.tileIs({ name: 'bob' }, 'live');

  await step('statistics open by key on a narrow page, and everything in them is on it', async () => {
    await ana.page.keyboard.press('i');
    const panel = ana.page.getByTestId('statistics');
    const download = panel.getByRole('img', { name: /^Download: \d.*bit\/s now, \d.*bit\/s at most$/ });
    await download.waitFor();
    const { x, width } = await panel.boundingBox();
    ok(x >= 0 && x + width <= 390, `${x} to ${x + width}`);
    const overflow = await panel.evaluate((element) => element.scrollWidth - element.clientWidth);
    equal(overflow, 0, 'nothing is wider than the panel');
    await panel.getByRole('button', { name: /bob/ }).click();
    await panel.getByRole('img', { name: /^Pictures per second: \d+ now/ }).first().waitFor();
    const path = panel.getByRole('img', { name: /^Download/ }).locator('path');
    await until('the line grows', async () => ((await path.getAttribute('d')).match(/L/g) ?? []).length >= 3);
  });

  await step('they are copied as the JSON that the page gives', async () => {
    await ana.press('copy-statistics');
    await ana.page.getByTestId('copy-statistics').getByText('Copied').waitFor();
    const copied = JSON.parse(await ana.page.evaluate(() => navigator.clipboard.readText()));
    const given = await ana.stats();
    equal(copied.session, given.session);
    const keys = (value) => Object.keys(value).sort();
    for (const part of ['connection', 'localTracks', 'remoteTracks']) {
      const [one, other] = [copied, given].map((stats) => [stats[part]].flat().map(keys));
      equal(JSON.stringify(one), JSON.stringify(other), part);
    }
  });

  await step('Escape closes them', async () => {
    await ana.page.keyboard.press('Escape');
    await ana.page.getByTestId('statistics').waitFor({ state: 'detached' });
  });

  await step('whose picture stands still has a weak connection, and it is over when it moves', async () => {
    bob.process.kill('SIGSTOP');
    match(await indicated(ana, 'bob', ['fair', 'poor']), /^bob’s connection is weak$/);
    bob.process.kill('SIGCONT');
    equal(await indicated(ana, 'bob', ['good'], 40_000), '');
  });

  await step('one’s own lost connection is said at once', async () => {
    await server.kill();
    equal(await indicated(ana, undefined, ['poor']), 'Reconnecting');
    await server.up();
    await ana.connected(undefined, 30_000);
    await until('nothing more is said of it', async () => {
      return (await said(ana.page.getByTestId('self-tile'))) !== 'Reconnecting';
    });
  });
});

scenario('everybody is on a page', async (stage, step) => {
  const server = await videocallServer(stage);
  const ana = await openPerson(stage, { ...ANA, viewport: { width: 520, height: 420 } });
  await ana.join(server.url, 'seeing');
  await ana.connected();
  const names = ['one', 'two', 'three', 'four', 'five', 'six'];
  for (const name of names) robot(stage, server.url, name);
  const indicator = ana.page.getByTestId('page');
  await until('all are here', async () => {
    const { remoteTracks } = await ana.stats();
    return new Set(remoteTracks.map(({ name }) => name)).size === names.length;
  });
  let first;

  await step('the next page by key has those who were missing, and they move', async () => {
    equal(await indicator.innerText(), 'Page 1 of 2');
    first = await namesOnPage(ana);
    await ana.page.keyboard.press('ArrowRight');
    await until('another page', async () => (await indicator.innerText()) === 'Page 2 of 2');
    const second = await namesOnPage(ana);
    equal([...first, ...second].sort().join(), [...names].sort().join());
    for (const name of second) await ana.tileIs({ name }, 'live');
  });

  await step('there is nothing after the last page, and the button leads back', async () => {
    ok(await ana.page.getByTestId('page-after').isDisabled());
    await ana.press('page-before');
    await until('the first page', async () => (await indicator.innerText()) === 'Page 1 of 2');
    equal((await namesOnPage(ana)).join(), first.join());
  });
});

scenario('the sound of the microphone can be set', async (stage, step) => {
  const server = await videocallServer(stage);
  const ana = await openPerson(stage, ANA);
  await ana.page.goto(`${server.url}/meeting/ana/seeing`);
  const processing = () =>
    ana.page.getByTestId('preview').evaluate((video) => {
      const { echoCancellation, noiseSuppression, autoGainControl } = video.srcObject.getAudioTracks()[0].getSettings();
      return [echoCancellation, noiseSuppression, autoGainControl].join();
    });

  await step('all of it is on at first', async () => {
    await until('the preview runs', async () => (await processing()) === 'true,true,true');
  });

  await step('what is switched off is off at once, and another day', async () => {
    await ana.press('toggle-settings');
    await ana.page.getByTestId('noise-suppression').uncheck();
    await until('noise is heard', async () => (await processing()) === 'true,false,true');
    await ana.page.reload();
    await until('it is remembered', async () => (await processing()) === 'true,false,true');
  });

  await step('in a call the microphone is opened anew for it', async () => {
    await ana.join(server.url, 'seeing');
    await ana.connected();
    await ana.page.evaluate(() => {
      const devices = navigator.mediaDevices;
      const open = devices.getUserMedia.bind(devices);
      devices.getUserMedia = (constraints) => {
        window.asked = constraints.audio;
        return open(constraints);
      };
    });
    await ana.page.keyboard.press('d');
    await ana.page.getByTestId('echo-cancellation').uncheck();
    await ana.page.keyboard.press('Escape');
    await until('it is asked for', async () => {
      const asked = await ana.page.evaluate(() => window.asked);
      return asked?.echoCancellation === false && asked.noiseSuppression === false && asked.autoGainControl === true;
    });
    await until('sound is sent', async () => {
      const { localTracks } = await ana.stats();
      return localTracks.some(({ kind, audioLevel }) => kind === 'microphone' && audioLevel > 0.03);
    });
  });

  await step('who speaks while muted is told so, and unmutes there', async () => {
    await ana.press('toggle-mic');
    await ana.isTold(/You are muted/, 20_000);
    await ana.press('notice-action');
    await until('the microphone is on', async () => {
      const pressed = await ana.page.getByTestId('toggle-mic').getAttribute('aria-pressed');
      return pressed === 'true' && (await ana.page.getByTestId('notice').filter({ hasText: 'muted' }).count()) === 0;
    });
  });
});
