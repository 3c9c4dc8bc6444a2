// What is shown decides what is received and encoded: hidden pages, more people than tiles, who speaks, who is pinned.

import { equal, ok } from 'node:assert/strict';

import { ENGINES } from './lib/browsers.mjs';
import { openPerson } from './lib/person.mjs';
import { Child } from './lib/process.mjs';
import { program, videocallServer } from './lib/servers.mjs';
import { scenario } from './lib/stage.mjs';
import { timed, until } from './lib/wait.mjs';

/** An encoder stops when nobody watches, and starts when somebody does, within this. */
const PROMPT = 1_000;

const ALICE = { name: 'alice', colour: 'red', hertz: 440 };
const BOB = { name: 'bob', colour: 'green', hertz: 700 };

/** A page cannot be hidden from outside in a browser without windows; it can be told that it is. */
async function setVisibility(person, state) {
  await person.page.evaluate((visibilityState) => {
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => visibilityState });
    document.dispatchEvent(new Event('visibilitychange'));
  }, state);
}

async function ownCamera(person) {
  const { localTracks } = await person.stats();
  return localTracks.find(({ kind }) => kind === 'camera');
}

async function camerasReceived(person) {
  const { remoteTracks } = await person.stats();
  const frames = remoteTracks.filter(({ kind }) => kind === 'camera').map(({ framesReceived }) => framesReceived);
  return frames.reduce((sum, count) => sum + count, 0);
}

/** The position of the video in the own tile, in seconds. */
function ownPicture(person) {
  return person.page.getByTestId('self-tile').locator('video').evaluate((video) => video.currentTime);
}

async function unseen(stage, step, engine) {
  const server = await videocallServer(stage);
  const [alice, bob] = await Promise.all([ALICE, BOB].map((who) => openPerson(stage, { ...who, engine })));
  await Promise.all([alice.join(server.url, 'shown'), bob.join(server.url, 'shown')]);
  await Promise.all([alice.seesMoving({ name: 'bob' }), bob.seesMoving({ name: 'alice' })]);

  await step('a page that is hidden stops the camera of the others, not their preview, and is still heard', async () => {
    await setVisibility(bob, 'hidden');
    const idle = async () => (await layersWanted(alice)) === '';
    const took = await timed('alice learns that nobody watches', idle);
    ok(took < PROMPT, `after ${Math.round(took)} ms`);
    const before = await ownCamera(alice);
    const preview = await ownPicture(alice);
    const received = await camerasReceived(bob);
    await until('the preview goes on', async () => (await ownPicture(alice)) > preview + 1);
    // At most what was in the encoder when it stopped.
    ok((await ownCamera(alice)).framesEncoded <= before.framesEncoded + 3, 'alice encodes for nobody');
    ok((await camerasReceived(bob)) <= received + 3, 'bob receives what he does not see');
    await bob.hears({ name: 'alice' }, ALICE.hertz);
    await alice.seesMoving({ name: 'bob' });
  });

  await step('a page that can be seen again shows pictures at once', async () => {
    const { framesEncoded } = await ownCamera(alice);
    await setVisibility(bob, 'visible');
    const encodes = async () => (await ownCamera(alice)).framesEncoded > framesEncoded;
    const took = await timed('alice encodes again', encodes);
    ok(took < PROMPT, `after ${Math.round(took)} ms`);
    await bob.seesMoving({ name: 'alice' });
  });

  await step('who leaves wants nothing', async () => {
    await bob.press('leave-button');
    await until('nobody watches alice', async () => (await layersWanted(alice)) === '');
  });
}

for (const engine of ENGINES) {
  scenario(`nobody sends what nobody sees: ${engine}`, (stage, step) => unseen(stage, step, engine));
}

/** The layers of one's own camera that anybody receives. */
async function layersWanted(person) {
  const { layersWanted: layers } = await ownCamera(person);
  return layers?.join();
}

/** Waits until somebody's camera comes in pictures of this width. */
async function receivesWidth(person, name, width) {
  await until(`${person.name} receives ${name} ${width} pixels wide`, async () => {
    const [camera] = await person.remoteTracks('camera', { name });
    if (camera.width === width) return true;
    throw new Error(`${camera.width} pixels`);
  });
}

scenario('a camera is encoded in the sizes in which it is shown', async (stage, step) => {
  const server = await videocallServer(stage);
  const [small, large] = [{ width: 340, height: 300 }, { width: 900, height: 700 }];
  const [alice, bob, carol] = await Promise.all([
    openPerson(stage, { ...ALICE, scale: 2, viewport: small }),
    openPerson(stage, { ...BOB, viewport: small }),
    // Room for two small tiles and her own.
    openPerson(stage, { name: 'carol', colour: 'blue', hertz: 1100, viewport: { width: 480, height: 420 } }),
  ]);
  await Promise.all([alice.join(server.url, 'layers'), bob.join(server.url, 'layers')]);
  await Promise.all([alice.connected(), bob.connected()]);

  await step('one viewer with a small tile', async () => {
    await bob.seesMoving({ name: 'alice' }, ALICE.colour);
    await until('only the small layer is wanted', async () => (await layersWanted(alice)) === '0');
    await receivesWidth(bob, 'alice', 320);
    await bob.seesMoving({ name: 'alice' }, ALICE.colour);
  });

  await step('the tile grows', async () => {
    await bob.page.setViewportSize(large);
    await until('only the large layer is wanted', async () => (await layersWanted(alice)) === '1');
    await receivesWidth(bob, 'alice', 640);
    await bob.seesMoving({ name: 'alice' }, ALICE.colour);
  });

  await step('another viewer with a small tile', async () => {
    await carol.join(server.url, 'layers');
    await carol.seesMoving({ name: 'alice' }, ALICE.colour);
    await until('both layers are wanted', async () => (await layersWanted(alice)) === '0,1');
    await receivesWidth(carol, 'alice', 320);
    await receivesWidth(bob, 'alice', 640);
    await Promise.all([bob, carol].map((person) => person.seesMoving({ name: 'alice' }, ALICE.colour)));
  });

  await step('the tile shrinks again', async () => {
    await bob.page.setViewportSize(small);
    await until('only the small layer is wanted', async () => (await layersWanted(alice)) === '0');
    await carol.seesMoving({ name: 'alice' }, ALICE.colour);
  });
});

/** How many people without a voice there are; more than the window has room for. */
const SILENT = 6;

function robot(stage, url, name, extra) {
  const args = ['stream', '--url', url, '--user-id', name, '--meeting-id', 'crowd', '--source', 'test'];
  args.push('--resolution', '160x90', '--fps', '5', '--bitrate-kbps', '50', ...extra);
  return stage.own(new Child(stage.logs, name, program('videocall-cli'), args));
}

/** The area of somebody's tile, in pixels. */
async function area(person, name) {
  const { width, height } = await person.tile({ name }).boundingBox();
  return width * height;
}

async function namesOnPage(person) {
  const tiles = person.page.locator('[data-testid="tile"][data-track="camera"]');
  return tiles.evaluateAll((found) => found.map((tile) => tile.dataset.name));
}

scenario('more people than tiles', async (stage, step) => {
  const server = await videocallServer(stage);
  const viewport = { width: 520, height: 420 };
  const viewer = await openPerson(stage, { ...ALICE, viewport });
  await viewer.join(server.url, 'crowd');
  await viewer.connected();
  const silent = Array.from({ length: SILENT }, (_, index) => `silent-${index + 1}`);
  const robots = new Map();
  for (const name of silent) {
    robots.set(name, robot(stage, server.url, name, ['--no-audio']));
    await until(`${name} is there`, async () => {
      const { remoteTracks } = await viewer.stats();
      return remoteTracks.some((track) => track.name === name);
    });
  }
  let shown;

  await step('those who do not fit are counted, and send nothing', async () => {
    await viewer.page.getByTestId('more-tile').waitFor();
    shown = await namesOnPage(viewer);
    ok(shown.length < SILENT, `${shown}`);
    equal(await viewer.page.getByTestId('more-tile').innerText(), `${SILENT - shown.length} more people`);
    const hidden = silent.filter((name) => !shown.includes(name));
    for (const name of hidden) {
      await until(`${name} idles`, async () => /nobody is watching/.test(robots.get(name).text()));
    }
    for (const name of shown) await viewer.tileIs({ name }, 'live');
  });

  await step('who speaks comes onto the page, and the others keep their places', async () => {
    robot(stage, server.url, 'loud', ['--tone-hz', '900']);
    await viewer.tileIs({ name: 'loud' }, 'live');
    await viewer.hears({ name: 'loud' }, 900);
    const now = await namesOnPage(viewer);
    equal(now.length, shown.length);
    const moved = shown.filter((name, index) => now[index] !== name);
    equal(moved.length, 1, `${shown} became ${now}`);
    shown = now;
  });

  await step('somebody off the page is pinned by keyboard: large, first in line, and let go again', async () => {
    const name = silent.find((one) => !shown.includes(one));
    await viewer.press('more-tile');
    const panel = viewer.page.getByRole('complementary');
    const button = panel.getByRole('button', { name: `Pin ${name}` });
    await button.focus();
    await viewer.page.keyboard.press('Enter');
    equal(await button.getAttribute('aria-pressed'), 'true');
    await viewer.page.keyboard.press('Escape');
    await viewer.tileIs({ name }, 'live');
    await until('the pinned tile is the largest', async () => {
      const others = (await namesOnPage(viewer)).filter((one) => one !== name);
      const areas = await Promise.all(others.map((other) => area(viewer, other)));
      return Math.max(...areas) * 1.5 < (await area(viewer, name));
    });
    equal(await viewer.tile({ name }).getAttribute('data-pinned'), 'true');
    await viewer.tile({ name }).getByTestId('pin').press('Enter');
    equal(await viewer.tile({ name }).getAttribute('data-pinned'), 'false');
  });
});
