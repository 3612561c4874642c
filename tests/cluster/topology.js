// The cluster that docker-compose.yml describes, as it matters to whoever starts it without an engine: for each service
// what is run, with which variables, at which address, and which files it sees where.
//
// It reads what that file uses of the format, and refuses what it does not know: then it must be told here, or what is
// tried here is not what is deployed.

import { parse } from 'yaml'

/**
 * @typedef {object} Service
 * @property {string} name
 * @property {string[]} command all of it, the program first; empty where only the image knows
 * @property {Record<string, string>} environment
 * @property {string | undefined} address none: it has no network
 * @property {Mount[]} mounts
 * @property {string[]} tmpfs directories that are there and empty
 * @property {string[]} needs services that must be there before it
 * @property {boolean} isOnce it does something and ends
 * @property {{ host: number, inside: number }[]} ports TCP that is to be had at localhost
 */
/** A file or directory that is there, or a volume, which keeps what is written. @typedef {{ target: string, source?: string, volume?: string, subpath?: string }} Mount */

/** What a service may say that concerns an engine alone: limits, rights, health, images. */
const OF_AN_ENGINE = [
  'restart', 'read_only', 'cap_drop', 'security_opt', 'logging', 'image', 'build', 'user', 'stop_grace_period', 'stop_signal', 'mem_limit',
  'ulimits', 'sysctls', 'healthcheck',
]
const KNOWN = ['entrypoint', 'command', 'environment', 'depends_on', 'networks', 'network_mode', 'volumes', 'tmpfs', 'ports', ...OF_AN_ENGINE]

/** @param {string} text of the file @param {(name: string, address?: string) => string | undefined} variable for a service at an address */
export function topology(text, variable) {
  const file = parse(text, { merge: true, maxAliasCount: -1 })
  const [network] = Object.values(file.networks)
  const { subnet, gateway } = network.ipam.config[0]
  const services = Object.entries(file.services).map(([name, service]) => read(name, service, variable))
  return { subnet, gateway, services: inOrder(services) }
}

/** @returns {Service} */
function read(name, service, variable) {
  const strange = Object.keys(service).filter(key => !KNOWN.includes(key))
  if (strange.length) throw new Error(`${name} has ${strange}: say in topology.js what that means without an engine`)
  const address = Object.values(service.networks ?? {})[0]?.ipv4_address
  const fill = value => filled(String(value), name => variable(name, address))
  return {
    name, address,
    command: [...service.entrypoint ?? [], ...service.command ?? []].map(fill),
    environment: Object.fromEntries(Object.entries(service.environment ?? {}).map(([key, value]) => [key, fill(value)])),
    mounts: (service.volumes ?? []).map(mount),
    tmpfs: (service.tmpfs ?? []).map(one => one.split(':')[0]),
    needs: Object.keys(service.depends_on ?? {}),
    isOnce: service.restart === 'no',
    ports: (service.ports ?? []).filter(one => !one.endsWith('/udp')).map(port),
  }
}

/** `${NAME}`, `${NAME:?why}`, `${NAME:-default}`. */
function filled(text, variable) {
  return text.replace(/\$\{(\w+)(?::([?-])([^}]*))?\}/g, (_, name, kind, more) => {
    const value = variable(name) || (kind === '-' ? more : undefined)
    if (!value && kind === '?') throw new Error(`${name} is not set: ${more}`)
    return value ?? ''
  })
}

/** @returns {Mount} */
function mount({ type, source, target, volume }) {
  if (type === 'bind') return { target, source }
  if (type === 'volume') return { target, volume: source, subpath: volume?.subpath }
  throw new Error(`a mount of type ${type} is not known`)
}

/** `127.0.0.1:9090:9090` and `8080:8080`. */
function port(text) {
  const [host, inside] = text.split(':').slice(-2).map(Number)
  return { host, inside }
}

/** Those that others need first. @param {Service[]} services */
function inOrder(services) {
  const sorted = []
  const waiting = [...services]
  while (waiting.length) {
    const next = waiting.findIndex(({ needs }) => needs.every(need => sorted.some(({ name }) => name === need)))
    if (next < 0) throw new Error(`${waiting.map(({ name }) => name)} wait for each other, or for what is not there`)
    sorted.push(...waiting.splice(next, 1))
  }
  return sorted
}
