// A way to a server that a test changes in the middle of a call: the program `detour`.

import { Dialogue } from './dialogue.mjs';

export class Detour {
  #dialogue;

  /**
   * @param {import('./stage.mjs').Stage} stage
   * @param {'udp' | 'tcp'} kind
   * @param {number} port of the server
   */
  static async open(stage, kind, port) {
    const detour = new Detour();
    detour.#dialogue = new Dialogue(stage, 'detour', [kind, `127.0.0.1:${port}`]);
    ({ address: detour.address } = await detour.#dialogue.answer());
    return detour;
  }

  /** Conditions of a way of UDP. See e2e/src/proxy/conditions.rs. */
  begin(conditions) {
    return this.#dialogue.ask({ begin: conditions });
  }

  /** Of UDP, gives every client another address and returns how many there are; of TCP, cuts every connection. */
  async change() {
    const { changed } = await this.#dialogue.ask('change');
    return changed;
  }
}
