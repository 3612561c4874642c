// A network of this machine's own: each host is a network namespace on one bridge, with its own address. Needs root.
//
//   this machine 10.88.0.1 ── bridge ── veth ── edge-a1 10.88.1.12
//                                └───── veth ── load 10.88.3.1, and 10.64.0.0/16 behind it

import { execFileSync } from 'node:child_process'

const BRIDGE = 'dais0'
/** Where `dais load` is, and whom it pretends to be. */
const LOAD = { name: 'load', address: '10.88.3.1', people: '10.64.0.0/16' }

/** Runs a program of the system; what it printed. @param {string[]} command */
const run = (...command) => execFileSync(command[0], command.slice(1), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
const ip = (...command) => run('ip', ...command)

/** The namespace of a host. */
export const namespace = host => `dais-${host}`

export class Network {
  /** @type {string[]} */
  #hosts = []
  #bits
  #gateway

  /** @param {string} subnet @param {string} gateway this machine's address in it */
  constructor(subnet, gateway) {
    this.#bits = subnet.split('/')[1]
    this.#gateway = gateway
    if (run('ip', '-o', 'link').includes(` ${BRIDGE}:`)) throw new Error(`there is a network ${BRIDGE} already: another cluster runs, or \`make cluster\` was killed; \`tests/cluster/clear\` takes it away`)
    ip('link', 'add', BRIDGE, 'type', 'bridge')
    ip('address', 'add', `${gateway}/${this.#bits}`, 'dev', BRIDGE)
    ip('link', 'set', BRIDGE, 'up')
  }

  /** Adds a host. @param {string} name @param {string} address */
  add(name, address) {
    const [space, outside] = [namespace(name), `d${this.#hosts.length}`]
    ip('netns', 'add', space)
    this.#hosts.push(name)
    ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space)
    ip('link', 'set', outside, 'master', BRIDGE, 'up')
    const inside = (...command) => ip('-n', space, ...command)
    inside('address', 'add', `${address}/${this.#bits}`, 'dev', 'eth0')
    inside('link', 'set', 'eth0', 'up')
    inside('link', 'set', 'lo', 'up')
    inside('route', 'add', 'default', 'via', this.#gateway)
  }

  /** Adds the host of the load, and whoever it pretends to be. */
  addPeople() {
    this.add(LOAD.name, LOAD.address)
    ip('-n', namespace(LOAD.name), 'route', 'add', 'local', LOAD.people, 'dev', 'lo')
    for (const host of this.#hosts.filter(host => host !== LOAD.name)) {
      ip('-n', namespace(host), 'route', 'add', LOAD.people, 'via', LOAD.address)
    }
    ip('route', 'add', LOAD.people, 'via', LOAD.address, 'dev', BRIDGE)
    return LOAD.people
  }

  /** Ends whatever runs on its hosts, and takes it away. */
  clear() {
    clear()
    this.#hosts = []
  }
}

/** Takes away what is there of such a network. */
export function clear() {
  const spaces = ip('netns', 'list').split('\n').map(line => line.split(' ')[0]).filter(name => name.startsWith(namespace('')))
  for (const space of spaces) {
    const pids = ip('netns', 'pids', space).split('\n').filter(Boolean)
    pids.forEach(pid => { try { process.kill(Number(pid), 'SIGKILL') } catch { /* it has ended */ } })
    ip('netns', 'delete', space)
  }
  if (!run('ip', '-o', 'link').includes(` ${BRIDGE}:`)) return
  // They go with their namespaces, but later.
  const cables = ip('-o', 'link', 'show', 'master', BRIDGE).split('\n').map(line => /^\d+: ([^@:]+)/.exec(line)?.[1]).filter(Boolean)
  for (const link of [...cables, BRIDGE]) {
    try { ip('link', 'delete', /** @type {string} */ (link)) } catch { /* it has gone by itself */ }
  }
}
