// The forms of a town hall: `dais up` as one process, or its parts as processes behind a balancer.
//
//   browser ──▶ nginx ──▶ signaling-1, signaling-2 ──▶ redis, nats ◀── origin-1, edge-1, edge-2 ◀── browser
//
// Both take the same options; where there are parts, each goes to those whom it concerns.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { Cable } from './cable.js'
import { Program, freePorts } from './program.js'

const path = text => fileURLToPath(new URL(`../../${text}`, import.meta.url))
export const PROGRAM = process.env.DAIS_BIN ?? path('target/release/dais')
/** How the server is set that comes with it. */
export const NATS_CONF = path('deploy/nats.conf')

/** Needed where nodes tell clients an address that is not loopback's, and so are certificates. */
export const CLUSTER_KEY = 'a key of the cluster for tests alone, of 32 bytes or more'

/**
 * Which parts a cluster has: the region of each, by kind. Nodes with media have one shard, and so one UDP port.
 * @typedef {object} Shape
 * @property {string[]} signaling @property {string[]} origin @property {string[]} edge
 * @property {boolean} [cables] whether each signaling node has cables of its own to Redis and NATS
 * @property {(name: string) => string | undefined} [build] another program than the one that is tested
 * @property {string} [nats] another configuration of NATS
 * @property {string} [drain] over how long a part lets its people go; else all at once
 */
/** @type {Shape} */
const SMALL = { signaling: ['local', 'local'], origin: ['local'], edge: ['local', 'local'] }
/** A port for each node, at most so many. */
const MOST_NODES = 16

/** Which parts an option concerns. */
const CONCERNS = {
  '--limit': ['signaling'],
  '--media-ip': ['origin', 'edge'],
  '--capacity': ['origin', 'edge'],
  '--framing': ['edge'],
}

/**
 * A form as it starts.
 * @typedef {object} Form
 * @property {string} url where people go
 * @property {number} [media] the UDP port of the origin; the edges have the next ones
 * @property {Record<string, Program>} programs all processes by name
 * @property {Record<string, string>} regions of its nodes
 * @property {Record<string, Cables>} cables of each signaling node
 * @property {Trust} [trust] what the nodes trust
 * @property {{ name: string, secret: string }} [key] what signs tokens, where that is not ours to say
 * @property {Record<string, string>} environment what other commands of the program need to know
 * @property {(command: string[]) => string[]} [where] how such a command is run where it belongs
 * @property {import('../cluster/cluster.js').Cluster} [cluster] where its parts are on hosts of their own
 * @property {() => void | Promise<void>} clear what is to be done once they have ended
 */
/** @typedef {{ redis: Cable, nats: Cable }} Cables */
/** The file of the cluster's key, and the directory in which each media node has one with its certificate. @typedef {{ key: string, certs: string }} Trust */

/** @param {string[]} key options with the key of the tokens @param {string[]} options @returns {Promise<Form>} */
export async function up(key, options) {
  const [http, admin, link, media] = await freePorts(4)
  const ports = ['--listen', at(http), '--media', at(media), '--link', at(link), '--shards', '3']
  return {
    url: `http://${at(http)}`,
    media,
    programs: { up: dais(PROGRAM, admin, 'up', ...ports, ...key, ...options) },
    regions: {},
    cables: {},
    environment: {},
    clear() {},
  }
}

/**
 * @param {string[]} key options with the key of the tokens @param {string[]} options @param {Shape} [shape]
 * @returns {Promise<Form>}
 */
export async function cluster(key, options, shape = SMALL) {
  const [http, admin, media, link, servers] = await freePorts(5, MOST_NODES)
  const directory = mkdtempSync(join(tmpdir(), 'dais-'))
  const programs = startServers(directory, servers, shape.signaling.map((_, index) => http + index), shape.nats)
  const cables = shape.cables ? await layCables(shape.signaling.length, programs) : {}
  const trust = { key: join(directory, 'cluster.key'), certs: join(directory, 'certs') }
  writeFileSync(trust.key, CLUSTER_KEY)
  // Builds of before have none, and nodes that have some believe nobody else.
  const hasCerts = !shape.build
  if (hasCerts) certify(trust.certs, shape)

  for (const [index, { name, kind, region, number }] of parts(shape).entries()) {
    const isSignaling = kind === 'signaling'
    const bus = ['--nats', cables[name] ? `nats://${at(cables[name].nats.port)}` : programs.nats.url]
    const store = ['--redis', cables[name] ? `redis://${at(cables[name].redis.port)}` : programs.redis.url]
    const own = isSignaling
      ? [...store, '--listen', at(http + number), '--trusted-proxy', '127.0.0.0/8', ...key]
      : ['--media', at(media + number), '--link', at(link + number), '--shards', '1', ...hasCerts ? ['--cert-dir', join(trust.certs, name)] : []]
    const shared = ['--node', name, '--region', region, ...bus, '--cluster-key-file', trust.key]
    const program = shape.build?.(name) ?? PROGRAM
    // A build before this one does not know it.
    if (program === PROGRAM) shared.push('--drain', shape.drain ?? '5s')
    programs[name] = dais(program, admin + index, kind, ...shared, ...own, ...concerning(kind, options))
    if (isSignaling) programs[name].url = `http://${at(http + number)}`
  }
  const clear = () => {
    Object.values(cables).flatMap(Object.values).forEach(cable => cable.close())
    rmSync(directory, { recursive: true, force: true })
  }
  const regions = Object.fromEntries(parts(shape).map(({ name, region }) => [name, region]))
  const environment = { DAIS_NATS: programs.nats.url, DAIS_CLUSTER_KEY_FILE: trust.key }
  return { url: programs.nginx.url, media, programs, regions, cables, trust, environment, clear }
}

/** What others have made: Redis, NATS and nginx, on ports from `first` on. */
function startServers(directory, first, signaling, natsConf = NATS_CONF) {
  const [redis, nats, nginx] = [first, first + 1, first + 2]
  writeFileSync(join(directory, 'nginx.conf'), balancer(nginx, signaling))
  const programs = {
    redis: new Program('redis-server', '--port', `${redis}`, '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'no'),
    nats: new Program('nats-server', '-c', natsConf, '-a', '127.0.0.1', '-p', `${nats}`),
    nginx: new Program('nginx', '-p', directory, '-c', 'nginx.conf', '-e', 'stderr'),
  }
  programs.redis.url = `redis://${at(redis)}`
  programs.nats.url = `nats://${at(nats)}`
  programs.nginx.url = `http://${at(nginx)}`
  return programs
}

/** Makes the certificates of all media nodes. @param {string} directory @param {Shape} shape */
function certify(directory, shape) {
  const nodes = parts(shape).filter(({ kind }) => kind !== 'signaling').flatMap(({ kind, name }) => ['--for', `${kind}/${name}`])
  execFileSync(PROGRAM, ['certs', '--dir', directory, ...nodes])
}

/** Cables of each signaling node. @returns {Promise<Record<string, Cables>>} */
async function layCables(signaling, { redis, nats }) {
  const cables = {}
  for (let number = 1; number <= signaling; number++) {
    cables[`signaling-${number}`] = { redis: await Cable.to(redis.url), nats: await Cable.to(nats.url) }
  }
  return cables
}

/** All parts; `number` counts the nodes with people, and those with media, from 0. @param {Shape} shape */
function parts(shape) {
  const of = kind => shape[kind].map((region, index) => ({ name: `${kind}-${index + 1}`, kind, region }))
  const numbered = parts => parts.map((part, number) => ({ ...part, number }))
  return [...numbered(of('signaling')), ...numbered([...of('origin'), ...of('edge')])]
}

const at = port => `127.0.0.1:${port}`

function dais(path, admin, command, ...args) {
  const program = new Program(path, command, '--admin', at(admin), ...args)
  program.admin = `http://${at(admin)}`
  return program
}

/** Those of the options that concern a kind of part. @param {string} kind @param {string[]} options each with its value */
function concerning(kind, options) {
  const theirs = []
  for (let index = 0; index < options.length; index += 2) {
    const [name, value] = options.slice(index, index + 2)
    if (!CONCERNS[name]) throw new Error(`${name}: say in forms.js which parts it concerns`)
    if (CONCERNS[name].includes(kind)) theirs.push(name, value)
  }
  return theirs
}

/**
 * The configuration of nginx: one process that needs nothing outside its directory, so that a kill ends all of it.
 * Sockets take turns by themselves: in turn with the files of a page, all people would be at the same node.
 */
const balancer = (port, signaling) => {
  // One that was started anew a moment ago takes the people of the next that stops.
  const servers = signaling.map(one => `server ${at(one)} max_fails=0;`).join(' ')
  return `
daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  upstream sockets { ${servers} }
  upstream requests { ${servers} }
  proxy_http_version 1.1;
  proxy_set_header Host $http_host;
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $connection_upgrade;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_connect_timeout 1s;
  proxy_read_timeout 1h;
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  server {
    listen ${at(port)};
    location = /v1/join { proxy_pass http://sockets; }
    location / { proxy_pass http://requests; }
  }
}
`
}
