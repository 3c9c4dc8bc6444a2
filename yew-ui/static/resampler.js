// Turns sound of one sample rate into another by a bank of windowed-sinc filters (Crochiere and Rabiner, Multirate
// Digital Signal Processing, §2.4), one for each position of an output sample between two input samples. Delays by
// HALF_TAPS samples of the lower rate, a third of a millisecond.

// Zero crossings of the sinc on either side: the transition band is a twelfth of the lower rate wide.
const HALF_TAPS = 16;
// Share of the lower rate's band that is passed.
const PASSED = 0.92;

export class Resampler {
  // Rates in samples per second; `longest` is the most that is asked for at a time.
  constructor(from, to, longest) {
    const common = gcd(from, to);
    this.up = to / common;
    this.down = from / common;
    this.taps = 2 * Math.ceil(HALF_TAPS * Math.max(1, from / to));
    this.filters = filters(this.up, this.taps, Math.min(1, to / from) * PASSED);
    // Position of the next output sample after the first input sample in use, in parts of `up`.
    this.phase = 0;
    this.input = new Float32Array(this.taps + Math.ceil((longest * this.down) / this.up) + 1);
  }

  // Fills the output. `read` adds as many input samples as it is given room for to what is zero.
  fill(output, read) {
    const count = Math.floor((this.phase + output.length * this.down) / this.up);
    const fresh = this.input.subarray(this.taps, this.taps + count);
    fresh.fill(0);
    read(fresh);
    let first = 0;
    for (let index = 0; index < output.length; index += 1) {
      const filter = this.phase * this.taps;
      let sum = 0;
      for (let tap = 0; tap < this.taps; tap += 1) sum += this.filters[filter + tap] * this.input[first + tap];
      output[index] = sum;
      this.phase += this.down;
      while (this.phase >= this.up) {
        this.phase -= this.up;
        first += 1;
      }
    }
    this.input.copyWithin(0, count, count + this.taps);
  }
}

// One filter after the other: for each phase, what each of the input samples around it weighs.
function filters(phases, taps, cutoff) {
  const table = new Float32Array(phases * taps);
  for (let phase = 0; phase < phases; phase += 1) {
    let sum = 0;
    for (let tap = 0; tap < taps; tap += 1) {
      // In input samples, from the output sample.
      const distance = tap - taps / 2 + 1 - phase / phases;
      const window = 0.5 + 0.5 * Math.cos((2 * Math.PI * distance) / (taps + 1));
      const weight = cutoff * sinc(cutoff * distance) * window;
      table[phase * taps + tap] = weight;
      sum += weight;
    }
    // The same loudness at every phase.
    for (let tap = 0; tap < taps; tap += 1) table[phase * taps + tap] /= sum;
  }
  return table;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function gcd(a, b) {
  return b === 0 ? a : gcd(b, a % b);
}
