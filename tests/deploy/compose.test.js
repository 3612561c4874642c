// docker-compose.yml: it is taken by Compose, refuses to start with what everybody knows, and does not contradict itself.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { after, before, test } from 'node:test'

import { topology } from '../cluster/topology.js'
import { ASKED, FILLED, compose, described, path, read, scratch } from './files.js'

const directory = scratch(after)
/** @type {Record<string, any>} */
let all
/** @type {Record<string, any>} */
let networks
/** Those that run `dais`, by name, but for the one that makes certificates. @type {[string, any][]} */
let parts
/** Origins and edges. @type {[string, any][]} */
let nodes

before(async () => {
  const file = await described(directory)
  all = file.services
  networks = file.networks
  parts = Object.entries(all).filter(([name, { image }]) => image.startsWith('dais:') && name !== 'certs')
  nodes = parts.filter(([name]) => !name.startsWith('signaling'))
})

const address = name => all[name].networks.dais.ipv4_address
const seconds = text => Number(/^(\d+)s$/.exec(text)?.[1])

test('the example is refused until the last of its values is there', async () => {
  assert.equal(ASKED.length, 8)
  const empty = await compose(directory, {})
  assert.match(empty.said, /required variable \w+ is missing a value: see \.env\.example/)
  for (const name of ASKED) {
    const { code, said } = await compose(directory, { ...FILLED, [name]: '' })
    assert.notEqual(code, 0, `without ${name} it is taken`)
    assert.match(said, new RegExp(`required variable ${name} is missing a value`))
  }
})

test('it is the cluster that is promised', () => {
  const edges = ['edge-a1', 'edge-a2', 'edge-a3', 'edge-a4', 'edge-b1', 'edge-b2']
  const names = ['certs', 'nats', 'redis', 'nginx', 'signaling-1', 'signaling-2', 'origin-a1', 'origin-b1', ...edges, 'prometheus', 'grafana']
  assert.deepEqual(Object.keys(all).sort(), names.sort())
})

test('what `make cluster` starts is what Compose reads', () => {
  const { services, subnet } = topology(read('docker-compose.yml'), name => FILLED[name])
  assert.equal(subnet, networks.dais.ipam.config[0].subnet)
  for (const { name, command, environment, address: at, mounts } of services) {
    const { entrypoint, command: args, environment: variables, networks, volumes } = all[name]
    assert.deepEqual(command, [...entrypoint ?? [], ...args ?? []], name)
    assert.deepEqual(environment, variables ?? {}, name)
    assert.equal(at, networks?.dais?.ipv4_address, name)
    assert.deepEqual(mounts.map(({ target }) => target), (volumes ?? []).map(({ target }) => target), name)
  }
})

test('nobody in a container can do more than they must', () => {
  for (const [name, service] of Object.entries(all)) {
    const { read_only, cap_drop, security_opt, user, privileged, logging } = service
    assert.deepEqual({ read_only, cap_drop, security_opt, privileged }, {
      read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'], privileged: undefined,
    }, name)
    assert.match(user ?? 'root', /^[1-9]\d*:\d+$/, `${name} is root`)
    assert.ok(logging.options['max-size'] && logging.options['max-file'], `the log of ${name} grows for ever`)
    const written = (service.volumes ?? []).filter(({ type, read_only }) => type === 'bind' && !read_only)
    assert.deepEqual(written, [], `${name} may write to this machine`)
  }
})

test('images are pinned, and everything that runs says how it is and comes back', () => {
  for (const [name, { image, healthcheck, restart, mem_limit }] of Object.entries(all)) {
    assert.match(image, /:v?\d+\.\d+\.\d+(-alpine)?$/, name)
    if (name === 'certs') continue
    assert.ok(healthcheck?.test?.[0] === 'CMD' && restart === 'unless-stopped' && mem_limit, name)
  }
})

test('there is no shell in what is run', () => {
  for (const [name, { entrypoint, command, healthcheck }] of Object.entries(all)) {
    const words = [entrypoint, command, healthcheck?.test].flatMap(words => words ?? [])
    assert.ok(!words.some(word => /^(CMD-SHELL|(\/bin\/)?(ba|da)?sh)$/.test(word)), `${name}: ${words}`)
  }
})

test('each has an address of its own, where its region is', () => {
  const named = Object.entries(all).filter(([, { networks }]) => networks)
  const addresses = named.map(([name]) => address(name))
  assert.equal(new Set(addresses).size, addresses.length)
  for (const [name, { environment }] of named) {
    const network = { a: '10.88.1.', b: '10.88.2.' }[environment?.DAIS_REGION] ?? '10.88.0.'
    assert.ok(address(name).startsWith(network), name)
  }
})

test('parts are called what they are, know all that they need, and nothing else that is secret', () => {
  for (const [name, { command, environment, stop_grace_period }] of parts) {
    const isSignaling = command[0] === 'signaling'
    assert.equal(environment.DAIS_NODE, name)
    assert.ok(name.startsWith(`${command[0]}-`), `${name} runs ${command}`)
    assert.ok(environment.DAIS_NATS.endsWith(`@${address('nats')}:4222`) && environment.DAIS_CLUSTER_KEY, name)
    assert.equal('DAIS_API_SECRET' in environment && environment.DAIS_REDIS.endsWith(`@${address('redis')}:6379`), isSignaling, name)
    assert.ok(seconds(stop_grace_period) > seconds(environment.DAIS_DRAIN) + 5, `${name} is killed while its people go`)
  }
})

test('options are those of the program', () => {
  const options = read('dais/src/options.rs')
  const settings = [...options.matchAll(/Setting(?:::\w+\(\s*| \{\s*name: )"([a-z-]+)"/g)].map(([, name]) => name)
  const commands = [...options.matchAll(/name: "(\w+)",\s+about:/g)].map(([, name]) => name)
  const variables = new Set(settings.map(name => `DAIS_${name.replaceAll('-', '_').toUpperCase()}`))
  for (const [name, { command, environment = {} }] of [...parts, ['certs', all.certs]]) {
    assert.deepEqual(Object.keys(environment).filter(variable => !variables.has(variable)), [], `${name} is told what means nothing`)
    const words = command.slice(1).map(word => /^--([a-z-]+)=/.exec(word)?.[1])
    assert.deepEqual(words.filter(word => !settings.includes(word)), [], `${name} is told what means nothing`)
    assert.ok(commands.includes(command[0]), `there is no dais ${command[0]}`)
  }
  assert.ok(commands.includes('health'), 'there is no dais health')
})

test('people reach each node where they are told to go, and nodes reach it where they are', () => {
  const taken = new Set()
  for (const [name, { environment, ports }] of nodes) {
    const first = Number(environment.DAIS_MEDIA.split(':')[1])
    const own = Array.from({ length: Number(environment.DAIS_SHARDS) }, (_, shard) => first + shard)
    const published = ports.map(({ target, published, protocol }) => `${published}:${target}/${protocol}`)
    assert.deepEqual(published, own.map(port => `${port}:${port}/udp`), name)
    own.forEach(port => assert.ok(!taken.has(port) && taken.add(port), `${name} shares port ${port}`))
    assert.deepEqual([environment.DAIS_MEDIA_IP, environment.DAIS_LINK_IP], [FILLED.DAIS_PUBLIC_IP, address(name)], name)
  }
  const others = Object.entries(all).filter(([name, { ports }]) => ports && !nodes.some(([node]) => node === name))
  assert.deepEqual(others.map(([name]) => name).sort(), ['grafana', 'nginx', 'prometheus'])
  for (const name of ['grafana', 'prometheus']) assert.equal(all[name].ports[0].host_ip, '127.0.0.1', name)
})

test('each node has a certificate of its own and sees no other, and the key of the authority is nowhere', () => {
  const made = all.certs.command.filter(word => word.startsWith('--for=')).map(word => word.slice('--for='.length))
  assert.deepEqual(made.sort(), nodes.map(([name, { command }]) => `${command[0]}/${name}`).sort())
  for (const [name, { volumes, environment, depends_on }] of nodes) {
    const mounts = volumes.map(({ source, target, read_only, volume }) => ({ source, target, read_only, volume }))
    const volume = { nocopy: true, subpath: name }
    assert.deepEqual(mounts, [{ source: 'certs', target: environment.DAIS_CERT_DIR, read_only: true, volume }], name)
    assert.equal(depends_on.certs.condition, 'service_completed_successfully', name)
  }
  const see = Object.entries(all).filter(([, { volumes }]) => volumes?.some(({ source, volume }) => source === 'certs' && !volume?.subpath))
  assert.deepEqual(see.map(([name]) => name), ['certs'])
})

test('nginx asks the signaling nodes, and they believe nobody but nginx', () => {
  const signaling = parts.filter(([name]) => name.startsWith('signaling')).map(([name]) => `${address(name)}:7000`)
  const asked = [...read('deploy/nginx.conf').matchAll(/upstream (\w+) \{([^}]*)\}/g)]
  assert.deepEqual(asked.map(([, name]) => name), ['sockets', 'requests'])
  for (const [, name, body] of asked) assert.deepEqual([...body.matchAll(/server (\S+)/g)].map(([, server]) => server), signaling, name)
  for (const { environment } of parts.map(([, part]) => part)) {
    assert.ok([undefined, address('nginx')].includes(environment.DAIS_TRUSTED_PROXY))
  }
})

test('what is mounted is there, and Prometheus watches every part', () => {
  for (const [name, { volumes = [] }] of Object.entries(all)) {
    for (const { type, source } of volumes) assert.ok(type !== 'bind' || existsSync(source), `${name} wants ${source}`)
  }
  const watched = [...read('grafana/prometheus/prometheus.yml').matchAll(/"([a-z\d-]+):7001"/g)].map(([, name]) => name)
  assert.deepEqual(watched.sort(), parts.map(([name]) => name).sort())
  assert.match(read('grafana/provisioning/datasources/dais.yml'), /url: http:\/\/prometheus:9090$/m)
  const dashboards = all.grafana.volumes.find(({ source }) => source === path('grafana/dashboards')).target
  assert.match(read('grafana/provisioning/dashboards/dais.yml'), new RegExp(`path: ${dashboards}$`, 'm'))
})
