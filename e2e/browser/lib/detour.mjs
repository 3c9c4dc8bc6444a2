// A way to a server that a test changes in the middle of a call: the program `detour`.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { program } from './servers.mjs';

export class Detour {
  #lines;
  #child;

  /**
   * @param {import('./stage.mjs').Stage} stage
   * @param {'udp' | 'tcp'} kind
   * @param {number} port of the server
   */
  static async open(stage, kind, port) {
    const detour = new Detour();
    detour.#child = spawn(program('detour'), [kind, `127.0.0.1:${port}`], { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => detour.#child.once('exit', resolve));
    stage.atEnd(async () => {
      detour.#child.stdin.end();
      await ended;
    });
    detour.#lines = createInterface({ input: detour.#child.stdout })[Symbol.asyncIterator]();
    ({ address: detour.address } = await detour.#answer());
    return detour;
  }

  async #answer() {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error('detour has ended');
    const answer = JSON.parse(value);
    if (answer.error) throw new Error(`detour: ${answer.error}`);
    return answer;
  }

  #ask(question) {
    this.#child.stdin.write(`${JSON.stringify(question)}\n`);
    return this.#answer();
  }

  /** Conditions of a way of UDP. See e2e/src/proxy/conditions.rs. */
  begin(conditions) {
    return this.#ask({ begin: conditions });
  }

  /** Of UDP, gives every client another address and returns how many there are; of TCP, cuts every connection. */
  async change() {
    const { changed } = await this.#ask('change');
    return changed;
  }
}
