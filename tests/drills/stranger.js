// Somebody who comes to the door of a signaling node with a token and no media: to see whether they are let in, or to
// be one of those who stay away after a misfortune.

import WebSocket from 'ws'

/** How long an answer may take. */
const PATIENCE_MS = 12_000

/** What a client alone knows: good enough to be asked for media, which nobody will send. */
const OFFER = {
  ufrag: 'drill', pwd: 'aaaaaaaaaaaaaaaaaaaaaaaa', fingerprint: 'A'.repeat(43), opus: 111, level_ext: 1, lines: 3,
}

export class Stranger {
  #socket
  /** What waits for an answer, by the number of the request. @type {Map<number, (answer: any) => void>} */
  #asked = new Map()

  /**
   * Comes to a node and joins; `answer` is what it said.
   * @param {string} url @param {string} token @param {(message: any) => void} [hear] whatever else it says
   */
  static async at(url, token, hear = () => {}) {
    const stranger = new Stranger()
    const socket = stranger.#socket = new WebSocket(`${url.replace('http', 'ws')}/v1/join`)
    socket.on('message', text => {
      const message = JSON.parse(String(text))
      const answered = stranger.#asked.get(message.id) ?? hear
      answered(message)
    })
    // Whoever is cut is told no more.
    socket.on('error', () => stranger.#tell({ type: 'error', code: 'unreachable' }))
    socket.on('close', () => stranger.#tell({ type: 'error', code: 'closed' }))
    const opened = new Promise(resolve => socket.once('open', resolve))
    await Promise.race([opened, new Promise(resolve => socket.once('close', resolve))])
    stranger.answer = await stranger.ask({ type: 'join', token })
    return stranger
  }

  get isIn() {
    return this.answer.type === 'welcome'
  }

  /** Asks to hear. */
  listen() {
    return this.ask({ type: 'media', purpose: 'listen', offer: OFFER })
  }

  /** Raises a hand and lowers it; whether both was done. */
  async waves() {
    const answers = [await this.ask({ type: 'raise_hand' }), await this.ask({ type: 'lower_hand' })]
    return answers.every(({ type }) => type === 'ok')
  }

  /** Leaves, and comes back no more. */
  async leave() {
    const closed = new Promise(resolve => this.#socket.once('close', resolve))
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ type: 'leave' }))
    else this.#socket.terminate()
    if (this.#socket.readyState !== WebSocket.CLOSED) await Promise.race([closed, wait(1_000)])
    this.#socket.terminate()
  }

  /** Asks something; what was answered. */
  async ask(request) {
    const id = this.#asked.size + 1
    const answer = new Promise(resolve => this.#asked.set(id, resolve))
    if (this.#socket.readyState !== WebSocket.OPEN) return { type: 'error', code: 'unreachable' }
    this.#socket.send(JSON.stringify({ ...request, id }))
    return Promise.race([answer, wait(PATIENCE_MS).then(() => ({ type: 'error', code: 'no_answer' }))])
  }

  #tell(answer) {
    this.#asked.forEach(resolve => resolve(answer))
  }
}

const wait = ms => new Promise(resolve => { setTimeout(resolve, ms).unref() })
