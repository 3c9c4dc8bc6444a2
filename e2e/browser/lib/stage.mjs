// What a test has set up: folder, processes, browsers. It takes all of it down again, and shows what was logged
// when the test has failed.

import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { tail } from './process.mjs';

const LOG_LINES = 40;

export class Stage {
  #ends = [];
  #people = [];

  constructor() {
    this.root = mkdtempSync(join(tmpdir(), 'videocall-e2e-'));
    this.logs = this.folder('logs');
  }

  /** A folder that goes with the test. */
  folder(name) {
    const path = join(this.root, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** Does this at the end; what was set up last goes first. */
  atEnd(action) {
    this.#ends.push(action);
  }

  /** Stops this process at the end. */
  own(child) {
    this.atEnd(() => child.stop(child.name === 'postgres' ? 'SIGINT' : 'SIGTERM'));
    return child;
  }

  /** Shows what this person sees when the test fails. */
  watch(person) {
    this.#people.push(person);
    return person;
  }

  async end() {
    for (const action of this.#ends.reverse()) {
      try {
        await action();
      } catch (error) {
        console.error(`while cleaning up: ${error.message}`);
      }
    }
  }

  /** Prints logs and keeps pictures of all pages. */
  async explain() {
    for (const person of this.#people) {
      const picture = join(this.logs, `${person.name}.png`);
      await person.page.screenshot({ path: picture, timeout: 5_000 }).catch(() => {});
      const stats = await person.stats().catch((error) => error.message);
      console.error(`── ${person.name}: ${existsSync(picture) ? picture : 'no picture'}`);
      console.error(`   ${JSON.stringify(stats)}`);
      console.error(indent(person.console.slice(-LOG_LINES).join('\n')));
    }
    for (const file of readdirSync(this.logs).filter((name) => name.endsWith('.log'))) {
      console.error(`── ${join(this.logs, file)}`);
      console.error(indent(tail(readFileSync(join(this.logs, file), 'utf8'), LOG_LINES)));
    }
  }

  forget() {
    rmSync(this.root, { recursive: true, force: true });
  }
}

/**
 * A test with a stage. Its steps (`t.test`) share what the test has set up; the first that fails ends it.
 *
 * @param {string} name
 * @param {(stage: Stage, step: (name: string, body: () => Promise<void>) => Promise<void>) => Promise<void>} body
 */
export function scenario(name, body, { timeout = 180_000 } = {}) {
  test(name, { timeout }, async (t) => {
    const stage = new Stage();
    let failed = true;
    const step = async (title, action) => {
      let fault;
      await t.test(title, async () => {
        try {
          await action();
        } catch (error) {
          fault = error;
          throw error;
        }
      });
      if (fault) throw new Error(`the step "${title}" failed`);
    };
    try {
      await body(stage, step);
      failed = false;
    } finally {
      if (failed) await stage.explain();
      await stage.end();
      if (!failed) stage.forget();
    }
  });
}

function indent(text) {
  return text.replace(/^/gm, '   ');
}
