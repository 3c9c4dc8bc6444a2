// Fills the tables of PERFORMANCE.md from bench-results/*.json, between the marks <!-- NAME --> and <!-- /NAME -->, and takes
// the plots from there to docs/performance. What was not measured in this checkout stays as it is.
//   node scripts/fill-performance.mjs            fills all of them
//   node scripts/fill-performance.mjs relay      fills what these results (the names of the files) say
//   node scripts/fill-performance.mjs --check    fails when a table is not what the results say
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const page = join(root, 'PERFORMANCE.md');

const results = (name) => JSON.parse(readFileSync(join(root, 'bench-results', `${name}.json`), 'utf8'));

/// The rows of one load over one carrier, in the order of the file.
function groups(rows) {
  const found = new Map();
  for (const row of rows) {
    const key = `${row.scenario} ${row.carrier}`;
    if (!found.has(key)) found.set(key, { scenario: row.scenario, carrier: row.carrier, rows: [] });
    found.get(key).rows.push(row);
  }
  return [...found.values()];
}

const digits = (value, count) => (value === undefined || value === null ? '–' : value.toFixed(count));

function table(head, lines) {
  const row = (cells) => `| ${cells.join(' | ')} |`;
  return [row(head), row(head.map(() => '---')), ...lines.map(row)].join('\n');
}

const ORDER = [
  'small-10',
  'small-30',
  'stage-50',
  'stage-100',
  'stage-200',
  'livestream-500',
  'town-hall-1000',
  'two-relays',
];

function relay() {
  const head = [
    'Load', 'Carrier', 'delivered', 'p50', 'p95', 'p99', 'max', 'voices p99', 'floor p99',
    'CPU per packet', 'floor', 'ratio', 'memory per session', 'sessions/s', 'load\'s own CPU', 'machine busy',
  ];
  const all = groups(results('relay')).sort((a, b) => ORDER.indexOf(a.scenario) - ORDER.indexOf(b.scenario));
  const lines = all.map(({ scenario, carrier, rows }) => {
    const row = (metric) => rows.find((row) => row.metric === metric);
    const value = (metric, count) => digits(row(metric)?.value, count);
    const floor = (metric, count) => {
      const reference = row(metric)?.reference?.match(/^floor: (.*)$/);
      return digits(reference ? Number(reference[1]) : undefined, count);
    };
    const ratio = row('cpu_us_per_packet')?.ratio;
    return [
      scenario, carrier, `${value('delivered_pct', 2)} %`,
      ...['p50', 'p95', 'p99', 'max'].map((step) => `${value(`latency_${step}_ms`, 1)} ms`),
      `${value('voice_latency_p99_ms', 1)} ms`, `${floor('latency_p99_ms', 1)} ms`,
      `${value('cpu_us_per_packet', 1)} µs`, `${floor('cpu_us_per_packet', 1)} µs`, digits(ratio ?? undefined, 2),
      `${value('rss_kb_per_session', 0)} kB`, value('sessions_per_s', 0),
      `${value('driver_cpu_pct', 0)} %`, `${value('machine_busy_pct', 0)} %`,
    ];
  });
  return table(head, lines);
}

function twoRelays() {
  const beside = results('relay').filter((row) => row.reference?.startsWith('stage-100 on one relay'));
  const lines = beside.map((row) => [
    row.carrier, `${digits(row.value, 1)} µs`, `${digits(Number(row.reference.split(': ')[1]), 1)} µs`, digits(row.ratio, 2),
  ]);
  return table(['Carrier', 'two relays and NATS, CPU per packet', 'one relay', 'ratio'], lines);
}

function wayIn() {
  const meetings = [['join', 'one other person'], ['join-five', 'four who are no browsers'], ['join-five-pages', 'four in browsers']];
  const lines = meetings.flatMap(([scenario, inWords]) =>
    [50, 95].map((share) => {
      const metric = `click_to_picture_p${share}_ms`;
      const of = (carrier) =>
        results('join').find((row) => row.scenario === scenario && row.carrier === carrier && row.metric === metric);
      const cell = (carrier) => `${digits(of(carrier)?.value, 0)} ms`;
      return [inWords, `p${share}`, cell('webtransport'), cell('websocket'), aimOf(of('websocket'))];
    }),
  );
  return table(['Click to the pictures of', '', 'WebTransport', 'WebSocket', 'aim'], lines);
}

function firstLoad() {
  const metrics = [
    ['transferred_kb', 'transferred (brotli)'],
    ['usable_p50_ms', 'usable after, p50'],
    ['usable_p95_ms', 'usable after, p95'],
  ];
  const lines = metrics.map(([metric, inWords]) => {
    const row = results('join').find((row) => row.scenario === 'first-load' && row.metric === metric);
    return [inWords, `${digits(row?.value, 0)} ${row?.unit ?? ''}`, aimOf(row)];
  });
  return table(['First load of the page', '', 'aim'], lines);
}

function aimOf(row) {
  const aim = row?.reference?.match(/^aim: (.*)$/);
  return aim ? `${aim[1]} ${row.unit}` : '';
}

/// Metrics in rows, contestants in columns; ours with their share of WebRTC's.
function againstWebrtc(name, metrics, scenarios) {
  const rows = results(name);
  const lines = scenarios.flatMap(([scenario, inWords]) =>
    metrics.flatMap(([metric, what, unit, count, aim]) => {
      const of = (carrier) =>
        rows.find((row) => row.scenario === scenario && row.carrier === carrier && row.metric === metric);
      const webrtc = of('webrtc');
      if (!webrtc) return [];
      const ours = (carrier) => `${digits(of(carrier)?.value, count)} ${unit} (${digits(of(carrier)?.ratio, 2)})`;
      const others = `${digits(webrtc.value, count)} ${unit}`;
      return [[inWords, what, ours('webtransport'), ours('websocket'), others, aim === undefined ? '' : `${aim}`]];
    }),
  );
  return table(['', '', 'WebTransport', 'WebSocket', 'WebRTC', 'aim'], lines);
}

/// On what, when and how it was measured, as the benchmark has noted.
function about(name) {
  const { command, machine } = results(`${name}-about`);
  return `\`${command}\` on ${machine}.\n`;
}

function latency() {
  const delays = [
    ['glass_to_glass_p50_ms', 'glass to glass, p50', 'ms', 1, 0.5],
    ['glass_to_glass_p95_ms', 'glass to glass, p95', 'ms', 1],
    ['frames_shown_pct', 'pictures shown', '%', 1],
    ['mouth_to_ear_p50_ms', 'mouth to ear, p50', 'ms', 1, 1],
    ['mouth_to_ear_p95_ms', 'mouth to ear, p95', 'ms', 1],
    ['sound_after_picture_p50_ms', 'sound after picture', 'ms', 1],
  ];
  const sizes = [['call', '640x360'], ['hd', '1280x720']];
  return `${about('latency')}\n${againstWebrtc('latency', delays, sizes)}`;
}

function receiverCost() {
  const costs = [
    ['receiver_cpu_pct', 'whole browser', '%', 0, 1.2],
    ['receiver_renderer_cpu_pct', "of it the page's process", '%', 0],
    ['receiver_fps', 'pictures per second, all tiles', '', 0],
  ];
  return againstWebrtc('latency', costs, [4, 9, 16].map((tiles) => [`tiles-${tiles}`, `${tiles} tiles`]));
}

function stages() {
  const rows = results('latency').filter(({ scenario }) => scenario === 'stages');
  const names = [...new Set(rows.map(({ metric }) => metric.replace(/_p(50|95)_ms$/, '')))];
  const lines = names.map((name) => {
    const of = (carrier) =>
      [50, 95].map((share) => {
        const found = rows.find((row) => row.carrier === carrier && row.metric === `${name}_p${share}_ms`);
        return digits(found?.value, 1);
      });
    const cell = (carrier) => `${of(carrier).join(' / ')} ms`;
    return [name.replaceAll('_', ' '), cell('webtransport'), cell('websocket')];
  });
  return table(['From where to where', 'WebTransport, p50 / p95', 'WebSocket, p50 / p95'], lines);
}

function codecs() {
  const rows = results('latency').filter(({ scenario }) => scenario === 'codecs');
  const lines = [...new Set(rows.map(({ carrier }) => carrier))].map((codec) => {
    const value = (metric, count) => digits(rows.find((row) => row.carrier === codec && row.metric === metric)?.value, count);
    const encode = `${value('encode_p50_ms', 1)} / ${value('encode_p95_ms', 1)} ms`;
    return [codec, encode, `${value('decode_p50_ms', 1)} ms`, `${value('kbps', 0)} kbit/s`];
  });
  return table(['Codec', 'encode, p50 / p95', 'decode, p50', 'of 400 kbit/s'], lines);
}

/// Networks in words, in the order of the table; those of the receiver's side have "-downlink" behind their names.
const NETWORKS = [
  ['clean', '20 Mbit/s, 20 ms'],
  ['loss-2', '2 % loss, 50 ms'],
  ['loss-5', '5 % loss, 50 ms'],
  ['loss-10', '10 % loss, 50 ms'],
  ['burst-loss-5', '5 % loss in runs of 5, 150 ms'],
  ['bottleneck-1000k', '1 Mbit/s, 50 ms'],
  ['bottleneck-300k', '300 kbit/s, 50 ms'],
  ['3000k-500k-3000k', '3, 0.5, 3 Mbit/s, 50 ms'],
  ['jitter-40ms', 'up to 40 ms jitter, 50 ms'],
  ['outage-5s', 'nothing for 5 s, 50 ms'],
];

function network(suffix) {
  const metrics = [
    ['frames_shown_pct', 'pictures shown', '%', 1],
    ['freeze_count', 'freezes', '', 0],
    ['freeze_ms_total', 'frozen', 'ms', 0],
    ['glass_to_glass_p50_ms', 'glass to glass, p50', 'ms', 0],
    ['glass_to_glass_p95_ms', 'glass to glass, p95', 'ms', 0],
    ['audio_gap_max_ms', 'longest silence', 'ms', 0],
    ['concealed_ms_total', 'sound made up', 'ms', 0],
    ['queueing_delay_p95_ms', 'queue, p95', 'ms', 0],
    ['utilisation_pct', 'line used', '%', 0],
    ['recovery_ms', 'recovered after', 'ms', 0],
  ];
  return againstWebrtc('network', metrics, NETWORKS.map(([name, inWords]) => [`${name}${suffix}`, inWords]));
}

function congestion() {
  const CONTROLS = ['media', 'cubic', 'newreno', 'bbr'];
  const found = groups(results('congestion'));
  const names = [...new Set(found.map(({ scenario }) => scenario))].filter((name) => name.startsWith('proxy-'));
  const lines = names.map((name) => {
    const cells = CONTROLS.map((control) => {
      const of = found.find(({ scenario, carrier }) => scenario === name && carrier === control);
      const value = (metric) => digits(of?.rows.find((row) => row.metric === metric)?.value, 0);
      return `${value('queueing_delay_p95_ms')} ms, ${value('utilisation_pct')} %`;
    });
    return [name.replace('proxy-', ''), ...cells];
  });
  return table(['Network', ...CONTROLS], lines);
}

/// Each table, and the results that it is made from.
const tables = {
  join: [wayIn, 'join'],
  'first-load': [firstLoad, 'join'],
  relay: [relay, 'relay'],
  'two-relays': [twoRelays, 'relay'],
  latency: [latency, 'latency'],
  'receiver-cost': [receiverCost, 'latency'],
  stages: [stages, 'latency'],
  codecs: [codecs, 'latency'],
  network: [() => `${about('network')}\n${network('')}`, 'network'],
  'network-downlink': [() => network('-downlink'), 'network'],
  congestion: [congestion, 'congestion'],
};

const chosen = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const before = readFileSync(page, 'utf8');
let text = before;
for (const [name, [make, from]] of Object.entries(tables)) {
  if (chosen.length > 0 && !chosen.includes(from)) continue;
  if (!existsSync(join(root, 'bench-results', `${from}.json`))) continue;
  const marks = new RegExp(`(<!-- ${name} -->\n)[^]*?(<!-- /${name} -->)`);
  if (!marks.test(text)) throw new Error(`PERFORMANCE.md has no place for ${name}`);
  text = text.replace(marks, (_, start, end) => `${start}${make()}\n${end}`);
}
if (process.argv.includes('--check')) {
  if (text !== before) {
    console.error('PERFORMANCE.md does not say what bench-results say; run node scripts/fill-performance.mjs');
    process.exit(1);
  }
} else {
  writeFileSync(page, text);
  const plots = join(root, 'docs', 'performance');
  mkdirSync(plots, { recursive: true });
  const isChosen = (file) => chosen.length === 0 || chosen.some((name) => file.startsWith(`${name}-`));
  const made = readdirSync(join(root, 'bench-results')).filter((file) => file.endsWith('.svg'));
  for (const plot of made.filter(isChosen)) {
    copyFileSync(join(root, 'bench-results', plot), join(plots, plot));
  }
}
