// The cluster of docker-compose.yml as real processes, each on a host of its own: the same addresses, options and files,
// with this machine's nats-server, redis-server, nginx and Prometheus. Grafana is not to be had from Debian.

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { PROGRAM } from '../browser/forms.js'
import { eventually } from '../browser/program.js'
import { container } from './container.js'
import { namespace, Network } from './network.js'
import { topology } from './topology.js'

/** @import { Program } from '../browser/program.js' */
/** @import { Service } from './topology.js' */

const PROJECT = fileURLToPath(new URL('../../', import.meta.url))
const WITHOUT = ['grafana']
const ADMIN = 7001
const READY_MS = 60_000

export class Cluster {
  #directory = mkdtempSync(join(tmpdir(), 'dais-cluster-'))
  /** @type {Network} */
  #network
  /** @type {Service[]} */
  #services = []
  /** @type {Record<string, Program>} */
  #programs = {}
  /** @type {import('node:net').Server[]} */
  #doors = []
  /** Variables of a service beside those that the file gives it. @type {(service: Service) => Record<string, string>} */
  #more
  /** What `.env` would hold. @type {Record<string, string>} */
  secrets = {
    DAIS_PUBLIC_URL: 'http://localhost:8080',
    DAIS_API_KEY: 'town',
    ...Object.fromEntries(['DAIS_API_SECRET', 'DAIS_CLUSTER_KEY', 'NATS_PASSWORD', 'REDIS_PASSWORD', 'GRAFANA_PASSWORD'].map(name =>
      [name, randomBytes(32).toString('hex')])),
  }

  /**
   * Starts all of it, and tells what it waits for.
   * @param {(says: string) => void} [tell]
   * @param {(service: Service) => Record<string, string>} [more] variables of a service beside those that the file gives it
   */
  static async start(tell = () => {}, more = () => ({})) {
    const cluster = new Cluster()
    cluster.#more = more
    try {
      await cluster.#start(tell)
      return cluster
    } catch (error) {
      await cluster.stop()
      throw error
    }
  }

  async #start(tell) {
    // People are told the address of each node: there is none in front of them.
    const variable = (name, address) => name === 'DAIS_PUBLIC_IP' ? address : this.secrets[name]
    const { subnet, gateway, services } = topology(readFileSync(join(PROJECT, 'docker-compose.yml'), 'utf8'), variable)
    this.#services = services.filter(({ name }) => !WITHOUT.includes(name))
    for (const service of this.#services) Object.assign(service.environment, this.#more(service))
    this.#network = new Network(subnet, gateway)
    const hosts = this.#services.filter(({ address }) => address)
    hosts.forEach(({ name, address }) => this.#network.add(name, address))
    writeFileSync(join(this.#directory, 'hosts'), ['127.0.0.1 localhost', ...hosts.map(({ name, address }) => `${address} ${name}`), ''].join('\n'))
    mkdirSync(join(this.#directory, 'volumes'))
    for (const service of this.#services) {
      const program = this.#run(service)
      if (service.isOnce && await program.ended !== 0) throw new Error(`${service.name} ended with ${program.end}:\n${program.said}`)
    }
    tell(`${this.#services.length} services are started`)
    await eventually('all parts are ready', () => this.ready(), READY_MS)
  }

  /** @param {Service} service */
  #run(service) {
    const [volumes, hosts] = ['volumes', 'hosts'].map(name => join(this.#directory, name))
    const program = this.#programs[service.name] = container(service, { project: PROJECT, volumes, hosts })
    if (service.environment.DAIS_ADMIN) program.admin = `http://${service.address}:${ADMIN}`
    return program
  }

  /** Lets a service be had at localhost, as an engine would; where. @param {string} name */
  async open(name) {
    const { ports: [{ host, inside }], address } = this.#services.find(service => service.name === name)
    const door = createServer(socket => {
      const behind = connect(inside, address)
      socket.pipe(behind).pipe(socket)
      socket.on('error', () => behind.destroy())
      behind.on('error', () => socket.destroy())
    })
    await new Promise((done, failed) => door.once('error', failed).listen(host, '127.0.0.1', () => done(undefined)))
    this.#doors.push(door)
    return `http://localhost:${host}`
  }

  /** Whether all parts admit people. A service that has ended is an error. */
  async ready() {
    const running = this.#services.filter(({ isOnce }) => !isOnce).map(({ name }) => this.#programs[name])
    running.forEach(program => program.check())
    const asked = running.filter(({ admin }) => admin).map(({ admin }) => fetch(`${admin}/ready`).then(answer => answer.ok, () => false))
    return (await Promise.all(asked)).every(Boolean)
  }

  /** @param {string} name */
  program(name) {
    return this.#programs[name]
  }

  /** @param {string} name */
  address(name) {
    return this.#services.find(service => service.name === name).address
  }

  get services() {
    return this.#services
  }

  /** The processes that run, by name. */
  get programs() {
    return Object.fromEntries(Object.entries(this.#programs).filter(([, { isRunning }]) => isRunning))
  }

  /** Where hosts can be cut off. */
  get network() {
    return this.#network
  }

  /** What another command of the program needs to know of it, as variables. */
  get environment() {
    const { DAIS_API_KEY, DAIS_API_SECRET, DAIS_CLUSTER_KEY, NATS_PASSWORD } = this.secrets
    return { DAIS_API_KEY, DAIS_API_SECRET, DAIS_CLUSTER_KEY, DAIS_NATS: `nats://dais:${NATS_PASSWORD}@${this.address('nats')}:4222` }
  }

  /** The program itself. */
  get bin() {
    return PROGRAM
  }

  /** Runs a command as somebody who knows the secrets; what it printed, once it ended well. @param {string[]} command */
  async run(...command) {
    const env = { ...process.env, ...this.environment }
    const { stdout } = await promisify(execFile)(command[0], command.slice(1), { env, maxBuffer: 64 << 20 })
    return stdout
  }

  /**
   * One more edge, on a host that was not there, as somebody adds a machine: a certificate, and one command.
   * @param {string} name @param {string} address
   */
  async addEdge(name, address) {
    const like = this.#services.find(service => service.command.includes('edge'))
    const certs = join(this.#directory, 'volumes', like.mounts.find(({ volume }) => volume).volume)
    await this.run(PROGRAM, 'certs', '--dir', certs, '--for', `edge/${name}`)
    this.#network.add(name, address)
    const environment = { ...like.environment, DAIS_NODE: name, DAIS_MEDIA_IP: address, DAIS_LINK_IP: address }
    const mounts = like.mounts.map(mount => mount.volume ? { ...mount, subpath: name } : mount)
    return this.#run({ ...like, name, address, environment, mounts })
  }

  /** Adds a host for `dais load`: how a command begins that is to run there, and its `--from`. */
  addPeople() {
    const people = this.#network.addPeople()
    return { begin: ['ip', 'netns', 'exec', namespace('load')], from: people }
  }

  /** Ends all of it, and leaves nothing. */
  async stop() {
    this.#doors.forEach(door => door.close())
    this.#network?.clear()
    await Promise.all(Object.values(this.#programs).map(program => program.kill()))
    rmSync(this.#directory, { recursive: true, force: true })
  }
}
