// Child processes of a test: started with a log file, stopped by their own process id, never left behind.

import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { until } from './wait.mjs';

/** A server gets this long to stop by itself: longer than its own time for draining. */
const STOP_TIMEOUT = 8_000;

const running = new Set();
// Also when a test runs into its time limit or is interrupted.
process.on('exit', () => {
  for (const child of running) child.process.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => process.exit(1));
}

export class Child {
  /**
   * @param {string} folder where the log goes
   * @param {string} name of the log
   * @param {string} command
   * @param {string[]} args
   * @param {{env?: object, uid?: number, gid?: number, cwd?: string}} options
   */
  constructor(folder, name, command, args, options = {}) {
    this.name = name;
    this.log = join(folder, `${name}.log`);
    const output = openSync(this.log, 'a');
    this.process = spawn(command, args, {
      ...options,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', output, output],
    });
    closeSync(output);
    this.exit = new Promise((resolve) => {
      this.process.once('error', (error) => resolve(this.#ended({ error })));
      this.process.once('exit', (code, signal) => resolve(this.#ended({ code, signal })));
    });
    running.add(this);
  }

  #ended(how) {
    this.ended = how;
    running.delete(this);
    return how;
  }

  get pid() {
    return this.process.pid;
  }

  /** What it has logged. */
  text() {
    return readFileSync(this.log, 'utf8');
  }

  /** Waits until `probe` succeeds; fails at once when the process ends before. */
  async ready(what, probe, timeout = 20_000) {
    const answer = await until(`${this.name} ${what}`, async () => this.ended ?? (await probe()), timeout);
    if (this.ended) {
      throw new Error(`${this.name} ended (${JSON.stringify(this.ended)}):\n${tail(this.text(), 20)}`);
    }
    return answer;
  }

  /** Asks it to stop, and insists after a while. */
  async stop(signal = 'SIGTERM') {
    if (this.ended) return;
    this.process.kill(signal);
    const insist = setTimeout(() => this.process.kill('SIGKILL'), STOP_TIMEOUT);
    await this.exit;
    clearTimeout(insist);
  }

  /** Ends it without a word to anybody. */
  async kill() {
    if (this.ended) return;
    this.process.kill('SIGKILL');
    await this.exit;
  }
}

/** Runs a command to its end. */
export async function run(command, args, { env, timeout = 20_000 } = {}) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  const limit = setTimeout(() => child.kill('SIGKILL'), timeout);
  const [code, signal] = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (...how) => resolve(how));
  });
  clearTimeout(limit);
  return { code, signal, stdout, stderr };
}

export function tail(text, lines) {
  return text.trimEnd().split('\n').slice(-lines).join('\n');
}
