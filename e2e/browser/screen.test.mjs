// The sound of a screen that is shared comes along.

import { openPerson } from './lib/person.mjs';
import { videocallServer } from './lib/servers.mjs';
import { scenario } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

/** What is shared: a tab of this title. */
const TITLE = 'slides';
const SIZE = { width: 1280, height: 720 };
const HERTZ = 900;

/** Lines that move up while `window.moving`, and a tone. */
const SLIDES = `<!doctype html><title>${TITLE}</title>
<style>body { margin: 0; background: #fff; color: #222; font: 13px/17px monospace; overflow: hidden } pre { margin: 0 }</style>
<pre></pre>
<script>
  const text = document.querySelector('pre');
  const line = (row) => row + ': ' + Array.from({ length: 60 }, (_, at) => String.fromCharCode(33 + ((row * 7 + at * at) % 90))).join('');
  text.textContent = Array.from({ length: 200 }, (_, row) => line(row)).join('\\n');
  let at = 0;
  window.stop = () => {
    window.moving = false;
    text.style.marginTop = '0px';
    return Date.now();
  };
  window.move = () => {
    window.moving = true;
    const step = () => {
      if (!window.moving) return;
      at = (at + 3) % 2000;
      text.style.marginTop = -at + 'px';
      requestAnimationFrame(step);
    };
    step();
  };
  window.play = () => {
    const audio = new AudioContext();
    const tone = new OscillatorNode(audio, { frequency: ${HERTZ} });
    tone.connect(new GainNode(audio, { gain: 0.3 })).connect(audio.destination);
    tone.start();
  };
</script>`;

scenario('a screen with sound', async (stage, step) => {
  const server = await videocallServer(stage);
  const alice = await openPerson(stage, { name: 'alice', colour: 'red', hertz: 440, shares: TITLE, viewport: SIZE });
  const bob = await openPerson(stage, { name: 'bob', colour: 'green', hertz: 700, viewport: { width: 1500, height: 900 } });
  const slides = await alice.page.context().newPage();
  await slides.setContent(SLIDES);
  const screen = { name: 'alice', track: 'screen' };
  await Promise.all([alice.join(server.url, 'screen'), bob.join(server.url, 'screen')]);
  await Promise.all([alice.connected(), bob.connected()]);

  await step('is seen in full size', async () => {
    // Of a tab in the background in which nothing changes there may be no picture at all.
    await slides.evaluate(() => window.move());
    await alice.press('toggle-screen');
    await bob.tileIs(screen, 'live');
    await until('all of it comes', async () => {
      const [track] = await bob.remoteTracks('screen', { name: 'alice' });
      return track.width === SIZE.width;
    });
  });

  await step('is heard', async () => {
    await slides.evaluate(() => window.play());
    await until('bob hears the tone of the slides', async () => {
      const [track] = await bob.remoteTracks('screen_audio', { name: 'alice' });
      if (Math.abs((track?.dominantFrequencyHz ?? 0) - HERTZ) <= 15 && track.audioLevel > 0.05) return true;
      throw new Error(JSON.stringify(track));
    });
    await bob.hears({ name: 'alice' }, alice.hertz);
    await bob.tile(screen).getByTestId('screen-sound').waitFor();
  });

  await step('ends with its sound', async () => {
    await alice.press('toggle-screen');
    await bob.tileIs(screen, 'gone');
    await until('its sound is gone', async () => (await bob.remoteTracks('screen_audio', { name: 'alice' })).length === 0);
  });
});
