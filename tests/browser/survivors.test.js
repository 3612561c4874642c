// One of two signaling nodes is killed, and comes back: people go on at the other as who they were, with what they
// had. Always on the form of processes, whatever `DAIS_FORM` says.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { publish } from './encoder.js'
import { openChromium } from './person.js'
import { eventually, Town } from './town.js'

const HANNA = 440
const SAM = 620
const ENCODER = 880
const TONES = [HANNA, SAM, ENCODER]

let town, browser, hanna, sam, lea, ludo, encoder
before(async () => {
  process.env.DAIS_FORM = 'cluster'
  town = await Town.start()
  browser = await openChromium()
})
after(async () => { await browser?.close(); await town?.stop() })

const at = name => town.metric('dais_signaling_participants', `"${name}"`)
const everybodyHears = () =>
  Promise.all([hanna, sam, lea, ludo].map(one => one.untilHears(TONES.filter(hz => hz !== one.options.tone), TONES)))

test('people of both signaling nodes are in one room', async () => {
  hanna = await (await browser.person(town)).join({ token: town.token('host', 'hanna'), name: 'Hanna', tone: HANNA })
  sam = await (await browser.person(town)).join({ token: town.token('speaker', 'sam'), name: 'Sam', tone: SAM })
  lea = await (await browser.person(town)).join({ token: town.token('listener', 'lea'), name: 'Lea' })
  ludo = await (await browser.person(town)).join({ token: town.token('listener', 'ludo'), name: 'Ludo' })
  assert.deepEqual([await at('signaling-1'), await at('signaling-2')], [2, 2])
  encoder = await publish(browser, town, town.program('signaling-1').url, town.token('speaker', 'encoder'), ENCODER)
  await encoder.loud(true)
  await everybodyHears()
})

test('after a kill those of the dead node go on at the other, with seat and hand', async () => {
  await lea.do(room => room.raiseHand())
  const people = [hanna, sam, lea, ludo]
  const before = await Promise.all(people.map(one => one.me))
  await town.program('signaling-1').kill()
  await eventually('all are at the other, and the encoder', async () => await at('signaling-2') === 5)
  await Promise.all(people.map(one => one.until('is connected', room => room.state === 'connected')))
  assert.deepEqual(await Promise.all(people.map(one => one.me)), before)
  await hanna.until('sees the hand', room => room.hands.some(hand => hand.identity === 'lea'))
  await ludo.until('counts them all', room => room.counts.listeners === 2 && room.counts.speakers === 3)
  await everybodyHears()
})

test('a session over WHIP goes on at the other, is led from there and ends there', async () => {
  await eventually('the other has taken all over', async () => await town.metric('dais_orphaned_peers') === 0)
  await hanna.do(room => room.host.mute('encoder'))
  await ludo.untilHears([HANNA, SAM], TONES)
  const answer = await fetch(`${town.program('signaling-2').url}${new URL(encoder.location, town.url).pathname}`, { method: 'DELETE' })
  assert.equal(answer.status, 200)
  await hanna.until('sees that it is gone', room => room.stage.every(member => member.identity !== 'encoder'))
})

test('the node that comes back takes people again', async () => {
  town.program('signaling-1').restart()
  await eventually('it is ready', () => town.ready())
  await Promise.all([lea, ludo].map(one => one.reload()))
  await Promise.all([lea, ludo].map(one => one.untilHears([HANNA, SAM], TONES)))
})

test('a node that is stopped in order lets its people go to the other, and no page shows an outage', async () => {
  const people = [hanna, sam, lea, ludo]
  const [from, to] = await at('signaling-1') > 0 ? ['signaling-1', 'signaling-2'] : ['signaling-2', 'signaling-1']
  await Promise.all(people.map(one => one.do(room => {
    room.states = []
    room.addEventListener('state', event => room.states.push(event.detail.state))
  })))
  await town.program(from).stop()
  await eventually('all are at the other', async () => await at(to) === people.length)
  assert.deepEqual(await Promise.all(people.map(one => one.do(room => room.states))), people.map(() => []))
  await Promise.all([lea, ludo].map(one => one.untilHears([HANNA, SAM], TONES)))
  town.program(from).restart()
  await eventually('it is ready', () => town.ready())
})

test('a host sees that a mute is not certain while the origin does not answer', async () => {
  const origin = town.program('origin-1')
  origin.pause()
  await hanna.do(room => room.host.mute('sam'))
  await hanna.until('Sam may still be heard', room => String(room.pending) === 'sam')
  origin.resume()
  await hanna.until('nobody may', room => room.pending.length === 0)
  await ludo.untilHears([HANNA], TONES)
})
