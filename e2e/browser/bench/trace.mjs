// Where the milliseconds of a picture go: notes in both pages, and in their workers, when it passes each interface of the
// browser. Nothing of the product knows of it, and what is not traced pays nothing.

import { clock } from './clock.mjs';

/** What a picture passes, in this order. */
export const STAGES = ['captured', 'encode', 'encoded', 'written', 'read', 'decode', 'decoded', 'drawn', 'seen'];

/** Runs in pages and workers before anything else: notes calls of the interfaces that pictures pass. */
function watchInterfaces({ now }) {
  const notes = [];
  self.traceNotes = notes;
  const note = (what, stamp, bytes = 0, width = 0) => notes.push({ what, stamp, at: now(), bytes, width });

  const wrapCodec = (name, given, gaveOut, width) => {
    const Codec = self[name];
    if (!Codec) return;
    self[name] = class extends Codec {
      constructor(init) {
        super({
          ...init,
          output: (out, metadata) => {
            note(gaveOut, out.timestamp, out.byteLength ?? 0, width(this, out));
            init.output(out, metadata);
          },
        });
      }

      configure(config) {
        this.tracedWidth = config.width;
        super.configure(config);
      }
    };
    const method = { VideoEncoder: 'encode', VideoDecoder: 'decode' }[name];
    const original = Codec.prototype[method];
    Codec.prototype[method] = function (input, ...rest) {
      note(given, input.timestamp, input.byteLength ?? 0, this.tracedWidth ?? 0);
      return original.call(this, input, ...rest);
    };
  };
  wrapCodec('VideoEncoder', 'encode', 'encoded', (encoder) => encoder.tracedWidth);
  wrapCodec('VideoDecoder', 'decode', 'decoded', (_, frame) => frame.displayWidth);

  const write = WritableStreamDefaultWriter.prototype.write;
  WritableStreamDefaultWriter.prototype.write = function (chunk) {
    // Pictures go to a `<video>`, all else to the network.
    if (chunk instanceof VideoFrame) note('drawn', chunk.timestamp, 0, chunk.displayWidth);
    else note('written', 0, chunk?.byteLength ?? 0);
    return write.call(this, chunk);
  };
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (data) {
    note('written', 0, data.byteLength ?? data.length);
    return send.call(this, data);
  };
  for (const Reader of [ReadableStreamDefaultReader, ReadableStreamBYOBReader]) {
    const read = Reader.prototype.read;
    Reader.prototype.read = function (...rest) {
      const reading = read.apply(this, rest);
      // Before whoever has asked: their reaction was not yet added.
      reading.then(
        ({ value }) => value?.byteLength && note('read', 0, value.byteLength),
        () => {},
      );
      return reading;
    };
  }
  const received = (event) => note('read', 0, event.data?.byteLength ?? 0);
  const Socket = self.WebSocket;
  self.WebSocket = class extends Socket {
    constructor(...rest) {
      super(...rest);
      this.addEventListener('message', received);
    }
  };
  for (const Context of ['CanvasRenderingContext2D', 'OffscreenCanvasRenderingContext2D']) {
    const drawImage = self[Context]?.prototype.drawImage;
    if (!drawImage) continue;
    self[Context].prototype.drawImage = function (image, ...rest) {
      const result = drawImage.call(this, image, ...rest);
      if (image instanceof VideoFrame) note('drawn', image.timestamp, 0, image.displayWidth);
      return result;
    };
  }
}

const SCRIPT = `(${watchInterfaces})({ now: ${clock} });`;

/** Traces this page and its workers from its next address on. A worker is long there before it makes its first codec. */
export async function trace(page) {
  await page.addInitScript(SCRIPT);
  // One that has ended meanwhile has nothing to trace.
  page.on('worker', (worker) => worker.evaluate(SCRIPT).catch(() => {}));
}

/** What was noted in a page and its workers. */
export async function traceOf(page) {
  const taken = () => self.traceNotes?.splice(0) ?? [];
  const notes = await Promise.all([page, ...page.workers()].map((where) => where.evaluate(taken).catch(() => [])));
  return notes.flat().sort((a, b) => a.at - b.at);
}

/**
 * Puts together what belongs to the same picture: by its capture's stamp in the sender's page, by the stamp that was sent
 * in the receiver's. The two differ by a constant.
 *
 * @param {{number: number, at: number, stamp: number}[]} captures
 * @param {{number: number, at: number}[]} shown
 * @param {object[]} sent notes of the sender's page
 * @param {object[]} received notes of the receiver's
 * @param {number} width of the layer that was shown
 */
export function journeys(captures, shown, sent, received, width) {
  const ofLayer = (notes, what) => notes.filter((note) => note.what === what && note.width === width);
  const encoded = ofLayer(sent, 'encoded');
  const offset = constantBetween(encoded, ofLayer(received, 'drawn'));
  if (offset === null) return [];
  const stamped = (notes, stamp) => notes.find((note) => Math.abs(note.stamp - stamp) < 5_000);
  const found = [];
  for (const out of encoded) {
    const remote = out.stamp + offset;
    const captured = stamped(captures, out.stamp);
    const decode = stamped(received.filter(({ what }) => what === 'decode'), remote);
    const picture = {
      captured,
      encode: stamped(ofLayer(sent, 'encode'), out.stamp),
      encoded: out,
      written: sent.find((note) => note.what === 'written' && note.at >= out.at && note.bytes >= out.bytes),
      read: decode && received.findLast((note) => note.what === 'read' && note.at <= decode.at),
      decode,
      decoded: stamped(ofLayer(received, 'decoded'), remote),
      drawn: stamped(ofLayer(received, 'drawn'), remote),
      seen: captured && shown.find((seen) => seen.number === captured.number && seen.at >= captured.at),
    };
    if (STAGES.every((stage) => picture[stage])) found.push(STAGES.map((stage) => picture[stage].at));
  }
  return found;
}

/** Microseconds from the capture's stamp to the one that was sent: what most pairs of successive pictures agree on. */
function constantBetween(encoded, drawn) {
  const votes = new Map();
  for (const picture of drawn) {
    const last = encoded.findLast((out) => out.at <= picture.at);
    if (!last) continue;
    const vote = Math.round((picture.stamp - last.stamp) / 5_000);
    votes.set(vote, [...(votes.get(vote) ?? []), picture.stamp - last.stamp]);
  }
  const [agreed] = [...votes.values()].sort((a, b) => b.length - a.length);
  return agreed?.[0] ?? null;
}
