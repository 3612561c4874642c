// What is done to a town hall, each as a function of the hall. Each notes what it has seen as facts, and ends with what
// is true then. What is allowed stands with the rows.

import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { eventually, signedWith } from '../browser/town.js'
import { pause } from './hall.js'

/** @typedef {import('./hall.js').Hall} Hall */

/** Time for people to notice and to come back, in seconds. */
const RECOVERY_S = 8
/** An outage of a server, and a cut of one node from it. */
const OUTAGE_S = 30
/** A server that answers, but not what was asked for. */
const REFUSAL_S = 15
/** People at the node that is killed who do not come back. */
const STRANGERS = 5
/** For how long counts are looked at after a kill, and how long somebody who was banned may hear on. */
const COUNTS_S = 15
const BANNED_S = 70
/** Until the places of those have lapsed who were cut with a node: its lease, and a minute. */
const LAPSED_S = 75
/** Keys that make Redis take its time to load, and how many µs each of them takes. */
const PADS = 3_000
const PAD_US = 5_000

/** @param {Hall} hall */
export async function nothing(hall) {
  const before = await hall.begin()
  await pause(RECOVERY_S)
  await hall.settle(before)
}

/** @param {Hall} hall */
export async function leafKilled(hall) {
  const before = await hall.begin()
  const victim = (await hall.edges('a')).at(-1)
  hall.facts.killed = victim
  await hall.town.program(victim).kill()
  await hall.settle(before)
}

/** @param {Hall} hall */
export async function hubKilled(hall) {
  const before = await hall.begin()
  const [hub, ...below] = await hall.edges('a')
  Object.assign(hall.facts, { killed: hub, below })
  await hall.town.program(hub).kill()
  await hall.settle(before)
}

/** @param {Hall} hall */
export async function originKilled(hall) {
  const before = await hall.begin()
  await killOrigin(hall)
  await hall.settle(before)
}

/** A probe stays at its edge whatever signaling says, so a ban of one shows whether the edge is told. @param {Hall} hall */
export async function signalingKilled(hall) {
  const before = await hall.begin()
  for (let number = 0; number < STRANGERS; number++) await hall.stranger('signaling-1')
  const counted = async () => (await hall.truth('signaling-2')).counts.listeners
  await eventually('strangers are counted', async () => await counted() === hall.listeners + STRANGERS)

  const killed = Date.now()
  const since = () => (Date.now() - killed) / 1_000
  await hall.town.program('signaling-1').kill()
  await hall.act('signaling-2', 'ban', 'probe-0')
  Object.assign(hall.facts, { right_after_s: 0, gone_after_s: 0 })
  while (since() < COUNTS_S) {
    const count = await counted()
    if (count !== hall.listeners - 1) hall.facts.right_after_s = since()
    if (count > hall.listeners - 1) hall.facts.gone_after_s = since()
    await pause(0.2)
  }
  const isSilent = eventually('the banned one hears nothing', async () => await hall.peers() < hall.listeners, (BANNED_S - since()) * 1_000)
  hall.facts.silent_after_s = await isSilent.then(since, () => null)
  const listed = async () => (await hall.truth('signaling-2')).people.length
  await eventually('the places of those who were cut lapse', async () => await listed() < before.people.length, (LAPSED_S - since()) * 1_000)
  await hall.settle({ ...before, people: before.people.filter(one => one !== 'probe-0') })
}

/** @param {Hall} hall */
export async function nginxRestarted(hall) {
  const before = await hall.begin()
  await restart(hall.town.program('nginx'))
  await pause(RECOVERY_S)
  await hall.settle(before)
}

/** One node is cut from a server: it is refused, or nothing comes through. @param {'nats' | 'redis'} server @param {'cut' | 'die'} how */
export const cutFrom = (server, how) => async (/** @type {Hall} */ hall) => {
  const cable = hall.town.cables('signaling-1')[server]
  await meanwhile(hall, OUTAGE_S, () => cable[how](), () => cable.mend())
}

/** @param {number} seconds */
export const paused = seconds => async (/** @type {Hall} */ hall) => {
  const program = hall.town.program('signaling-1')
  await meanwhile(hall, seconds, () => program.pause(), () => program.resume())
}

/** While one node is out of it, a host mutes somebody at the other. */
async function meanwhile(hall, seconds, begin, end) {
  const before = await hall.begin()
  begin()
  await pause(seconds / 2)
  const muted = await hall.act('signaling-2', 'mute', 'speaker-1').then(() => true, error => {
    hall.said.push(`at the other node: ${error.message}`)
    return false
  })
  await pause(seconds / 2)
  end()
  await hall.settle(muted ? withMuted(before, 'speaker-1') : before)
}

/** @param {Hall} hall */
export async function natsAway(hall) {
  const before = await hall.begin()
  const nats = hall.town.program('nats')
  await nats.kill()
  await refused(hall, OUTAGE_S, [])
  nats.restart()
  await hall.settle(before)
}

/** @param {Hall} hall */
export async function redisAway(hall) {
  const before = await hall.begin()
  await shutDown(hall)
  await refused(hall, OUTAGE_S)
  hall.town.program('redis').restart()
  await settle(hall, before)
}

/** @param {Hall} hall */
export async function redisEmpty(hall) {
  const before = await hall.begin()
  await restart(hall.town.program('redis'))
  await pause(RECOVERY_S)
  await hall.settle(before)
}

/** It comes back as it was before a host muted somebody. @param {Hall} hall */
export async function redisOlder(hall) {
  const before = await hall.begin()
  await hall.redis('save')
  await hall.act('signaling-2', 'mute', 'speaker-1')
  await pause(2)
  await restart(hall.town.program('redis'))
  await pause(RECOVERY_S)
  await hall.settle(withMuted(before, 'speaker-1'))
}

/** @param {Hall} hall */
export async function redisLoading(hall) {
  const before = await hall.begin()
  await hall.redis('config', 'set', 'rdbcompression', 'no')
  await hall.redis('eval', `for n = 1, ${PADS} do redis.call('SET', 'pad:' .. n, string.rep('x', 2048)) end`, '0')
  await shutDown(hall)
  // It looks after its clients after so many bytes only.
  hall.town.program('redis').restart('--key-load-delay', `${PAD_US}`, '--loading-process-events-interval-bytes', '1024')
  await eventually('it is loading', () => hall.redis('ping').then(says => says.startsWith('LOADING'), () => false))
  await refused(hall, PADS * PAD_US / 1e6 - 3)
  await eventually('it has loaded', () => hall.redis('ping').then(says => says === 'PONG', () => false), 60_000)
  await settle(hall, before)
}

/** @param {Hall} hall */
export async function redisReadOnly(hall) {
  const before = await hall.begin()
  await hall.redis('replicaof', '127.0.0.1', '1')
  await refused(hall, REFUSAL_S)
  await hall.redis('replicaof', 'no', 'one')
  await settle(hall, before)
}

/** It cannot save: there is something else in the place of its file. @param {Hall} hall */
export async function redisCannotSave(hall) {
  const before = await hall.begin()
  const file = join((await hall.redis('config', 'get', 'dir')).split('\n')[1], 'dump.rdb')
  mkdirSync(file)
  await hall.redis('config', 'set', 'save', '3600 1')
  await hall.redis('bgsave')
  await eventually('it has not saved', async () => (await hall.redis('info', 'persistence')).includes('rdb_last_bgsave_status:err'))
  await refused(hall, REFUSAL_S)
  rmdirSync(file)
  await hall.redis('config', 'set', 'save', '')
  await settle(hall, before)
}

/** @param {Hall} hall */
export async function redisOutOfMemory(hall) {
  const before = await hall.begin()
  await hall.redis('config', 'set', 'maxmemory', '1')
  await refused(hall, REFUSAL_S)
  await hall.redis('config', 'set', 'maxmemory', '0')
  await settle(hall, before)
}

/** @param {Hall} hall */
export async function signalingRestarted(hall) {
  const before = await hall.begin()
  await Promise.all(hall.town.names('signaling').map(name => restart(hall.town.program(name))))
  await eventually('they are ready', () => hall.town.ready(), 30_000)
  await pause(RECOVERY_S)
  await hall.settle(before)
}

/** Hosts mute at each of two builds, and the other build's origin takes the room over. @param {Hall} hall */
export async function twoBuilds(hall) {
  const before = await hall.begin()
  await hall.act('signaling-2', 'mute', 'speaker-1')
  await hall.settle(withMuted(before, 'speaker-1'))
  await killOrigin(hall)
  await hall.settle(withMuted(before, 'speaker-1'))
}

async function killOrigin(hall) {
  const speakers = await hall.town.metric('dais_origin_speakers')
  await hall.town.program(await hall.origin()).kill()
  await eventually('speakers are at the other origin', async () => await hall.town.metric('dais_origin_speakers') === speakers)
}

/** Everybody is at one edge, which then goes empty. @param {Hall} hall */
export async function edgeDrained(hall) {
  await hall.town.run('drain', 'edge-2')
  const before = await hall.begin()
  await hall.town.run('drain', 'edge-2', '--undo')
  await leaving(hall, () => hall.town.metric('dais_edge_listeners', '"edge-1"'), () => hall.town.run('drain', 'edge-1'))
  await hall.settle(before)
}

/** Half of the people are at one signaling node, which is then stopped in order. @param {Hall} hall */
export async function signalingDrained(hall) {
  const before = await hall.begin()
  const node = hall.town.program('signaling-1')
  const there = () => hall.town.metric('dais_signaling_participants', '"signaling-1"')
  await leaving(hall, there, async () => {
    node.process.kill('SIGTERM')
    if (await node.ended !== 0) hall.said.push(`signaling-1 ended with ${node.end}`)
  })
  node.restart()
  await eventually('it is ready again', () => hall.town.ready(), 30_000)
  await hall.settle(before)
}

/**
 * The authority of the links, the key of the cluster and the key of the tokens are changed one after another, each as
 * docs/operations.md says. @param {Hall} hall
 */
export async function keysChanged(hall) {
  const before = await hall.begin()
  const { town } = hall
  const media = [...town.names('origin'), ...town.names('edge')]

  const expiry = async () => Promise.all(media.map(name => town.metric('dais_link_certificate_expiry_seconds', `"${name}"`)))
  const first = await expiry()
  for (const step of ['begin', 'use', 'end']) {
    const rotate = () => town.run('certs', '--dir', town.trust.certs, '--days', '100', '--rotate', step)
    await saying(town, media, 'a new certificate for links', rotate)
  }
  hall.facts.renewed = (await expiry()).every((ends, index) => ends > first[index])

  const [old, next] = [readFileSync(town.trust.key, 'utf8'), 'the next key of the cluster, of 32 bytes or more as well']
  for (const keys of [[old, next], [next, old], [next]]) {
    const write = () => writeFileSync(town.trust.key, keys.join('\n'))
    await saying(town, [...media, ...town.names('signaling')], 'the key of the cluster is new', write)
  }
  await hall.settle(before)

  const [token, key] = [town.key, { name: 'next', secret: 'the next secret of the tokens and of 32 bytes or more' }]
  await oneByOne(hall, program => { program.variables.DAIS_KEYS = `${key.name}:${key.secret}` })
  town.key = key
  await hall.settle(before)
  await oneByOne(hall, program => {
    program.variables = {}
    program.change(signedWith(token), signedWith(key))
  })
  await hall.settle(before)
  town.key = token
  hall.facts.old_key = await hall.act('signaling-1', 'mute', 'speaker-1').then(() => 'taken', error => error.code)
  town.key = key
}

/** Does something, and waits until each of them has said so once more. */
async function saying(town, names, words, act) {
  const count = name => town.program(name).said.split(words).length
  const before = names.map(count)
  await act()
  for (const [index, name] of names.entries()) await eventually(`${name} says: ${words}`, () => count(name) > before[index])
}

/** Restarts each signaling node, changed. */
async function oneByOne(hall, change) {
  for (const name of hall.town.names('signaling')) {
    const program = hall.town.program(name)
    change(program)
    await program.stop()
    program.restart()
    await eventually('it is ready again', () => hall.town.ready(), 30_000)
  }
}

/** Notes how people leave while something is done to where they are. */
async function leaving(hall, count, act) {
  const began = Date.now()
  const seen = [hall.facts.left_from = await count()]
  let isDone = false
  const acted = act().finally(() => { isDone = true })
  while (!isDone) {
    await pause(1)
    seen.push(isDone ? 0 : await count().catch(() => 0))
  }
  await acted
  hall.facts.empty_after_s = (Date.now() - began) / 1_000
  hall.facts.most_in_a_second = Math.max(...seen.slice(1).map((now, index) => seen[index] - now))
}

/** Waits, and notes whether what cannot work says so and when to come back. @param {Hall} hall */
async function refused(hall, seconds, acts = ['mute']) {
  const until = Date.now() + seconds * 1_000
  await pause(2)
  const asked = hall.town.names('signaling').flatMap(node => [
    hall.knock(node).then(answer => [`a join at ${node}`, answer]),
    ...acts.map(act => hall.act(node, act, 'speaker-1').catch(error => error).then(answer => [`${act} at ${node}`, answer])),
  ])
  const answers = await Promise.all(asked)
  const says = ({ code, retry_after_ms }) => ['unavailable', 'busy'].includes(code) && retry_after_ms > 0
  hall.facts.is_unclear = acts.length > 0 && answers.some(([, answer]) => answer.code === 'no_answer')
  hall.facts.says_so = answers.every(([, answer]) => says(answer))
  for (const [what, answer] of answers.filter(([, answer]) => !says(answer))) {
    hall.said.push(`${what} was answered ${answer.code ?? answer.type ?? answer.result}, without a time to come back.`)
  }
  await pause(Math.max(0, until - Date.now()) / 1_000)
}

/** A mute that was not answered may have been done or not: it is asked for again. @param {Hall} hall */
async function settle(hall, before) {
  if (!hall.facts.is_unclear) return hall.settle(before)
  await eventually('the mute is done', () => hall.act('signaling-1', 'mute', 'speaker-1').then(() => true, () => false))
  await hall.settle(withMuted(before, 'speaker-1'))
}

async function restart(program) {
  await program.kill()
  program.restart()
}

/** Redis ends, and nothing is lost. */
async function shutDown(hall) {
  await hall.redis('shutdown', 'save').catch(() => {})
  await hall.town.program('redis').kill()
}

/** @param {import('./hall.js').Truth} truth @param {string} identity */
function withMuted(truth, identity) {
  const stage = truth.stage.map(one => one.startsWith(`${identity} `) ? one.replace(/heard$/, 'muted') : one)
  return { ...truth, stage }
}
