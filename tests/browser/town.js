// A running `dais up` on free ports, its tokens and its metrics.

import { spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'

const PROGRAM = process.env.DAIS_BIN ?? fileURLToPath(new URL('../../target/release/dais', import.meta.url))
const KEY = 'test'
const SECRET = 'a secret for tests alone, of 32 bytes or more'
/** Shards, and so UDP ports: one for each of the three nodes. */
const SHARDS = 3

export class Town {
  /** Starts the program and waits until it admits people. @param {string[]} options more of the command line */
  static async start(...options) {
    const town = new Town()
    const [http, admin, link, media] = await freePorts()
    town.url = `http://127.0.0.1:${http}`
    town.admin = `http://127.0.0.1:${admin}`
    town.media = media
    town.process = spawn(PROGRAM, [
      'up', '--listen', `127.0.0.1:${http}`, '--admin', `127.0.0.1:${admin}`,
      '--media', `127.0.0.1:${media}`, '--link', `127.0.0.1:${link}`, '--shards', `${SHARDS}`,
      '--api-key', KEY, '--api-secret', SECRET, ...options,
    ], { stdio: ['ignore', 'pipe', 'pipe'] })
    town.said = ''
    for (const stream of [town.process.stdout, town.process.stderr]) {
      stream.on('data', text => {
        town.said += text
        if (process.env.DAIS_SHOW) process.stderr.write(text)
      })
    }
    town.ended = new Promise(resolve => town.process.on('exit', (code, signal) => resolve(code ?? signal)))
    await eventually('the program is ready', () => town.ready())
    return town
  }

  async ready() {
    if (this.process.exitCode !== null) throw new Error(`the program ended:\n${this.said}`)
    return await fetch(`${this.admin}/ready`).then(answer => answer.ok, () => false)
  }

  /** @param {string} role @param {string} [sub] @param {object} [more] claims */
  token(role, sub, more = {}) {
    const part = value => Buffer.from(JSON.stringify(value)).toString('base64url')
    const exp = Math.floor(Date.now() / 1000) + 3600
    const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ iss: KEY, room: 'hall', role, sub, exp, ...more })}`
    return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`
  }

  /** The sum of a metric over its labels, or of those that match. @param {string} name @param {string} [label] */
  async metric(name, label = '') {
    const text = await (await fetch(`${this.admin}/metrics`)).text()
    const lines = text.split('\n').filter(line => line.startsWith(name) && /[ {]/.test(line[name.length] ?? ''))
    return lines.filter(line => line.includes(label)).reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
  }

  /** Runs another command of the program with this town's key; what it printed, once it ended well. @param {string[]} args */
  async run(...args) {
    const env = { ...process.env, DAIS_API_KEY: KEY, DAIS_API_SECRET: SECRET }
    const child = spawn(PROGRAM, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
    let [out, err] = ['', '']
    child.stdout.on('data', text => { out += text })
    child.stderr.on('data', text => { err += text })
    const code = await new Promise(resolve => child.on('close', resolve))
    if (code !== 0) throw new Error(`dais ${args.join(' ')} ended with ${code}:\n${err}\n${out}`)
    return out
  }

  async stop() {
    this.process.kill('SIGTERM')
    const killer = setTimeout(() => this.process.kill('SIGKILL'), 15_000)
    const code = await this.ended
    clearTimeout(killer)
    if (code !== 0) throw new Error(`the program ended with ${code}:\n${this.said.slice(-4000)}`)
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

/** Below the range that the system hands out by itself, each in a block of its own. */
async function freePorts() {
  const ports = []
  for (let tries = 0; ports.length < 4; tries++) {
    if (tries > 200) throw new Error('no free ports')
    const first = 20_000 + 8 * Math.floor(Math.random() * 1500)
    const block = Array.from({ length: 8 }, (_, i) => first + i)
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
