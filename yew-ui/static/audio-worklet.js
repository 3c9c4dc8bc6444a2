// Plays the sound of every remote track: mixes what the page has queued for each of them. It runs on the audio thread
// (W3C Web Audio §1.32) and does nothing but copy, fade and count; order, delay and concealment of lost packets are
// decided in Rust (media/web/playout.rs), which keeps the queues filled from the reports below.
//
// From the page: { open: id } | { close: id } | { id, samples: Float32Array } | { idle: id }
// To the page:   Float64Array of four numbers per track, every REPORT_QUANTA render quanta: its id, samples queued now,
//                samples received in all, samples missed in all.
// All samples are at SOUND_RATE; the loudspeaker's rate, at which the audio thread asks for them, may be another.

import { Resampler } from "./resampler.js";

// What decoders deliver, samples per second.
const SOUND_RATE = 48000;
// Half a second. The page queues some 40 ms; when it queues more than fits, the oldest samples go.
const CAPACITY = 24000;
// The audio thread asks for so many samples at a time (a render quantum).
const QUANTUM = 128;
// About every 5.3 ms: the page waits for a late frame until 10 ms before it is due.
const REPORT_QUANTA = Math.max(1, Math.round((0.0053 * sampleRate) / QUANTUM));
// A queue that was empty fades in over 2 ms, and what was played last fades out as fast: no clicks.
const FADE_IN = 1 / 96;
const FADE_OUT = 0.96;

class Track {
  constructor() {
    this.ring = new Float32Array(CAPACITY);
    this.read = 0;
    this.fill = 0;
    this.gain = 0;
    this.last = 0;
    this.received = 0;
    this.missed = 0;
    // Between two utterances nothing is missed.
    this.idle = true;
  }

  push(samples) {
    const kept = samples.subarray(Math.max(0, samples.length - CAPACITY));
    const excess = Math.max(0, this.fill + kept.length - CAPACITY);
    this.read = (this.read + excess) % CAPACITY;
    this.fill -= excess;
    const write = (this.read + this.fill) % CAPACITY;
    const first = Math.min(kept.length, CAPACITY - write);
    this.ring.set(kept.subarray(0, first), write);
    this.ring.set(kept.subarray(first), 0);
    this.fill += kept.length;
    this.received += samples.length;
    this.idle = false;
  }

  mixInto(output) {
    const available = Math.min(this.fill, output.length);
    for (let index = 0; index < available; index += 1) {
      this.gain = Math.min(1, this.gain + FADE_IN);
      this.last = this.ring[this.read] * this.gain;
      output[index] += this.last;
      this.read = this.read + 1 === CAPACITY ? 0 : this.read + 1;
    }
    this.fill -= available;
    if (available === output.length) return;
    for (let index = available; index < output.length; index += 1) {
      this.last *= FADE_OUT;
      output[index] += this.last;
    }
    this.gain = 0;
    if (!this.idle) this.missed += output.length - available;
  }
}

class Playout extends AudioWorkletProcessor {
  constructor() {
    super();
    this.tracks = new Map();
    this.quanta = 0;
    this.resampler = sampleRate === SOUND_RATE ? null : new Resampler(SOUND_RATE, sampleRate, QUANTUM);
    this.port.onmessage = ({ data }) => this.receive(data);
  }

  receive(message) {
    if (message.open !== undefined) {
      this.tracks.set(message.open, new Track());
    } else if (message.close !== undefined) {
      this.tracks.delete(message.close);
    } else if (message.idle !== undefined) {
      const track = this.tracks.get(message.idle);
      if (track) track.idle = true;
    } else {
      this.tracks.get(message.id)?.push(message.samples);
    }
  }

  process(_inputs, outputs) {
    const output = outputs[0][0];
    if (this.resampler) this.resampler.fill(output, (samples) => this.mixInto(samples));
    else this.mixInto(output);
    this.quanta += 1;
    if (this.quanta % REPORT_QUANTA === 0 && this.tracks.size > 0) this.report();
    return true;
  }

  mixInto(samples) {
    for (const track of this.tracks.values()) track.mixInto(samples);
  }

  report() {
    const report = new Float64Array(this.tracks.size * 4);
    let at = 0;
    for (const [id, track] of this.tracks) {
      report.set([id, track.fill, track.received, track.missed], at);
      at += 4;
    }
    this.port.postMessage(report);
  }
}

registerProcessor("videocall-playout", Playout);
