// A page that is busy: sound, pictures and the own camera go on, because the engine of a call has a thread of its own.

import { ok } from 'node:assert/strict';

import { openPerson } from './lib/person.mjs';
import { videocallServer } from './lib/servers.mjs';
import { scenario } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

/** How long the page's thread is held at a time, and how long it is let go in between, milliseconds. */
const HELD = 200;
const LET_GO = 10;
/** How often. An engine on that thread would get a twentieth of the time. */
const TIMES = 40;

/**
 * Between two pictures that are drawn, milliseconds: the source has 15 a second. Whatever waits for the page's thread
 * comes in bunches instead, HELD apart.
 */
const LARGEST_USUAL_GAP = 150;
/** Share of the sound that may be made up: a machine that is busy with other things costs some, too. */
const CONCEALED = 0.05;
/** Share of the pictures that arrive at least. */
const ARRIVES = 0.8;

const SAMPLE_RATE = 48_000;

/** The thread in which somebody's engine runs. */
function engine(person) {
  const [worker] = person.page.workers();
  ok(worker, `${person.name}'s page has no worker`);
  return worker;
}

/** Notes from now on when the engine draws a picture on a canvas, or gives it to a `<video>`. */
async function noteDrawing(person) {
  await engine(person).evaluate(() => {
    self.drawnAt = [];
    const watch = (prototype, name, isPicture) => {
      const original = prototype[name];
      prototype[name] = function note(...given) {
        if (isPicture(given[0])) self.drawnAt.push(performance.now());
        return original.apply(this, given);
      };
    };
    watch(OffscreenCanvasRenderingContext2D.prototype, 'drawImage', () => true);
    watch(OffscreenCanvasRenderingContext2D.prototype, 'putImageData', () => true);
    watch(WritableStreamDefaultWriter.prototype, 'write', (chunk) => chunk instanceof VideoFrame);
  });
}

/** Milliseconds between the pictures that were drawn since the last call, ascending. */
async function gapsDrawn(person) {
  const drawnAt = await engine(person).evaluate(() => self.drawnAt.splice(0));
  return drawnAt
    .slice(1)
    .map((at, index) => at - drawnAt[index])
    .sort((a, b) => a - b);
}

/** Runs in the page: holds its thread again and again, and looks in between whether it shows something new. */
async function holdThread([held, letGo, times]) {
  const picture = document.querySelector('[data-testid="tile"] :is(canvas, video)');
  const small = new OffscreenCanvas(32, 18);
  const context = small.getContext('2d', { willReadFrequently: true });
  let [before, changes] = ['', 0];
  const started = performance.now();
  for (let time = 0; time < times; time += 1) {
    const until = performance.now() + held;
    while (performance.now() < until);
    await new Promise((resolve) => setTimeout(resolve, letGo));
    context.drawImage(picture, 0, 0, 32, 18);
    const pixels = context.getImageData(0, 0, 32, 18).data.join();
    if (pixels !== before) changes += 1;
    before = pixels;
  }
  return { took: performance.now() - started, held: held * times, changes };
}

async function figures(person, name) {
  const [[sound], [camera]] = await Promise.all(
    ['microphone', 'camera'].map((kind) => person.remoteTracks(kind, { name })),
  );
  return { concealed: sound.concealedSamples, pictures: camera.framesDecoded };
}

/** Figures that are newer than this moment: the page hands out what the engine has told it. */
async function freshFigures(person, name) {
  const before = await figures(person, name);
  await until('there are newer figures', async () => (await figures(person, name)).pictures > before.pictures);
  return figures(person, name);
}

function describe(gaps) {
  const at = (share) => Math.round(gaps[Math.min(gaps.length - 1, Math.floor(gaps.length * share))]);
  return { drawn: gaps.length + 1, p50: at(0.5), p95: at(0.95), largest: at(1) };
}

scenario('the page of one of two is busy', async (stage, step) => {
  const server = await videocallServer(stage);
  const [alice, bob] = await Promise.all([
    openPerson(stage, { name: 'alice', colour: 'red', hertz: 440 }),
    openPerson(stage, { name: 'bob', colour: 'green', hertz: 700 }),
  ]);
  await Promise.all([alice.join(server.url, 'busy'), bob.join(server.url, 'busy')]);
  await Promise.all([alice.seesMoving({ name: 'bob' }, bob.colour), bob.seesMoving({ name: 'alice' }, alice.colour)]);
  await Promise.all([alice.hears({ name: 'bob' }, bob.hertz), bob.hears({ name: 'alice' }, alice.hertz)]);
  await Promise.all([alice, bob].map(noteDrawing));

  await step('her thread is held for 200 ms again and again', async () => {
    const before = await Promise.all([freshFigures(alice, 'bob'), freshFigures(bob, 'alice')]);
    await Promise.all([alice, bob].map(gapsDrawn));
    const page = await alice.page.evaluate(holdThread, [HELD, LET_GO, TIMES]);
    const gaps = await Promise.all([alice, bob].map(gapsDrawn));
    const after = await Promise.all([freshFigures(alice, 'bob'), freshFigures(bob, 'alice')]);
    const concealed = after.map(({ concealed: samples }, index) => {
      return (samples - before[index].concealed) / SAMPLE_RATE / (page.took / 1000);
    });
    const [received, sent] = gaps.map(describe);
    const share = (part) => `${(part * 100).toFixed(1)} %`;
    console.log(
      `the page's thread was held for ${page.held} of ${Math.round(page.took)} ms\n` +
        `pictures she receives: ${received.drawn} drawn, gaps p50 ${received.p50}, p95 ${received.p95}, ` +
        `largest ${received.largest} ms; her tile had changed in ${page.changes} of ${TIMES} looks\n` +
        `pictures she sends: ${sent.drawn} drawn, gaps p50 ${sent.p50}, p95 ${sent.p95}, largest ${sent.largest} ms\n` +
        `sound made up: ${share(concealed[0])} of what she hears, ${share(concealed[1])} of what is heard of her`,
    );
    const expected = (page.took / 1000) * 15 * ARRIVES;
    for (const { drawn, p95 } of [received, sent]) {
      ok(drawn >= expected, `${drawn} pictures of ${expected}`);
      ok(p95 < LARGEST_USUAL_GAP, `${p95} ms between pictures`);
    }
    ok(page.changes > TIMES * ARRIVES, `her tile had changed in ${page.changes} of ${TIMES} looks`);
    for (const part of concealed) ok(part < CONCEALED, `${share(part)} of the sound was made up`);
  });

  await step('and all is well afterwards', async () => {
    await alice.seesMoving({ name: 'bob' }, bob.colour);
    await bob.seesMoving({ name: 'alice' }, alice.colour);
    await Promise.all([alice.hears({ name: 'bob' }, bob.hertz), bob.hears({ name: 'alice' }, alice.hertz)]);
  });
});
