// What a desktop has and a test machine lacks: a screen (Xvfb) and a sound card (PulseAudio with a sink that plays to
// nobody). One of each serves all browsers of a test.

import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { Child } from './process.mjs';

const SCREEN = '1024x640x24';

/** The desktop of each stage that has asked for one. */
const desktops = new WeakMap();

/**
 * The environment of programs that use the desktop.
 *
 * @param {import('./stage.mjs').Stage} stage
 * @returns {Promise<{DISPLAY: string, PULSE_SERVER: string}>}
 */
export function desktop(stage) {
  if (!desktops.has(stage)) desktops.set(stage, open(stage));
  return desktops.get(stage);
}

async function open(stage) {
  const [DISPLAY, PULSE_SERVER] = await Promise.all([screen(stage), soundCard(stage)]);
  return { DISPLAY, PULSE_SERVER };
}

async function screen(stage) {
  // It takes a number that is free and says which, on its standard output.
  const args = ['-displayfd', '1', '-screen', '0', SCREEN, '-nolisten', 'tcp'];
  const child = stage.own(new Child(stage.logs, 'xvfb', 'Xvfb', args));
  const [, number] = await child.ready('has a display', async () => child.text().match(/^(\d+)$/m));
  return `:${number}`;
}

async function soundCard(stage) {
  const folder = stage.folder('pulse');
  const socket = join(folder, 'native');
  const args = ['-n', '--daemonize=no', '--use-pid-file=no', '--exit-idle-time=-1', '--log-level=error'];
  args.push('--load=module-null-sink', `--load=module-native-protocol-unix auth-anonymous=1 socket=${socket}`);
  // Nothing of the person's own sound server is touched.
  const env = { HOME: folder, XDG_RUNTIME_DIR: folder, PULSE_RUNTIME_PATH: folder };
  const child = stage.own(new Child(stage.logs, 'pulseaudio', 'pulseaudio', args, { env }));
  await child.ready('takes clients', async () => existsSync(socket));
  return `unix:${socket}`;
}
