// Who speaks at this moment. Packets tell it, 120 ms apart at most; a voice is held a little longer, so that a
// ring does not flicker between two words.

const HOLD_MS = 250
/** Below about -50 dB it is the room one hears, not a voice. */
const VOICE = 0.003

export class Speaking {
  /** @type {Map<string, { level: number, at: number }>} */
  #heard = new Map()

  /** @param {string} identity @param {number} level linear, 0 to 1 */
  hear(identity, level) {
    if (level > VOICE) this.#heard.set(identity, { level: loudness(level), at: performance.now() })
  }

  /** Forgets who fell silent; says whether there was anything to show. */
  refresh() {
    const any = this.#heard.size > 0
    const now = performance.now()
    for (const [identity, { at }] of this.#heard) {
      if (now - at > HOLD_MS) this.#heard.delete(identity)
    }
    return any
  }

  /** Each with a level from 0 to 1. */
  get levels() {
    return new Map([...this.#heard].map(([identity, { level }]) => [identity, level]))
  }
}

/** -60 dB to 0 dB as 0 to 1: closer to how loud it sounds. @param {number} level linear */
function loudness(level) {
  return Math.min(1, Math.max(0, 1 + Math.log10(level) / 3))
}
