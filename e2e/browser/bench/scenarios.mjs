// The networks that calls are compared on. A scenario says what both directions are like; the direction from the sender
// to the receiver is the one with the trouble, the other has the delay and, where packets are lost at random, the loss.

/** Milliseconds from the beginning of the conditions: then calls have settled, and it is measured. */
export const SETTLE = 6_000;

const mbit = 1_000_000;
const line = (bps, more = {}) => ({ rates: [{ bps }], queue_ms: 500, ...more });

/**
 * `there` and `back` in the words of e2e/src/proxy/conditions.rs, for a measurement of so many seconds; `relief` is when
 * the network is good again, in milliseconds of the measurement.
 */
export const SCENARIOS = {
  clean: () => ({ there: line(20 * mbit, { delay_ms: 10 }), back: { delay_ms: 10 } }),
  'loss-2': () => lossy(0.02),
  'loss-5': () => lossy(0.05),
  'loss-10': () => lossy(0.1),
  'burst-loss-5': () => ({
    there: line(20 * mbit, { delay_ms: 75, loss: { bursts: { part: 0.05, length: 5 } } }),
    back: { delay_ms: 75 },
  }),
  'bottleneck-1000k': () => ({ there: line(1 * mbit, { delay_ms: 25 }), back: { delay_ms: 25 }, bottleneck: true }),
  'bottleneck-300k': () => ({ there: line(0.3 * mbit, { delay_ms: 25 }), back: { delay_ms: 25 }, bottleneck: true }),
  '3000k-500k-3000k': (seconds) => {
    const [narrow, relief] = [0.2, 0.6].map((part) => Math.round(part * seconds * 1_000));
    const rates = [
      { bps: 3 * mbit },
      { at_ms: SETTLE + narrow, bps: 0.5 * mbit },
      { at_ms: SETTLE + relief, bps: 3 * mbit },
    ];
    return { there: { rates, queue_ms: 500, delay_ms: 25 }, back: { delay_ms: 25 }, relief, bottleneck: true };
  },
  'jitter-40ms': () => ({ there: line(20 * mbit, { delay_ms: 25, jitter_ms: 40 }), back: { delay_ms: 25 } }),
  'outage-5s': (seconds) => {
    const start = Math.round(0.2 * seconds * 1_000);
    const outage = [
      { bps: 20 * mbit },
      { at_ms: SETTLE + start, bps: 0 },
      { at_ms: SETTLE + start + 5_000, bps: 20 * mbit },
    ];
    const direction = { rates: outage, queue_ms: 500, delay_ms: 25 };
    return { there: direction, back: direction, relief: start + 5_000 };
  },
};

function lossy(part) {
  const loss = { random: part };
  return { there: line(20 * mbit, { delay_ms: 25, loss }), back: { delay_ms: 25, loss } };
}

/** The same way with nothing wrong: a network that becomes slow does not become longer, which is another trouble. */
export function good({ there, back }) {
  return { there: { delay_ms: there.delay_ms ?? 0 }, back: { delay_ms: back.delay_ms ?? 0 } };
}

/**
 * What the wire is told, for a browser behind it that sends ('uplink') or receives ('downlink').
 *
 * @param {'uplink' | 'downlink'} mode
 */
export function conditions({ there, back }, mode, seed) {
  return mode === 'uplink' ? { seed, up: there, down: back } : { seed, up: back, down: there };
}
