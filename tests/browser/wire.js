// A wire between a browser and a node, as a bad router is one: it loses packets, and comes out at another address.
//
//   browser ◀──▶ near │ far ◀──▶ node

import { createSocket } from 'node:dgram'

export class Wire {
  #node
  #near
  /** For each port of the browser all far ends that were ever used; the last is the one that sends. */
  #far = new Map()
  /** One RTP packet of so many from the browser is lost. */
  loses = Infinity
  /** How many that were. */
  lost = 0
  #packets = 0

  /** @param {number} node port of the node on loopback */
  static async to(node) {
    const wire = new Wire()
    wire.#node = node
    wire.#near = await bound()
    wire.#near.on('message', (datagram, { port }) => {
      if (!wire.#far.has(port)) wire.#far.set(port, [wire.#end(port)])
      if (isRtp(datagram) && ++wire.#packets % wire.loses === 0) return void wire.lost++
      wire.#far.get(port).at(-1).send(datagram, node, '127.0.0.1')
    })
    return wire
  }

  /** Where the browser sends to. */
  get port() {
    return this.#near.address().port
  }

  /** From now on the node sees other addresses. What it sends to the old ones still arrives. */
  move() {
    this.#far.forEach((ends, port) => ends.push(this.#end(port)))
  }

  /** The old addresses lead nowhere any more. */
  forget() {
    this.#far.forEach(ends => ends.splice(0, ends.length - 1).forEach(end => end.close()))
  }

  close() {
    this.#far.forEach(ends => ends.forEach(end => end.close()))
    this.#near.close()
  }

  /** A far end for one port of the browser: a peer connection has an address of its own on both sides. */
  #end(port) {
    return createSocket('udp4').on('message', datagram => this.#near.send(datagram, port, '127.0.0.1'))
  }
}

/** RFC 7983 and RFC 5761: neither STUN nor DTLS nor RTCP. */
const isRtp = ([first, second]) => first >= 128 && first < 192 && (second < 192 || second > 223)

const bound = () => new Promise((resolve, reject) => {
  const socket = createSocket('udp4')
  socket.on('error', reject)
  socket.bind(0, '127.0.0.1', () => resolve(socket))
})
