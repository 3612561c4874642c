// A network of this machine's own: each host is a network namespace on one bridge, with its own address. Needs root.
//
//   this machine 10.88.0.1 ── bridge ── veth ── edge-a1 10.88.1.12
//                                └───── veth ── load 10.88.3.1, and 10.64.0.0/16 behind it
//
// Hosts are cut off from each other, and their links lose packets, by nftables, at the host that hears.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

const BRIDGE = 'dais0'
/** The UDP port of links, at every node. */
const LINKS = 7200
/** Of a second, as /proc counts them. */
const TICKS = 100
/** The table of what is done to a host. */
const FAULTS = 'dais-faults'
/** Where `dais load` is, and whom it pretends to be. */
const LOAD = { name: 'load', address: '10.88.3.1', people: '10.64.0.0/16' }

/** Runs a program of the system; what it printed. @param {string[]} command */
const run = (...command) => execFileSync(command[0], command.slice(1), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
const ip = (...command) => run('ip', ...command)

/** The namespace of a host. */
export const namespace = host => `dais-${host}`

export class Network {
  /** By name. @type {Map<string, string>} */
  #addresses = new Map()
  /** Hosts to which something is done. @type {Set<string>} */
  #faulty = new Set()
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
    const [space, outside] = [namespace(name), `d${this.#addresses.size}`]
    ip('netns', 'add', space)
    this.#addresses.set(name, address)
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
    for (const host of [...this.#addresses.keys()].filter(host => host !== LOAD.name)) {
      ip('-n', namespace(host), 'route', 'add', LOAD.people, 'via', LOAD.address)
    }
    ip('route', 'add', LOAD.people, 'via', LOAD.address, 'dev', BRIDGE)
    return LOAD.people
  }

  /** CPU that a host's processes have used, in seconds. @param {string} host */
  cpuSeconds(host) {
    const pids = ip('netns', 'pids', namespace(host)).split('\n').filter(Boolean)
    return pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0)
  }

  /** Gives this machine another address in it. @param {string} address */
  addAddress(address) {
    ip('address', 'add', `${address}/${this.#bits}`, 'dev', BRIDGE)
  }

  /** From now on nothing passes between these hosts and those, and nobody is told. @param {string[]} some @param {string[]} others */
  cut(some, others) {
    const dropped = hosts => `ip saddr { ${hosts.map(host => this.#addresses.get(host))} } drop`
    some.forEach(host => this.#fault(host, dropped(others)))
    others.forEach(host => this.#fault(host, dropped(some)))
  }

  /** From now on so much of what comes to these hosts over links is lost. @param {string[]} hosts @param {number} percent */
  lose(hosts, percent) {
    const some = `numgen random mod 1000 < ${10 * percent} drop`
    hosts.forEach(host => this.#fault(host, `udp dport ${LINKS} ${some}`, `udp dport != ${LINKS} udp sport ${LINKS} ${some}`))
  }

  /** What comes to a host goes by these rules. @param {string} host @param {string[]} rules */
  #fault(host, ...rules) {
    const chain = `chain in { type filter hook input priority 0; ${rules.join('; ')}; }`
    ip('netns', 'exec', namespace(host), 'nft', `table inet ${FAULTS} {\n${chain}\n}`)
    this.#faulty.add(host)
  }

  /** Undoes all of that. */
  mend() {
    for (const host of this.#faulty) ip('netns', 'exec', namespace(host), 'nft', 'delete', 'table', 'inet', FAULTS)
    this.#faulty.clear()
  }

  /** Ends whatever runs on its hosts, and takes it away. */
  clear() {
    clear()
    this.#addresses.clear()
    this.#faulty.clear()
  }
}

/** @param {string} pid */
function cpuSeconds(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / TICKS
  } catch {
    return 0 // It has ended.
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
