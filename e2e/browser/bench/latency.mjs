// Measures how long pictures and sound take through our call, over either carrier, and through WebRTC between two pages of
// the same browser; and what watching costs. Prints a table, writes bench-results/latency.json and plots.
//   node latency.mjs [PART...] [KEY=VALUE...]      parts: call, hd, cost, stages (these by default), codecs
//   rounds=4 seconds=6     how often each contestant's call is opened, and how long each is measured

import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { delays, takeNoted, writeBarcodeFilm } from './barcode.mjs';
import { soundDelays, writeClicks } from './clicks.mjs';
import { codecTimes } from './codecs.mjs';
import { GRIDS, receiverCost } from './cost.mjs';
import { CONTESTANTS, Pair } from './pairs.mjs';
import { COLOURS, barPlot, distributionPlot, machine, percentile, print, row, write, writeRows } from './report.mjs';
import { STAGES, journeys, trace, traceOf } from './trace.mjs';
import { WEBRTC_FLAGS } from './webrtc.mjs';
import { DEVICES, openBrowser } from '../lib/browsers.mjs';
import { videocallServer } from '../lib/servers.mjs';
import { Stage } from '../lib/stage.mjs';

const SIZES = {
  call: { width: 640, height: 360, viewport: { width: 1000, height: 700 } },
  hd: { width: 1280, height: 720, viewport: { width: 1400, height: 900 } },
};

/** Milliseconds of a call after it has settled that are not measured. */
const SETTLE = 2_000;
const COST_SETTLE = 3_000;

/** As a share of WebRTC's: what is aimed at, and printed beside what was found. */
const AIMS = {
  glass_to_glass_p50_ms: 0.5,
  mouth_to_ear_p50_ms: 1,
  receiver_cpu_pct: 1.2,
};

const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** A call that does not come about, on a machine that was busy with something else, is opened once more. */
async function twice(action) {
  try {
    return await action();
  } catch (error) {
    console.error(`once more, after: ${error.message}`);
    return action();
  }
}

function options() {
  const { positionals } = parseArgs({ allowPositionals: true });
  const given = positionals.length > 0 ? [`ARGS="${positionals.join(' ')}"`] : [];
  const found = { rounds: 4, seconds: 6, parts: [], given };
  for (const text of positionals) {
    const [key, value] = text.split('=');
    if (value > 0 && ['rounds', 'seconds'].includes(key)) found[key] = Number(value);
    else if (key in PARTS) found.parts.push(key);
    else throw new Error(`unknown: ${text}; there are ${Object.keys(PARTS)}, rounds=N and seconds=N`);
  }
  if (found.parts.length === 0) found.parts = ['call', 'hd', 'cost', 'stages'];
  return found;
}

/** A browser whose camera shows numbers and whose microphone hears tones. */
async function openSource(stage, { width, height }) {
  const [film, clicks] = [join(stage.root, `numbers-${width}.y4m`), join(stage.root, 'clicks.wav')];
  await writeBarcodeFilm(film, { width, height });
  await writeClicks(clicks);
  const files = [`--use-file-for-fake-video-capture=${film}`, `--use-file-for-fake-audio-capture=${clicks}`];
  return openBrowser(stage, [...DEVICES, ...WEBRTC_FLAGS, ...files]);
}

/** Delays of one call. */
async function measurePair(browser, server, contestant, size, seconds) {
  const pair = await Pair.open(browser, server, contestant, { viewport: size.viewport });
  try {
    await pair.settled(size.width);
    await wait(SETTLE);
    // A picture that was captured before may be shown after.
    const earlier = await takeNoted(pair.sender, 'captures');
    await Promise.all(['shown', 'heard'].map((what) => takeNoted(pair.receiver, what)));
    await wait(1000 * seconds);
    const [captures, said] = [await takeNoted(pair.sender, 'captures'), await takeNoted(pair.sender, 'said')];
    const [shown, heard] = [await takeNoted(pair.receiver, 'shown'), await takeNoted(pair.receiver, 'heard')];
    const glass = delays([...earlier, ...captures], shown);
    return { glass, mouth: soundDelays(said, heard), captured: captures.length };
  } finally {
    await pair.close();
  }
}

/** Calls of all contestants in turn, so that what the machine does meanwhile meets all of them. */
async function callDelays(stage, server, { rounds, seconds }, scenario) {
  const size = SIZES[scenario];
  const browser = await openSource(stage, size);
  const found = Object.fromEntries(CONTESTANTS.map((name) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const contestant of CONTESTANTS) {
      found[contestant].push(await twice(() => measurePair(browser, server, contestant, size, seconds)));
    }
  }
  await browser.close();
  const of = (contestant, what) => found[contestant].flatMap((call) => call[what]);
  const title = `${size.width}x${size.height}`;
  const plot = (file, what, name) => {
    const series = CONTESTANTS.map((name) => ({ name, colour: COLOURS[name], values: of(name, what) }));
    write(file, distributionPlot({ title: `${name}, ${title}: share of at most so long`, unit: 'ms', series }));
  };
  plot(`latency-${scenario}-picture.svg`, 'glass', 'Glass to glass');
  if (scenario === 'call') plot('latency-call-sound.svg', 'mouth', 'Mouth to ear');
  const lag = (name) => percentile(of(name, 'mouth'), 0.5) - percentile(of(name, 'glass'), 0.5);
  const shown = (name) => (100 * of(name, 'glass').length) / found[name].reduce((sum, call) => sum + call.captured, 0);
  return [
    ...comparison(scenario, 'glass_to_glass_p50_ms', 'ms', (name) => percentile(of(name, 'glass'), 0.5)),
    ...comparison(scenario, 'glass_to_glass_p95_ms', 'ms', (name) => percentile(of(name, 'glass'), 0.95)),
    ...comparison(scenario, 'frames_shown_pct', '%', shown),
    ...comparison(scenario, 'mouth_to_ear_p50_ms', 'ms', (name) => percentile(of(name, 'mouth'), 0.5)),
    ...comparison(scenario, 'mouth_to_ear_p95_ms', 'ms', (name) => percentile(of(name, 'mouth'), 0.95)),
    ...comparison(scenario, 'sound_after_picture_p50_ms', 'ms', lag),
  ];
}

/** A metric of all contestants, ours beside WebRTC's. */
function comparison(scenario, metric, unit, value) {
  const webrtc = value('webrtc');
  return CONTESTANTS.map((name) => {
    const reference = name === 'webrtc' ? null : { name: 'webrtc', value: webrtc };
    return row(scenario, name, metric, value(name), unit, reference);
  });
}

async function costs(stage, server, { seconds }) {
  const rows = [];
  const groups = [];
  for (const grid of GRIDS) {
    const found = {};
    for (const contestant of CONTESTANTS) {
      const times = { settle: COST_SETTLE, measure: 1000 * seconds };
      found[contestant] = await twice(() => receiverCost(stage, server, grid, contestant, times));
    }
    const scenario = `tiles-${grid.tiles}`;
    rows.push(
      ...comparison(scenario, 'receiver_cpu_pct', '%', (name) => found[name].all),
      ...comparison(scenario, 'receiver_renderer_cpu_pct', '%', (name) => found[name].renderer),
      ...comparison(scenario, 'receiver_fps', '1/s', (name) => found[name].fps),
    );
    const bars = CONTESTANTS.map((name) => ({ name, colour: COLOURS[name], value: found[name].all }));
    groups.push({ name: `${grid.tiles} tiles`, bars });
  }
  write('latency-cost.svg', barPlot({ title: 'Processor time of the watching browser', unit: '% of a core', groups }));
  return rows;
}

/** Where the time of our pictures goes: said by fewer calls than how long they take in all. */
async function stages(stage, server, { rounds, seconds }) {
  const size = SIZES.call;
  const browser = await openSource(stage, size);
  const found = new Map();
  for (let round = 0; round < rounds / 2; round += 1) {
    for (const contestant of CONTESTANTS.filter((name) => name !== 'webrtc')) {
      const pair = await Pair.open(browser, server, contestant, { viewport: size.viewport, prepare: trace });
      await pair.settled(size.width);
      await wait(SETTLE + 1000 * seconds);
      const captures = await takeNoted(pair.sender, 'captures');
      const shown = await takeNoted(pair.receiver, 'shown');
      const notes = [await traceOf(pair.sender), await traceOf(pair.receiver)];
      const pictures = journeys(captures, shown, ...notes, size.width).slice(-seconds * 30);
      found.set(contestant, [...(found.get(contestant) ?? []), ...pictures]);
      await pair.close();
    }
  }
  await browser.close();
  const rows = [];
  for (const [contestant, pictures] of found) {
    if (pictures.length === 0) throw new Error(`no picture of ${contestant} could be followed`);
    for (let stage = 1; stage < STAGES.length; stage += 1) {
      const times = pictures.map((at) => at[stage] - at[stage - 1]);
      const name = `${STAGES[stage - 1]}_to_${STAGES[stage]}`;
      rows.push(row('stages', contestant, `${name}_p50_ms`, percentile(times, 0.5), 'ms'));
      rows.push(row('stages', contestant, `${name}_p95_ms`, percentile(times, 0.95), 'ms'));
    }
  }
  return rows;
}

/** What every codec takes by itself. */
async function codecs(stage, server, asked) {
  const browser = await openSource(stage, SIZES.call);
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${server.url}/readyz`);
  const rows = await codecTimes(page, { width: SIZES.call.width, height: SIZES.call.height }, 400_000, asked);
  await browser.close();
  return rows;
}

const PARTS = { call: callDelays, hd: callDelays, cost: costs, stages, codecs };

function printWithAims(rows) {
  print(rows);
  for (const { scenario, carrier, metric, ratio } of rows.filter(({ metric, ratio }) => metric in AIMS && ratio)) {
    const verdict = ratio <= AIMS[metric] ? 'reached' : 'missed';
    console.log(`${scenario} ${carrier} ${metric}: ${ratio} of WebRTC's; aim ${AIMS[metric]}: ${verdict}`);
  }
  console.log();
}

const asked = options();
const stage = new Stage();
try {
  const server = await videocallServer(stage);
  const browser = await openBrowser(stage);
  const command = ['make bench-latency', ...asked.given].join(' ');
  write('latency-about.json', `${JSON.stringify({ command, machine: machine(browser) }, null, 2)}\n`);
  await browser.close();
  for (const part of asked.parts) {
    console.log(`──── ${part} ────`);
    const rows = await PARTS[part](stage, server, asked, part);
    printWithAims(rows);
    // A part that fails later takes nothing from those before it.
    const measured = new Set(rows.map(({ scenario }) => scenario));
    writeRows('latency', rows, ({ scenario }) => measured.has(scenario));
  }
} catch (error) {
  await stage.explain();
  throw error;
} finally {
  await stage.end();
  stage.forget();
}
