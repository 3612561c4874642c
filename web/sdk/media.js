// Keeps one media session sounding: the one that is wanted, on a node that works.
//
// Always make before break: the next session must play before the last one goes. At a promotion one may
// speak only when nothing that trails (an edge is 60 to 100 ms behind) is played any more; at a demotion
// playback waits until one's own tail has passed. Nobody hears themselves.

import { Backoff } from './backoff.js'
import { DaisError, own } from './errors.js'
import { Session, sleep } from './session.js'

/** @import { Mixer } from './mixer.js' */
/** @import { MediaAnswer, Offer, Purpose } from './protocol' */
/**
 * @typedef {object} MediaOptions
 * @property {Mixer} mixer
 * @property {20 | 60} [framing]
 * @property {(purpose: Purpose, offer: Offer) => Promise<MediaAnswer>} ask
 * @property {() => void} onChange `ok`, `problem` or `reach` changed
 * @property {(levels: Map<number, number>) => void} onLevels several times a second
 */

const TICK_MS = 100
/** Even a silent room sends something every 400 ms. */
const SILENCE_MS = 1000
/** From when statistics are asked, which cost more than what is looked at before. */
const SUSPECT_MS = 500
/** The edge's delay, framing and the jitter buffer together stay well below. */
const TAIL_MS = 500
const FADED_MS = 60

export class Media {
  #options
  /** @type {Session | undefined} */
  #current
  /** @type {Session | undefined} */
  #next
  /** @type {Purpose | undefined} */
  #wanted
  /** The current session must be replaced though its purpose is right. */
  #stale = false
  /** It fell silent; it may yet come back by itself. */
  #silent = false
  #busy = false
  #closed = false
  #wake = () => {}
  #backoff = new Backoff({ first: 400, most: 15_000 })
  /** Until then the server wants nobody to ask: it lets newcomers in one after another. Unix time in ms. */
  #appointment = 0
  /** When one stopped speaking. */
  #silentSince = 0
  #timer
  #lastTick = performance.now()
  /** @type {{ packets: number, asking: boolean }} */
  #counted = { packets: 0, asking: false }
  /** What is wrong, since when, and when it is tried again. @type {{ error: DaisError, since: number, retryAt?: number } | undefined} */
  problem
  voices = 3
  /** @type {RTCIceServer[]} */
  iceServers = []

  /** @param {MediaOptions} options */
  constructor(options) {
    this.#options = options
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
  }

  /** Voices are playing. */
  get ok() {
    return this.#current !== undefined && this.problem === undefined
  }

  get session() {
    return this.#current
  }

  /** Where one would speak, whether one may already, and whether it works. */
  get reach() {
    const session = this.#current?.purpose === 'speak' ? this.#current : undefined
    return { session, may: this.#wanted === 'speak', flows: this.ok }
  }

  /** @param {Purpose} purpose */
  want(purpose) {
    if (this.#wanted === purpose) return
    this.#wanted = purpose
    // It was with a node that nothing is wanted of any more.
    this.#appointment = 0
    if (purpose === 'listen' && this.#current?.purpose === 'speak') this.#silentSince = performance.now()
    this.#options.onChange()
    this.retry()
  }

  /** Another session of the same purpose, because of `error`. */
  renew(/** @type {DaisError} */ error) {
    this.#stale = true
    if (!this.#waits) this.#complain(error)
    this.retry()
  }

  /** Now rather than later: something changed for the better. */
  retry() {
    if (!this.#waits) this.#wake()
    this.#work()
  }

  close() {
    this.#closed = true
    clearInterval(this.#timer)
    this.#wake()
    this.#current?.close()
    this.#next?.close()
    this.#current = this.#next = undefined
  }

  get #waits() {
    return Date.now() < this.#appointment
  }

  get #needed() {
    return !this.#closed && this.#wanted !== undefined && (this.#stale || this.#current?.purpose !== this.#wanted)
  }

  async #work() {
    if (this.#busy) return
    this.#busy = true
    while (this.#needed) {
      try {
        await this.#replace()
        this.#backoff.reset()
      } catch (error) {
        if (!this.#closed) await this.#failed(/** @type {DaisError} */ (error))
      }
    }
    this.#busy = false
  }

  async #replace() {
    const purpose = this.#wanted ?? 'listen'
    const { mixer, framing, ask } = this.#options
    const { iceServers, voices } = this
    this.#stale = false
    try {
      this.#next = await Session.open({
        purpose, mixer, iceServers, voices,
        ...(purpose === 'listen' && framing && { framing }),
        ask: offer => ask(purpose, offer),
      })
      if (this.#closed) return this.#next.close()
      await this.#next.flowing()
      if (purpose === 'listen') await this.#ownTailPassed()
      if (purpose === this.#wanted && !this.#closed) return await this.#switchTo(this.#next)
      this.#next.close()
    } catch (error) {
      this.#next?.close()
      this.#stale = true
      throw error
    } finally {
      this.#next = undefined
    }
  }

  /** @param {Session} next */
  async #switchTo(next) {
    const last = this.#current
    next.channel.fade(true)
    last?.channel.fade(false)
    await sleep(FADED_MS)
    this.#current = next
    this.#silent = false
    next.heardAt = performance.now()
    last?.close()
    this.problem = undefined
    this.#options.onChange()
  }

  #ownTailPassed() {
    const silentFor = performance.now() - this.#silentSince
    return this.#silentSince && silentFor < TAIL_MS ? sleep(TAIL_MS - silentFor) : undefined
  }

  /** @param {DaisError} error */
  async #failed(error) {
    const after = error.retryAfterMs
    const wait = after === undefined ? this.#backoff.next() : this.#backoff.appointment(after)
    if (after !== undefined) this.#appointment = Date.now() + wait
    this.#complain(error, Date.now() + wait)
    await new Promise(resolve => {
      this.#wake = () => resolve(undefined)
      setTimeout(resolve, wait)
    })
  }

  /** @param {DaisError} error @param {number} [retryAt] */
  #complain(error, retryAt) {
    this.problem = { error, since: this.problem?.since ?? Date.now(), ...(retryAt && { retryAt }) }
    this.#options.onChange()
  }

  #tick() {
    const now = performance.now()
    const asleep = now - this.#lastTick > 3000
    this.#lastTick = now
    const session = this.#current
    if (!session) return
    this.#options.onLevels(session.speaking())
    if (asleep) session.heardAt = now
    if (now - session.heardAt > SUSPECT_MS) this.#suspect(session)
    if (session.failed || now - session.heardAt > SILENCE_MS) this.#broken()
    else if (this.#silent && !this.#next) this.#recovered()
  }

  /** No source showed up: that may be the browser's doing, so packets are counted. @param {Session} session */
  async #suspect(session) {
    if (this.#counted.asking) return
    this.#counted.asking = true
    const packets = await session.packets().catch(() => 0)
    if (packets > this.#counted.packets && this.#counted.packets > 0) session.heardAt = performance.now()
    this.#counted = { packets, asking: false }
  }

  #broken() {
    if (this.#busy) return
    this.#silent = true
    this.renew(own('no_audio'))
  }

  /** It came back by itself before another session was there. */
  #recovered() {
    this.#silent = this.#stale = false
    this.problem = undefined
    this.#wake()
    this.#options.onChange()
  }
}
