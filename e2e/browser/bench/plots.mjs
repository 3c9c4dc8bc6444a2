// A call's course over a network that changes.

import { COLOURS } from './report.mjs';

export { COLOURS };

const WIDTH = 720;
const HEIGHT = 170;
const MARGIN = { left: 60, right: 12, top: 26, bottom: 22 };

/** One panel: a line for each contestant, and a dashed one for what the line carries where that matters. */
function panel({ title, unit, top, courses, value, limit }) {
  const [width, height] = [WIDTH - MARGIN.left - MARGIN.right, HEIGHT - MARGIN.top - MARGIN.bottom];
  const all = courses.flatMap(({ points }) => points);
  const last = Math.max(...all.map(({ at }) => at), 1);
  const most = Math.max(...all.map(value), ...(limit ?? []), 1);
  const x = (at) => (MARGIN.left + (at / last) * width).toFixed(1);
  const y = (amount) => (top + MARGIN.top + height - (Math.min(amount, most) / most) * height).toFixed(1);
  const path = (points, of) => `M${points.map((point) => `${x(point.at)} ${y(of(point))}`).join('L')}`;
  const parts = [`<text x="${MARGIN.left}" y="${top + 16}" font-size="13" fill="#222">${title} (${unit})</text>`];
  for (const part of [0, 0.5, 1]) {
    parts.push(`<path d="M${MARGIN.left} ${y(most * part)}H${WIDTH - MARGIN.right}" stroke="#ddd"/>`);
    const label = Math.round(most * part);
    parts.push(`<text x="${MARGIN.left - 6}" y="${Number(y(most * part)) + 4}" text-anchor="end" fill="#555">${label}</text>`);
  }
  for (let at = 0; at <= last; at += 5_000) {
    parts.push(`<text x="${x(at)}" y="${top + HEIGHT - 6}" text-anchor="middle" fill="#555">${at / 1_000} s</text>`);
  }
  const [{ points: first }] = courses;
  if (limit && first.every(({ line }) => line !== null)) {
    parts.push(`<path d="${path(first, ({ line }) => line)}" fill="none" stroke="#222" stroke-dasharray="4 3"/>`);
  }
  for (const { colour, points } of courses) {
    parts.push(`<path d="${path(points, value)}" fill="none" stroke="${colour}" stroke-width="2"/>`);
  }
  return parts;
}

/**
 * Pictures shown, what was sent beside what the line carries, and the queue before it, over the time of the calls.
 *
 * @param {{title: string, courses: {name: string, colour: string, points: object[]}[]}} plot
 */
export function coursePlot({ title, courses }) {
  const sent = courses.flatMap(({ points }) => points.map(({ kbps }) => kbps));
  const panels = [
    { title: 'Pictures shown', unit: '1/s', value: ({ fps }) => fps },
    { title: 'On the line', unit: 'kbit/s', value: ({ kbps }) => kbps, limit: sent },
    { title: 'Longest wait before the line', unit: 'ms', value: ({ queueing }) => queueing },
  ];
  const head = 30;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${head + HEIGHT * panels.length}" ` +
      'font-family="sans-serif" font-size="11">',
    `<rect width="${WIDTH}" height="${head + HEIGHT * panels.length}" fill="#fff"/>`,
    `<text x="${MARGIN.left}" y="20" font-size="15" fill="#222">${title}</text>`,
  ];
  for (const [index, { name, colour }] of courses.entries()) {
    parts.push(`<text x="${WIDTH - MARGIN.right - 110 * index}" y="20" text-anchor="end" fill="${colour}">${name}</text>`);
  }
  for (const [index, one] of panels.entries()) parts.push(...panel({ ...one, top: head + HEIGHT * index, courses }));
  return `${parts.join('\n')}\n</svg>\n`;
}
