// Carries out what `Oneself` wants done: the one place where the microphone, its session and the server are
// brought to where they should be.
//
//   tell(input) ─▶ Oneself ─▶ next ─▶ here ─▶ the world ─┐
//                     ▲                                  │
//                     └────────── how it ended ──────────┘

import { DaisError, own } from './errors.js'

/** @import { Oneself, News, Sending, Step } from './oneself.js' */
/**
 * @typedef {object} World
 * @property {(type: 'mute' | 'unmute') => Promise<unknown>} ask the server
 * @property {() => void} broken the session takes no microphone any more
 * @property {(news: News) => void} onNews
 * @property {() => void} onChange something about oneself may be different
 */

export class Steps {
  #oneself
  #world
  #busy = false
  #again = false

  /** @param {Oneself} oneself @param {World} world */
  constructor(oneself, world) {
    this.#oneself = oneself
    this.#world = world
  }

  /** Takes an input, and does what follows from it. @template T @param {(oneself: Oneself) => T} input @returns {T} */
  tell(input) {
    const result = input(this.#oneself)
    this.#go()
    return result
  }

  #go() {
    this.#again = true
    // Who is told something may at once want something else.
    if (this.#busy) return
    this.#busy = true
    try {
      while (this.#again) {
        this.#again = false
        for (const step of this.#oneself.next()) this.#carryOut(step)
        for (const news of this.#oneself.takeNews()) this.#world.onNews(news)
        this.#world.onChange()
      }
    } finally {
      this.#busy = false
    }
  }

  /** @param {Step} step */
  #carryOut(step) {
    switch (step.do) {
      case 'stop': return step.track.stop()
      case 'gate': return void (step.track.enabled = step.open)
      case 'open': return this.#open(step.open, step.wish)
      case 'ask': return this.#ask(step.type, step.wish)
      case 'attach': return this.#attach(step.session, step.track)
    }
  }

  /** @param {() => Promise<MediaStreamTrack>} open @param {number} wish */
  #open(open, wish) {
    Promise.resolve().then(open).then(track => {
      track.addEventListener('ended', () => this.tell(oneself => oneself.ended(track)))
      this.tell(oneself => oneself.opened(wish, track))
    }, error => this.tell(oneself => oneself.notOpened(wish, reason(error, 'microphone_busy'))))
  }

  /** @param {'mute' | 'unmute'} type @param {number} wish */
  #ask(type, wish) {
    this.#world.ask(type).then(
      () => this.tell(oneself => oneself.asked(wish)),
      error => this.tell(oneself => oneself.asked(wish, reason(error, 'not_connected'))))
  }

  /** @param {Sending} session @param {MediaStreamTrack | null} track */
  #attach(session, track) {
    session.attach(track).then(() => true, () => false).then(done => {
      this.tell(oneself => oneself.attached(session, track, done))
      if (!done) this.#world.broken()
    })
  }
}

/** @param {unknown} error @param {import('./errors.js').OwnCode} otherwise */
const reason = (error, otherwise) => error instanceof DaisError ? error : own(otherwise)
