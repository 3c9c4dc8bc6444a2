// A track of short tones with silence between, and what notes when each begins: in what the microphone gives to the
// sender's page, and in what the receiver's page plays.

import { writeFile } from 'node:fs/promises';

import { wavHeader } from '../lib/media.mjs';
import { clock } from './clock.mjs';

const SAMPLE_RATE = 48_000;
/** From tone to tone, samples: longer than any delay of a call, so that it is clear which was heard. */
const PERIOD = 48_000;
/** Seconds: as long as a syllable, so that noise suppression takes it for one. */
const LENGTH = 0.08;
const HERTZ = 900;
const LOUDNESS = 0.5;
const TONES = 12;

/** A sample above this is a tone, after so many seconds without one. */
const THRESHOLD = 0.1;
const SILENCE = 0.3;

/** Writes the track in WAV, for `--use-file-for-fake-audio-capture`. */
export async function writeClicks(path) {
  const data = Buffer.alloc(2 * TONES * PERIOD);
  for (let tone = 0; tone < TONES; tone += 1) {
    const start = tone * PERIOD;
    for (let index = 0; index < LENGTH * SAMPLE_RATE; index += 1) {
      const value = LOUDNESS * Math.sin((2 * Math.PI * HERTZ * index) / SAMPLE_RATE);
      data.writeInt16LE(Math.round(value * 32_767), 2 * (start + index));
    }
  }
  await writeFile(path, Buffer.concat([wavHeader(data.length), data]));
}

/** Runs in workers and worklets: says at which samples of what it is given a tone begins. */
function makeDetector({ threshold, silence }) {
  let quiet = 0;
  return (samples, rate) => {
    const onsets = [];
    for (let index = 0; index < samples.length; index += 1) {
      if (Math.abs(samples[index]) < threshold) {
        quiet += 1;
        continue;
      }
      if (quiet > silence * rate) onsets.push(index);
      quiet = 0;
    }
    return onsets;
  };
}

const DETECTOR = `(${makeDetector})({ threshold: ${THRESHOLD}, silence: ${SILENCE} })`;

/** Runs in a worker of the sender's page: a sample was captured as long before its piece came as it is from the end. */
function probeSound({ detect, now }) {
  self.onmessage = async ({ data: readable }) => {
    const reader = readable.getReader();
    for (;;) {
      const { done, value: sound } = await reader.read();
      if (done) return;
      const at = now();
      const samples = new Float32Array(sound.numberOfFrames);
      sound.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
      for (const index of detect(samples, sound.sampleRate)) {
        postMessage({ at: at - ((samples.length - index) / sound.sampleRate) * 1000 });
      }
      sound.close();
    }
  };
}

/** Runs in the sender's page before anything else. */
function watchMicrophone(probe) {
  window.said = [];
  const devices = navigator.mediaDevices;
  const original = devices.getUserMedia.bind(devices);
  let watched;
  devices.getUserMedia = async (constraints) => {
    const stream = await original(constraints);
    const [track] = stream.getAudioTracks();
    if (track && watched?.readyState !== 'live') {
      watched = track.clone();
      const worker = new Worker(URL.createObjectURL(new Blob([probe], { type: 'text/javascript' })));
      worker.onmessage = ({ data }) => window.said.push(data);
      const { readable } = new MediaStreamTrackProcessor({ track: watched });
      worker.postMessage(readable, [readable]);
    }
    return stream;
  };
}

/** Lets this page note in `window.said` when each tone was captured; before the microphone is opened. */
export async function noteSaid(page) {
  const probe = `(${probeSound})({ detect: ${DETECTOR}, now: ${clock} })`;
  await page.addInitScript(`(${watchMicrophone})(${JSON.stringify(probe)})`);
}

/** Runs on the audio thread. */
function registerTap({ detect }) {
  class Tap extends AudioWorkletProcessor {
    process([[samples]]) {
      if (!samples) return true;
      for (const index of detect(samples, sampleRate)) this.port.postMessage(currentTime + index / sampleRate);
      return true;
    }
  }
  registerProcessor('bench-tap', Tap);
}

/** Runs in the receiver's page before anything else: hears what goes to the loudspeaker of every audio context. */
function tapPlayout({ tap, now }) {
  window.heard = [];
  const taps = new WeakMap();
  const connect = AudioNode.prototype.connect;
  const open = async (context) => {
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([tap], { type: 'text/javascript' })));
    const node = new AudioWorkletNode(context, 'bench-tap', { numberOfOutputs: 0 });
    node.port.onmessage = ({ data: time }) => {
      // When the loudspeaker plays it, as the browser estimates.
      const { contextTime, performanceTime } = context.getOutputTimestamp();
      const at = performance.timeOrigin + performanceTime + (time - contextTime) * 1000;
      window.heard.push({ at, processed: now(), latency: context.outputLatency, base: context.baseLatency });
    };
    return node;
  };
  AudioNode.prototype.connect = function (target, ...rest) {
    if (target instanceof AudioDestinationNode) {
      const { context } = target;
      if (!taps.has(context)) taps.set(context, open(context));
      taps.get(context).then((node) => connect.call(this, node));
    }
    return connect.call(this, target, ...rest);
  };
}

/** Lets this page note in `window.heard` when each tone is played; before the page makes an audio context. */
export async function noteHeard(page) {
  const tap = `(${registerTap})({ detect: ${DETECTOR} })`;
  await page.addInitScript(`(${tapPlayout})({ tap: ${JSON.stringify(tap)}, now: ${clock} })`);
}

/** Milliseconds from each tone's capture to its playing. */
export function soundDelays(said, heard) {
  const found = [];
  for (const { at } of heard) {
    const of = said.findLast((tone) => tone.at <= at);
    if (of && at - of.at < (1000 * PERIOD) / SAMPLE_RATE) found.push(at - of.at);
  }
  return found;
}
