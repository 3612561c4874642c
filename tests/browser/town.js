// A running town hall on free ports, its tokens and its metrics, in the form that `DAIS_FORM` names: `up` or `cluster`.

import { spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'

import { PROGRAM, cluster, up } from './forms.js'
import { eventually } from './program.js'

export { eventually }

const FORMS = { up, cluster }
/** What signs tokens at first. */
const KEY = { name: 'test', secret: 'a secret for tests alone, of 32 bytes or more' }

export class Town {
  /** @type {import('./forms.js').Form} */
  #form
  /** Commands that run. @type {Set<import('node:child_process').ChildProcess>} */
  #commands = new Set()
  /** What signs tokens. */
  key = KEY

  /** Starts it and waits until it admits people. @param {string[]} options more of the command line, each with its value */
  static start(...options) {
    const form = FORMS[process.env.DAIS_FORM || 'up']
    if (!form) throw new Error(`DAIS_FORM is one of ${Object.keys(FORMS)}`)
    return Town.of(key => form(key, options))
  }

  /** The same as processes, whatever `DAIS_FORM` says. @param {import('./forms.js').Shape} shape */
  static ofShape(shape) {
    return Town.of(key => cluster(key, [], shape))
  }

  /** Starts it in another form. @param {(key: string[]) => Promise<import('./forms.js').Form>} form */
  static async of(form) {
    const town = new Town()
    town.#form = await form(signedWith(KEY))
    town.key = town.#form.key ?? KEY
    try {
      await eventually('all parts are ready', () => town.ready())
      await eventually('signaling has heard of all nodes', () => town.knowsAll())
    } catch (error) {
      await town.kill()
      throw error
    }
    return town
  }

  /** Where people go. */
  get url() {
    return this.#form.url
  }

  /** UDP port of the origin; the edges have the next ones. */
  get media() {
    return this.#form.media
  }

  /** A process by its name: `up`, or `signaling-2`, `origin-1`, `edge-1`, `nginx`, `redis`, `nats`. @param {string} name */
  program(name) {
    const program = this.#form.programs[name]
    if (!program) throw new Error(`there is no ${name} among ${Object.keys(this.#form.programs)}`)
    return program
  }

  /** What a signaling node reaches Redis and NATS by, where its form has laid any. @param {string} name */
  cables(name) {
    return this.#form.cables[name]
  }

  /** What its nodes trust. */
  get trust() {
    return this.#form.trust
  }

  /** Where its parts are on hosts of their own: those. */
  get cluster() {
    if (!this.#form.cluster) throw new Error('all parts are on one host')
    return this.#form.cluster
  }

  /** Names of the processes of a kind. @param {'signaling' | 'origin' | 'edge'} kind */
  names(kind) {
    return Object.keys(this.#form.programs).filter(name => name.startsWith(`${kind}-`))
  }

  /** Where a node is. @param {string} name */
  region(name) {
    return this.#form.regions[name]
  }

  get #programs() {
    return Object.values(this.#form.programs)
  }

  /** Processes of ours. */
  get #parts() {
    return this.#programs.filter(program => program.admin)
  }

  /** Of the one process of `dais up`. */
  get admin() {
    return this.program('up').admin
  }

  get process() {
    return this.program('up').process
  }

  async ready() {
    this.#programs.forEach(program => program.check())
    const ready = this.#parts.map(({ admin }) => fetch(`${admin}/ready`).then(answer => answer.ok, () => false))
    return (await Promise.all(ready)).every(Boolean)
  }

  /** Whether each signaling node has heard of all media nodes. `dais up` has them in itself, and counts none. */
  async knowsAll() {
    const kinds = /** @type {const} */ (['origin', 'edge'])
    const asked = this.names('signaling').flatMap(name => kinds.map(async kind =>
      await this.metric('dais_known_nodes', `"${name}"`, `kind="${kind}"`) === this.names(kind).length))
    return (await Promise.all(asked)).every(Boolean)
  }

  /** @param {string} role @param {string} [sub] @param {object} [more] claims */
  token(role, sub, more = {}) {
    const part = value => Buffer.from(JSON.stringify(value)).toString('base64url')
    const exp = Math.floor(Date.now() / 1000) + 3600
    const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ iss: this.key.name, room: 'hall', role, sub, exp, ...more })}`
    return `${text}.${createHmac('sha256', this.key.secret).update(text).digest('base64url')}`
  }

  /** The sum of a metric over its labels, or of those that match. @param {string} name @param {string[]} labels */
  async metric(name, ...labels) {
    const running = this.#parts.filter(part => part.isAwake)
    const pages = await Promise.all(running.map(async ({ admin }) => (await fetch(`${admin}/metrics`)).text()))
    const lines = pages.join('\n').split('\n').filter(line => line.startsWith(name) && /[ {]/.test(line[name.length] ?? ''))
    return lines.filter(line => labels.every(label => line.includes(label))).reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
  }

  /** Runs another command of the program with this town's key; what it printed, once it ended well. @param {string[]} args */
  async run(...args) {
    const { environment, where = command => command } = this.#form
    const env = { ...process.env, ...environment, DAIS_API_KEY: this.key.name, DAIS_API_SECRET: this.key.secret }
    const [command, ...words] = where([PROGRAM, ...args])
    const child = spawn(command, words, { stdio: ['ignore', 'pipe', 'pipe'], env })
    this.#commands.add(child)
    let [out, err] = ['', '']
    child.stdout.on('data', text => { out += text })
    child.stderr.on('data', text => { err += text })
    const code = await new Promise(resolve => child.on('close', resolve))
    this.#commands.delete(child)
    if (code !== 0) throw new Error(`dais ${args.join(' ')} ended with ${code}:\n${err}\n${out}`)
    return out
  }

  /**
   * Ends those that serve people, and fails if they do not end well. Origins and edges would wait for people to go
   * elsewhere, whom nobody sends there any more.
   */
  async stop() {
    const { programs } = this.#form
    try {
      this.#programs.forEach(program => program.check())
      await Promise.all(serving(programs).map(name => programs[name].stop()))
    } finally {
      await this.kill()
    }
  }

  /** Ends everything at once, without a word. */
  async kill() {
    this.#commands.forEach(command => command.kill('SIGKILL'))
    await Promise.all(this.#programs.map(program => program.kill()))
    await this.#form.clear()
  }
}

/** The options of a key that signs tokens. @param {{ name: string, secret: string }} key */
export const signedWith = key => ['--api-key', key.name, '--api-secret', key.secret]

/** Names of the processes that people join at. */
const serving = programs => Object.keys(programs).filter(name => name === 'up' || name.startsWith('signaling'))
