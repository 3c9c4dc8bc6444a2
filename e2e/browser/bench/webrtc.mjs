// A call over WebRTC between two pages of one browser, with its defaults, as a product would make it: what ours is
// compared with. Nothing is between the two but the loopback interface, or what is put between them.

/** For a browser in which two pages reach each other over 127.0.0.1, also one that has not asked for a camera. */
export const WEBRTC_FLAGS = ['--allow-loopback-in-peer-connection', '--disable-features=WebRtcHideLocalIpsWithMdns'];

/** Of every page: only those of one address are passed on. */
const CANDIDATE = /^candidate:\S+ 1 udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+) typ host/;
const LOOPBACK = { sender: '127.0.0.1', receiver: '127.0.0.1' };

/** Who wants to hear of a page's candidates, by connection. */
const listeners = new WeakMap();

async function hearCandidates(page, id, listener) {
  if (!listeners.has(page)) {
    const ofPage = new Map();
    listeners.set(page, ofPage);
    await page.exposeFunction('candidateFound', ({ id, candidate }) => ofPage.get(id)?.(candidate));
  }
  listeners.get(page).set(id, listener);
}

/** Runs in both pages. */
function openPeer(id) {
  window.peers ??= new Map();
  const peer = new RTCPeerConnection();
  window.peers.set(id, peer);
  peer.onicecandidate = ({ candidate }) => {
    if (candidate?.candidate) window.candidateFound({ id, candidate: candidate.toJSON() });
  };
}

/** Runs in the sender's page: sends camera and microphone, which are opened once for all connections. */
async function offer({ id, constraints }) {
  window.media ??= navigator.mediaDevices.getUserMedia(constraints);
  const stream = await window.media;
  const peer = window.peers.get(id);
  for (const track of stream.getTracks()) peer.addTrack(track, stream);
  await peer.setLocalDescription();
  return peer.localDescription.sdp;
}

/** Runs in the receiver's page: shows what comes in a `<video>` with this id. */
async function answer({ id, sdp, video }) {
  const peer = window.peers.get(id);
  peer.ontrack = ({ streams: [stream] }) => {
    let element = document.getElementById(video);
    if (!element) {
      element = document.createElement('video');
      element.id = video;
      element.autoplay = true;
      element.playsInline = true;
      document.body.append(element);
    }
    if (element.srcObject !== stream) element.srcObject = stream;
  };
  await peer.setRemoteDescription({ type: 'offer', sdp });
  await peer.setLocalDescription();
  return peer.localDescription.sdp;
}

/**
 * Connects two pages: what the sender's devices give is shown in the receiver's page as `video#NAME`.
 * Pages of different sites and browsers will do; each needs a secure context.
 *
 * @param {import('playwright-core').Page} sender
 * @param {import('playwright-core').Page} receiver
 * @param {{name?: string, constraints?: object, hosts?: {sender: string, receiver: string}}} options
 *   `constraints` for getUserMedia; `hosts` are the addresses by which the pages reach each other.
 */
export async function connectPair(sender, receiver, options = {}) {
  const { name = 'remote', constraints = { audio: true, video: true }, hosts = LOOPBACK } = options;
  const sides = { sender, receiver };
  // Candidates wait until both have described themselves.
  const waiting = [];
  let described = false;
  const pass = async ({ from, candidate }) => {
    const [, host] = candidate.candidate.match(CANDIDATE) ?? [];
    if (host !== hosts[from]) return;
    const to = from === 'sender' ? receiver : sender;
    await to.evaluate(({ id, candidate }) => window.peers.get(id)?.addIceCandidate(candidate), {
      id: name,
      candidate,
    });
  };
  for (const [from, page] of Object.entries(sides)) {
    await hearCandidates(page, name, (candidate) => {
      const found = { from, candidate };
      if (described) return pass(found);
      waiting.push(found);
    });
    await page.evaluate(openPeer, name);
  }
  // What a side says of its candidates in its description is left out: they go the way of the others.
  const bare = (sdp) => sdp.replace(/^a=candidate:.*\r\n/gm, '');
  const offered = await sender.evaluate(offer, { id: name, constraints });
  const answered = await receiver.evaluate(answer, { id: name, sdp: bare(offered), video: name });
  await sender.evaluate(
    ({ id, sdp }) => window.peers.get(id).setRemoteDescription({ type: 'answer', sdp }),
    { id: name, sdp: bare(answered) },
  );
  described = true;
  await Promise.all(waiting.splice(0).map(pass));
  await receiver.waitForFunction(
    (id) => ['connected', 'completed'].includes(window.peers.get(id).iceConnectionState),
    name,
  );
}

/** What `getStats` says of one side, by type. */
export function pairStats(page, name = 'remote') {
  return page.evaluate(async (id) => {
    const report = await window.peers.get(id).getStats();
    return [...report.values()];
  }, name);
}

/** Ends a connection in this page, and what was opened for it. */
export async function closePair(page, name = 'remote') {
  await page.evaluate(async (id) => {
    window.peers.get(id)?.close();
    window.peers.delete(id);
    document.getElementById(id)?.remove();
    if (window.peers.size > 0) return;
    for (const track of (await window.media)?.getTracks() ?? []) track.stop();
    window.media = undefined;
  }, name);
}
