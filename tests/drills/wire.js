// What somebody says on NATS who may use it: words of their own, and whatever they have heard there.

import { createHmac, randomBytes } from 'node:crypto'
import { connect } from 'node:net'

/** A client of NATS that knows as little of the protocol as it needs. */
export class Wire {
  #socket
  #received = Buffer.alloc(0)
  /** Who waits for a message. @type {((payload: Buffer) => void) | undefined} */
  #waits

  /** @param {string} url */
  static async to(url) {
    const wire = new Wire()
    const { hostname, port } = new URL(url)
    const socket = wire.#socket = connect(Number(port), hostname)
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    socket.on('data', data => wire.#read(data))
    socket.write('CONNECT {"verbose":false,"pedantic":false}\r\n')
    return wire
  }

  /** @param {string} subject @param {Buffer} payload */
  say(subject, payload) {
    this.#socket.write(Buffer.concat([Buffer.from(`PUB ${subject} ${payload.length}\r\n`), payload, Buffer.from('\r\n')]))
  }

  /** The next message on a subject. @param {string} subject @returns {Promise<Buffer>} */
  hear(subject) {
    this.#socket.write(`SUB ${subject} 1\r\nUNSUB 1 1\r\n`)
    return new Promise(resolve => { this.#waits = resolve })
  }

  close() {
    this.#socket.destroy()
  }

  #read(data) {
    this.#received = Buffer.concat([this.#received, data])
    for (;;) {
      const end = this.#received.indexOf('\r\n')
      if (end < 0) return
      const line = this.#received.subarray(0, end).toString()
      const length = line.startsWith('MSG ') ? Number(line.split(' ').at(-1)) : undefined
      const whole = end + 2 + (length === undefined ? 0 : length + 2)
      if (this.#received.length < whole) return
      if (length !== undefined) this.#waits?.(Buffer.from(this.#received.subarray(end + 2, end + 2 + length)))
      if (line === 'PING') this.#socket.write('PONG\r\n')
      this.#received = this.#received.subarray(whole)
    }
  }
}

/** An envelope to everybody (docs/protocol.md), signed with a key that is not the cluster's. @param {string} from @param {any} says */
export function forged(from, says) {
  const u64 = number => { const bytes = Buffer.alloc(8); bytes.writeBigUInt64BE(BigInt(number)); return bytes }
  const toEverybody = 0
  const signed = Buffer.concat([
    Buffer.from([1, from.length]), Buffer.from(from), u64(Date.now()), u64(1), u64(1), Buffer.from([toEverybody]),
    Buffer.from(JSON.stringify(says)),
  ])
  return Buffer.concat([signed, createHmac('sha256', randomBytes(32)).update(signed).digest()])
}
