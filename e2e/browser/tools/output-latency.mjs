// Shows that Firefox hangs when a page asks for `AudioContext.outputLatency` while it plays (videocall-client/src/defects.rs):
//   node e2e/browser/tools/output-latency.mjs
// Says how many pages were opened until one answered no more, of those that ask and of those that do not.

import { createServer } from 'node:http';

import { openFirefox } from '../lib/browsers.mjs';
import { Stage } from '../lib/stage.mjs';

const PAGES = 30;
/** A page takes a second. */
const PATIENCE = 8_000;

/** Runs in the page: plays, and asks in the midst of it. */
async function play(asks) {
  // What takes long makes the hang likely.
  const processor = `registerProcessor("busy", class extends AudioWorkletProcessor {
    process() { for (let index = 0; index < 2e5; index += 1) Math.sin(index); return true; }
  });`;
  const context = new AudioContext();
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([processor], { type: 'text/javascript' })));
  new AudioWorkletNode(context, 'busy').connect(context.destination);
  await context.resume();
  await new Promise((resolve) => setTimeout(resolve, 300));
  if (asks) context.outputLatency;
  await new Promise((resolve) => setTimeout(resolve, 50));
  return true;
}

const stage = new Stage();
const server = createServer((_, answer) => answer.setHeader('content-type', 'text/html').end('<!doctype html>'));
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
for (const asks of [false, true]) {
  const page = await (await openFirefox(stage)).newPage();
  let opened = 0;
  for (let answers = true; answers && opened < PAGES; opened += 1) {
    await page.goto(`http://localhost:${server.address().port}/`);
    const late = new Promise((resolve) => setTimeout(() => resolve(false), PATIENCE));
    answers = await Promise.race([page.evaluate(play, asks), late]);
    if (!answers) console.log(`asking: ${asks}; page ${opened + 1} hangs`);
  }
  if (opened === PAGES) console.log(`asking: ${asks}; none of ${PAGES} pages hangs`);
}
server.close();
// A browser that hangs cannot be closed in good order.
process.exit();
