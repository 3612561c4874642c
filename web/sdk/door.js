// The way in, and back in: one socket at a time, opened with the token or, after a cut, with the resume
// token. It tries for as long as trying can help.

import { Backoff } from './backoff.js'
import { DaisError, own } from './errors.js'
import { ResumeToken } from './resume.js'
import { sleep } from './session.js'
import { Signal } from './signal.js'

/** @import { Notice, Welcome } from './protocol' */
/** @typedef {{ code: string, message: string, since: number, retryAt?: number }} Problem */
/**
 * @typedef {object} DoorOptions
 * @property {string} url
 * @property {string | (() => string | Promise<string>)} token
 * @property {string | undefined} name
 * @property {() => boolean} isMuted
 * @property {(wasMuted: boolean) => void} onBack there was a page before this one, which was in the room
 * @property {(welcome: Welcome) => void} onWelcome
 * @property {(notice: Notice) => void} onNotice
 * @property {() => void} onChange `problem` or `connected` changed
 * @property {(code: string) => void} onFinal it stays shut
 */

const SDK = 'dais-js/1'
/** After these nothing is gained by asking again. */
export const FINAL = new Set(['unauthorized', 'forbidden', 'banned', 'kicked', 'replaced', 'ended', 'not_found', 'bad_request'])

export class Door {
  #options
  /** @type {Signal | undefined} */
  #signal
  /** @type {ResumeToken | undefined} */
  #resume
  #backoff = new Backoff({ first: 800, most: 15_000 })
  #wake = () => {}
  #closed = false
  /** On the way from one socket to the next. @type {Promise<void> | undefined} */
  #between
  /** Why nothing comes through at this moment. @type {Problem | undefined} */
  problem

  /** @param {DoorOptions} options */
  constructor(options) {
    this.#options = options
  }

  /** Whether something can be asked, if only in a moment. */
  get connected() {
    return this.#signal !== undefined || this.#between !== undefined
  }

  /** @param {Record<string, unknown> & { type: string }} message */
  async request(message) {
    if (this.#between) await this.#between
    if (this.#closed) throw own('left')
    if (!this.#signal) throw own('not_connected')
    return await this.#signal.request(message)
  }

  /** One try; rejects with the reason. @returns {Promise<void>} */
  async open() {
    const { url, token, name, onNotice, onWelcome } = this.#options
    const shown = typeof token === 'function' ? await token() : token
    const ticket = this.#resume ??= this.#unpack(url, shown)
    const resume = ticket.value
    /** @type {Signal | undefined} */
    let signal
    try {
      signal = await Signal.open(url, onNotice, () => this.#lost())
      const welcome = await signal.request({ type: 'join', token: shown, name, resume, sdk: SDK })
      if (this.#closed) return signal.close()
      this.#signal = signal
      ticket.value = welcome.resume
      this.#backoff.reset()
      this.problem = undefined
      onWelcome(welcome)
    } catch (error) {
      signal?.close()
      const spent = error instanceof DaisError && error.code === 'resume_invalid'
      if (!resume || !spent) throw error
      // Not every server judges the token beside it.
      ticket.value = undefined
      return await this.open()
    }
  }

  #unpack(/** @type {string} */ url, /** @type {string} */ token) {
    const { isMuted, onBack } = this.#options
    const ticket = new ResumeToken(url, token, isMuted)
    if (ticket.value) onBack(ticket.wasMuted)
    return ticket
  }

  /** Now rather than later. */
  retry() {
    this.#wake()
  }

  /** The server lets go of this socket, not of us, and not because something is wrong: another one waits. */
  async goOver() {
    if (this.#closed || !this.#signal) return
    this.#signal.close()
    this.#signal = undefined
    /** @type {DaisError | undefined} */
    let error
    this.#between = this.open().catch(failure => { error = known(failure) })
    await this.#between
    this.#between = undefined
    if (error) this.#comeBack(error)
  }

  /** The server lets go of this socket, not of us. */
  reopen() {
    this.#signal?.close()
    this.#lost()
  }

  /** For good; or, where somebody will try again, `later`. */
  close(later = false) {
    this.#closed = true
    if (later) this.#resume?.keep()
    else this.#resume?.forget()
    this.#signal?.close()
    this.#signal = undefined
    this.#wake()
  }

  #lost() {
    if (this.#closed || !this.#signal) return
    this.#signal = undefined
    this.#comeBack(own('not_connected'))
  }

  async #comeBack(/** @type {DaisError} */ error) {
    const since = Date.now()
    if (FINAL.has(error.code)) return this.#options.onFinal(error.code)
    while (!this.#signal && !this.#closed) {
      const wait = this.#backoff.next(error.retryAfterMs)
      this.problem = { code: error.code, message: error.message, since, retryAt: Date.now() + wait }
      this.#options.onChange()
      await Promise.race([sleep(wait), new Promise(resolve => { this.#wake = () => resolve(undefined) })])
      if (this.#closed) return
      try {
        await this.open()
      } catch (failure) {
        error = known(failure)
        if (FINAL.has(error.code)) return this.#options.onFinal(error.code)
      }
    }
  }
}

const known = (/** @type {unknown} */ failure) => failure instanceof DaisError ? failure : own('unreachable')
