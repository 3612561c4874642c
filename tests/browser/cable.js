// A cable between two who talk over TCP, such as a browser and the server, as a bad network is one: it takes its time,
// it is cut, it goes dead without a word, and it may keep back what a WebSocket answers.

import { connect, createServer } from 'node:net'

export class Cable {
  #server
  #port
  /** @type {Set<import('node:net').Socket>} */
  #ends = new Set()
  #isCut = false
  #isDead = false
  /** What is kept back, in order. @type {(() => void)[] | undefined} */
  #held
  /** Each way; a timer takes a ms and more. */
  delayMs = 0
  /** The same for whatever is answered, on top. */
  backMs = 0

  /** @param {string} url of the server on loopback, of any scheme */
  static async to(url) {
    const cable = new Cable()
    cable.#port = Number(new URL(url).port)
    cable.#server = createServer(near => cable.#lay(near))
    await new Promise(resolve => cable.#server.listen(0, '127.0.0.1', () => resolve()))
    return cable
  }

  get port() {
    return this.#server.address().port
  }

  get url() {
    return `http://127.0.0.1:${this.port}`
  }

  cut() {
    this.#isCut = true
    this.#ends.forEach(end => end.destroy())
  }

  /** From now on nothing passes either way, and neither end is told: what was on its way comes once it is mended. */
  die() {
    this.#isDead = true
    this.#ends.forEach(end => end.pause())
  }

  mend() {
    this.#isCut = false
    this.#isDead = false
    this.#ends.forEach(end => end.resume())
  }

  /** From now on sockets hear no answer, though they open and the server hears them. */
  hold() {
    this.#held = []
  }

  release() {
    this.#held?.forEach(pass => pass())
    this.#held = undefined
  }

  close() {
    this.cut()
    this.#server.close()
  }

  #lay(near) {
    if (this.#isCut) return near.destroy()
    const far = connect(this.#port, '127.0.0.1')
    const back = inOrder(() => this.delayMs + this.backMs)
    let [isSocket, isOpen] = [false, false]
    this.#pass(near, far, inOrder(() => this.delayMs), data => { isSocket ||= data.includes('GET /v1/join') })
    this.#pass(far, near, pass => {
      if (isOpen && this.#held) return this.#held.push(pass)
      isOpen = isSocket
      return back(pass)
    })
  }

  #pass(from, to, later, see = () => {}) {
    this.#ends.add(from)
    from.setNoDelay(true)
    from.on('data', data => {
      see(data)
      later(() => to.writable && to.write(data))
    })
    if (this.#isDead) from.pause()
    from.on('error', () => {})
    from.on('close', () => {
      this.#ends.delete(from)
      later(() => to.destroy())
    })
  }
}

/** Waits so many ms before each, and overtakes nothing; of no delay it makes none. @param {() => number} ms */
function inOrder(ms) {
  let waiting = 0
  return pass => {
    if (ms() === 0 && waiting === 0) return pass()
    waiting++
    setTimeout(() => { waiting--; pass() }, ms())
  }
}
