// What a measured call comes to: the metrics of bench-results/network.json.

import { gaps } from './listen.mjs';
import { percentile } from './report.mjs';

/** Milliseconds between two pictures that are more than a stutter: W3C webrtc-stats, `freezeCount`, at 30 pictures a second. */
const FREEZE = 33 + 150;

/** The call is as before when half a second brings this part of the pictures, at the width of before. */
const RECOVERED = 0.9;
const RECOVERY_SPAN = 500;

/** Pictures shown for the first time, with the times between them; what froze before or after the span counts within it. */
function freezes(shown, from, to) {
  const times = [from, ...shown.map(({ at }) => at), to];
  const between = times.slice(1).map((at, index) => at - times[index]);
  return between.filter((time) => time > FREEZE);
}

/** The width that most pictures had. */
function usualWidth(shown) {
  const counts = new Map();
  for (const { width } of shown) counts.set(width, (counts.get(width) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 0;
}

/** Milliseconds from relief until pictures come as before; the rest of the measurement when they never do. */
function recovery(shown, from, to, relief, fps) {
  const width = usualWidth(shown.filter(({ at }) => at < from + relief / 3));
  const good = shown.filter((picture) => picture.at >= from + relief && picture.width >= width);
  const enough = (RECOVERED * fps * RECOVERY_SPAN) / 1_000;
  const found = good.find(({ at }) => {
    const within = good.filter((other) => other.at >= at && other.at < at + RECOVERY_SPAN);
    return within.length >= enough;
  });
  return (found?.at ?? to) - from - relief;
}

/**
 * @param {object} call what was noted
 * @param {{number: number, at: number}[]} call.captures
 * @param {{number: number, at: number, width: number}[]} call.shown
 * @param {{at: number, length: number, over: boolean}[]} call.silences
 * @param {number} call.concealed milliseconds
 * @param {object} call.network the troubled direction's report
 * @param {object} call.scenario
 * @param {number} call.from
 * @param {number} call.to
 * @returns {{metric: string, value: number, unit: string}[]}
 */
export function figures({ captures, shown, silences, concealed, network, scenario, from, to }) {
  const within = shown.filter(({ at }) => at >= from && at <= to);
  const captured = captures.filter(({ at }) => at >= from && at <= to).length;
  const delays = pictureDelays(captures, within);
  const frozen = freezes(within, from, to);
  const silent = gaps(silences, from, to);
  const found = [
    ['frames_shown_pct', (100 * within.length) / Math.max(1, captured), '%'],
    ['freeze_count', frozen.length, ''],
    ['freeze_ms_total', sum(frozen), 'ms'],
    ['glass_to_glass_p50_ms', percentile(delays, 0.5) ?? to - from, 'ms'],
    ['glass_to_glass_p95_ms', percentile(delays, 0.95) ?? to - from, 'ms'],
    ['width_p50', percentile(within.map(({ width }) => width), 0.5) ?? 0, 'px'],
    ['audio_gap_max_ms', Math.max(0, ...silent), 'ms'],
    ['audio_gap_ms_total', sum(silent), 'ms'],
    ['concealed_ms_total', concealed, 'ms'],
    ['sent_kbps', (network.bytes * 8) / (to - from), 'kbit/s'],
    ['queueing_delay_p95_ms', network.queueing_ms.p95, 'ms'],
  ];
  if (scenario.bottleneck) found.push(['utilisation_pct', network.utilisation_pct, '%']);
  if (scenario.relief) {
    const fps = (captured * 1_000) / (to - from);
    found.push(['recovery_ms', recovery(within, from, to, scenario.relief, fps), 'ms']);
  }
  return found.map(([metric, value, unit]) => ({ metric, value, unit }));
}

/** Captures of a whole film ago have the same numbers. */
function pictureDelays(captures, shown) {
  const found = [];
  for (const picture of shown) {
    const of = captures.findLast(({ number, at }) => number === picture.number && at <= picture.at);
    if (of) found.push(picture.at - of.at);
  }
  return found;
}

const sum = (values) => values.reduce((total, value) => total + value, 0);
