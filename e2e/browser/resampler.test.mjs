// The worklet's resampler: what it passes, and what it keeps out. Needs no browser.

import { ok } from 'node:assert/strict';
import { test } from 'node:test';

import { Resampler } from '../../yew-ui/static/resampler.js';

const QUANTUM = 128;
const FROM = 48_000;
/** Seconds that are measured: whole periods of every tone whose frequency is a multiple of 5 Hz. */
const MEASURED = 0.8;

/** The end of almost a second of a tone, through the resampler in pieces as the audio thread asks for them. */
function resampled(hertz, to) {
  const resampler = new Resampler(FROM, to, QUANTUM);
  let time = 0;
  const output = new Float32Array(Math.floor(to / QUANTUM) * QUANTUM);
  for (let start = 0; start < output.length; start += QUANTUM) {
    resampler.fill(output.subarray(start, start + QUANTUM), (input) => {
      for (let index = 0; index < input.length; index += 1) {
        input[index] += Math.sin((2 * Math.PI * hertz * time) / FROM);
        time += 1;
      }
    });
  }
  return output.subarray(output.length - MEASURED * to);
}

/** How much of the power is the tone itself, and how much is anything else, in decibels against a full tone. */
function powers(samples, hertz, rate) {
  let [sine, cosine, all] = [0, 0, 0];
  for (let index = 0; index < samples.length; index += 1) {
    const angle = (2 * Math.PI * hertz * index) / rate;
    sine += samples[index] * Math.sin(angle);
    cosine += samples[index] * Math.cos(angle);
    all += samples[index] ** 2;
  }
  const tone = (2 * (sine ** 2 + cosine ** 2)) / samples.length;
  const decibels = (power) => 10 * Math.log10(Math.max(power, 1e-12) / (samples.length / 2));
  return { tone: decibels(tone), rest: decibels(all - tone) };
}

for (const to of [44_100, 96_000, 16_000, 22_050]) {
  test(`tones below half of both rates pass to ${to} Hz`, () => {
    for (const share of [0.01, 0.1, 0.2, 0.4]) {
      const hertz = 5 * Math.round((share * Math.min(FROM, to)) / 5);
      const { tone, rest } = powers(resampled(hertz, to), hertz, to);
      ok(Math.abs(tone) < 0.2, `${hertz} Hz came out at ${tone} dB`);
      ok(rest < -50, `${hertz} Hz came out with noise of ${rest} dB`);
    }
  });
}

test('what the lower rate cannot hold is kept out', () => {
  for (const hertz of [9_000, 11_000, 20_000]) {
    const { tone, rest } = powers(resampled(hertz, 16_000), 16_000 - hertz, 16_000);
    ok(tone < -40 && rest < -40, `${hertz} Hz came out at ${tone} dB and ${rest} dB`);
  }
});

test('silence stays silence, and a rate of its own passes unchanged', () => {
  const resampler = new Resampler(FROM, 44_100, QUANTUM);
  const output = new Float32Array(QUANTUM).fill(1);
  resampler.fill(output, () => {});
  ok(output.every((sample) => sample === 0));
  const { tone, rest } = powers(resampled(1_000, FROM), 1_000, FROM);
  ok(Math.abs(tone) < 0.1 && rest < -60, `${tone} dB, ${rest} dB`);
});
