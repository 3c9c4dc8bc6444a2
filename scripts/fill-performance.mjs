// Fills the tables of PERFORMANCE.md from bench-results/*.json, between the marks <!-- NAME --> and <!-- /NAME -->.
//   node scripts/fill-performance.mjs            fills
//   node scripts/fill-performance.mjs --check    fails when a table is not what the results say
import { readFileSync, writeFileSync } from 'node:fs';
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

const digits = (value, count) => (value === undefined ? '–' : value.toFixed(count));

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

const tables = { relay, 'two-relays': twoRelays };

const before = readFileSync(page, 'utf8');
let text = before;
for (const [name, make] of Object.entries(tables)) {
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
}
