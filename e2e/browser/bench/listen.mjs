// Hears what the receiver's page plays, and notes when nothing comes: the sender's microphone never falls silent, so
// that a silence is a gap.

import { clock } from './clock.mjs';

/** What is played is silent below this; the tone is never below 0.15, before the browser makes it louder or softer. */
const THRESHOLD = 0.02;

/** Milliseconds: shorter silences are not noted. They are parts of what a concealed packet sounds like. */
const SHORTEST = 15;

/** Runs on the audio thread. */
function registerListener({ threshold, shortest }) {
  class Listener extends AudioWorkletProcessor {
    constructor() {
      super();
      this.silent = 0;
      this.blocks = 0;
    }

    /** One block is 128 samples. */
    process([[samples]]) {
      const loudest = samples ? samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0) : 0;
      const length = (this.silent * 128_000) / sampleRate;
      if (loudest < threshold) {
        this.silent += 1;
        // One that goes on is told of as well, once in a quarter of a second.
        if (this.silent % 94 === 0) this.port.postMessage({ length, over: false });
      } else {
        if (length >= shortest) this.port.postMessage({ length, over: true });
        this.silent = 0;
      }
      return true;
    }
  }
  registerProcessor('bench-listener', Listener);
}

/** Runs in the receiver's page before anything else. */
function listen({ module, now }) {
  window.silences = [];
  const listeners = new WeakMap();
  const connect = AudioNode.prototype.connect;
  const open = async (context) => {
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([module], { type: 'text/javascript' })));
    const node = new AudioWorkletNode(context, 'bench-listener', { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => window.silences.push({ at: now(), ...data });
    return node;
  };
  AudioNode.prototype.connect = function (target, ...rest) {
    if (target instanceof AudioDestinationNode) {
      const { context } = target;
      if (!listeners.has(context)) listeners.set(context, open(context));
      listeners.get(context).then((node) => connect.call(this, node));
    }
    return connect.call(this, target, ...rest);
  };
}

/** Lets this page note in `window.silences` when nothing is played; before it makes an audio context. */
export async function noteSilences(page) {
  const options = `{ threshold: ${THRESHOLD}, shortest: ${SHORTEST} }`;
  const module = `(${registerListener})(${options})`;
  await page.addInitScript(`(${listen})({ module: ${JSON.stringify(module)}, now: ${clock} })`);
}

/**
 * Gaps that began and ended, or reached, between two times: milliseconds of each.
 *
 * @param {{at: number, length: number, over: boolean}[]} silences
 */
export function gaps(silences, from, to) {
  const found = new Map();
  for (const { at, length } of silences) {
    const began = at - length;
    const [start, end] = [Math.max(began, from), Math.min(at, to)];
    if (end <= start) continue;
    // Reports of one silence agree on when it began, as far as timers do.
    const known = [...found.keys()].find((other) => Math.abs(other - began) < 60) ?? began;
    found.set(known, Math.max(found.get(known) ?? 0, end - start));
  }
  return [...found.values()];
}
