// What a camera is asked for follows what is encoded of it, and nobody who watches notices.

import { equal, ok } from 'node:assert/strict';

import { openPerson } from './lib/person.mjs';
import { videocallServer } from './lib/servers.mjs';
import { scenario } from './lib/stage.mjs';
import { timed, until } from './lib/wait.mjs';

/** Somebody whose tile was enlarged sees all that the camera has within this. */
const SHARP_AGAIN = 2_000;

/** No picture stands longer than this while a camera changes, milliseconds. */
const LONGEST_STAND = 500;

const SMALL = { width: 340, height: 300 };
const LARGE = { width: 1300, height: 800 };

/** What the camera delivers, by the browser that has opened it. */
function cameraSettings(person) {
  return person.page.getByTestId('self-tile').locator('video').evaluate((video) => {
    const { width, height, frameRate } = video.srcObject.getVideoTracks()[0].getSettings();
    return { width, height, frameRate };
  });
}

/** Runs in the page: notes when a tile shows another picture, and how wide that is. */
function notePictures(tile) {
  const video = tile.querySelector('video');
  window.pictures = [];
  const note = (at, { width }) => {
    window.pictures.push({ at, width });
    video.requestVideoFrameCallback(note);
  };
  video.requestVideoFrameCallback(note);
}

/** How long the longest of the pictures noted since the last time has stood, milliseconds. */
async function longestStand(person) {
  const pictures = await person.page.evaluate(() => window.pictures.splice(0));
  const stands = pictures.slice(1).map(({ at }, index) => at - pictures[index].at);
  return Math.round(Math.max(...stands));
}

scenario('a camera is asked for what is shown of it', async (stage, step) => {
  const server = await videocallServer(stage);
  const [alice, bob] = await Promise.all([
    openPerson(stage, { name: 'alice', colour: 'red', hertz: 440, scale: 4, viewport: SMALL }),
    openPerson(stage, { name: 'bob', colour: 'green', hertz: 700, viewport: LARGE }),
  ]);
  const captured = async () => {
    const { localTracks } = await alice.stats();
    const { captureWidth, captureHeight } = localTracks.find(({ kind }) => kind === 'camera');
    return `${captureWidth}x${captureHeight}`;
  };
  const receives = (width) => until(`bob receives ${width} pixels`, () =>
    bob.page.evaluate((width) => window.pictures.at(-1)?.width === width, width),
  );
  const captures = (size, timeout) => until(`alice captures ${size}`, async () => {
    const found = await captured();
    if (found === size) return true;
    throw new Error(found);
  }, timeout);

  await step('all of it at first', async () => {
    await Promise.all([alice.join(server.url, 'camera'), bob.join(server.url, 'camera')]);
    await bob.seesMoving({ name: 'alice' }, alice.colour);
    await captures('1280x720');
    await bob.tile({ name: 'alice' }).evaluate(notePictures);
  });

  await step('as much as a small tile needs, after a while, and nobody notices', async () => {
    await bob.page.setViewportSize(SMALL);
    await receives(320);
    await longestStand(bob);
    await captures('320x180');
    const settings = await cameraSettings(alice);
    equal(`${settings.width}x${settings.height} at ${settings.frameRate}`, '320x180 at 15');
    await bob.seesMoving({ name: 'alice' }, alice.colour);
    const stand = await longestStand(bob);
    ok(stand < LONGEST_STAND, `a picture stood for ${stand} ms`);
  });

  await step('all of it again as soon as somebody enlarges the tile', async () => {
    await bob.page.setViewportSize(LARGE);
    const took = await timed('bob sees all of it', () => receives(1280));
    ok(took < SHARP_AGAIN, `after ${Math.round(took)} ms`);
    equal((await cameraSettings(alice)).width, 1280);
    await bob.seesMoving({ name: 'alice' }, alice.colour);
    const stand = await longestStand(bob);
    ok(stand < LONGEST_STAND, `a picture stood for ${stand} ms`);
  });

  await step('as much as the own picture shows, when that is larger', async () => {
    await bob.page.setViewportSize(SMALL);
    await captures('320x180');
    await bob.press('leave-button');
    await alice.sees(0);
    await alice.page.setViewportSize({ width: 700, height: 500 });
    await captures('640x360');
    await alice.page.setViewportSize(LARGE);
    await captures('1280x720');
  });
});
