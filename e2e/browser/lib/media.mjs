// Known pictures and sounds for Chromium's fake devices: a colour tells who is seen, a frequency who is heard.

import { writeFile } from 'node:fs/promises';

/** Small, because every page of a test encodes and decodes on the same cores. */
export const WIDTH = 320;
export const HEIGHT = 180;
const FPS = 15;
/** The bar crosses the picture once before the file starts again. */
const FRAMES = 2 * FPS;
const BAR_WIDTH = WIDTH / 10;

const SAMPLE_RATE = 48_000;
/** Seconds; a whole number of periods of every whole frequency, so that the loop has no click. */
const SECONDS = 4;

/** Far apart from each other and from the page's own colours, as [red, green, blue]. */
export const COLOURS = {
  red: [200, 40, 40],
  green: [40, 170, 60],
  blue: [50, 70, 210],
  yellow: [210, 190, 40],
};

/** Writes a film of one colour with a white bar that moves, in Y4M; `scale` times as wide and as high as usual. */
export async function writeFilm(path, colour, scale = 1) {
  const [y, u, v] = yuvOf(COLOURS[colour]);
  const [width, height, bar] = [WIDTH * scale, HEIGHT * scale, BAR_WIDTH * scale];
  const parts = [Buffer.from(`YUV4MPEG2 W${width} H${height} F${FPS}:1 Ip A1:1 C420\n`)];
  for (let frame = 0; frame < FRAMES; frame += 1) {
    const luma = Buffer.alloc(width * height, y);
    const chromaU = Buffer.alloc((width * height) / 4, u);
    const chromaV = Buffer.alloc((width * height) / 4, v);
    const left = evenFloor((frame * (width - bar)) / FRAMES);
    for (let row = 0; row < height; row += 1) {
      luma.fill(235, row * width + left, row * width + left + bar);
    }
    for (let row = 0; row < height / 2; row += 1) {
      const start = (row * width) / 2 + left / 2;
      chromaU.fill(128, start, start + bar / 2);
      chromaV.fill(128, start, start + bar / 2);
    }
    parts.push(Buffer.from('FRAME\n'), luma, chromaU, chromaV);
  }
  await writeFile(path, Buffer.concat(parts));
}

/** The mean colour of such a film. */
export function meanColour(colour) {
  const share = BAR_WIDTH / WIDTH;
  return COLOURS[colour].map((channel) => channel * (1 - share) + 255 * share);
}

/**
 * Writes a tone in WAV: 48 kHz, mono. Its loudness swings four times a second, because a browser's noise
 * suppression takes away what never changes.
 */
export async function writeTone(path, hertz) {
  const samples = SAMPLE_RATE * SECONDS;
  const data = Buffer.alloc(samples * 2);
  for (let index = 0; index < samples; index += 1) {
    const time = index / SAMPLE_RATE;
    const loudness = 0.35 + 0.15 * Math.sin(2 * Math.PI * 4 * time);
    const value = loudness * Math.sin(2 * Math.PI * hertz * time);
    data.writeInt16LE(Math.round(value * 32_767), index * 2);
  }
  await writeFile(path, Buffer.concat([wavHeader(data.length), data]));
}

/** What comes before so many bytes of samples: 48 kHz, mono, 16 bits. */
export function wavHeader(bytes) {
  const header = Buffer.alloc(44);
  header.write('RIFF', 0);
  header.writeUInt32LE(36 + bytes, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20); // PCM
  header.writeUInt16LE(1, 22); // channels
  header.writeUInt32LE(SAMPLE_RATE, 24);
  header.writeUInt32LE(SAMPLE_RATE * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(bytes, 40);
  return header;
}

/** BT.601, limited range: what Chromium takes a Y4M file for. */
export function yuvOf([r, g, b]) {
  return [
    Math.round(16 + 0.2568 * r + 0.5041 * g + 0.0979 * b),
    Math.round(128 - 0.1482 * r - 0.291 * g + 0.4392 * b),
    Math.round(128 + 0.4392 * r - 0.3678 * g - 0.0714 * b),
  ];
}

function evenFloor(value) {
  return 2 * Math.floor(value / 2);
}
