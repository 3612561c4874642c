// How long to wait before the next try. Random, so that thousands who were cut at the same moment do not
// come back at the same moment.

/** How late one may be for an appointment. */
const PUNCTUAL_MS = 50

export class Backoff {
  #tries = 0

  /** @param {{ first: number, most: number, random?: () => number }} limits in milliseconds */
  constructor({ first, most, random = Math.random }) {
    this.first = first
    this.most = most
    this.random = random
  }

  /** Milliseconds until the next try; at least what the server asked for. */
  next(atLeast = 0) {
    const most = Math.min(this.most, this.first * 2 ** this.#tries++)
    return Math.max(atLeast, 0) + most * (0.25 + 0.75 * this.random())
  }

  /** Milliseconds until an appointment. The server spreads them itself; who comes early only gets another. */
  appointment(/** @type {number} */ after) {
    return Math.max(after, 0) + PUNCTUAL_MS * this.random()
  }

  /** It worked. */
  reset() {
    this.#tries = 0
  }
}
