// What it costs to watch: processor time of a browser that shows 4, 9 and 16 pictures, each with a voice, of our call and
// of as many WebRTC connections. Who sends has a browser, or processes, of its own.

import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { writeTone, yuvOf } from '../lib/media.mjs';
import { DEVICES, openBrowser } from '../lib/browsers.mjs';
import { Child } from '../lib/process.mjs';
import { program } from '../lib/servers.mjs';
import { until } from '../lib/wait.mjs';
import { WEBRTC_FLAGS, connectPair } from './webrtc.mjs';

/** What is shown: tiles, and the pictures that our senders' layers have for tiles of that size. */
export const GRIDS = [
  { tiles: 4, width: 640, height: 360, fps: 30, kbps: 400 },
  { tiles: 9, width: 320, height: 180, fps: 15, kbps: 120 },
  { tiles: 16, width: 320, height: 180, fps: 15, kbps: 120 },
];

const VIEWPORT = { width: 1280, height: 800 };
const HERTZ = 440;
/** Ticks of /proc/PID/stat: USER_HZ of Linux on every architecture that browsers run on. */
const TICKS_PER_SECOND = 100;
const START_TIMEOUT = 60_000;

/** Runs in a page before anything else: the user's own devices stay closed. */
function hideDevices() {
  navigator.mediaDevices.getUserMedia = async () => {
    throw new DOMException('no devices', 'NotFoundError');
  };
}

/** Runs in the receiver's page: shows the videos in tiles as ours are, with round corners and a name. */
function layOut() {
  const videos = [...document.querySelectorAll('video')];
  const columns = Math.ceil(Math.sqrt(videos.length));
  document.body.style = `margin: 0; padding: 56px 12px 72px; box-sizing: border-box; height: 100vh; display: grid;
    gap: 8px; grid-auto-rows: 1fr; grid-template-columns: repeat(${columns}, 1fr); font: 13px sans-serif`;
  for (const [index, video] of videos.entries()) {
    video.style = 'width: 100%; height: 100%; object-fit: cover';
    const name = document.createElement('div');
    name.textContent = `robot-${index}`;
    name.style = `position: absolute; left: 8px; bottom: 8px; padding: 4px 8px; border-radius: 8px; color: white;
      background: rgb(0 0 0 / 60%)`;
    const tile = document.createElement('div');
    tile.style = 'position: relative; overflow: hidden; border-radius: 12px; min-height: 0';
    tile.append(video, name);
    document.body.append(tile);
  }
}

/**
 * Runs in the sender's page: the next connection's camera, which takes its pictures at a moment of its own, as those of
 * different people do. A display that has to be refreshed for each is what costs.
 */
async function takeTurns(delay) {
  window.devices ??= navigator.mediaDevices.getUserMedia({ audio: true, video: true });
  const stream = await window.devices;
  const [track] = stream.getVideoTracks();
  const camera = new MediaStreamTrackGenerator({ kind: 'video' });
  const writer = camera.writable.getWriter();
  const later = new WritableStream({ write: (picture) => void setTimeout(() => writer.write(picture), delay) });
  new MediaStreamTrackProcessor({ track: track.clone() }).readable.pipeTo(later);
  window.media = new MediaStream([camera, ...stream.getAudioTracks()]);
}

/** Runs in the receiver's page: pictures of all tiles so far. */
function framesShown() {
  const videos = [...document.querySelectorAll('video')];
  return videos.reduce((sum, video) => sum + video.getVideoPlaybackQuality().totalVideoFrames, 0);
}

/** Seconds of processor time that all processes of a browser have used. */
async function cpuSeconds(session) {
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  const seconds = { all: 0, renderer: 0 };
  for (const { id, type } of processInfo) {
    const stat = readFileSync(`/proc/${id}/stat`, 'utf8');
    const [user, system] = stat.slice(stat.lastIndexOf(')') + 2).split(' ').slice(11, 13).map(Number);
    const used = (user + system) / TICKS_PER_SECOND;
    seconds.all += used;
    if (type === 'renderer') seconds.renderer += used;
  }
  return seconds;
}

/** A watcher's browser with everything it shows. */
class Watcher {
  constructor(browser, page) {
    Object.assign(this, { browser, page });
  }

  /** Processor time in per cent of a core, and pictures per second of all tiles together. */
  async measure(milliseconds) {
    const session = await this.browser.newBrowserCDPSession();
    const read = async () => ({
      at: performance.now(),
      cpu: await cpuSeconds(session),
      frames: await this.page.evaluate(framesShown),
    });
    const before = await read();
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    const after = await read();
    const seconds = (after.at - before.at) / 1000;
    const share = (what) => (100 * (after.cpu[what] - before.cpu[what])) / seconds;
    return { all: share('all'), renderer: share('renderer'), fps: (after.frames - before.frames) / seconds };
  }
}

/** Colour bars of 75 % that move as those of `videocall-cli stream --source test` do. */
const BARS = [0b111, 0b110, 0b011, 0b010, 0b101, 0b100, 0b001];
const BAR_SPEED = 4;

/** Writes what our senders send, in Y4M: until the bars are where they began. */
async function writeBars(path, { width, height, fps }) {
  const colours = BARS.map((bits) => yuvOf([4, 2, 1].map((bit) => (bits & bit ? 191 : 0))));
  const plane = (channel, columns, rows, shift) => {
    const colourAt = (x) => colours[Math.floor((((x + shift) % columns) * BARS.length) / columns)][channel];
    const row = Buffer.from(Array.from({ length: columns }, (_, x) => colourAt(x)));
    return Buffer.concat(Array(rows).fill(row));
  };
  const parts = [Buffer.from(`YUV4MPEG2 W${width} H${height} F${fps}:1 Ip A1:1 C420\n`)];
  for (let shift = 0; shift < width; shift += BAR_SPEED) {
    parts.push(Buffer.from('FRAME\n'), plane(0, width, height, shift));
    for (const chroma of [1, 2]) parts.push(plane(chroma, width / 2, height / 2, shift / 2));
  }
  await writeFile(path, Buffer.concat(parts));
}

let meetings = 0;

async function watchOurs(stage, server, grid, transport, ends) {
  meetings += 1;
  const meeting = `cost-${meetings}-${grid.tiles}-${transport}`;
  for (let index = 0; index < grid.tiles; index += 1) {
    const name = `robot-${index}`;
    const args = ['stream', '--url', server.url, '--user-id', name, '--meeting-id', meeting, '--source', 'test'];
    args.push('--resolution', `${grid.width}x${grid.height}`, '--fps', `${grid.fps}`, '--codec', 'vp8');
    args.push('--bitrate-kbps', `${grid.kbps}`, '--tone-hz', `${HERTZ}`, '--quiet');
    const robot = new Child(stage.logs, `${meeting}-${name}`, program('videocall-cli'), args);
    ends.push(() => robot.stop());
  }
  const browser = await openBrowser(stage);
  ends.push(() => browser.close());
  const page = await (await browser.newContext({ viewport: VIEWPORT })).newPage();
  await page.addInitScript(hideDevices);
  await page.goto(`${server.url}/meeting/watcher/${meeting}?join=now&transport=${transport}`);
  const live = page.locator('[data-testid="tile"][data-track="camera"][data-state="live"]');
  await until(
    `${grid.tiles} tiles are live`,
    async () => {
      const count = await live.count();
      if (count === grid.tiles) return true;
      throw new Error(`${count} are`);
    },
    START_TIMEOUT,
  );
  return new Watcher(browser, page);
}

async function watchWebrtc(stage, server, grid, ends) {
  const [film, tone] = [join(stage.root, `cost-${grid.width}.y4m`), join(stage.root, 'cost.wav')];
  await writeBars(film, grid);
  await writeTone(tone, HERTZ);
  const files = [`--use-file-for-fake-video-capture=${film}`, `--use-file-for-fake-audio-capture=${tone}`];
  const source = await openBrowser(stage, [...DEVICES, ...WEBRTC_FLAGS, ...files]);
  const browser = await openBrowser(stage, WEBRTC_FLAGS);
  ends.push(() => source.close(), () => browser.close());
  const sender = await (await source.newContext()).newPage();
  const page = await (await browser.newContext({ viewport: VIEWPORT })).newPage();
  await Promise.all([sender, page].map((page) => page.goto(`${server.url}/readyz`)));
  await page.evaluate(() => document.body.replaceChildren());
  for (let index = 0; index < grid.tiles; index += 1) {
    await sender.evaluate(takeTurns, (1000 * index) / (grid.fps * grid.tiles));
    await connectPair(sender, page, { name: `video-${index}` });
  }
  await page.evaluate(layOut);
  const wide = () => [...document.querySelectorAll('video')].map((video) => video.videoWidth);
  await until(
    `${grid.tiles} pictures of ${grid.width} pixels`,
    async () => {
      const widths = await page.evaluate(wide);
      if (widths.every((width) => width === grid.width)) return true;
      throw new Error(`${widths}`);
    },
    START_TIMEOUT,
  );
  return new Watcher(browser, page);
}

/** Measures one grid of one contestant; everything that was started for it ends with it. */
export async function receiverCost(stage, server, grid, contestant, { settle, measure }) {
  const ends = [];
  try {
    const watcher =
      contestant === 'webrtc'
        ? await watchWebrtc(stage, server, grid, ends)
        : await watchOurs(stage, server, grid, contestant, ends);
    await new Promise((resolve) => setTimeout(resolve, settle));
    return await watcher.measure(measure);
  } finally {
    await Promise.all(ends.map((end) => end()));
  }
}
