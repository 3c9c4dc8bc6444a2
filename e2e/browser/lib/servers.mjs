// The product's servers and those it needs, as processes on free ports of the loopback interface.

import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { accepts, freePort } from './ports.mjs';
import { Child } from './process.mjs';

const REPOSITORY = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const UI_DIR = process.env.VIDEOCALL_UI_DIR ?? join(REPOSITORY, 'yew-ui/dist');

/** Shared by the servers of one deployment; at least 32 bytes. */
export const TOKEN_SECRET = 'only-for-tests-0123456789abcdef0123456789abcdef';

/** Browsers that share two cores with a server make it late; that is not what these tests are about. */
const PATIENT = ['--max-loop-delay-ms', '0'];

/** Path of one of the product's programs. */
export function program(name) {
  const folder = process.env.VIDEOCALL_BIN_DIR;
  if (!folder) throw new Error('VIDEOCALL_BIN_DIR is not set; start the tests with scripts/e2e.sh');
  return join(folder, name);
}

export function uiDir() {
  if (!existsSync(join(UI_DIR, 'index.html'))) {
    throw new Error(`no web page in ${UI_DIR}; scripts/build-ui.sh makes it`);
  }
  return UI_DIR;
}

/** A server that can be killed and started again on the same ports with the same data. */
class Server {
  /**
   * @param {import('./stage.mjs').Stage} stage
   * @param {string} url
   * @param {() => Child} start
   * @param {() => Promise<boolean>} probe whether it takes clients
   */
  constructor(stage, url, start, probe = () => isReady(url)) {
    Object.assign(this, { stage, url, start, probe });
  }

  async up() {
    this.child = this.stage.own(this.start());
    await this.child.ready('takes clients', this.probe);
    return this;
  }

  stop() {
    return this.child.stop();
  }

  kill() {
    return this.child.kill();
  }
}

/**
 * Everything in one process.
 *
 * @param {import('./stage.mjs').Stage} stage
 * @param {string[]} extra arguments
 * @param {string} address that it listens on
 * @param {number} [port] of WebTransport, where it has to be known before
 */
export async function videocallServer(stage, extra = [], address = '127.0.0.1', port = undefined) {
  const [http, quic] = [await freePort(), port ?? (await freePort())];
  const data = stage.folder('videocall-server');
  const args = ['--bind', `${address}:${http}`, '--webtransport-bind', `${address}:${quic}`];
  args.push('--data-dir', data, '--ui-dir', uiDir(), ...PATIENT, ...extra);
  // localhost, not 127.0.0.1: the address that people open.
  const host = address === '127.0.0.1' ? 'localhost' : address;
  const server = new Server(stage, `http://${host}:${http}`, () =>
    new Child(stage.logs, 'videocall-server', program('videocall-server'), args),
  );
  server.webtransportPort = quic;
  return server.up();
}

/** The WebSocket relay with REST interface and page. */
export async function actixApi(stage, { databaseUrl, natsUrl }, extra = []) {
  const port = await freePort();
  const args = ['--bind', `127.0.0.1:${port}`, '--ui-dir', uiDir(), ...PATIENT, ...extra];
  // By environment: neither password nor secret belongs on a command line.
  const env = { DATABASE_URL: databaseUrl, NATS_URL: natsUrl, VIDEOCALL_TOKEN_SECRET: TOKEN_SECRET };
  return new Server(stage, `http://localhost:${port}`, () =>
    new Child(stage.logs, 'actix-api', program('actix-api'), args, { env }),
  ).up();
}

/** The WebTransport relay. */
export async function webtransportServer(stage, { natsUrl }, extra = []) {
  const [quic, health] = [await freePort(), await freePort()];
  const data = stage.folder('webtransport-server');
  const args = ['--bind', `127.0.0.1:${quic}`, '--health-bind', `127.0.0.1:${health}`, '--data-dir', data];
  args.push(...PATIENT, ...extra);
  const env = { NATS_URL: natsUrl, VIDEOCALL_TOKEN_SECRET: TOKEN_SECRET };
  return new Server(stage, `http://localhost:${health}`, () =>
    new Child(stage.logs, 'webtransport-server', program('webtransport-server'), args, { env }),
  ).up();
}

/** A NATS server. */
export async function natsServer(stage) {
  const port = await freePort();
  const start = () => new Child(stage.logs, 'nats-server', 'nats-server', ['-a', '127.0.0.1', '-p', `${port}`]);
  return new Server(stage, `nats://127.0.0.1:${port}`, start, () => accepts(port)).up();
}

/** A PostgreSQL cluster of its own; gives the URL of its database. */
export async function postgres(stage) {
  const bin = postgresBin();
  const port = await freePort();
  // PostgreSQL refuses to run as root, and its user must be able to reach the folder.
  const user = process.getuid() === 0 ? { uid: idOf('-u'), gid: idOf('-g') } : {};
  const folder = mkdtempSync(join(tmpdir(), 'videocall-postgres-'));
  stage.atEnd(() => rmSync(folder, { recursive: true, force: true }));
  if (user.uid) chownSync(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  const initdb = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'];
  execFileSync(join(bin, 'initdb'), initdb, { ...user, cwd: folder, stdio: 'ignore' });
  const args = ['-D', data, '-p', `${port}`, '-c', 'listen_addresses=127.0.0.1', '-c', 'fsync=off'];
  args.push('-c', 'unix_socket_directories=');
  const child = stage.own(new Child(stage.logs, 'postgres', join(bin, 'postgres'), args, { ...user, cwd: folder }));
  await child.ready('accepts connections', async () => {
    const ready = child.text().includes('database system is ready to accept connections');
    return ready && (await accepts(port));
  });
  return { url: `postgres://postgres@127.0.0.1:${port}/postgres`, child };
}

function postgresBin() {
  const packaged = '/usr/lib/postgresql';
  const versions = existsSync(packaged) ? readdirSync(packaged).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = versions.map((version) => join(packaged, version, 'bin'));
  folders.push(...(process.env.PATH ?? '').split(':'));
  const found = folders.find((folder) => existsSync(join(folder, 'initdb')));
  if (!found) throw new Error('PostgreSQL is not installed; scripts/setup.sh test installs it');
  return found;
}

function idOf(flag) {
  return Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
}

async function isReady(url) {
  const answer = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2_000) });
  return answer.ok;
}

