// A storm: very many come to one room within a second, and raise their hands within another, while the store is away
// by a round trip. What came of it is noted as facts.

import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import { eventually } from '../browser/town.js'

/** Four signaling nodes, and as much as a room needs beside them. */
export const TOWN = { signaling: ['a', 'a', 'a', 'a'], origin: ['a'], edge: ['a'], cables: true }

const ROOM = 'hall'
/** Answers of the store that a round trip is taken from. */
const ROUND_TRIPS = 8
/** How long counts and lists may take to be true. */
const TRUE_MS = 20_000

/** @param {import('./hall.js').Hall} hall @param {import('./rows.js').Row} row */
export async function storm(hall, { storm: { people, round_trip_ms } }) {
  const { town, facts } = hall
  const nodes = town.names('signaling')
  hall.room = ROOM
  for (const { redis } of nodes.map(name => town.cables(name))) {
    redis.delayMs = Math.floor(round_trip_ms / 2)
    redis.backMs = round_trip_ms % 2
  }
  facts.round_trip_ms = await roundTrip(hall)

  const crowd = new Crowd()
  try {
    const urls = nodes.map(name => town.program(name).url)
    const hosts = nodes.map((_, index) => town.token('host', `host-${index}`))
    const before = await timed(hall)
    const came = await crowd.does('arrive', { urls, hosts, pass: town.token('listener'), people })
    const between = await timed(hall)
    const raised = await crowd.does('raise')
    const after = await timed(hall)
    facts.joins = { ...summary(came, people), ...difference(before, between, 'join') }
    facts.hands = { ...summary(raised, people), ...difference(between, after, 'raise_hand') }
    const everybody = [...came.identities, ...nodes.map((_, index) => `host-${index}`)].sort()
    facts.twice = await twice(hall, nodes, everybody)
    facts.in_order = await isInOrder(hall, crowd, raised.took.length)
  } finally {
    crowd.end()
  }
}

/** The process with the people. */
class Crowd {
  #process = fork(fileURLToPath(new URL('crowd.js', import.meta.url)))

  /** Lets it do a step; what came of it. @param {string} step */
  does(step, asked = undefined) {
    return new Promise((resolve, reject) => {
      this.#process.once('exit', () => reject(new Error('the crowd has ended')))
      this.#process.once('message', ({ done, error }) => error ? reject(new Error(error)) : resolve(done))
      this.#process.send({ step, asked })
    })
  }

  end() {
    this.#process.kill('SIGKILL')
  }
}

/** How long the store takes to say what time it is, as signaling nodes have it. */
async function roundTrip({ town }) {
  const asked = async what => town.metric(`dais_store_seconds_${what}`, 'operation="time"')
  const [sum, count] = [await asked('sum'), await asked('count')]
  await eventually('the store is asked', async () => await asked('count') >= count + ROUND_TRIPS)
  return 1_000 * (await asked('sum') - sum) / (await asked('count') - count)
}

/** What the nodes have counted so far. */
async function timed({ town }) {
  const of = async (name, label) => ({
    sum: await town.metric(`${name}_sum`, label), count: await town.metric(`${name}_count`, label),
  })
  return {
    commit: await of('dais_store_seconds', 'operation="commit"'),
    join: await of('dais_signaling_request_seconds', 'type="join"'),
    raise_hand: await of('dais_signaling_request_seconds', 'type="raise_hand"'),
    conflicts: await town.metric('dais_store_conflicts_total'),
  }
}

function difference(before, after, request) {
  const mean = name => 1_000 * (after[name].sum - before[name].sum) / (after[name].count - before[name].count)
  return {
    commits: after.commit.count - before.commit.count, conflicts: after.conflicts - before.conflicts,
    commit_ms: mean('commit'), request_ms: mean(request),
  }
}

function summary({ ms, took, refused }, people) {
  took.sort((a, b) => a - b)
  const at = part => took[Math.ceil(part * took.length) - 1] ?? null
  return { all_s: ms / 1_000, missing: people - took.length, refused: [...new Set(refused)], p50_ms: at(0.5), p99_ms: at(0.99) }
}

/** People who are in a list twice or should not be, or are missing, at the node where that is worst. */
async function twice(hall, nodes, everybody) {
  let wrong
  const look = async node => {
    const { people, counts } = await hall.truth(node)
    const there = new Set(people)
    const missing = everybody.filter(one => !there.has(one)).length
    return people.length - there.size + missing + Math.abs(counts.listeners + counts.speakers - everybody.length)
  }
  await eventually('lists are true', async () => {
    wrong = Math.max(...await Promise.all(nodes.map(look)))
    return wrong === 0
  }, TRUE_MS).catch(error => { hall.said.push(error.message) })
  return wrong
}

/**
 * Whether each host has each hand with one turn, and so in the order in which they stand in the store; and whether each
 * that was answered stands there.
 */
async function isInOrder(hall, crowd, answered) {
  const lines = (await hall.redis('hgetall', `dais:{${ROOM}}:hands`)).split('\n')
  const stored = []
  for (let index = 0; index + 1 < lines.length; index += 2) {
    const [, number, hand] = lines[index + 1].match(/^(\d+):(.*)$/)
    const { place, went_up } = JSON.parse(hand)
    stored.push({ identity: lines[index], turn: [went_up ?? Number(number), place] })
  }
  const byTurn = ({ turn: a }, { turn: b }) => a[0] - b[0] || a[1] - b[1]
  const order = hands => hands.sort(byTurn).map(hand => `${hand.identity} ${hand.turn}`).join()
  const expected = order(stored)
  let told
  const isTold = await eventually('all hosts are told', async () => {
    ({ told } = await crowd.does('look'))
    return told.every(hands => hands.length >= stored.length)
  }, TRUE_MS).catch(() => false)
  return isTold && stored.length >= answered && told.every(hands => order(hands) === expected)
}
