// Waiting for conditions: a test never waits for a duration, and never longer than it says.

/** Milliseconds between two looks: short against every limit that a test checks. */
const INTERVAL = 40;

/**
 * Looks until `probe` gives something truthy, and returns it. What it throws counts as "not yet".
 *
 * @param {string} what the condition in words, for the message of a failure
 * @param {() => unknown} probe may be asynchronous
 * @param {number} timeout milliseconds
 */
export async function until(what, probe, timeout = 15_000) {
  const deadline = Date.now() + timeout;
  let last;
  for (;;) {
    try {
      last = await probe();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) {
      throw new Error(`not within ${timeout} ms: ${what}; last seen: ${describe(last)}`);
    }
    await pause();
  }
}

/** Looks like `until`, and returns how many milliseconds it took. */
export async function timed(what, probe, timeout) {
  const started = performance.now();
  await until(what, probe, timeout);
  return performance.now() - started;
}

function pause() {
  return new Promise((resolve) => setTimeout(resolve, INTERVAL));
}

function describe(value) {
  if (value instanceof Error) return value.message;
  return JSON.stringify(value) ?? String(value);
}
