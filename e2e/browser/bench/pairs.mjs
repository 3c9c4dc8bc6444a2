// Two pages of one browser in a call, one of which sends and the other shows: ours over either carrier, and WebRTC. All
// that differs between contestants is here; who measures treats them alike.

import { noteCaptures, noteShown } from './barcode.mjs';
import { noteHeard, noteSaid } from './clicks.mjs';
import { connectPair } from './webrtc.mjs';

export const CONTESTANTS = ['webtransport', 'websocket', 'webrtc'];

/** What a product asks a camera and a microphone for: as much as they give. */
const CONSTRAINTS = { audio: true, video: { width: { ideal: 1280 }, height: { ideal: 720 } } };

/** Milliseconds until sound and pictures have settled, at most: WebRTC begins with small pictures and a guess of the bandwidth. */
const SETTLE_TIMEOUT = 30_000;

let meetings = 0;

/** Runs in the receiver's page before anything else: somebody who only watches. */
function hideDevices() {
  navigator.mediaDevices.getUserMedia = async () => {
    throw new DOMException('no devices', 'NotFoundError');
  };
}

/** Runs in the receiver's page: fills the page with the picture, and plays the sound where it can be heard. */
function presentWebrtc(id) {
  const video = document.getElementById(id);
  document.body.style = 'margin: 0; background: black';
  video.style = 'width: 100%; height: 100vh; object-fit: contain';
  const context = new AudioContext({ latencyHint: 'interactive' });
  context.createMediaStreamSource(video.srcObject).connect(context.destination);
  // Else the tones would be heard twice; it still has to play for the track to be decoded.
  video.muted = true;
}

/** Runs in the sender's page: our own page shows its camera as well. */
async function presentSelf() {
  const video = document.createElement('video');
  video.muted = true;
  video.autoplay = true;
  video.srcObject = await window.media;
  video.style = 'width: 160px; position: fixed; bottom: 0; right: 0';
  document.body.replaceChildren(video);
}

export class Pair {
  /**
   * @param {import('playwright-core').Browser | {sender: import('playwright-core').Browser, receiver:
   *   import('playwright-core').Browser}} browsers one for both pages, or one for each
   * @param {{url: string}} server
   * @param {string} contestant
   * @param {{viewport: object, prepare?: (page: import('playwright-core').Page) => Promise<void>, hosts?: object}} options
   *   `prepare` is called with each page while it is still empty; `hosts` as for `connectPair`
   */
  static async open(browsers, server, contestant, { viewport, prepare = async () => {}, hosts }) {
    const pair = new Pair();
    // What measures comes from blobs, which our page's policy rightly forbids.
    const contextOf = (side) => (browsers[side] ?? browsers).newContext({ viewport, bypassCSP: true });
    pair.contexts = await Promise.all(['sender', 'receiver'].map(contextOf));
    [pair.sender, pair.receiver] = await Promise.all(pair.contexts.map((context) => context.newPage()));
    try {
      for (const page of [pair.sender, pair.receiver]) await prepare(page);
      await noteCaptures(pair.sender);
      await noteSaid(pair.sender);
      await noteHeard(pair.receiver);
      if (contestant === 'webrtc') await pair.#openWebrtc(server, hosts);
      else await pair.#openOurs(server, contestant);
      await noteShown(pair.receiver, pair.picture);
    } catch (error) {
      await pair.close();
      throw error;
    }
    return pair;
  }

  async #openWebrtc(server, hosts) {
    // Any page of a secure origin will do.
    await Promise.all([this.sender, this.receiver].map((page) => page.goto(`${server.url}/readyz`)));
    await connectPair(this.sender, this.receiver, { name: 'remote', constraints: CONSTRAINTS, hosts });
    await this.receiver.evaluate(presentWebrtc, 'remote');
    await this.sender.evaluate(presentSelf);
    this.picture = '#remote';
  }

  async #openOurs(server, transport) {
    meetings += 1;
    const address = (name) => `${server.url}/meeting/${name}/latency-${meetings}?join=now&transport=${transport}`;
    await this.receiver.addInitScript(hideDevices);
    await Promise.all([this.sender.goto(address('sender')), this.receiver.goto(address('receiver'))]);
    const tile = '[data-testid="tile"][data-name="sender"][data-track="camera"]';
    await this.receiver.waitForSelector(`${tile}[data-state="live"]`);
    await this.receiver.waitForSelector(`[data-testid="connection"][data-transport="${transport}"]`);
    this.picture = `${tile} :is(canvas, video)`;
  }

  /** Waits until the picture is as wide as it was captured, and tones are heard. */
  async settled(width) {
    const options = { timeout: SETTLE_TIMEOUT };
    await this.receiver.waitForFunction((width) => window.shown.at(-1)?.width >= width, width, options);
    await this.receiver.waitForFunction(() => window.heard.length > 0, undefined, options);
  }

  async close() {
    await Promise.all(this.contexts.map((context) => context.close()));
  }
}
