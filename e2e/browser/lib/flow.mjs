// Whether somebody is seen and heard without a break: when the pixels of a tile change, and when nothing is played.

import { gaps, noteSilences } from '../bench/listen.mjs';

/** Milliseconds between two looks at a tile: a fraction of the time between two pictures. */
const LOOK_EVERY = 15;

/** What a person who is to be watched needs of a context: what listens comes from a blob. */
export const WATCHABLE = { device: { bypassCSP: true } };

/** Has to come before the person joins. */
export async function listenTo(person) {
  await noteSilences(person.page);
}

/** Runs in the page, with the tile. */
function watchTile(tile, every) {
  const context = new OffscreenCanvas(32, 18).getContext('2d', { willReadFrequently: true });
  const now = () => performance.timeOrigin + performance.now();
  let before;
  window.flow = { changes: [], looks: [] };
  const look = () => {
    context.drawImage(tile.querySelector('canvas, video'), 0, 0, 32, 18);
    const pixels = context.getImageData(0, 0, 32, 18).data.join();
    window.flow.looks.push(now());
    if (pixels !== before) window.flow.changes.push(now());
    before = pixels;
    setTimeout(look, every);
  };
  look();
}

/** Notes from now on when this person's tile of that one changes, in their page. */
export async function watch(person, which) {
  await person.tile(which).evaluate(watchTile, LOOK_EVERY);
}

/** The moment, by the clock of all pages. */
export function now() {
  return performance.timeOrigin + performance.now();
}

/** How many pictures came after this moment. */
export function picturesSince(person, since) {
  return person.page.evaluate((since) => window.flow.changes.filter((at) => at > since).length, since);
}

/**
 * The longest time since then without a new picture, without sound, and without a look at the tile, in milliseconds. The
 * last is what the machine has to answer for.
 */
export async function longestGaps(person, since) {
  const { flow, silences } = await person.page.evaluate(() => ({ flow: window.flow, silences: window.silences }));
  return {
    pictures: longestBetween(flow.changes, since),
    sound: Math.max(0, ...gaps(silences, since, now())),
    looks: longestBetween(flow.looks, since),
  };
}

function longestBetween(times, since) {
  const last = times.findLast((at) => at <= since) ?? since;
  const later = [last, ...times.filter((at) => at > since)];
  return Math.max(...later.slice(1).map((at, index) => at - later[index]));
}
