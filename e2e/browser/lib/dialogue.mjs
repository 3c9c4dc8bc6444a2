// A program of this project that is told what to do while it runs: a line of JSON to it, a line of JSON from it
// (e2e/src/dialogue.rs).

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { program } from './servers.mjs';

export class Dialogue {
  #name;
  #child;
  #lines;

  /**
   * Starts the program; it ends with the stage.
   *
   * @param {import('./stage.mjs').Stage} stage
   * @param {string} name
   * @param {string[]} args
   */
  constructor(stage, name, args) {
    this.#name = name;
    this.#child = spawn(program(name), args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    stage.atEnd(async () => {
      this.#child.stdin.end();
      await ended;
    });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** What it says next; of itself it says something once, at its beginning. */
  async answer() {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`${this.#name} has ended`);
    const answer = JSON.parse(value);
    if (answer.error) throw new Error(`${this.#name}: ${answer.error}`);
    return answer;
  }

  /** Tells it something and returns its answer. */
  ask(question) {
    this.#child.stdin.write(`${JSON.stringify(question)}\n`);
    return this.answer();
  }
}
