// Plays the sound of every remote track: mixes what the engine has queued for each of them. It runs on the audio thread
// (W3C Web Audio §1.32) and does nothing but copy, fade and count; order, delay and concealment of lost packets are
// decided in Rust (videocall-client/src/audio), which keeps the queues filled.
//
// Where the page is isolated from other origins, the samples of a track pass through memory that both threads share (its
// layout is in videocall-client/src/media/ring.rs); elsewhere, and when all its rings are taken, they come as messages,
// and are told of by messages.
//
// From the page, as processorOptions: { memory?: SharedArrayBuffer }
// From the engine: { open: id, ring?: number, position?: number } | { close: id } | { id, samples: Float32Array } | { idle: id };
// the ring is one of those in memory, the position in it where the track begins.
// To the engine, every REPORT_QUANTA render quanta: Float64Array of four numbers for each track without shared memory: its
// id, samples queued now, samples received in all, samples missed in all. An empty one says that memory runs low.
// All samples are at SOUND_RATE; the loudspeaker's rate, at which the audio thread asks for them, may be another.

import { Resampler } from "./resampler.js";

// What decoders deliver, samples per second.
const SOUND_RATE = 48000;
// Half a second. The engine queues some 40 ms; when it queues more than fits, the oldest samples go.
const CAPACITY = 24000;
// The audio thread asks for so many samples at a time (a render quantum).
const QUANTUM = 128;
// About every 5.3 ms: the engine waits for a late frame until 8 ms before it is due.
const REPORT_QUANTA = Math.max(1, Math.round((0.0053 * sampleRate) / QUANTUM));
// Memory runs low with 16 ms: enough for two more quanta before the engine has to decide.
const LOW = 768;
// A queue that was empty fades in over 2 ms, and what was played last fades out as fast: no clicks.
const FADE_IN = 1 / 96;
const FADE_OUT = 0.96;

// A ring in shared memory: words, and samples behind them.
const RING_CAPACITY = 16384;
const HEADER_WORDS = 4;
const RING_BYTES = (HEADER_WORDS + RING_CAPACITY) * 4;
const [WRITTEN, READ, MISSED, RESTING] = [0, 1, 2, 3];

/** Samples in memory that the engine writes. */
class SharedQueue {
  constructor(memory, ring, position) {
    const start = ring * RING_BYTES;
    this.words = new Int32Array(memory, start, HEADER_WORDS);
    this.samples = new Float32Array(memory, start + HEADER_WORDS * 4, RING_CAPACITY);
    // What another track has left there is not played.
    Atomics.store(this.words, READ, position);
  }

  get resting() {
    return Atomics.load(this.words, RESTING) === 1;
  }

  get isLow() {
    const queued = (Atomics.load(this.words, WRITTEN) - Atomics.load(this.words, READ)) >>> 0;
    return queued < LOW && !this.resting;
  }

  /** Copies into the beginning of `target`, and says how many samples. */
  take(target) {
    const read = Atomics.load(this.words, READ);
    const queued = (Atomics.load(this.words, WRITTEN) - read) >>> 0;
    const count = Math.min(queued, target.length);
    const from = (read >>> 0) % this.samples.length;
    const first = Math.min(count, this.samples.length - from);
    target.set(this.samples.subarray(from, from + first), 0);
    target.set(this.samples.subarray(0, count - first), first);
    Atomics.store(this.words, READ, (read + count) | 0);
    return count;
  }

  miss(count) {
    Atomics.store(this.words, MISSED, (Atomics.load(this.words, MISSED) + count) | 0);
  }
}

/** Samples that came as messages. */
class PostedQueue {
  constructor() {
    this.ring = new Float32Array(CAPACITY);
    this.read = 0;
    this.fill = 0;
    this.received = 0;
    this.missed = 0;
    // Between two utterances nothing is missed.
    this.resting = true;
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
    this.resting = false;
  }

  take(target) {
    const count = Math.min(this.fill, target.length);
    const first = Math.min(count, CAPACITY - this.read);
    target.set(this.ring.subarray(this.read, this.read + first), 0);
    target.set(this.ring.subarray(0, count - first), first);
    this.read = (this.read + count) % CAPACITY;
    this.fill -= count;
    return count;
  }

  miss(count) {
    this.missed += count;
  }
}

class Track {
  constructor(queue) {
    this.queue = queue;
    this.gain = 0;
    this.last = 0;
  }

  mixInto(output, scratch) {
    const available = this.queue.take(scratch);
    for (let index = 0; index < available; index += 1) {
      this.gain = Math.min(1, this.gain + FADE_IN);
      this.last = scratch[index] * this.gain;
      output[index] += this.last;
    }
    if (available === output.length) return;
    for (let index = available; index < output.length; index += 1) {
      this.last *= FADE_OUT;
      output[index] += this.last;
    }
    this.gain = 0;
    if (!this.queue.resting) this.queue.miss(output.length - available);
  }
}

class Playout extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.memory = processorOptions?.memory;
    this.tracks = new Map();
    this.scratch = new Float32Array(QUANTUM);
    this.quanta = 0;
    this.resampler = sampleRate === SOUND_RATE ? null : new Resampler(SOUND_RATE, sampleRate, QUANTUM);
    this.port.onmessage = ({ data }) => this.receive(data);
  }

  receive(message) {
    if (message.open !== undefined) {
      const { open, ring, position } = message;
      const isShared = this.memory && ring !== undefined;
      this.tracks.set(open, new Track(isShared ? new SharedQueue(this.memory, ring, position) : new PostedQueue()));
    } else if (message.close !== undefined) {
      this.tracks.delete(message.close);
    } else if (message.idle !== undefined) {
      const queue = this.tracks.get(message.idle)?.queue;
      if (queue) queue.resting = true;
    } else {
      this.tracks.get(message.id)?.queue.push(message.samples);
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
    if (this.scratch.length < samples.length) this.scratch = new Float32Array(2 * samples.length);
    const scratch = this.scratch.subarray(0, samples.length);
    for (const track of this.tracks.values()) track.mixInto(samples, scratch);
  }

  report() {
    const numbers = [];
    let low = false;
    for (const [id, { queue }] of this.tracks) {
      if (queue instanceof PostedQueue) numbers.push(id, queue.fill, queue.received, queue.missed);
      else low ||= queue.isLow;
    }
    if (low || numbers.length > 0) this.port.postMessage(Float64Array.from(numbers));
  }
}

registerProcessor("videocall-playout", Playout);
