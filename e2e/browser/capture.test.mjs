// The ways to capture where there is no MediaStreamTrackProcessor: pictures out of a <video>, sound out of an audio
// graph. Firefox always takes them; here Chromium does, as if it were a browser without.

import { openPerson } from './lib/person.mjs';
import { videocallServer } from './lib/servers.mjs';
import { scenario } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

/** Runs in the page before anything else. */
function takeAway(names) {
  const owners = { requestVideoFrameCallback: HTMLVideoElement.prototype };
  for (const name of names) delete (owners[name] ?? globalThis)[name];
}

const LADDER = [
  { title: 'an element that tells of its pictures', lacks: ['MediaStreamTrackProcessor'] },
  { title: 'an element that does not', lacks: ['MediaStreamTrackProcessor', 'requestVideoFrameCallback'] },
];

scenario('without MediaStreamTrackProcessor', async (stage, step) => {
  const server = await videocallServer(stage);
  const bob = await openPerson(stage, { name: 'bob', colour: 'green', hertz: 700 });
  const alice = await openPerson(stage, { name: 'alice', colour: 'red', hertz: 440 });
  await bob.join(server.url, 'ladder');
  await bob.connected();

  for (const { title, lacks } of LADDER) {
    await step(title, async () => {
      await alice.page.addInitScript(takeAway, lacks);
      await alice.join(server.url, 'ladder');
      await bob.seesMoving({ name: 'alice' }, alice.colour);
      await bob.hears({ name: 'alice' }, alice.hertz);
      await until('pictures come as often as the camera makes them', async () => {
        const [camera] = await bob.remoteTracks('camera', { name: 'alice' });
        if (camera.fps > 10) return true;
        throw new Error(`${camera.fps} a second`);
      });
      await alice.press('leave-button');
      await bob.sees(0);
    });
  }
});
