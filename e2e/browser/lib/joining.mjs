// A call of five that somebody joins: the four who are there, and the time from the click on Join until all are seen.

import { join } from 'node:path';

import { DEVICES, openBrowser } from './browsers.mjs';
import { writeFilm, writeTone } from './media.mjs';
import { Child } from './process.mjs';
import { program } from './servers.mjs';

/** Who is there before the fifth comes. */
export const FOUR = ['ann', 'ben', 'cem', 'dan'];

/** The window of each of four who share a browser: with room for all of the others. */
const VIEWPORT = { width: 800, height: 500 };

/** Of 255: a tile shows nothing, which is black, or a picture, of which some colour is brighter than this. */
const BRIGHT = 48;

/**
 * Runs in the page: presses Join, and resolves with the milliseconds until the tile of each of these people has a picture
 * in it. It is the pixels that are asked, in each frame of the display.
 */
function clickAndLook([names, bright]) {
  const context = new OffscreenCanvas(16, 9).getContext('2d', { willReadFrequently: true });
  const missing = new Set(names);
  const shows = (name) => {
    const tile = `[data-testid="tile"][data-name="${name}"][data-track="camera"]`;
    const picture = document.querySelector(`${tile} :is(canvas, video)`);
    if (!picture) return false;
    context.clearRect(0, 0, 16, 9);
    context.drawImage(picture, 0, 0, 16, 9);
    const { data } = context.getImageData(0, 0, 16, 9);
    return data.some((value, index) => index % 4 < 3 && value > bright);
  };
  return new Promise((resolve) => {
    const started = performance.now();
    const look = () => {
      for (const name of missing) if (shows(name)) missing.delete(name);
      if (missing.size === 0) resolve(performance.now() - started);
      else requestAnimationFrame(look);
    };
    document.querySelector('[data-testid="join-button"]').click();
    look();
  });
}

/**
 * Opens the lobby, waits until its preview runs, joins, and returns how many milliseconds after the click everybody of
 * these names was seen.
 *
 * @param {import('./person.mjs').Person} person
 */
export async function timedJoin(person, url, meeting, transport, names) {
  await person.page.goto(`${url}/meeting/${person.name}/${meeting}?transport=${transport}`);
  await person.page.waitForFunction(() => document.querySelector('[data-testid="preview"]')?.videoWidth > 0);
  return person.page.evaluate(clickAndLook, [names, BRIGHT]);
}

/**
 * Four people with camera and voice. They are no browsers, which would need the machine that the fifth needs, and they
 * watch nobody: their cameras are encoded from the moment at which somebody does.
 */
export function openFour(stage, url, meeting, transport) {
  return FOUR.map((name) => {
    const args = ['stream', '--url', url, '--user-id', name, '--meeting-id', meeting, '--source', 'test'];
    args.push('--transport', transport, '--resolution', '320x180', '--fps', '15', '--bitrate-kbps', '120');
    return stage.own(new Child(stage.logs, `${name}-${transport}`, program('videocall-cli'), args));
  });
}

/**
 * The same four as pages of one browser, who see and hear one another. All of them and who joins share the machine.
 *
 * @returns {Promise<import('playwright-core').Browser>}
 */
export async function openFourPages(stage, url, meeting, transport) {
  const [film, tone] = [join(stage.root, 'four.y4m'), join(stage.root, 'four.wav')];
  await Promise.all([writeFilm(film, 'green'), writeTone(tone, 700)]);
  const files = [`--use-file-for-fake-video-capture=${film}`, `--use-file-for-fake-audio-capture=${tone}`];
  const browser = await openBrowser(stage, [...DEVICES, ...files]);
  for (const name of FOUR) {
    const context = await browser.newContext({ viewport: VIEWPORT });
    const page = await context.newPage();
    await page.goto(`${url}/meeting/${name}/${meeting}?join=now&transport=${transport}`);
  }
  return browser;
}

/** Leaves, to join again. */
export async function leave(person) {
  await person.press('leave-button');
  await person.page.getByTestId('rejoin-button').waitFor();
}
