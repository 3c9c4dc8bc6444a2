// A network for a browser of its own: all of its packets pass through the program `netem`, which loses, delays and holds
// them up as it is told.

import { spawn } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { program } from '../lib/servers.mjs';

export class Wire {
  #lines;
  #child;

  /**
   * Makes the network; only root may.
   *
   * @param {import('../lib/stage.mjs').Stage} stage
   */
  static async open(stage) {
    const wire = new Wire();
    // Its namespace has the number in its name, and two benchmarks may run at a time.
    wire.#child = spawn(program('netem'), [`${process.pid % 30_000}`], { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => wire.#child.once('exit', resolve));
    stage.atEnd(async () => {
      wire.#child.stdin.end();
      await ended;
    });
    wire.#lines = createInterface({ input: wire.#child.stdout })[Symbol.asyncIterator]();
    Object.assign(wire, await wire.#answer());
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

  async #answer() {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error('netem has ended; is this run as root?');
    const answer = JSON.parse(value);
    if (answer.error) throw new Error(`netem: ${answer.error}`);
    return answer;
  }

  #ask(question) {
    this.#child.stdin.write(`${JSON.stringify(question)}\n`);
    return this.#answer();
  }

  /** Other conditions from now on; up is from the browser inside. See e2e/src/proxy/conditions.rs. */
  begin(conditions) {
    return this.#ask({ begin: conditions });
  }

  /** Counts anew. */
  forget() {
    return this.#ask('forget');
  }

  /** What has passed since. */
  report() {
    return this.#ask('report');
  }
}
