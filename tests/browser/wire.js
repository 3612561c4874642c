// A wire between a browser and a node, as a bad router is one: it loses packets, and comes out at another address.
//
//   browser ◀──▶ near │ far ◀──▶ node

import { createSocket } from 'node:dgram'

export class Wire {
  #node
  #near
  /** All far ends that were ever used; the last is the one that sends. */
  #far = []
  #browser
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
      wire.#browser = port
      if (isRtp(datagram) && ++wire.#packets % wire.loses === 0) return void wire.lost++
      wire.#far.at(-1).send(datagram, node, '127.0.0.1')
    })
    await wire.move()
    return wire
  }

  /** Where the browser sends to. */
  get port() {
    return this.#near.address().port
  }

  /** From now on the node sees another address. What it sends to the old one still arrives. */
  async move() {
    const far = await bound()
    far.on('message', datagram => this.#browser && this.#near.send(datagram, this.#browser, '127.0.0.1'))
    this.#far.push(far)
  }

  /** The old addresses lead nowhere any more. */
  forget() {
    this.#far.splice(0, this.#far.length - 1).forEach(far => far.close())
  }

  close() {
    this.forget()
    this.#far[0].close()
    this.#near.close()
  }
}

/** RFC 7983 and RFC 5761: neither STUN nor DTLS nor RTCP. */
const isRtp = ([first, second]) => first >= 128 && first < 192 && (second < 192 || second > 223)

const bound = () => new Promise((resolve, reject) => {
  const socket = createSocket('udp4')
  socket.on('error', reject)
  socket.bind(0, '127.0.0.1', () => resolve(socket))
})
