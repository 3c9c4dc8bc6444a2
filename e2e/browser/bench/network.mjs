// Measures calls over networks as they are: ours, over either carrier, and WebRTC's, between the same two browsers over
// the same network, whose packets all pass through `netem`. Prints a table, writes bench-results/network.json and plots.
//   node network.mjs [SCENARIO...] [CONTESTANT...] [KEY=VALUE...]
//   mode=uplink|downlink   which of the two is behind the bad network: who sends (the default) or who receives
//   seconds=20 runs=1      how long and how often each call is measured

import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { noteShown, takeNoted, writeBarcodeFilm } from './barcode.mjs';
import { figures } from './figures.mjs';
import { noteSilences } from './listen.mjs';
import { CONTESTANTS, Pair } from './pairs.mjs';
import { COLOURS, coursePlot } from './plots.mjs';
import { machine, percentile, row, write, writeRows } from './report.mjs';
import { SCENARIOS, SETTLE, conditions, good } from './scenarios.mjs';
import { WEBRTC_FLAGS, pairStats } from './webrtc.mjs';
import { Wire } from './wire.mjs';
import { writeTone } from '../lib/media.mjs';
import { DEVICES, openBrowser } from '../lib/browsers.mjs';
import { videocallServer } from '../lib/servers.mjs';
import { Stage } from '../lib/stage.mjs';

const SIZE = { width: 640, height: 360 };
const VIEWPORT = { width: 1000, height: 700 };
const HERTZ = 440;

/** Milliseconds until the first picture of a call that begins on a good network. */
const FIRST_PICTURE = 20_000;

/** Milliseconds for pictures that are under way when a measurement ends. */
const TAIL = 1_000;

const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function options() {
  const { positionals } = parseArgs({ allowPositionals: true });
  const found = { mode: 'uplink', seconds: 20, runs: 1, scenarios: [], contestants: [] };
  for (const text of positionals) {
    const [key, value] = text.split('=');
    if (key === 'mode' && ['uplink', 'downlink'].includes(value)) found.mode = value;
    else if (['seconds', 'runs'].includes(key) && Number(value) > 0) found[key] = Number(value);
    else if (text in SCENARIOS) found.scenarios.push(text);
    else if (CONTESTANTS.includes(text)) found.contestants.push(text);
    else {
      const known = [...Object.keys(SCENARIOS), ...CONTESTANTS, 'mode=downlink', 'seconds=20', 'runs=1'];
      throw new Error(`unknown: ${text}; there are ${known.join(', ')}`);
    }
  }
  if (found.scenarios.length === 0) found.scenarios = Object.keys(SCENARIOS);
  // WebRTC first: the others are compared with it.
  const chosen = found.contestants.length > 0 ? found.contestants : CONTESTANTS;
  found.contestants = ['webrtc', ...CONTESTANTS].filter((name, index, all) => chosen.includes(name) && all.indexOf(name) === index);
  return found;
}

/** Two browsers, one of them behind the wire, and a server that both reach. */
async function openPlace(stage, mode) {
  const wire = await Wire.open(stage);
  const server = await videocallServer(stage, [], wire.near);
  const [film, tone] = [join(stage.root, 'numbers.y4m'), join(stage.root, 'tone.wav')];
  await writeBarcodeFilm(film, SIZE);
  await writeTone(tone, HERTZ);
  const flags = [
    ...DEVICES,
    ...WEBRTC_FLAGS,
    `--use-file-for-fake-video-capture=${film}`,
    `--use-file-for-fake-audio-capture=${tone}`,
    // Browsers give devices and WebTransport to pages of this machine, or of https.
    `--unsafely-treat-insecure-origin-as-secure=${server.url}`,
  ];
  const [inside, outside] = await Promise.all([openBrowser(stage, flags, wire.chromium), openBrowser(stage, flags)]);
  const uplink = mode === 'uplink';
  const browsers = uplink ? { sender: inside, receiver: outside } : { sender: outside, receiver: inside };
  const hosts = uplink ? { sender: wire.far, receiver: wire.near } : { sender: wire.near, receiver: wire.far };
  return { wire, server, browsers, hosts };
}

/** Milliseconds of sound that were made up for what had not come, since the call began. */
async function concealed(pair, contestant) {
  if (contestant === 'webrtc') {
    const stats = await pairStats(pair.receiver);
    const sound = stats.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'audio');
    return (sound?.concealedSamples ?? 0) / 48;
  }
  const { remoteTracks } = await pair.receiver.evaluate(() => window.videocall.stats());
  const voices = remoteTracks.filter(({ kind }) => kind === 'microphone');
  return voices.reduce((total, { concealedSamples }) => total + (concealedSamples ?? 0), 0) / 48;
}

/** One call, from its beginning on a good network to the figures of the measured time. */
async function measure(place, name, contestant, { mode, seconds }, seed) {
  const { wire, server, browsers, hosts } = place;
  const scenario = SCENARIOS[name](seconds);
  await wire.begin(conditions(good(scenario), mode, seed));
  const prepare = noteSilences;
  const pair = await Pair.open(browsers, server, contestant, { viewport: VIEWPORT, prepare, hosts });
  try {
    await pair.receiver.waitForFunction(() => window.shown.length > 0, undefined, { timeout: FIRST_PICTURE });
    await wire.begin(conditions(scenario, mode, seed));
    await wait(SETTLE);
    await wire.forget();
    const from = performance.timeOrigin + performance.now();
    const before = await concealed(pair, contestant);
    await wait(1_000 * seconds);
    const report = await wire.report();
    const to = performance.timeOrigin + performance.now();
    const after = await concealed(pair, contestant);
    await wait(TAIL);
    const [captures, shown, silences] = await Promise.all([
      takeNoted(pair.sender, 'captures'),
      takeNoted(pair.receiver, 'shown'),
      takeNoted(pair.receiver, 'silences'),
    ]);
    const network = mode === 'uplink' ? report.up : report.down;
    const call = { captures, shown, silences, concealed: after - before, network, scenario, from, to };
    return { figures: figures(call), course: courseOf(shown, network, from, to) };
  } finally {
    await pair.close();
  }
}

/** What the plots show: pictures and kilobits in each half second, and the longest wait in the queue. */
function courseOf(shown, network, from, to) {
  const step = 500;
  const points = [];
  for (let at = 0; at + step <= to - from; at += step) {
    const pictures = shown.filter((picture) => picture.at >= from + at && picture.at < from + at + step);
    const packets = network.course.filter(({ at_ms }) => at_ms >= at && at_ms < at + step);
    const mean = (values) => values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
    points.push({
      at,
      fps: (pictures.length * 1_000) / step,
      kbps: mean(packets.map(({ kbps }) => kbps)),
      line: packets.every(({ line_kbps }) => line_kbps !== null) ? mean(packets.map(({ line_kbps }) => line_kbps)) : null,
      queueing: Math.max(0, ...packets.map(({ queueing_ms }) => queueing_ms)),
    });
  }
  return points;
}

/** The median of several runs of a call. */
function medians(runs) {
  return runs[0].figures.map(({ metric, unit }, index) => {
    const values = runs.map(({ figures }) => figures[index].value);
    return { metric, unit, value: percentile(values, 0.5) };
  });
}

function printHead() {
  const columns = ['scenario', 'contestant', 'shown', 'freezes', 'ms', 'p50', 'p95', 'width', 'gap', 'concealed'];
  printLine([...columns, 'kbit/s', 'queue p95', 'used', 'recovery']);
}

function printLine([scenario, contestant, ...cells]) {
  console.log(`${scenario.padEnd(28)}${contestant.padEnd(13)}${cells.map((cell) => String(cell).padStart(10)).join('')}`);
}

function printFigures(scenario, contestant, found) {
  const value = (metric, digits = 0) => found.find((figure) => figure.metric === metric)?.value?.toFixed(digits) ?? '-';
  printLine([
    scenario, contestant, `${value('frames_shown_pct', 1)}%`, value('freeze_count'), value('freeze_ms_total'),
    value('glass_to_glass_p50_ms'), value('glass_to_glass_p95_ms'), value('width_p50'), value('audio_gap_max_ms'),
    value('concealed_ms_total'), value('sent_kbps'), value('queueing_delay_p95_ms'), value('utilisation_pct'),
    value('recovery_ms'),
  ]);
}

const asked = options();
const stage = new Stage();
try {
  const place = await openPlace(stage, asked.mode);
  console.log(`the network of who ${asked.mode === 'uplink' ? 'sends' : 'receives'}; ${asked.seconds} s of each call`);
  printHead();
  for (const name of asked.scenarios) {
    // What was measured downstream is another scenario.
    const scenario = asked.mode === 'uplink' ? name : `${name}-downlink`;
    const rows = [];
    const courses = [];
    let reference = [];
    for (const contestant of asked.contestants) {
      const runs = [];
      for (let run = 0; run < asked.runs; run += 1) {
        runs.push(await measure(place, name, contestant, asked, run + 1));
      }
      const found = medians(runs);
      printFigures(scenario, contestant, found);
      if (contestant === 'webrtc') reference = found;
      courses.push({ name: contestant, colour: COLOURS[contestant], points: runs[0].course });
      rows.push(...found.map(({ metric, value, unit }) => {
        const theirs = contestant === 'webrtc' ? undefined : reference.find((figure) => figure.metric === metric);
        return row(scenario, contestant, metric, value, unit, theirs && { name: 'webrtc', value: theirs.value });
      }));
    }
    const measured = (row) => row.scenario === scenario && asked.contestants.includes(row.carrier);
    writeRows('network', rows, measured);
    write(`network-${scenario}.svg`, coursePlot({ title: scenario, courses }));
  }
  const about = { command: `make bench-network ARGS="${process.argv.slice(2).join(' ')}"`, machine: machine(place.browsers.sender) };
  write('network-about.json', `${JSON.stringify(about, null, 2)}\n`);
} catch (error) {
  await stage.explain();
  throw error;
} finally {
  await stage.end();
  stage.forget();
}
