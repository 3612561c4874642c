// One WebSocket to signaling: requests with their answers, and everything else as notices.
//
// It lives as long as one connection; coming back after a cut is the room's business. A connection that
// silently died shows by a request that nobody answers.

import { fromServer, own } from './errors.js'

/** @import { ErrorMessage, Notice } from './protocol' */
/** @typedef {{ resolve: (message: any) => void, reject: (error: Error) => void, timer: ReturnType<typeof setTimeout> }} Waiting */

const ANSWER_MS = 10_000
const OPEN_MS = 10_000

export class Signal {
  #socket
  #lastId = 0
  /** @type {Map<number, Waiting>} */
  #waiting = new Map()

  /**
   * @param {WebSocket} socket that is open
   * @param {(notice: Notice) => void} onNotice
   * @param {() => void} onClose not called after `close()`
   */
  constructor(socket, onNotice, onClose) {
    this.#socket = socket
    this.onNotice = onNotice
    this.onClose = onClose
    socket.onmessage = event => this.#read(JSON.parse(event.data))
    socket.onclose = () => this.#lost()
  }

  /**
   * @param {string} url
   * @param {(notice: Notice) => void} onNotice
   * @param {() => void} onClose
   * @returns {Promise<Signal>}
   */
  static open(url, onNotice, onClose) {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url)
      const timer = setTimeout(() => socket.close(), OPEN_MS)
      socket.onopen = () => {
        clearTimeout(timer)
        resolve(new Signal(socket, onNotice, onClose))
      }
      socket.onclose = () => {
        clearTimeout(timer)
        reject(own('unreachable'))
      }
    })
  }

  /**
   * Resolves with the answer, rejects with the server's error.
   * @param {Record<string, unknown> & { type: string }} message
   * @returns {Promise<any>}
   */
  request(message) {
    if (this.#socket.readyState !== WebSocket.OPEN) return Promise.reject(own('not_connected'))
    const id = ++this.#lastId
    this.#socket.send(JSON.stringify({ ...message, id }))
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#timedOut(id), ANSWER_MS)
      this.#waiting.set(id, { resolve, reject, timer })
    })
  }

  close() {
    this.onClose = () => {}
    this.#socket.close()
    this.#lost()
  }

  /** @param {any} message */
  #read(message) {
    const waiting = this.#waiting.get(message.id)
    if (!waiting) {
      if (message.type !== 'error') this.onNotice(message)
      return
    }
    this.#waiting.delete(message.id)
    clearTimeout(waiting.timer)
    if (message.type === 'error') waiting.reject(fromServer(/** @type {ErrorMessage} */ (message)))
    else waiting.resolve(message)
  }

  /** An answer this late means that nobody is there: the close event itself could take minutes. */
  #timedOut(/** @type {number} */ id) {
    this.#waiting.get(id)?.reject(own('timeout'))
    this.#waiting.delete(id)
    this.#socket.close()
    this.#lost()
  }

  #lost() {
    this.#socket.onclose = null
    this.#socket.onmessage = null
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer)
      reject(own('not_connected'))
    }
    this.#waiting.clear()
    this.onClose()
    this.onClose = () => {}
  }
}
