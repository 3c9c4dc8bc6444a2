// A film whose every picture carries its number, and what reads the numbers: in the sender's page as pictures are
// captured, in the receiver's page as they can be seen. Both note the time, and their difference is the delay.

import { open } from 'node:fs/promises';

import { clock } from './clock.mjs';

/** Blocks in a row of the barcode, which is as wide as the picture. Its two rows are at the top. */
const BLOCKS = 16;
/** Bits of the number: films are up to 4096 pictures long. */
const NUMBER_BITS = 12;
const CHECK_BITS = 16;

/** Limited range of BT.601. */
const BLACK = 16;
const WHITE = 235;
const GREY = 128;

/** Pixels by which the background moves from picture to picture, as somebody who talks with their hands. */
const SPEED = 3;

/**
 * Writes a film in Y4M, for `--use-file-for-fake-video-capture`. It shows a background that moves, so that encoders have
 * something to do. A number comes again after `frames` pictures: longer than any delay.
 */
export async function writeBarcodeFilm(path, { width = 640, height = 360, fps = 30, frames = 10 * fps } = {}) {
  if (frames > 1 << NUMBER_BITS) throw new Error(`a film has at most ${1 << NUMBER_BITS} pictures`);
  const file = await open(path, 'w');
  try {
    await file.write(`YUV4MPEG2 W${width} H${height} F${fps}:1 Ip A1:1 C420\n`);
    const background = texture(width, height, frames);
    const chroma = Buffer.alloc((width * height) / 2, GREY);
    for (let frame = 0; frame < frames; frame += 1) {
      const luma = background(frame);
      drawBarcode(luma, width, frame);
      await file.write(Buffer.concat([Buffer.from('FRAME\n'), luma, chroma]));
    }
  } finally {
    await file.close();
  }
}

/** Shapes of all sizes that pass from right to left. */
function texture(width, height, frames) {
  const stride = width + SPEED * frames;
  const wide = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < stride; x += 1) {
      const coarse = Math.sin(x / 41) * Math.sin(y / 37);
      const fine = Math.sin(x / 5 + 3 * Math.sin(y / 23)) * Math.sin(y / 7);
      wide[y * stride + x] = 126 + 55 * coarse + 20 * fine;
    }
  }
  return (frame) => {
    const luma = Buffer.alloc(width * height);
    for (let y = 0; y < height; y += 1) {
      const from = y * stride + frame * SPEED;
      wide.copy(luma, y * width, from, from + width);
    }
    return luma;
  };
}

function drawBarcode(luma, width, number) {
  const side = width / BLOCKS;
  for (const [index, bit] of barcodeBits(number).entries()) {
    const [left, top] = [(index % BLOCKS) * side, Math.floor(index / BLOCKS) * side];
    for (let y = Math.floor(top); y < Math.floor(top + side); y += 1) {
      luma.fill(bit ? WHITE : BLACK, y * width + Math.floor(left), y * width + Math.floor(left + side));
    }
  }
}

/** Each row begins with a white and a black block, which say what white and black have become. */
function barcodeBits(number) {
  const data = [];
  for (let bit = NUMBER_BITS - 1; bit >= 0; bit -= 1) data.push((number >> bit) & 1);
  const check = checkOf(number);
  for (let bit = CHECK_BITS - 1; bit >= 0; bit -= 1) data.push((check >> bit) & 1);
  const half = BLOCKS - 2;
  return [1, 0, ...data.slice(0, half), 1, 0, ...data.slice(half)];
}

/** CRC-16 of the number (polynomial 0x1021, start 0xffff), so that noise is not taken for one. */
function checkOf(number) {
  let check = 0xffff;
  for (let bit = 15; bit >= 0; bit -= 1) {
    const carry = ((check >> 15) ^ (number >> bit)) & 1;
    check = ((check << 1) & 0xffff) ^ (carry ? 0x1021 : 0);
  }
  return check;
}

/** Runs in pages and workers: reads the number of what can be drawn, or null where none can be read. */
function makeReader({ blocks, numberBits, checkBits, checkOf }) {
  const context = new OffscreenCanvas(blocks, 2).getContext('2d', { willReadFrequently: true });
  context.imageSmoothingEnabled = false;
  return (source, width) => {
    if (!width) return null;
    const side = width / blocks;
    // Without smoothing it takes the middle of each block.
    context.drawImage(source, 0, 0, width, 2 * side, 0, 0, blocks, 2);
    const { data } = context.getImageData(0, 0, blocks, 2);
    const green = (index) => data[4 * index + 1];
    let bits = 0;
    let number = 0;
    for (const row of [0, blocks]) {
      const [white, black] = [green(row), green(row + 1)];
      if (white - black < 60) return null;
      for (let index = row + 2; index < row + blocks; index += 1) {
        const bit = green(index) > (white + black) / 2 ? 1 : 0;
        if (bits < numberBits) number = number * 2 + bit;
        else if (((checkOf(number) >> (numberBits + checkBits - 1 - bits)) & 1) !== bit) return null;
        bits += 1;
      }
    }
    return number;
  };
}

const READER = `(() => {
  ${checkOf}
  return (${makeReader})({ blocks: ${BLOCKS}, numberBits: ${NUMBER_BITS}, checkBits: ${CHECK_BITS}, checkOf });
})()`;

/**
 * Runs in a worker of the sender's page: notes when each picture can first be had there. The time is taken before the
 * picture is read, so reading costs the measurement nothing.
 */
function probeCaptures({ read, now }) {
  const drain = async (readable) => {
    const reader = readable.getReader();
    for (;;) {
      const { done, value: frame } = await reader.read();
      if (done) return;
      const at = now();
      const number = read(frame, frame.displayWidth);
      if (number !== null) postMessage({ number, at, stamp: frame.timestamp });
      frame.close();
    }
  };
  self.onmessage = ({ data }) => drain(data);
}

/** Runs in the sender's page before anything else. Whoever asks for the camera first is the one who is watched. */
function watchCamera(probe) {
  window.captures = [];
  const devices = navigator.mediaDevices;
  const original = devices.getUserMedia.bind(devices);
  const worker = new Worker(URL.createObjectURL(new Blob([probe], { type: 'text/javascript' })));
  worker.onmessage = ({ data }) => window.captures.push(data);
  let watched;
  devices.getUserMedia = async (constraints) => {
    const stream = await original(constraints);
    const [track] = stream.getVideoTracks();
    if (track && watched?.readyState !== 'live') {
      watched = track.clone();
      const { readable } = new MediaStreamTrackProcessor({ track: watched, maxBufferSize: 2 });
      worker.postMessage(readable, [readable]);
      // The device would stay open for its clone.
      const stop = track.stop.bind(track);
      track.stop = () => {
        stop();
        watched.stop();
      };
    }
    return stream;
  };
}

/** Lets this page note in `window.captures` when each picture of its camera was captured; before it is opened. */
export async function noteCaptures(page) {
  const probe = `(${probeCaptures})({ read: ${READER}, now: ${clock} })`;
  await page.addInitScript(`(${watchCamera})(${JSON.stringify(probe)})`);
}

/** Between two looks at what a page shows, milliseconds: 3 for the timer and, mostly, 1 for the look. */
const LOOK_EVERY = 3;

/** Runs in the receiver's page. */
function watchPicture({ selector, every, read, now }) {
  window.stopNoting?.();
  window.shown = [];
  const channel = new MessageChannel();
  let last = null;
  let over = false;
  const look = () => {
    if (over) return;
    const picture = document.querySelector(selector);
    const width = picture && (picture.videoWidth ?? picture.width);
    const number = picture && read(picture, width);
    if (number !== null && number !== last) {
      window.shown.push({ number, at: now(), width });
      last = number;
    }
    setTimeout(() => channel.port2.postMessage(null), every);
  };
  // A timer that sets itself is slowed down after some rounds; one that a message has set is not.
  channel.port1.onmessage = look;
  window.stopNoting = () => (over = true);
  look();
}

/**
 * Lets this page note in `window.shown` when the `<video>` or `<canvas>` at the selector shows another picture's
 * pixels. It tries to read them every 4 ms, which is how far a time may be too late.
 */
export async function noteShown(page, selector) {
  const options = `{ selector: ${JSON.stringify(selector)}, every: ${LOOK_EVERY}, read: ${READER}, now: ${clock} }`;
  await page.evaluate(`(${watchPicture})(${options})`);
}

/** What was noted since the last time: of the sender's page with 'captures', of the receiver's with 'shown'. */
export function takeNoted(page, what) {
  return page.evaluate((what) => window[what].splice(0), what);
}

/**
 * Milliseconds from capture to picture, for each that was shown and whose capture was noted.
 *
 * @param {{number: number, at: number, stamp: number}[]} captures
 * @param {{number: number, at: number}[]} shown
 */
export function delays(captures, shown) {
  const found = [];
  for (const picture of shown) {
    const of = captures.findLast((capture) => capture.number === picture.number && capture.at <= picture.at);
    if (of) found.push(picture.at - of.at);
  }
  return found;
}
