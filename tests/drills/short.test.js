// Two of the drills in short, with few people: a signaling node is killed, and an edge. What was heard and what is true
// afterwards; no times, for the machine is not ours alone.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { eventually } from '../browser/town.js'
import { Hall } from './hall.js'
import { keysChanged, leafKilled } from './misfortunes.js'

const LISTENERS = 60
const SPEAKERS = 3
const HANDS = 5
/** The smallest where a leaf can be killed, and others go on. */
const TOWN = { signaling: ['a', 'a'], origin: ['a'], edge: ['a', 'a', 'a'] }

/** Goes through a drill; its facts and the report. */
async function drilled(drill, duration) {
  const load = { listeners: LISTENERS, speakers: SPEAKERS, talk: 'all', ramp: 40, framing: 60, probes: 0, hands: HANDS, duration }
  const hall = await Hall.open(TOWN, load)
  try {
    await drill(hall)
    return { facts: hall.facts, report: await hall.report() }
  } catch (error) {
    await hall.town.kill()
    throw error
  } finally {
    await hall.close()
  }
}

/** Nobody has lost anything, at each signaling node that lives. */
function isTrue({ facts, report }) {
  assert.deepEqual(facts.after, { stage: true, hands: true, counts: true, lost: 0, strange: 0, peers: 0 })
  const { joined, failed, dropped } = report.listeners
  assert.deepEqual([joined, failed, dropped], [LISTENERS, 0, 0])
  assert.deepEqual([report.audio.undecryptable, report.audio.duplicates], [0, 0])
}

test('people of a signaling node that is killed go on at the other, and hear on meanwhile', async () => {
  const { facts, report } = await drilled(async hall => {
    const before = await hall.begin()
    await hall.town.program('signaling-1').kill()
    const there = () => hall.town.metric('dais_signaling_participants', '"signaling-2"')
    await eventually('everybody is there', async () => await there() === before.people.length, 30_000)
    await hall.settle(before)
  }, 14)
  isTrue({ facts, report })
  const { lost, resumed, anew, media_renewed } = report.sessions
  assert.deepEqual([lost, resumed, anew, media_renewed], [LISTENERS / 2, LISTENERS / 2, 0, 0], 'as the same people, who heard on')
})

test('authority, cluster key and API key change in the middle of an event, and nobody hears it', async () => {
  const { facts, report } = await drilled(keysChanged, 45)
  isTrue({ facts, report })
  assert.deepEqual([facts.renewed, facts.old_key], [true, 'unauthorized'])
  const { lost, resumed, anew, media_renewed } = report.sessions
  assert.deepEqual([anew, media_renewed, report.audio.frames_lost], [0, 0, 0])
  assert.equal(resumed, lost, 'whose signaling node was restarted came back as the same person')
})

test('listeners of a leaf edge that is killed hear again at others, and nobody else has another session', async () => {
  const { facts, report } = await drilled(leafKilled, 14)
  isTrue({ facts, report })
  assert.equal(report.sessions.lost, 0)
  const { listeners, longest_gap_ms } = report.by_node.find(({ node }) => node === facts.killed)
  assert.ok(listeners > 0 && longest_gap_ms.max > 0, 'somebody was there')
  assert.equal(report.sessions.media_renewed, listeners)
})
