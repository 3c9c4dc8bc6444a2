// Whether somebody is seen and heard without a break: when the pixels of a tile change, and when sound is played.

/** Milliseconds between two looks: a fraction of the time between two pictures. */
const LOOK_EVERY = 15;

/** What is played is silent below this; a tone is never below 0.15, before the browser makes it louder or softer. */
const AUDIBLE = 0.02;

/** Samples that are listened to with each look: 43 ms, so that none is missed by a look that is late. */
const SAMPLES = 2048;

/** Runs in the page before anything else: whatever goes to a loudspeaker passes by. */
function tapLoudspeakers(samples) {
  const taps = new Map();
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function note(target, ...rest) {
    if (target instanceof AudioDestinationNode) {
      const { context } = target;
      if (!taps.has(context)) taps.set(context, new AnalyserNode(context, { fftSize: samples }));
      connect.call(this, taps.get(context));
    }
    return connect.call(this, target, ...rest);
  };
  window.taps = taps;
}

/** Lets what this person hears be listened to; before they join. */
export async function listenTo(person) {
  await person.page.addInitScript(tapLoudspeakers, SAMPLES);
}

/** Runs in the page, with the tile. */
function watchTile(tile, [every, audible, samples]) {
  const context = new OffscreenCanvas(32, 18).getContext('2d', { willReadFrequently: true });
  const sound = new Float32Array(samples);
  const isLoud = (tap) => {
    tap.getFloatTimeDomainData(sound);
    return sound.some((sample) => Math.abs(sample) > audible);
  };
  let before;
  window.flow = { pictures: [], sound: [], looks: [] };
  const look = () => {
    const now = performance.timeOrigin + performance.now();
    window.flow.looks.push(now);
    context.drawImage(tile.querySelector('canvas, video'), 0, 0, 32, 18);
    const pixels = context.getImageData(0, 0, 32, 18).data.join();
    if (pixels !== before) window.flow.pictures.push(now);
    before = pixels;
    if ([...window.taps.values()].some(isLoud)) window.flow.sound.push(now);
    setTimeout(look, every);
  };
  look();
}

/** Notes from now on when this person's tile of that one changes, and when they hear something. */
export async function watch(person, which) {
  await person.tile(which).evaluate(watchTile, [LOOK_EVERY, AUDIBLE, SAMPLES]);
}

/** The moment, by the clock of all pages. */
export function now() {
  return performance.timeOrigin + performance.now();
}

/** How many pictures came after this moment. */
export function picturesSince(person, since) {
  return person.page.evaluate((since) => window.flow.pictures.filter((at) => at > since).length, since);
}

/**
 * The longest time since then without a new picture, without sound, and without a look, in milliseconds. The last is what
 * the machine has to answer for.
 *
 * @returns {Promise<{pictures: number, sound: number, looks: number}>}
 */
export async function longestGaps(person, since) {
  const flow = await person.page.evaluate(() => window.flow);
  const until = flow.looks.at(-1);
  return Object.fromEntries(Object.entries(flow).map(([what, times]) => [what, longestBetween(times, since, until)]));
}

function longestBetween(times, since, until) {
  const last = times.findLast((at) => at <= since) ?? since;
  const later = [...times.filter((at) => at > since), until];
  return Math.max(...later.map((at, index) => at - (index > 0 ? later[index - 1] : last)));
}
