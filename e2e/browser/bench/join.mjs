// Measures the way into a meeting: from the click on Join until everybody else can be seen, alone with one and in a call
// of five, and what it takes to get the page in the first place. Prints a table and writes bench-results/join.json.

import { percentile, print, row, writeRows } from './report.mjs';
import { openBrowser } from '../lib/browsers.mjs';
import { FOUR, leave, openFour, openFourPages, timedJoin } from '../lib/joining.mjs';
import { openPerson } from '../lib/person.mjs';
import { videocallServer } from '../lib/servers.mjs';
import { Stage } from '../lib/stage.mjs';

const RUNS = 10;
/** Milliseconds from the click to the pictures of all others that are aimed at. */
const JOIN_AIM = { name: 'aim', value: 500 };
/** Kilobytes of the page that are aimed at. */
const SIZE_AIM = { name: 'aim', value: 700 };

/** Runs in the page before anything else: notes when the form can be used. */
function noteWhenUsable() {
  const look = () => {
    if (document.querySelector('[data-testid="join-button"]')) window.usableAfter = performance.now();
    else requestAnimationFrame(look);
  };
  look();
}

/** Milliseconds that alice took, again and again, until she saw everybody. */
async function joinTimes(server, carrier, alice, meeting, names) {
  const times = [];
  for (let run = 0; run < RUNS; run += 1) {
    times.push(await timedJoin(alice, server.url, meeting, carrier, names));
    await leave(alice);
  }
  return times;
}

/** With one other person, in a browser. */
async function joinOne(stage, server, carrier) {
  const meeting = `bench-${carrier}`;
  const [bob, alice] = await Promise.all([
    openPerson(stage, { name: 'bob', colour: 'green', hertz: 700 }),
    openPerson(stage, { name: 'alice', colour: 'red', hertz: 440 }),
  ]);
  await bob.join(server.url, meeting, { transport: carrier });
  await bob.connected(carrier);
  const times = await joinTimes(server, carrier, alice, meeting, ['bob']);
  await Promise.all([bob.browser.close(), alice.browser.close()]);
  return times;
}

/** With four others who are no browsers. */
async function joinFour(stage, server, carrier) {
  const meeting = `bench-five-${carrier}`;
  const robots = openFour(stage, server.url, meeting, carrier);
  const times = await joinThem(stage, server, carrier, meeting);
  await Promise.all(robots.map((robot) => robot.stop('SIGINT')));
  return times;
}

/** With four others in pages of their own. */
async function joinFourPages(stage, server, carrier) {
  const meeting = `bench-pages-${carrier}`;
  const browser = await openFourPages(stage, server.url, meeting, carrier);
  const times = await joinThem(stage, server, carrier, meeting);
  await browser.close();
  return times;
}

async function joinThem(stage, server, carrier, meeting) {
  const alice = await openPerson(stage, { name: 'alice', colour: 'red', hertz: 440 });
  // Once before the measurement, until everybody has come.
  await alice.join(server.url, meeting, { transport: carrier });
  await alice.sees(FOUR.length, 60_000);
  await leave(alice);
  const times = await joinTimes(server, carrier, alice, meeting, FOUR);
  await alice.browser.close();
  return times;
}

/** Who is there before somebody joins. */
const MEETINGS = { join: joinOne, 'join-five': joinFour, 'join-five-pages': joinFourPages };

/** Bytes over the network and milliseconds until the home page can be used, each with an empty cache. */
async function firstLoads(stage, server) {
  const browser = await openBrowser(stage);
  const loads = [];
  for (let run = 0; run < RUNS; run += 1) {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.addInitScript(noteWhenUsable);
    const network = await context.newCDPSession(page);
    await network.send('Network.enable');
    let bytes = 0;
    network.on('Network.loadingFinished', (event) => (bytes += event.encodedDataLength));
    await page.goto(server.url, { waitUntil: 'networkidle' });
    const usable = await page.waitForFunction(() => window.usableAfter);
    loads.push({ bytes, usable: await usable.jsonValue() });
    await context.close();
  }
  await browser.close();
  return loads;
}

const stage = new Stage();
try {
  const server = await videocallServer(stage);
  const rows = [];
  for (const carrier of ['webtransport', 'websocket']) {
    for (const [scenario, measure] of Object.entries(MEETINGS)) {
      const times = await measure(stage, server, carrier);
      rows.push(row(scenario, carrier, 'click_to_picture_p50_ms', percentile(times, 0.5), 'ms', JOIN_AIM));
      rows.push(row(scenario, carrier, 'click_to_picture_p95_ms', percentile(times, 0.95), 'ms'));
    }
  }
  const loads = await firstLoads(stage, server);
  const bytes = percentile(loads.map((load) => load.bytes), 0.5);
  rows.push(row('first-load', 'http', 'transferred_kb', bytes / 1000, 'kB', SIZE_AIM));
  const usable = loads.map((load) => load.usable);
  rows.push(row('first-load', 'http', 'usable_p50_ms', percentile(usable, 0.5), 'ms'));
  rows.push(row('first-load', 'http', 'usable_p95_ms', percentile(usable, 0.95), 'ms'));
  print(rows);
  writeRows('join', rows);
} catch (error) {
  await stage.explain();
  throw error;
} finally {
  await stage.end();
  stage.forget();
}
