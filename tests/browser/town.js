// A running town hall on free ports, its tokens and its metrics: `dais up`, or its parts as processes.

import { spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { fileURLToPath } from 'node:url'

import { Program, eventually, freePorts } from './program.js'

export { eventually }

const path = text => fileURLToPath(new URL(`../../${text}`, import.meta.url))
const PROGRAM = process.env.DAIS_BIN ?? path('target/release/dais')
const NATS_CONF = path('docs/nats.conf')
const KEY = 'test'
const SECRET = 'a secret for tests alone, of 32 bytes or more'
/** Shards, and so UDP ports: one for each of the three nodes. */
const SHARDS = 3

export class Town {
  /** Where people go. */
  url = ''
  /** UDP port of the origin; the two edges have the next ones. */
  media = 0
  /** Of each process. @type {string[]} */
  admins = []
  /** Processes of ours, the one that serves people first. @type {Program[]} */
  programs = []
  /** Servers of others, which need no goodbye. @type {Program[]} */
  servers = []

  /** Starts `dais up` and waits until it admits people. @param {string[]} options more of the command line */
  static async start(...options) {
    const town = new Town()
    const [http, admin, link, media] = await freePorts(4)
    town.#at(http, media)
    town.#run(admin, 'up', '--listen', `127.0.0.1:${http}`, '--media', `127.0.0.1:${media}`,
      '--link', `127.0.0.1:${link}`, '--shards', `${SHARDS}`, '--api-key', KEY, '--api-secret', SECRET, ...options)
    await eventually('the program is ready', () => town.ready())
    return town
  }

  /** Starts one signaling node, one origin and two edges as processes with a NATS server between them. */
  static async inParts() {
    const town = new Town()
    const [http, admin, media, nats] = await freePorts(4)
    town.#at(http, media)
    town.servers.push(new Program('nats-server', '-c', NATS_CONF, '-a', '127.0.0.1', '-p', `${nats}`))
    const bus = ['--nats', `nats://127.0.0.1:${nats}`]
    town.#run(admin, 'signaling', '--listen', `127.0.0.1:${http}`, '--api-key', KEY, '--api-secret', SECRET, ...bus)
    for (const [index, name] of ['origin-1', 'edge-1', 'edge-2'].entries()) {
      const port = ['--media', `127.0.0.1:${media + index}`, '--shards', '1']
      town.#run(admin + 1 + index, name.split('-')[0], '--node', name, ...port, ...bus)
    }
    await eventually('all parts are ready', () => town.ready())
    await eventually('signaling has heard of all nodes', async () => await town.metric('dais_known_nodes', 'signaling-1') === 3)
    return town
  }

  #at(http, media) {
    this.url = `http://127.0.0.1:${http}`
    this.media = media
  }

  #run(admin, command, ...args) {
    this.admins.push(`http://127.0.0.1:${admin}`)
    this.programs.push(new Program(PROGRAM, command, '--admin', `127.0.0.1:${admin}`, ...args))
  }

  /** Of the one process of `dais up`, or of signaling. */
  get admin() {
    return this.admins[0]
  }

  get process() {
    return this.programs[0].process
  }

  async ready() {
    for (const program of [...this.servers, ...this.programs]) program.check()
    const ready = this.admins.map(admin => fetch(`${admin}/ready`).then(answer => answer.ok, () => false))
    return (await Promise.all(ready)).every(Boolean)
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
    const pages = await Promise.all(this.admins.map(async admin => (await fetch(`${admin}/metrics`)).text()))
    const lines = pages.join('\n').split('\n').filter(line => line.startsWith(name) && /[ {]/.test(line[name.length] ?? ''))
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

  /** Signaling first, so that nobody is cut off before they know why. */
  async stop() {
    try {
      const [first, ...others] = this.programs
      await first.stop()
      await Promise.all(others.map(program => program.stop()))
    } finally {
      await Promise.all([...this.programs, ...this.servers].map(program => program.kill()))
    }
  }
}
