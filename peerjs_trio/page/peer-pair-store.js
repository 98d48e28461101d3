// The devices that this page is paired with, in localStorage: all tabs of its origin share them.

/**
 * A device that this page is paired with.
 * @typedef {object} Pair
 * @property {string} id The same on both sides, and no secret.
 * @property {string} name
 * @property {string} tag Four letters that tell devices of one name apart.
 * @property {string} key 32 bytes in hexadecimal, as is the next.
 * @property {string} idSecret What the device's ids are made of.
 * @property {number} generation Of the key.
 * @property {number} created Milliseconds, as Date.now() has them.
 * @property {number} seen
 *
 * @typedef {ReturnType<typeof pairingStore>} PairingStore
 */

const VERSION = 1;

/**
 * Read anew at each call: another tab may have written. What is damaged is told and left as it is.
 * @param {Pick<Storage, "getItem" | "setItem">} [storage] @param {string} [key]
 */
export function pairingStore(storage = localStorage, key = "peerjs-pairings") {
  /** @returns {Pair[]} */
  function pairs() {
    const text = storage.getItem(key);
    if (text === null) return [];
    let state;
    try {
      state = JSON.parse(text);
    } catch {
      // Its text may quote a secret.
    }
    if (state?.version !== VERSION || !Array.isArray(state.pairs)) {
      throw new Error(`${key} in localStorage is damaged, or of another version; it is left as it is`);
    }
    return state.pairs;
  }

  /** @param {(pairs: Pair[]) => Pair[]} change */
  async function update(change) {
    const write = () => {
      storage.setItem(key, JSON.stringify({ version: VERSION, pairs: change(pairs()) }));
    };
    // Missing in pages of http://192.168.…: between a read and a write in one go nobody gets a turn.
    await (globalThis.navigator?.locks?.request(key, write) ?? write());
  }

  return {
    pairs,

    /** The device of this id, or name. @param {string} id */
    find: (id) => pairs().find((pair) => pair.id === id || pair.name === id),

    /** A device that was known already takes its own place. @param {Pair} pair */
    add: (pair) => update((all) => [...all.filter((p) => p.idSecret !== pair.idSecret), pair]),

    /** @param {string} id */
    forget: (id) => update((all) => all.filter((pair) => pair.id !== id)),

    /**
     * The pair has been welcomed, and this is its next key, where there is one.
     * @param {string} id @param {{ key: string, generation: number } | null} next
     */
    welcomed: (id, next) =>
      update((all) =>
        all.map((pair) => {
          if (pair.id !== id) return pair;
          // Another tab may be further on than this one.
          const newer = next && next.generation > pair.generation ? next : {};
          return { ...pair, ...newer, seen: Date.now() };
        }),
      ),
  };
}
