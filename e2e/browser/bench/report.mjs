// What benchmarks print and write: percentiles, rows, tables and plots.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';

const RESULTS = 'bench-results';

/** The smallest value that this share of all values does not exceed. */
export function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
}

const rounded = (number) => Math.round(number * 1000) / 1000;

/** A result; `reference` is what it is compared with, as `{ name, value }`. */
export function row(scenario, carrier, metric, value, unit, reference = null) {
  return {
    scenario,
    carrier,
    metric,
    value: rounded(value),
    unit,
    reference: reference && `${reference.name}: ${rounded(reference.value)}`,
    ratio: reference && rounded(value / reference.value),
  };
}

export function print(rows) {
  const columns = ['scenario', 'carrier', 'metric', 'value', 'unit', 'reference', 'ratio'];
  const texts = [columns, ...rows.map((row) => columns.map((column) => String(row[column] ?? '-')))];
  const widths = columns.map((_, index) => Math.max(...texts.map((line) => line[index].length)));
  for (const line of texts) console.log(line.map((text, index) => text.padEnd(widths[index])).join('  ').trimEnd());
}

export function write(file, content) {
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(`${RESULTS}/${file}`, content);
}

/** Rows of before that are not measured again stay. */
export function writeRows(name, rows, replaces = () => true) {
  write(`${name}.json`, `${JSON.stringify([...rowsBefore(name).filter((row) => !replaces(row)), ...rows], null, 2)}\n`);
}

function rowsBefore(name) {
  try {
    return JSON.parse(readFileSync(`${RESULTS}/${name}.json`, 'utf8'));
  } catch {
    return [];
  }
}

/** In words: what this was measured on. */
export function machine(browser) {
  const gigabytes = Math.round(totalmem() / 2 ** 30);
  const date = new Date().toISOString().slice(0, 10);
  return `${cpus().length} cores (${cpus()[0].model.trim()}), ${gigabytes} GB, Chromium ${browser.version()}, ${date}`;
}

/** The same colour for the same contestant in every plot; readable on white and on black. */
export const COLOURS = { webtransport: '#2f7ed8', websocket: '#e08a1e', webrtc: '#8a8a8a' };

/**
 * A plot of how much of each series is at most x: the steeper and the further left, the better.
 *
 * @param {{title: string, unit: string, series: {name: string, colour: string, values: number[]}[]}} plot
 */
export function distributionPlot({ title, unit, series }) {
  const [width, height, left, top, right, bottom] = [640, 320, 50, 34, 16, 44];
  const last = Math.max(...series.map(({ values }) => percentile(values, 0.99)));
  const step = niceStep(last / 8);
  const end = Math.ceil(last / step) * step;
  const x = (value) => left + (Math.min(value, end) / end) * (width - left - right);
  const y = (share) => height - bottom - share * (height - top - bottom);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="${left}" y="20" font-size="14" fill="#222">${title}</text>`,
  ];
  for (let value = 0; value <= end; value += step) {
    parts.push(`<path d="M${x(value)} ${y(0)}V${y(1)}" stroke="#ddd"/>`);
    parts.push(`<text x="${x(value)}" y="${y(0) + 16}" text-anchor="middle" fill="#555">${value}</text>`);
  }
  for (const share of [0, 0.25, 0.5, 0.75, 0.95, 1]) {
    parts.push(`<path d="M${left} ${y(share)}H${width - right}" stroke="#ddd"/>`);
    parts.push(`<text x="${left - 6}" y="${y(share) + 4}" text-anchor="end" fill="#555">${share * 100} %</text>`);
  }
  parts.push(`<text x="${(left + width) / 2}" y="${height - 8}" text-anchor="middle" fill="#555">${unit}</text>`);
  for (const [index, { name, colour, values }] of series.entries()) {
    const sorted = [...values].sort((a, b) => a - b);
    const points = sorted.map((value, rank) => `${x(value).toFixed(1)} ${y((rank + 1) / sorted.length).toFixed(1)}`);
    parts.push(`<path d="M${points.join('L')}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    const line = y(0) - 16 * (series.length - index);
    parts.push(`<text x="${width - right - 8}" y="${line}" text-anchor="end" fill="${colour}">${name}</text>`);
  }
  return `${parts.join('\n')}\n</svg>\n`;
}

/**
 * A plot of bars in groups.
 *
 * @param {{title: string, unit: string, groups: {name: string, bars: {name: string, colour: string, value: number}[]}[]}} plot
 */
export function barPlot({ title, unit, groups }) {
  const [width, height, left, top, bottom] = [640, 300, 50, 34, 60];
  const bars = groups.flatMap(({ bars }) => bars);
  const most = Math.max(...bars.map(({ value }) => value));
  const step = niceStep(most / 5);
  const end = Math.ceil(most / step) * step;
  const y = (value) => height - bottom - (value / end) * (height - top - bottom);
  const room = (width - left) / groups.length;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="${left}" y="20" font-size="14" fill="#222">${title} (${unit})</text>`,
  ];
  for (let value = 0; value <= end; value += step) {
    parts.push(`<path d="M${left} ${y(value)}H${width}" stroke="#ddd"/>`);
    parts.push(`<text x="${left - 6}" y="${y(value) + 4}" text-anchor="end" fill="#555">${rounded(value)}</text>`);
  }
  for (const [index, group] of groups.entries()) {
    const thick = (room * 0.8) / group.bars.length;
    const start = left + index * room + room * 0.1;
    for (const [place, { colour, value }] of group.bars.entries()) {
      const tall = y(0) - y(value);
      const at = start + place * thick;
      parts.push(`<rect x="${at}" y="${y(value)}" width="${thick - 2}" height="${tall}" fill="${colour}"/>`);
    }
    parts.push(
      `<text x="${start + room * 0.4}" y="${y(0) + 16}" text-anchor="middle" fill="#555">${group.name}</text>`,
    );
  }
  const names = new Map(bars.map(({ name, colour }) => [name, colour]));
  for (const [index, [name, colour]] of [...names].entries()) {
    parts.push(`<rect x="${left + index * 130}" y="${height - 22}" width="10" height="10" fill="${colour}"/>`);
    parts.push(`<text x="${left + 15 + index * 130}" y="${height - 13}" fill="#555">${name}</text>`);
  }
  return `${parts.join('\n')}\n</svg>\n`;
}

function niceStep(least) {
  const magnitude = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * magnitude).find((step) => step >= least);
}
