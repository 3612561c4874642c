// The files of nginx, NATS and Redis with the servers that read them, started as docker-compose.yml starts them, on free
// ports of this machine.

import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

import { Program, eventually, freePorts } from '../browser/program.js'
import { FILLED, described, path, read, run, scratch } from './files.js'

const directory = scratch(after)
/** @type {Program[]} */
const programs = []
/** @type {Record<string, any>} */
let all

before(async () => { all = (await described(directory)).services })
// In order: whoever kills nginx leaves its workers behind.
after(() => Promise.all(programs.map(program => {
  program.process.kill('SIGTERM')
  return program.ended
})))

function start(command, ...args) {
  const program = new Program(command, ...args)
  programs.push(program)
  return program
}

/** The command line of a service, with what is elsewhere here. @param {string} name @param {Record<string, string>} here */
function command(name, here) {
  const { entrypoint, command, volumes } = all[name]
  const mounted = Object.fromEntries(volumes.map(({ source, target }) => [target, source]))
  return [...entrypoint, ...command].map(word => here[word] ?? mounted[word] ?? word)
}

// nginx

const TEMPORARY = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']

/** deploy/nginx.conf, with the server for TLS or without it, and other text in place of some. */
function nginxConf(name, hasTls, ...changes) {
  let text = read('deploy/nginx.conf')
  if (hasTls) {
    const [before, tls, rest] = text.split(/^ *# TLS (?:begin|end)\n/m)
    text = `${before.slice(0, before.lastIndexOf('  server {'))}${tls.replaceAll(/^ *# ?/gm, '')}${rest}`
  }
  // Where only root may write.
  text = text.replace('http {', `http {\n${TEMPORARY.map(what => `${what}_temp_path ${directory}/${what};`).join('\n')}`)
  for (const [old, other] of changes) {
    assert.ok(text.includes(old), `nginx.conf has no ${old}`)
    text = text.replaceAll(old, other)
  }
  const file = join(directory, name)
  writeFileSync(file, text)
  return file
}

const nginx = file => ['-p', directory, '-e', 'stderr', '-c', file, '-g', `pid ${directory}/nginx.pid; daemon off;`]

test('nginx takes its file, with TLS and without', async () => {
  const [cert, key] = ['fullchain.pem', 'privkey.pem'].map(name => join(directory, 'tls', name))
  mkdirSync(join(directory, 'tls'))
  const made = await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
    '-subj', '/CN=localhost', '-keyout', key, '-out', cert])
  assert.equal(made.code, 0, made.said)
  const withTls = nginxConf('tls.conf', true, ['/etc/nginx/tls', join(directory, 'tls')])
  for (const file of [nginxConf('plain.conf', false), withTls]) {
    const { code, said } = await run('nginx', ['-t', ...nginx(file)])
    assert.deepEqual([code, said.includes('[warn]')], [0, false], said)
  }
})

/** A signaling node that tells what it heard of the last who joined: sockets answer with what they are sent. */
async function signaling(name) {
  const node = { name, port: 0, sockets: 0, status: 101, heard: /** @type {any} */ ({}), close: () => {} }
  const open = new Set()
  const server = createServer((asked, answer) => { answer.end(name) })
  server.on('upgrade', (asked, socket) => {
    node.heard = asked.headers
    if (node.status !== 101) return socket.end(`HTTP/1.1 ${node.status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`)
    node.sockets++
    open.add(socket)
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Node: ${name}\r\n\r\n`)
    socket.on('data', data => socket.write(data)).on('error', () => {}).on('close', () => open.delete(socket) && node.sockets--)
  })
  await new Promise(resolve => { server.listen(0, '127.0.0.1', () => resolve(undefined)) })
  node.port = /** @type {import('node:net').AddressInfo} */ (server.address()).port
  node.close = () => {
    server.close()
    server.closeAllConnections()
    open.forEach(socket => socket.destroy())
  }
  return node
}

/** A socket that has been upgraded, and by whom; or the status that it was refused with. */
function come(port, headers = {}) {
  return new Promise((resolve, reject) => {
    const asked = request({ port, host: '127.0.0.1', path: '/v1/join', headers: { connection: 'Upgrade', upgrade: 'websocket', ...headers } })
    asked.on('upgrade', (answer, socket) => resolve({ node: answer.headers['x-node'], socket: socket.on('error', () => {}) }))
    asked.on('response', answer => resolve({ status: answer.resume().statusCode }))
    asked.on('error', reject).end()
  })
}

const echoes = (socket, word) => new Promise(resolve => {
  socket.once('data', data => resolve(String(data) === word))
  socket.once('close', () => resolve(false))
  socket.write(word)
})

/** nginx in front of two nodes, for as long as a test runs. */
async function balancer(t) {
  const [one, other] = [await signaling('one'), await signaling('other')]
  t.after(() => [one, other].forEach(node => node.close()))
  const [port] = await freePorts(1)
  const file = nginxConf('live.conf', false, ['listen 8080', `listen 127.0.0.1:${port}`],
    ['10.88.1.10:7000', `127.0.0.1:${one.port}`], ['10.88.2.10:7000', `127.0.0.1:${other.port}`])
  const server = start('nginx', ...nginx(file))
  t.after(() => server.stop())
  const url = `http://127.0.0.1:${port}/`
  await eventually('nginx answers', () => fetch(url).then(answer => answer.ok, () => false))
  return { one, other, port, url, file, server }
}

test('nginx binds nobody to a node, and believes nobody', async t => {
  const { one, other, port, url } = await balancer(t)
  // In turn, whatever else is asked for between.
  for (let joined = 0; joined < 4; joined++) {
    await come(port, { 'x-forwarded-for': '198.51.100.1', 'x-dais-region': 'b' })
    await fetch(`${url}page/style.css`)
  }
  assert.deepEqual([one.sockets, other.sockets], [2, 2])
  for (const { heard } of [one, other]) {
    const { host, upgrade, 'x-forwarded-for': from, 'x-dais-region': region } = heard
    assert.deepEqual({ host, upgrade, from, region }, { host: `127.0.0.1:${port}`, upgrade: 'websocket', from: '127.0.0.1', region: undefined })
  }
})

test('nginx goes round a node that takes nobody, and round one that is dead', async t => {
  const { one, port, url } = await balancer(t)
  const answers = () => Promise.all(Array.from({ length: 4 }, async () => (await fetch(url)).status))
  one.status = 503
  for (let joined = 0; joined < 3; joined++) assert.equal((await come(port)).node, 'other')
  assert.deepEqual(await answers(), [200, 200, 200, 200])
  one.close()
  assert.deepEqual(await answers(), [200, 200, 200, 200])
})

test('nginx reads its file anew and cuts nobody', async t => {
  const { port, url, file, server } = await balancer(t)
  const { socket } = await come(port)
  writeFileSync(file, readFileSync(file, 'utf8').replace('location / {', 'location / { return 204; }\n    location /page {'))
  server.process.kill('SIGHUP')
  await eventually('it goes by what is new', () => fetch(url).then(answer => answer.status === 204, () => false))
  assert.ok(await echoes(socket, 'still here'))
})

// NATS

test('NATS takes its files, and that for a network only with a password', async () => {
  const quoted = all.nats.environment.NATS_PASSWORD
  for (const [file, env, good] of [
    ['deploy/nats.conf', {}, true],
    ['deploy/nats-network.conf', { NATS_PASSWORD: quoted }, true],
    ['deploy/nats-network.conf', {}, false],
  ]) {
    const { code, said } = await run('nats-server', ['-t', '-c', file], env)
    assert.equal(code === 0, good, `${file}: ${said}`)
  }
})

/** Tells NATS who one is and what one wants; all that it answers until it has answered `until`. */
function nats(port, user, words, until) {
  return new Promise((resolve, reject) => {
    let said = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(`CONNECT ${JSON.stringify({ ...user, verbose: false })}\r\n${words}PING\r\n`))
    socket.on('data', data => {
      said += data
      if (until.test(said)) socket.destroy()
    })
    socket.on('close', () => resolve(said)).on('error', reject)
  })
}

test('NATS on a network lets in who knows the password, to what is of Dais', async () => {
  const [port, monitor] = await freePorts(2)
  const network = join(directory, 'nats-network.conf')
  writeFileSync(join(directory, 'nats.conf'), read('deploy/nats.conf'))
  writeFileSync(network, read('deploy/nats-network.conf').replace('0.0.0.0:4222', `127.0.0.1:${port}`).replace('127.0.0.1:8222', `127.0.0.1:${monitor}`))
  const [program, ...args] = command('nats', { '/etc/nats/nats-network.conf': network })
  // The variable as Compose sets it.
  start('env', `NATS_PASSWORD=${all.nats.environment.NATS_PASSWORD}`, program, ...args)
  await eventually('NATS is healthy', () => fetch(`http://127.0.0.1:${monitor}/healthz`).then(answer => answer.ok, () => false))

  const user = { user: 'dais', pass: FILLED.NATS_PASSWORD }
  const own = 'SUB dais.nodes 1\r\nPUB dais.nodes 2\r\nhi\r\n'
  assert.match(await nats(port, user, own, /PONG/), /MSG dais\.nodes 1 2\r\nhi\r\n/)
  assert.match(await nats(port, user, 'SUB > 1\r\n', /-ERR.*\r\n/), /Permissions Violation for Subscription/)
  assert.match(await nats(port, { ...user, pass: 'wrong' }, '', /-ERR.*\r\n/), /Authorization Violation/)
  assert.match(await nats(port, {}, '', /-ERR.*\r\n/), /Authorization Violation/)
})

// Redis

test('Redis throws nothing away, writes it down, asks for the password, and ends well', async () => {
  const [port] = await freePorts(1)
  const data = join(directory, 'redis')
  mkdirSync(data)
  const [program, ...args] = command('redis', { '0.0.0.0': '127.0.0.1', '/data': data })
  assert.ok(args.includes(path('deploy/redis.conf')))
  const server = start(program, ...args, '--port', `${port}`)
  const ask = (password, ...words) => run('redis-cli', ['-p', `${port}`, '-e', ...words], password && { REDISCLI_AUTH: password })
  const { REDISCLI_AUTH } = all.redis.environment
  await eventually('Redis is healthy', async () => (await ask(REDISCLI_AUTH, ...all.redis.healthcheck.test.slice(3))).code === 0)
  assert.notEqual((await ask('', 'ping')).code, 0)
  for (const [name, value] of [['maxmemory-policy', 'noeviction'], ['appendonly', 'yes'], ['appendfsync', 'everysec'], ['save', '']]) {
    assert.equal((await ask(REDISCLI_AUTH, 'config', 'get', name)).said, `${name}\n${value}`.trim())
  }
  await ask(REDISCLI_AUTH, 'set', 'dais:life', 'one')
  await server.stop()
  server.restart()
  await eventually('it is there again', async () => (await ask(REDISCLI_AUTH, 'get', 'dais:life')).said === 'one')
})
