// What the browser's encoders and decoders take by themselves for what our senders send: the floor of every delay, and
// what the order of codecs rests on.

import { percentile, row } from './report.mjs';

const CODECS = { h264: 'avc1.42e01f', vp8: 'vp8', av1: 'av01.0.04M.08', vp9: 'vp09.00.31.08' };
const FPS = 30;
/** Pictures at the beginning that do not count: the first ones are larger, and threads start. */
const WARM_UP = 10;

/** Runs in a page: encodes and decodes what its camera gives, for so many pictures. */
async function encodeAndDecode({ codec, size, bitrate, pictures }) {
  const { width, height } = size;
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width, height } });
  const [track] = stream.getVideoTracks();
  const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 2 }).readable.getReader();
  const [encoding, decoding, started] = [[], [], new Map()];
  let bytes = 0;
  const fault = new Promise((_, reject) => (self.reject = reject));
  const decoder = new VideoDecoder({
    output: (picture) => {
      decoding.push(performance.now() - started.get(picture.timestamp));
      picture.close();
    },
    error: self.reject,
  });
  const encoder = new VideoEncoder({
    output: (chunk, { decoderConfig }) => {
      encoding.push(performance.now() - started.get(chunk.timestamp));
      bytes += chunk.byteLength;
      if (decoderConfig && decoder.state === 'unconfigured') {
        decoder.configure({ ...decoderConfig, optimizeForLatency: true });
      }
      started.set(chunk.timestamp, performance.now());
      decoder.decode(chunk);
    },
    error: self.reject,
  });
  const config = { codec, width, height, bitrate, framerate: 30, latencyMode: 'realtime', scalabilityMode: 'L1T3' };
  if (!(await VideoEncoder.isConfigSupported(config)).supported) return null;
  encoder.configure(config);
  const work = async () => {
    for (let count = 0; count < pictures; count += 1) {
      const { value: picture } = await reader.read();
      started.set(picture.timestamp, performance.now());
      encoder.encode(picture, { keyFrame: count === 0 });
      picture.close();
    }
    await encoder.flush();
    await decoder.flush();
  };
  await Promise.race([work(), fault]);
  track.stop();
  return { encoding, decoding, bytes };
}

/** Rows of every codec that this browser encodes. The page has a camera. */
export async function codecTimes(page, size, bitrate, { rounds, seconds }) {
  const found = new Map();
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, codec] of Object.entries(CODECS)) {
      const pictures = WARM_UP + seconds * FPS;
      const times = await page.evaluate(encodeAndDecode, { codec, size, bitrate, pictures });
      if (times) found.set(name, [...(found.get(name) ?? []), times]);
    }
  }
  return [...found].flatMap(([name, runs]) => {
    const all = (what) => runs.flatMap((run) => run[what].slice(WARM_UP));
    const bytes = runs.reduce((sum, run) => sum + run.bytes, 0);
    const kbps = (8 * bytes) / 1000 / (runs.length * (seconds + WARM_UP / FPS));
    return [
      row('codecs', name, 'encode_p50_ms', percentile(all('encoding'), 0.5), 'ms'),
      row('codecs', name, 'encode_p95_ms', percentile(all('encoding'), 0.95), 'ms'),
      row('codecs', name, 'decode_p50_ms', percentile(all('decoding'), 0.5), 'ms'),
      row('codecs', name, 'kbps', kbps, 'kbit/s'),
    ];
  });
}
