// Takes the samples of a microphone, where the browser has no MediaStreamTrackProcessor for sound. It runs on the audio
// thread (W3C Web Audio §1.32), gathers pieces of 10 ms and posts them to the engine without passing the page's thread.
//
// From the page:   a MessagePort, once: where the samples go; null when the track has ended.
// To the engine:   { samples: Float32Array, rate, stamp }: samples per second, and microseconds of the audio graph's
//                  clock when the first of them was captured; null when the track has ended.
// From the engine: how many pieces it has taken so far.

// A quarter of a second. An engine that is further behind misses the newest, rather than the browser's memory growing.
const MAX_AHEAD = 25;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.length = Math.round(sampleRate / 100);
    this.piece = new Float32Array(this.length);
    this.fill = 0;
    this.sent = 0;
    this.taken = 0;
    this.port.onmessage = ({ data }) => {
      if (data === null) {
        this.engine?.postMessage(null);
        return;
      }
      this.engine = data;
      this.engine.onmessage = ({ data: taken }) => (this.taken = taken);
    };
  }

  process([input]) {
    const channel = input[0];
    // A track that ends or rests delivers nothing; what comes after is stamped as late as it is.
    if (!channel || !this.engine) {
      this.fill = 0;
      return true;
    }
    for (let read = 0; read < channel.length; ) {
      if (this.fill === 0) this.first = currentFrame + read;
      const count = Math.min(channel.length - read, this.length - this.fill);
      this.piece.set(channel.subarray(read, read + count), this.fill);
      this.fill += count;
      read += count;
      if (this.fill === this.length) this.post();
    }
    return true;
  }

  post() {
    this.fill = 0;
    if (this.sent - this.taken >= MAX_AHEAD) return;
    this.sent += 1;
    const samples = this.piece;
    this.piece = new Float32Array(this.length);
    const message = { samples, rate: sampleRate, stamp: Math.round((this.first * 1e6) / sampleRate) };
    this.engine.postMessage(message, [samples.buffer]);
  }
}

registerProcessor("videocall-capture", Capture);
