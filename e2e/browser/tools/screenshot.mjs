// Takes the picture of a call in README.md: a real call of browsers and the command-line client, on both carriers,
// with painted faces for cameras. Writes docs/images/call.png. Needs VIDEOCALL_BIN_DIR, as the tests do.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { openBrowser } from '../lib/browsers.mjs';
import { openPerson } from '../lib/person.mjs';
import { writeTone, yuvOf } from '../lib/media.mjs';
import { Child } from '../lib/process.mjs';
import { program, videocallServer } from '../lib/servers.mjs';
import { Stage } from '../lib/stage.mjs';
import { until } from '../lib/wait.mjs';

const [WIDTH, HEIGHT, FRAMES, FPS] = [640, 360, 10, 10];

/** Who is there, as [name, wall, light on it, skin, hair, clothes]. */
const CAST = [
  ['maya', '#2f4858', '#4f7d8c', '#c68863', '#2b1b17', '#e0a458'],
  ['jonas', '#6b4e71', '#a77ca0', '#f0c8a0', '#b5651d', '#3a5a78'],
  ['amara', '#3d5a45', '#7fa37f', '#7b4a2d', '#1a1210', '#d9566b'],
];

/** Runs in a page: paints a person in front of a wall, slightly moved in each frame. */
function paint({ width, height, frames, colours }) {
  const [wall, light, skin, hair, clothes] = colours;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  const ellipse = (colour, x, y, rx, ry) => {
    context.fillStyle = colour;
    context.beginPath();
    context.ellipse(x, y, rx, ry, 0, 0, 2 * Math.PI);
    context.fill();
  };
  return Array.from({ length: frames }, (_, frame) => {
    const sway = 3 * Math.sin((2 * Math.PI * frame) / frames);
    const background = context.createRadialGradient(width * 0.25, height * 0.2, 20, width / 2, height / 2, width * 0.7);
    background.addColorStop(0, light);
    background.addColorStop(1, wall);
    context.fillStyle = background;
    context.fillRect(0, 0, width, height);
    const x = width / 2 + sway;
    ellipse(hair, x, height * 0.42, 84, 104);
    ellipse(clothes, x - sway / 2, height * 1.08, 190, 150);
    ellipse(skin, x, height * 0.66, 34, 36);
    ellipse(skin, x, height * 0.46, 66, 84);
    ellipse(hair, x, height * 0.27, 72, 40);
    for (const side of [-1, 1]) {
      ellipse('#fff', x + side * 26, height * 0.45, 10, 7);
      ellipse('#241a16', x + side * 26 + sway / 3, height * 0.45, 5, 6);
    }
    context.strokeStyle = '#7a2f2f';
    context.lineWidth = 5;
    context.lineCap = 'round';
    context.beginPath();
    context.arc(x, height * 0.53, 26, 0.2 * Math.PI, 0.8 * Math.PI);
    context.stroke();
    return new Uint8Array(context.getImageData(0, 0, width, height).data.buffer).toBase64();
  });
}

/** The frames as Y4M with a chroma sample for every pixel halved both ways. */
function film(frames) {
  const parts = [Buffer.from(`YUV4MPEG2 W${WIDTH} H${HEIGHT} F${FPS}:1 Ip A1:1 C420\n`)];
  for (const frame of frames) {
    const pixels = Buffer.from(frame, 'base64');
    const luma = Buffer.alloc(WIDTH * HEIGHT);
    const chroma = [Buffer.alloc(luma.length / 4), Buffer.alloc(luma.length / 4)];
    for (let index = 0; index < luma.length; index += 1) {
      const [y, u, v] = yuvOf(pixels.subarray(4 * index, 4 * index + 3));
      luma[index] = y;
      const [column, row] = [index % WIDTH, Math.floor(index / WIDTH)];
      const small = Math.floor(row / 2) * (WIDTH / 2) + Math.floor(column / 2);
      chroma[0][small] = u;
      chroma[1][small] = v;
    }
    parts.push(Buffer.from('FRAME\n'), luma, ...chroma);
  }
  return Buffer.concat(parts);
}

const stage = new Stage();
try {
  const server = await videocallServer(stage);
  const painter = await (await openBrowser(stage)).newPage();
  const people = [];
  for (const [index, [name, ...colours]] of CAST.entries()) {
    const path = join(stage.root, `${name}.y4m`);
    const size = { width: WIDTH, height: HEIGHT, frames: FRAMES, colours };
    writeFileSync(path, film(await painter.evaluate(paint, size)));
    const tone = join(stage.root, `${name}.wav`);
    await writeTone(tone, 300 + 100 * index);
    const viewport = { width: 1280, height: 720 };
    people.push(await openPerson(stage, { name, film: path, tone, viewport }));
  }
  const [viewer] = people;
  for (const [index, person] of people.entries()) {
    await person.join(server.url, 'team', index === 2 ? { transport: 'websocket' } : {});
  }
  const robot = ['--user-id', 'robot-1', '--meeting-id', 'team', '--url', server.url, '--source', 'test', '--no-audio'];
  stage.own(new Child(stage.logs, 'robot', program('videocall-cli'), ['stream', ...robot, '--resolution', '640x360']));
  await viewer.sees(CAST.length);
  // One of them speaks.
  for (const person of people.filter(({ name }) => name !== 'jonas')) await person.press('toggle-mic');
  for (const name of ['jonas', 'amara', 'robot-1']) await viewer.tileIs({ name }, 'live');
  // The picture grows sharp within the first seconds: wait for what a decoder makes of a dozen frames.
  await until('the pictures are sharp', async () => {
    const { remoteTracks } = await viewer.stats();
    return remoteTracks.filter(({ kind }) => kind === 'camera').every(({ framesDecoded }) => framesDecoded > 40);
  });
  await viewer.page.screenshot({ path: 'docs/images/call.png' });
} finally {
  await stage.end();
  stage.forget();
}
