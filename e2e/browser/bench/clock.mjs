// The clock that all pages and workers of one machine share.

/** Runs in pages and workers: milliseconds since the Unix epoch, with fractions, and without jumps. */
export function clock() {
  return performance.timeOrigin + performance.now();
}
