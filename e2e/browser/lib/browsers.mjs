// The browsers that tests drive, both with the interface of Playwright: Chromium over its own protocol, Firefox over
// WebDriver BiDi. Playwright 1.65 sends Firefox a command (emulation.setMediaFeaturesOverride) that Firefox 153 does not
// have, which is why package.json names the version before.

import { chromium, firefox } from 'playwright-core';

import { desktop } from './desktop.mjs';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FIREFOX = process.env.FIREFOX ?? '/usr/bin/firefox-esr';

/** The browsers that scenarios run in. */
export const ENGINES = ['chromium', 'firefox'];

const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  '--autoplay-policy=no-user-gesture-required',
  // Several browsers share the cores, and all but one are in the background.
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
];

/**
 * A camera and a microphone that exist, for Chromium, and a tab of this title that is shared when a screen is asked for: a
 * real one, with its sound. With the flags above it would be a picture made up. The devices have to be allowed.
 */
export function sharing(title) {
  return ['--use-fake-device-for-media-stream', `--auto-select-tab-capture-source-by-title=${title}`];
}

/** Devices that exist and are allowed, for Chromium. */
export const DEVICES = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'];

/**
 * A Chromium with no more than what is asked for, and without those of Playwright's own flags that are named: it silences
 * the browser, and what is silent cannot be captured either.
 */
export async function openBrowser(stage, flags = [], executablePath = CHROMIUM, without = []) {
  const args = [...CHROMIUM_FLAGS, ...flags];
  const browser = await chromium.launch({ executablePath, headless: true, args, ignoreDefaultArgs: without });
  stage.atEnd(() => browser.close());
  return browser;
}

/**
 * A Firefox whose camera shows a picture that changes and whose microphone hears this tone.
 *
 * It gets a screen and a sound card: without the first it has nothing to share, without the second no AudioContext of
 * it ever starts.
 */
export async function openFirefox(stage, hertz = 440) {
  const firefoxUserPrefs = {
    'media.navigator.streams.fake': true,
    'media.navigator.audio.fake_frequency': hertz,
    'media.navigator.permission.disabled': true,
    // Sound may start without a click, as with Chromium's flag.
    'media.autoplay.default': 0,
    // The processor draws here: half the usual rate is still twice that of the cameras.
    'layout.frame_rate': 30,
    // A page that reads a canvas which a worker draws on waits for the worker, for ten seconds usually, and a worker that
    // opens a WebSocket waits for its page: a test that looks at a tile must not hold a call up that connects again.
    'gfx.offscreencanvas.snapshot-timeout-ms': 100,
  };
  const env = { ...process.env, ...(await desktop(stage)) };
  const options = { channel: 'moz-firefox', executablePath: FIREFOX, headless: false, env, firefoxUserPrefs };
  const browser = await firefox.launch(options);
  stage.atEnd(() => browser.close());
  return browser;
}
