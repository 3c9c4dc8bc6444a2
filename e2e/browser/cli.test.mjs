// The command-line client: what it streams is seen and heard in a browser, and what it refuses it explains.

import { match, notEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';

import { openPerson } from './lib/person.mjs';
import { freePort } from './lib/ports.mjs';
import { Child, run } from './lib/process.mjs';
import { program, videocallServer } from './lib/servers.mjs';
import { scenario } from './lib/stage.mjs';

function streaming(stage, url, name, extra) {
  const args = ['stream', '--url', url, '--user-id', name, '--meeting-id', 'robots', '--source', 'test'];
  args.push('--resolution', '320x180', '--fps', '15', '--bitrate-kbps', '200', ...extra);
  return stage.own(new Child(stage.logs, name, program('videocall-cli'), args));
}

scenario('a test source is seen and heard, over both carriers', async (stage, step) => {
  const server = await videocallServer(stage);
  const alice = await openPerson(stage, { name: 'alice', colour: 'red', hertz: 440 });
  await alice.join(server.url, 'robots');
  await alice.connected('webtransport');
  const robots = [
    { name: 'robot-wt', transport: 'webtransport', hertz: 600 },
    { name: 'robot-ws', transport: 'websocket', hertz: 900 },
  ];

  for (const { name, transport, hertz } of robots) {
    await step(`over ${transport}`, async () => {
      const robot = streaming(stage, server.url, name, ['--transport', transport, '--tone-hz', `${hertz}`]);
      await alice.seesMoving({ name });
      await alice.hears({ name }, hertz);
      await robot.stop('SIGINT');
      equal(robot.ended.code, 0, 'stopped by hand is no failure');
      await alice.tileIs({ name }, 'gone', 2_000);
    });
  }
});

const REFUSALS = [
  { what: 'no pictures per second', args: ['--source', 'test', '--fps', '0'], says: /fps|pictures per second/ },
  { what: 'an unknown pixel format', args: ['--frame-format', 'XYZ9'], says: /XYZ9/ },
  { what: 'a camera that is not there', args: ['--video-device-index', '97', '--no-audio'], says: /camera|97/i },
  { what: 'a meeting id with a dot', args: ['--source', 'test', '--meeting-id', 'a.b'], says: /meeting/ },
];

function refused(answer) {
  notEqual(answer.code, 0, answer.stderr);
  equal(answer.signal, null, 'it has to end by itself');
  const lines = answer.stderr.trim().split('\n');
  equal(lines.length, 1, `one line was expected:\n${answer.stderr}`);
}

test('wrong settings are refused with one line', { timeout: 60_000 }, async (t) => {
  for (const { what, args, says } of REFUSALS) {
    await t.test(what, async () => {
      const meeting = args.includes('--meeting-id') ? [] : ['--meeting-id', 'demo'];
      const answer = await run(program('videocall-cli'), ['stream', '--user-id', 'robot', ...meeting, ...args]);
      refused(answer);
      match(answer.stderr, says);
    });
  }

  await t.test('a server that cannot be reached', async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    const args = ['stream', '--url', url, '--user-id', 'robot', '--meeting-id', 'demo', '--source', 'test'];
    const answer = await run(program('videocall-cli'), args, { timeout: 40_000 });
    refused(answer);
    match(answer.stderr, /server|reach|connect/i);
  });
});

scenario('a token of somebody else is refused', async (stage, step) => {
  const server = await videocallServer(stage);
  await step('with one line', async () => {
    const args = ['stream', '--url', server.url, '--user-id', 'robot', '--meeting-id', 'demo', '--source', 'test'];
    const env = { VIDEOCALL_TOKEN: 'not.a.token' };
    const answer = await run(program('videocall-cli'), args, { env, timeout: 40_000 });
    refused(answer);
    match(answer.stderr, /token|invitation/i);
  });
});

scenario('a token from elsewhere is used, also after the server was started again', async (stage, step) => {
  const server = await videocallServer(stage);
  const alice = await openPerson(stage, { name: 'alice', colour: 'red', hertz: 440 });
  await alice.join(server.url, 'robots');
  const name = 'invited';
  const invite = await fetch(`${server.url}/api/v1/meetings/robots/join`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ user_id: name }),
  });
  const { token } = await invite.json();

  await step('the token says who it is', async () => {
    const args = ['stream', '--url', server.url, '--user-id', 'ignored', '--meeting-id', 'robots', '--source', 'test'];
    const env = { VIDEOCALL_TOKEN: token };
    stage.own(new Child(stage.logs, name, program('videocall-cli'), [...args, '--no-audio'], { env }));
    await alice.seesMoving({ name });
  });

  await step('the server is killed and started again', async () => {
    await server.kill();
    await server.up();
    await alice.connected();
    await alice.seesMoving({ name });
  });
});
