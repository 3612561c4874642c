import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Backoff } from '../sdk/backoff.js'
import { grade, heard } from '../sdk/quality.js'
import { readClaims } from '../sdk/resume.js'
import { Roster } from '../sdk/roster.js'

/** @import { Welcome } from '../sdk/protocol' */

const anna = { identity: 'anna', name: 'Anna', number: 1, host: true, muted: false }
const ben = { identity: 'ben', name: 'Ben', number: 2, host: false, muted: true }

/** @type {Welcome} */
const welcome = {
  type: 'welcome',
  you: { identity: 'carl', name: 'Carl', role: 'listener', muted: false, hand: false },
  room: { room: 'r', title: 'R', state: 'live', since: 0, seats: 8 },
  stage_version: 5,
  stage: [anna],
  presence_version: 7,
  counts: { listeners: 1, speakers: 1, hands: 0 },
  people: [{ identity: 'carl', name: 'Carl' }],
  resume: 'x',
  resumed: false,
  media: { voices: 3, ice_servers: [] },
  now: 0,
}

test('the stage follows what changed, and ignores what is older', () => {
  const roster = new Roster()
  roster.replace(welcome)
  assert.equal(roster.stageChanged({ version: 6, set: [ben], gone: [] }), true)
  assert.deepEqual(roster.stage, [anna, ben])
  assert.equal(roster.stageChanged({ version: 6, set: [], gone: ['anna'] }), false)
  assert.equal(roster.stageChanged({ version: 8, set: [], gone: ['anna'] }), true)
  assert.deepEqual(roster.stage, [ben])
  assert.equal(roster.speaker(1), 'anna', 'their last words may still be on the way')
})

test('hands stand in the order they went up', () => {
  const roster = new Roster()
  roster.replace(welcome)
  /** @param {string} identity @param {number} since @param {[number, number]} turn */
  const hand = (identity, since, turn) => ({ identity, name: identity, since, turn })
  const hands = () => roster.hands.map(hand => hand.identity)
  roster.handsChanged({ version: 3, up: [hand('b', 20, [3, 1]), hand('c', 10, [3, 0])], down: [] })
  roster.handsChanged({ version: 4, up: [hand('a', 5, [4, 0])], down: [] })
  assert.deepEqual(hands(), ['c', 'b', 'a'], 'whatever the clocks of the nodes say')
  roster.handsChanged({ version: 5, up: [hand('c', 10, [5, 0])], down: ['b'] })
  assert.deepEqual(hands(), ['a', 'c'], 'whoever raised theirs anew')
})

test('presence is merged: who left and came again is here', () => {
  const roster = new Roster()
  roster.replace(welcome)
  const counts = { listeners: 2, speakers: 1, hands: 0 }
  roster.presenceChanged({ version: 9, since: 7, counts, left: ['carl'], joined: [{ identity: 'carl', name: 'Carlo' }] })
  assert.deepEqual(roster.people, [{ identity: 'carl', name: 'Carlo' }])
  assert.equal(roster.counts.listeners, 2)
  assert.equal(roster.presenceChanged({ version: 8, since: 7, counts, left: ['carl'] }), false)
})

test('presence since 0 is everybody: whoever is not in it is gone', () => {
  const roster = new Roster()
  roster.replace(welcome)
  const dora = { identity: 'dora', name: 'Dora' }
  roster.presenceChanged({ version: 99, since: 0, counts: welcome.counts, joined: [dora] })
  assert.deepEqual(roster.people, [dora])
})

test('waiting grows up to its limit, and is never less than the server asked for', () => {
  const slow = new Backoff({ first: 100, most: 1000, random: () => 1 })
  assert.deepEqual([slow.next(), slow.next(), slow.next(), slow.next(), slow.next()], [100, 200, 400, 800, 1000])
  slow.reset()
  assert.equal(slow.next(5000), 5100)
  const quick = new Backoff({ first: 100, most: 1000, random: () => 0 })
  assert.equal(quick.next(), 25)
})

test('an appointment is kept: not earlier, hardly later, and no longer for those who waited before', () => {
  const late = new Backoff({ first: 100, most: 1000, random: () => 1 })
  late.next()
  assert.equal(late.appointment(700), 750)
  assert.equal(new Backoff({ first: 100, most: 1000, random: () => 0 }).appointment(700), 700)
})

test('quality is what happened between two looks', () => {
  const before = [{ id: 'a', packetsReceived: 100, packetsLost: 1, totalSamplesReceived: 48_000, concealedSamples: 0, jitterBufferDelay: 1000, jitterBufferEmittedCount: 48_000, bytesReceived: 0 }]
  const after = [{ id: 'a', packetsReceived: 190, packetsLost: 11, totalSamplesReceived: 96_000, concealedSamples: 960, silentConcealedSamples: 480, jitter: 0.004, jitterBufferDelay: 3880, jitterBufferEmittedCount: 96_000, bytesReceived: 4000 }]
  const result = heard(before, after, 1000)
  assert.equal(result.loss, 0.1)
  assert.equal(result.concealed, 0.01)
  assert.equal(result.delayMs, 60)
  assert.equal(result.jitterMs, 4)
  assert.equal(result.bitsPerSecond, 32_000)
  assert.equal(grade(result), 'poor')
  assert.equal(grade(heard([], [], 1000)), 'good', 'nothing said, nothing lost')
})

test('claims are read whatever alphabet the name is in', () => {
  const claims = { room: 'r', name: 'Zoë 李' }
  const token = `x.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.y`
  assert.deepEqual(readClaims(token), claims)
  assert.deepEqual(readClaims('nonsense'), {})
})
