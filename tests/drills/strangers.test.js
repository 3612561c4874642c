// Bad input on real servers, in the middle of an event: each is named by a counter or in a log, and stage, hands and
// audio go on. One signaling node has a clock that is ten minutes ahead, all the time.

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { CLUSTER_KEY, NATS_CONF, PROGRAM } from '../browser/forms.js'
import { Program, freePorts } from '../browser/program.js'
import { eventually } from '../browser/town.js'
import { Hall } from './hall.js'
import { Wire, forged } from './wire.js'

const LISTENERS = 30
const LOAD = { listeners: LISTENERS, speakers: 3, talk: 'all', ramp: 30, framing: 60, probes: 0, hands: 5, duration: 40 }
const AHEAD = fileURLToPath(new URL('ahead', import.meta.url))
const MIB = 2 ** 20

/** @type {Hall} */
let hall
/** @type {import('./hall.js').Truth} */
let truth
/** @type {Wire} */
let wire
const directory = mkdtempSync(join(tmpdir(), 'dais-'))

before(async () => {
  // As it comes, NATS takes nothing that is too long for us.
  const nats = join(directory, 'nats.conf')
  writeFileSync(nats, readFileSync(NATS_CONF, 'utf8').replace('max_payload: 1MB', 'max_payload: 2MB'))
  const build = name => name === 'signaling-2' ? AHEAD : undefined
  hall = await Hall.open({ signaling: ['a', 'a'], origin: ['a'], edge: ['a', 'a'], build, nats }, LOAD)
  truth = await hall.begin()
  wire = await Wire.to(hall.town.program('nats').url)
})

after(async () => {
  wire?.close()
  await hall?.town.kill()
  rmSync(directory, { recursive: true, force: true })
})

const bad = what => hall.town.metric('dais_bad_input_total', `what="${what}"`)
const says = (name, text) => hall.town.program(name).said.includes(text)

/** Does something that must be counted as such, and said by a process. */
async function refused(what, name, text, does) {
  const already = await bad(what)
  await does()
  await eventually(`${what} is counted`, async () => await bad(what) > already)
  await eventually(`${name} says: ${text}`, () => says(name, text))
}

/** Stage, hands and counts are true at both nodes, and somebody can come, hear and raise a hand. */
async function goesOn() {
  await hall.settle(truth)
  assert.deepEqual([hall.facts.works, hall.facts.after], [true, { stage: true, hands: true, counts: true, lost: 0, strange: 0, peers: 0 }])
}

test('a clock ten minutes ahead is seen and said, and nothing goes by it', async () => {
  const ahead = name => hall.town.metric('dais_store_clock_ahead_seconds', `"${name}"`)
  assert.ok(Math.abs(await ahead('signaling-2') - 600) < 5)
  assert.ok(Math.abs(await ahead('signaling-1')) < 5)
  assert.ok(says('signaling-2', "the clocks of this node and of the rooms' store differ"))
  assert.ok(!says('signaling-1', "the clocks of this node and of the rooms' store differ"))
  await goesOn()
})

test('a word that is signed with another key', async () => {
  const close = { type: 'close', room: hall.room }
  await refused('bus_forged', 'edge-1', "it is not signed with the cluster's key", () => wire.say('dais.node.edge-1', forged('signaling-1', close)))
})

test('a word that was said before', async () => {
  const heard = await wire.hear('dais.nodes')
  await refused('bus_replayed', 'signaling-1', 'was here before', () => wire.say('dais.nodes', heard))
})

test('a word that is too long', async () => {
  await refused('bus_oversized', 'signaling-1', 'bytes are more than an envelope has', () => wire.say('dais.nodes', Buffer.alloc(MIB + 1)))
})

test('garbage where a room is kept', async () => {
  await hall.redis('hset', 'dais:{junk}:room', 'number', '1', 'version', '1', 'door', '1', 'head', '1:nonsense')
  await hall.redis('zadd', 'dais:rooms', '0', 'junk')
  await refused('store', 'signaling-1', 'junk', async () => {
    const error = await hall.ask('signaling-1', 'GET', '/v1/rooms/junk').then(() => undefined, error => error)
    assert.equal(error?.code, 'internal')
  })
  const { rooms } = await hall.ask('signaling-1', 'GET', '/v1/rooms')
  assert.deepEqual(rooms.map(room => room.room), [hall.room], 'it hides no other')
})

test('what was said by strangers has changed nothing', goesOn)

test('two nodes of one name: both say so, and once one of them is gone all is as before', async () => {
  const { town } = hall
  const [admin, media, link] = await freePorts(3)
  const at = port => `127.0.0.1:${port}`
  const twin = new Program(
    PROGRAM, 'edge', '--node', 'edge-2', '--region', 'a', '--nats', town.program('nats').url, '--cluster-key', CLUSTER_KEY,
    '--admin', at(admin), '--media', at(media), '--link', at(link), '--shards', '1',
  )
  try {
    const said = 'two processes are called edge-2'
    await refused('bus_twin', 'signaling-1', said, () => {})
    await eventually('both say so', () => says('edge-2', said) && twin.said.includes(said))
  } finally {
    await twin.kill()
  }
  await goesOn()
})

test('everybody has heard on', async () => {
  const { listeners, audio, sessions } = await hall.report()
  assert.deepEqual([listeners.joined, listeners.failed, listeners.dropped], [LISTENERS, 0, 0])
  assert.deepEqual([audio.undecryptable, audio.duplicates, sessions.lost], [0, 0, 0])
})
