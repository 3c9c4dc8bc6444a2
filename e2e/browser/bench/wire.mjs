// A network for a browser of its own: all of its packets pass through the program `netem`, which loses, delays and holds
// them up as it is told.

import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Dialogue } from '../lib/dialogue.mjs';

export class Wire {
  #dialogue;

  /**
   * Makes the network; only root may.
   *
   * @param {import('../lib/stage.mjs').Stage} stage
   */
  static async open(stage) {
    const wire = new Wire();
    // Its namespace has the number in its name, and two benchmarks may run at a time.
    wire.#dialogue = new Dialogue(stage, 'netem', [`${process.pid % 30_000}`]);
    Object.assign(wire, await wire.#dialogue.answer());
    wire.chromium = wire.#inside(stage, process.env.CHROMIUM ?? '/usr/bin/chromium');
    return wire;
  }

  /** A program that runs another one in the network. */
  #inside(stage, command) {
    const path = join(stage.root, 'chromium-behind-netem');
    writeFileSync(path, `#!/bin/sh\nexec ip netns exec ${this.namespace} ${command} "$@"\n`);
    chmodSync(path, 0o755);
    return path;
  }

  /** Other conditions from now on; up is from the browser inside. See e2e/src/proxy/conditions.rs. */
  begin(conditions) {
    return this.#dialogue.ask({ begin: conditions });
  }

  /** Counts anew. */
  forget() {
    return this.#dialogue.ask('forget');
  }

  /** What has passed since. */
  report() {
    return this.#dialogue.ask('report');
  }
}
