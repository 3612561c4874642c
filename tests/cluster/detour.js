// A way round to a node's links, as a long line is one: each datagram takes its time, both ways.
//
//   child ── 10.88.101.12:7200 ── so many ms ── 10.88.1.12:7200 parent

import { createSocket } from 'node:dgram'
import { once } from 'node:events'

const LINKS = 7200

export class Detour {
  #ms
  #to
  #via
  #near
  /** A socket towards the parent for each child. @type {Map<string, import('node:dgram').Socket>} */
  #far = new Map()

  /** @param {string} to the parent's own address @param {string} via an address of this machine @param {number} ms each way */
  static async to(to, via, ms) {
    const detour = new Detour()
    detour.#to = to
    detour.#via = via
    detour.#ms = ms
    const near = detour.#near = socket()
    near.on('message', (data, from) => detour.#forth(data, from))
    near.bind(LINKS, via)
    await once(near, 'listening')
    return detour
  }

  #forth(data, from) {
    const child = `${from.address}:${from.port}`
    const far = this.#far.get(child) ?? this.#open(child, from)
    later(this.#ms, () => far.send(data, LINKS, this.#to))
  }

  #open(child, { port, address }) {
    const far = socket()
    far.bind(0, this.#via)
    far.on('message', data => later(this.#ms, () => this.#near.send(data, port, address)))
    this.#far.set(child, far)
    return far
  }

  close() {
    for (const socket of [this.#near, ...this.#far.values()]) {
      socket.removeAllListeners('message')
      socket.close()
    }
    this.#far.clear()
  }
}

function socket() {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 })
  // Whoever is gone is not told of.
  socket.on('error', () => {})
  return socket
}

/** What was under way when it was closed is lost. */
const later = (ms, act) => setTimeout(() => { try { act() } catch { /* it is closed */ } }, ms)
