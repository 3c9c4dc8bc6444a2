// What a client tells the operator of its call: how long joining took, then how each minute was, nothing about a person,
// and nothing at all if the person does not want it. Two carriers tell the two people apart in the metrics.

import { equal, ok } from 'node:assert/strict';

import { openPerson } from './lib/person.mjs';
import { videocallServer } from './lib/servers.mjs';
import { scenario } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

/** Milliseconds: a minute, and time for a busy machine to have looked. */
const A_MINUTE = 90_000;

/** Frames of sound in a minute are 3000, one each 20 ms; some may have been silence, which is sent more seldom. */
const SOUNDS = 1_000;

const MEETING = 'told-of';

/** What has been reported over one carrier: the sum of each metric's values, by its name. */
function reported(page, transport) {
  const found = new Map();
  for (const line of page.split('\n')) {
    const [, name, labels, value] = line.match(/^(videocall_client_\w+)\{(.*)\} (\S+)$/) ?? [];
    if (name?.endsWith('_bucket') || !labels?.includes(`transport="${transport}"`)) continue;
    found.set(name, (found.get(name) ?? 0) + Number(value));
  }
  return found;
}

async function metrics(server) {
  const answer = await fetch(`${server.url}/metrics`);
  return answer.text();
}

scenario('what clients report of their calls', async (stage, step) => {
  const server = await videocallServer(stage);
  const [bob, alice] = await Promise.all([
    openPerson(stage, { name: 'bob', colour: 'green', hertz: 700 }),
    openPerson(stage, { name: 'alice', colour: 'red', hertz: 440 }),
  ]);
  const people = [alice, bob];

  await step('bob wants nothing to be reported, and joins', async () => {
    await bob.page.goto(`${server.url}/meeting/bob/${MEETING}?transport=websocket`);
    await bob.press('toggle-settings');
    await bob.page.getByTestId('reports').uncheck();
    await bob.page.keyboard.press('Escape');
    await bob.press('join-button');
    await bob.connected('websocket');
  });

  await step('alice joins, and how long that took is told', async () => {
    await alice.join(server.url, MEETING);
    await alice.connected('webtransport');
    await Promise.all([alice.seesMoving({ name: 'bob' }, bob.colour), bob.seesMoving({ name: 'alice' }, alice.colour)]);
    await until('alice has reported', async () => {
      const told = reported(await metrics(server), 'webtransport');
      const [joins, pictures] = ['join', 'first_picture'].map((what) => told.get(`videocall_client_${what}_seconds_count`));
      return joins === 1 && pictures === 1;
    });
  });

  await step('a minute of her call is told', async () => {
    const told = await until(
      'alice has reported a minute',
      async () => {
        const found = reported(await metrics(server), 'webtransport');
        return found.get('videocall_client_round_trip_seconds_count') > 0 && found;
      },
      A_MINUTE,
    );
    const roundTrip = told.get('videocall_client_round_trip_seconds_sum');
    ok(roundTrip > 0 && roundTrip < 1, `${roundTrip} s`);
    equal(told.get('videocall_client_frozen_seconds_count'), 1);
    equal(told.get('videocall_client_concealed_seconds_count'), 1);
    ok(told.get('videocall_client_sounds_total') > SOUNDS, `${told.get('videocall_client_sounds_total')} frames of sound`);
  });

  await step('nothing in it is about a person', async () => {
    const page = await metrics(server);
    for (const person of people) {
      const { session } = await person.stats();
      ok(!page.includes(person.name) && !page.includes(session), `${person.name} is in the metrics`);
    }
    ok(!page.includes(MEETING), 'the meeting is in the metrics');
  });

  await step('of the call of bob, who has been in it for longer, nothing was told', async () => {
    const told = reported(await metrics(server), 'websocket');
    ok(told.size > 0, 'the metrics are there from the beginning');
    for (const [name, value] of told) equal(value, 0, name);
  });

  await step('of his next one something is, when he does not mind any more', async () => {
    await bob.press('toggle-settings');
    await bob.page.getByTestId('reports').check();
    await bob.page.keyboard.press('Escape');
    await bob.press('leave-button');
    await bob.press('rejoin-button');
    await bob.connected('websocket');
    await until('bob has reported', async () => {
      const told = reported(await metrics(server), 'websocket');
      return told.get('videocall_client_join_seconds_count') === 1;
    });
  });
});
