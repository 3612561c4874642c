// A program that runs beside a test, and ports for it.

import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'

/** Debian's servers are where only root looks. */
const ENV = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` }

export class Program {
  /** Where its metrics are, if it has any. */
  admin = ''
  /** Where it is asked. */
  url = ''
  #command
  #args
  /** Whether a test has killed it, after which it need not end well. */
  #isKilled = false
  #isPaused = false
  /** Variables that it gets beside those of the tests, from its next start on. @type {Record<string, string>} */
  variables = {}

  /** @param {string} command @param {string[]} args */
  constructor(command, ...args) {
    this.name = [command.split('/').at(-1), args[0]].join(' ')
    this.#command = command
    this.#args = args
    this.said = ''
    this.#start()
  }

  #start(more = []) {
    const started = this.process = spawn(this.#command, [...this.#args, ...more], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...ENV, ...this.variables } })
    this.end = undefined
    this.#isKilled = this.#isPaused = false
    for (const stream of [started.stdout, started.stderr]) {
      stream.on('data', text => {
        this.said += text
        if (process.env.DAIS_SHOW) process.stderr.write(text)
      })
    }
    this.ended = new Promise(resolve => {
      started.on('exit', (code, signal) => resolve(code ?? signal))
      started.on('error', error => {
        this.said += `${error}\n`
        resolve(String(error))
      })
    }).then(how => this.end = how)
  }

  get isRunning() {
    return this.end === undefined
  }

  /** Whether it answers anybody. */
  get isAwake() {
    return this.isRunning && !this.#isPaused
  }

  /** Fails if it runs no more, unless a test has killed it. */
  check() {
    if (!this.isRunning && !this.#isKilled) throw new Error(`${this.name} ended with ${this.end}:\n${this.said.slice(-4000)}`)
  }

  /** Ends it as an administrator would, and fails if it does not end well. @param {number} [ms] that it may take */
  async stop(ms = 15_000) {
    this.process.kill('SIGTERM')
    this.resume()
    const killer = setTimeout(() => this.process.kill('SIGKILL'), ms)
    const end = await this.ended
    clearTimeout(killer)
    if (end !== 0) this.check()
  }

  /** Ends it without a word. */
  async kill() {
    this.#isKilled = true
    this.process.kill('SIGKILL')
    await this.ended
  }

  /** Lets it stand still: it keeps its sockets, and answers nobody. */
  pause() {
    this.#isPaused = true
    this.process.kill('SIGSTOP')
  }

  resume() {
    this.#isPaused = false
    this.process.kill('SIGCONT')
  }

  /** From its next start on, its command line has these words in place of those. @param {string[]} before @param {string[]} after */
  change(before, after) {
    const at = this.#args.findIndex((_, index) => before.every((word, offset) => this.#args[index + offset] === word))
    if (at < 0) throw new Error(`${this.name} was not started with ${before.join(' ')}`)
    this.#args.splice(at, before.length, ...after)
  }

  /** Starts it again as it was started, after it has ended. @param {string[]} more of the command line, this time */
  restart(...more) {
    if (this.isRunning) throw new Error(`${this.name} still runs`)
    this.#start(more)
  }
}

/**
 * Asks until the answer is true, then returns it; fails with what was last seen.
 * @template T @param {string} what @param {() => Promise<T> | T} ask @param {number} [ms]
 * @returns {Promise<T>}
 */
export async function eventually(what, ask, ms = 15_000) {
  const until = Date.now() + ms
  for (;;) {
    const answer = await ask()
    if (answer) return answer
    if (Date.now() > until) throw new Error(`not within ${ms} ms: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 100))
  }
}

/**
 * Ports below the range that the system hands out by itself, each with those behind it.
 * @param {number} count @param {number} [size] of them together
 */
export async function freePorts(count, size = 8) {
  const ports = []
  for (let tries = 0; ports.length < count; tries++) {
    if (tries > 200) throw new Error('no free ports')
    const first = 20_000 + size * Math.floor(Math.random() * 12_000 / size)
    const block = Array.from({ length: size }, (_, i) => first + i)
    const free = await Promise.all(block.flatMap(port => [isFree(tcp, port), isFree(udp, port)]))
    if (!ports.includes(first) && free.every(Boolean)) ports.push(first)
  }
  return ports
}

const isFree = (bind, port) => new Promise(resolve => bind(port, resolve))

function tcp(port, done) {
  const server = createServer().on('error', () => done(false))
  server.listen(port, '127.0.0.1', () => server.close(() => done(true)))
}

function udp(port, done) {
  const socket = createSocket('udp4').on('error', () => done(false))
  socket.bind(port, '127.0.0.1', () => socket.close(() => done(true)))
}
