// The forms of a town hall: `dais up` as one process, or its parts as processes behind a balancer.
//
//   browser ──▶ nginx ──▶ signaling-1, signaling-2 ──▶ redis, nats ◀── origin-1, edge-1, edge-2 ◀── browser
//
// Both take the same options; where there are parts, each goes to those whom it concerns.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { Program, freePorts } from './program.js'

const path = text => fileURLToPath(new URL(`../../${text}`, import.meta.url))
export const PROGRAM = process.env.DAIS_BIN ?? path('target/release/dais')
const NATS_CONF = path('docs/nats.conf')

/** Needed where nodes tell clients an address that is not loopback's. */
const CLUSTER_KEY = 'a key of the cluster for tests alone, of 32 bytes or more'
const SIGNALING = ['signaling-1', 'signaling-2']
/** Nodes with media, each with one shard, and so one UDP port. */
const MEDIA = ['origin-1', 'edge-1', 'edge-2']

/** Which parts an option concerns. */
const CONCERNS = {
  '--limit': ['signaling'],
  '--media-ip': ['origin', 'edge'],
  '--capacity': ['origin', 'edge'],
  '--framing': ['edge'],
}

/**
 * A form as it starts: where people go, the UDP port of the origin (the two edges have the next ones), all processes
 * by name, and what is to be done once they have ended.
 * @typedef {{ url: string, media: number, programs: Record<string, Program>, clear: () => void }} Form
 */

/** @param {string[]} key options with the key of the tokens @param {string[]} options @returns {Promise<Form>} */
export async function up(key, options) {
  const [http, admin, link, media] = await freePorts(4)
  const ports = ['--listen', at(http), '--media', at(media), '--link', at(link), '--shards', `${MEDIA.length}`]
  return {
    url: `http://${at(http)}`,
    media,
    programs: { up: dais(admin, 'up', ...ports, ...key, ...options) },
    clear() {},
  }
}

/** @param {string[]} key options with the key of the tokens @param {string[]} options @returns {Promise<Form>} */
export async function cluster(key, options) {
  const [http, admin, media, link, servers] = await freePorts(5)
  const [redis, nats, nginx] = [servers, servers + 1, servers + 2]
  const directory = mkdtempSync(join(tmpdir(), 'dais-'))
  const listen = SIGNALING.map((_, index) => http + index)
  writeFileSync(join(directory, 'nginx.conf'), balancer(nginx, listen))

  const programs = {
    redis: new Program('redis-server', '--port', `${redis}`, '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'no'),
    nats: new Program('nats-server', '-c', NATS_CONF, '-a', '127.0.0.1', '-p', `${nats}`),
    nginx: new Program('nginx', '-p', directory, '-c', 'nginx.conf', '-e', 'stderr'),
  }
  for (const [index, name] of [...SIGNALING, ...MEDIA].entries()) {
    const kind = name.split('-')[0]
    const node = index - SIGNALING.length
    const own = kind === 'signaling'
      ? ['--listen', at(listen[index]), '--redis', `redis://${at(redis)}`, '--trusted-proxy', '127.0.0.0/8', ...key]
      : ['--media', at(media + node), '--link', at(link + node), '--shards', '1']
    const shared = ['--node', name, '--nats', `nats://${at(nats)}`, '--cluster-key', CLUSTER_KEY]
    programs[name] = dais(admin + index, kind, ...shared, ...own, ...concerning(kind, options))
  }
  const clear = () => rmSync(directory, { recursive: true, force: true })
  return { url: `http://${at(nginx)}`, media, programs, clear }
}

const at = port => `127.0.0.1:${port}`

function dais(admin, command, ...args) {
  const program = new Program(PROGRAM, command, '--admin', at(admin), ...args)
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
  const servers = signaling.map(one => `server ${at(one)};`).join(' ')
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
