// One participant in a browser of their own: fake devices are settings of the whole process.

import { join } from 'node:path';

import { DEVICES, openBrowser, openFirefox, sharing } from './browsers.mjs';
import { meanColour, writeFilm, writeTone } from './media.mjs';
import { until } from './wait.mjs';

/** Small pages: painting is done by the same cores. */
const VIEWPORT = { width: 800, height: 500 };

/** How far a received colour may be from the sent one: video codecs and colour spaces are not exact. */
const COLOUR_TOLERANCE = 30;
/** Hertz: the resolution of what the page measures. */
const TONE_TOLERANCE = 15;
/** A level above this is somebody who is heard, below it silence. */
const AUDIBLE = 0.01;

/**
 * Opens a browser whose camera shows this colour and whose microphone hears this tone, or which plays these files.
 * The camera's pictures are `scale` times as wide and as high as usual. A Firefox has a camera of all colours, whose
 * size the page chooses. `shares` is the title of a tab of this browser that is shared, with its sound, as a screen.
 * `device` is what else Playwright emulates of a device.
 *
 * @param {import('./stage.mjs').Stage} stage
 * @param {{name: string, colour?: string, hertz?: number, engine?: 'chromium' | 'firefox', film?: string, tone?: string,
 *   shares?: string, scale?: number, viewport?: {width: number, height: number}, device?: object}} who
 */
export async function openPerson(stage, { viewport = VIEWPORT, device, ...who }) {
  const { name, hertz, engine = 'chromium' } = who;
  const browser = engine === 'firefox' ? await openFirefox(stage, hertz) : await openChromium(stage, who);
  const context = await browser.newContext({ viewport, ...device });
  if (who.shares) await context.grantPermissions(['camera', 'microphone']);
  const page = await context.newPage();
  const colour = engine === 'firefox' ? undefined : who.colour;
  return stage.watch(new Person({ name, colour, hertz, engine, browser, page }));
}

async function openChromium(stage, { name, colour, hertz, film, tone, scale, shares }) {
  const pictures = film ?? join(stage.root, `${name}-${colour}.y4m`);
  const sound = tone ?? join(stage.root, `${name}-${hertz}.wav`);
  if (!film) await writeFilm(pictures, colour, scale);
  if (!tone) await writeTone(sound, hertz);
  const files = [`--use-file-for-fake-video-capture=${pictures}`, `--use-file-for-fake-audio-capture=${sound}`];
  if (shares) return openBrowser(stage, [...sharing(shares), ...files], undefined, ['--mute-audio']);
  return openBrowser(stage, [...DEVICES, ...files]);
}

export class Person {
  /** `colour` is undefined where the camera shows no known one. */
  constructor({ name, colour, hertz, engine, browser, page }) {
    Object.assign(this, { name, colour, hertz, engine, browser, page });
    this.console = [];
    page.on('console', (message) => this.console.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => this.console.push(`page error: ${error.message}`));
  }

  /** Opens a meeting's page and joins. */
  async join(url, meeting, query = {}) {
    const parameters = new URLSearchParams({ join: 'now', ...query });
    await this.page.goto(`${url}/meeting/${this.name}/${meeting}?${parameters}`);
  }

  /** Waits until the page says that it is in the meeting, over this carrier. */
  async connected(transport, timeout = 20_000) {
    await this.connection({ 'data-state': 'connected', 'data-transport': transport }, timeout);
  }

  /** Waits for these attributes of the connection's badge. */
  async connection(wanted, timeout) {
    const badge = this.page.getByTestId('connection');
    await until(
      `${this.name}'s connection is ${JSON.stringify(wanted)}`,
      async () => {
        const read = (element, names) => names.map((name) => element.getAttribute(name));
        const found = await badge.evaluate(read, Object.keys(wanted), { timeout: 1_000 });
        if (Object.values(wanted).every((value, index) => value === undefined || value === found[index])) return true;
        throw new Error(found.join(', '));
      },
      timeout,
    );
  }

  /** The tiles of somebody else, by name or by session. */
  tile({ name, session, track = 'camera' }) {
    const of = session ? `[data-session="${session}"]` : `[data-name="${name}"]`;
    return this.page.locator(`[data-testid="tile"]${of}[data-track="${track}"]`);
  }

  /** Waits until there are that many camera tiles of others in all. */
  async sees(count, timeout = 15_000) {
    const tiles = this.page.locator('[data-testid="tile"][data-track="camera"]');
    await until(`${this.name} sees ${count} tiles`, async () => {
      const found = await tiles.count();
      if (found === count) return true;
      throw new Error(`${found} tiles`);
    }, timeout);
  }

  /** Waits for a tile's state: live, waiting, off, or gone. */
  async tileIs(which, state, timeout = 15_000) {
    const tile = this.tile(which);
    await until(
      `${this.name} sees ${JSON.stringify(which)} ${state}`,
      async () => {
        const gone = (await tile.count()) === 0;
        const found = gone ? 'gone' : await tile.first().getAttribute('data-state', { timeout: 1_000 });
        if (found === state) return true;
        throw new Error(found ?? 'no state');
      },
      timeout,
    );
  }

  /** Waits until a tile shows two different pictures, each of this colour if one is given. */
  async seesMoving(which, colour, timeout = 15_000) {
    await this.tileIs(which, 'live', timeout);
    let first;
    await until(
      `${this.name} sees ${JSON.stringify(which)} moving in ${colour}`,
      async () => {
        const sample = await this.sample(which);
        const distance = colour ? colourDistance(sample.mean, meanColour(colour)) : 0;
        if (distance > COLOUR_TOLERANCE) throw new Error(`its mean colour is ${sample.mean}`);
        if (!first) first = sample;
        return differ(first.pixels, sample.pixels);
      },
      timeout,
    );
  }

  /** The picture in a tile, made small: its pixels and their mean. */
  async sample(which) {
    return this.tile(which).evaluate(samplePicture, undefined, { timeout: 2_000 });
  }

  /** What `window.videocall.stats()` returns. */
  async stats() {
    return this.page.evaluate(() => window.videocall.stats());
  }

  /** The figures of somebody's tracks of one kind. */
  async remoteTracks(kind, { name, session }) {
    const { remoteTracks } = await this.stats();
    return remoteTracks.filter(
      (track) => track.kind === kind && (session ? track.session === session : track.name === name),
    );
  }

  /** Waits until somebody's tone is what is played. */
  async hears(who, hertz, timeout = 15_000) {
    await until(
      `${this.name} hears ${JSON.stringify(who)} at ${hertz} Hz`,
      async () => {
        const [track] = await this.remoteTracks('microphone', who);
        const heard = Math.abs((track?.dominantFrequencyHz ?? 0) - hertz) <= TONE_TOLERANCE;
        if (heard && track.audioLevel > AUDIBLE) return true;
        throw new Error(JSON.stringify(track));
      },
      timeout,
    );
  }

  /** Waits until nothing is heard of somebody. */
  async hearsNothingOf(who, timeout = 15_000) {
    await until(
      `${this.name} hears nothing of ${JSON.stringify(who)}`,
      async () => {
        const tracks = await this.remoteTracks('microphone', who);
        if (tracks.every((track) => (track.audioLevel ?? 0) <= AUDIBLE)) return true;
        throw new Error(JSON.stringify(tracks));
      },
      timeout,
    );
  }

  async press(testid) {
    await this.page.getByTestId(testid).click();
  }

  /** Waits for a notice with this in it. */
  async isTold(pattern, timeout = 10_000) {
    await this.page.getByTestId('notice').filter({ hasText: pattern }).first().waitFor({ timeout });
  }
}

function colourDistance(a, b) {
  return Math.max(...a.map((channel, index) => Math.abs(channel - b[index])));
}

/** Enough pixels have changed by more than what a codec's noise does. */
function differ(before, after) {
  let changed = 0;
  for (let index = 0; index < before.length; index += 1) {
    if (Math.abs(before[index] - after[index]) > 40) changed += 1;
  }
  return changed > before.length / 100;
}

/** Runs in the page. */
function samplePicture(tile) {
  const picture = tile.querySelector('canvas, video');
  const [width, height] = [64, 36];
  const small = new OffscreenCanvas(width, height);
  const context = small.getContext('2d');
  context.drawImage(picture, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const pixels = [];
  const sums = [0, 0, 0];
  for (let index = 0; index < data.length; index += 4) {
    for (let channel = 0; channel < 3; channel += 1) {
      pixels.push(data[index + channel]);
      sums[channel] += data[index + channel];
    }
  }
  const count = width * height;
  return { pixels, mean: sums.map((sum) => Math.round(sum / count)) };
}
