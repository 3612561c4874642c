// One microphone at most is open: the one that was wished for last, for as long as it is needed. Pure.
//
//   use, need ─▶ Device ─▶ next: open this, stop that
//                  ▲            │
//                  └── opened, failed, ended
//
// Browsers take their time to open one, and may take for ever to ask for permission: whatever comes of an
// older wish is stopped as soon as it comes.

/**
 * @typedef {object} Source where a microphone comes from
 * @property {() => Promise<MediaStreamTrack>} [open] opens one, which is then ours to stop
 * @property {MediaStreamTrack} [track] one that somebody else opened, and stops
 */
/** @typedef {{ do: 'open', open: () => Promise<MediaStreamTrack>, wish: number } | { do: 'stop', track: MediaStreamTrack }} Step */

export class Device {
  /** @type {Source | undefined} */
  #source
  /** Of the source: each is another wish. */
  #wish = 0
  #needed = false
  /** One that we opened. @type {MediaStreamTrack | undefined} */
  #track
  /** The wishes for which it is being opened, or could not be. */
  #opening = 0
  #failed = 0
  /** @type {MediaStreamTrack[]} */
  #stops = []

  /** From now on it comes from here. `ready` is one that this source has opened already. @param {Source | undefined} source @param {MediaStreamTrack} [ready] */
  use(source, ready) {
    this.#release()
    this.#source = source
    this.#wish++
    if (ready && this.#needed) this.#track = ready
    else if (ready) this.#stops.push(ready)
  }

  /** @param {boolean} needed */
  need(needed) {
    if (needed === this.#needed) return
    this.#needed = needed
    this.retry()
    if (!needed) this.#release()
  }

  /** What could not be opened is tried once more. */
  retry() {
    this.#failed = 0
  }

  /** The one that is open. */
  get track() {
    return this.#needed ? this.#track ?? this.#source?.track : undefined
  }

  /** Gives away the one that is open. */
  take() {
    const track = this.track
    this.#track = undefined
    this.#source = undefined
    return track
  }

  /** @returns {'none' | 'opening' | 'open' | 'failed'} */
  get state() {
    if (this.track) return 'open'
    if (!this.#needed || !this.#source?.open) return 'none'
    return this.#failed === this.#wish ? 'failed' : 'opening'
  }

  /** What is to be done; each is told once. @returns {Step[]} */
  next() {
    /** @type {Step[]} */
    const steps = this.#stops.splice(0).map(track => ({ do: 'stop', track }))
    const open = this.#source?.open
    if (this.state === 'opening' && open && this.#opening !== this.#wish) {
      this.#opening = this.#wish
      steps.push({ do: 'open', open, wish: this.#wish })
    }
    return steps
  }

  /** @param {number} wish @param {MediaStreamTrack} track @returns {boolean} whether it is the one that is wished for */
  opened(wish, track) {
    if (wish === this.#opening) this.#opening = 0
    const wished = wish === this.#wish && this.#needed
    if (wished) this.#track = track
    else this.#stops.push(track)
    return wished
  }

  /** @param {number} wish @returns {boolean} whether anybody waits for it */
  failed(wish) {
    if (wish === this.#opening) this.#opening = 0
    if (wish !== this.#wish || !this.#needed) return false
    this.#failed = wish
    return true
  }

  /** It was unplugged, or taken away. @param {MediaStreamTrack} track @returns {boolean} whether it was in use */
  ended(track) {
    const used = track === this.track
    if (track === this.#track) this.#track = undefined
    else if (used) this.#source = undefined
    return used
  }

  #release() {
    if (this.#track) this.#stops.push(this.#track)
    this.#track = undefined
  }
}
