// One of two signaling nodes is killed, and comes back: people go on at the other as who they were, with what they
// had. Always on the form of processes, whatever `DAIS_FORM` says.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { openChromium } from './person.js'
import { eventually, Town } from './town.js'

const HANNA = 440
const SAM = 620
const TONES = [HANNA, SAM]

let town, browser, hanna, sam, lea, ludo
before(async () => {
  process.env.DAIS_FORM = 'cluster'
  town = await Town.start()
  browser = await openChromium()
})
after(async () => { await browser?.close(); await town?.stop() })

const at = name => town.metric('dais_signaling_participants', `"${name}"`)
const everybodyHears = () =>
  Promise.all([[hanna, [SAM]], [sam, [HANNA]], [lea, TONES], [ludo, TONES]].map(([one, tones]) => one.untilHears(tones, TONES)))

test('people of both signaling nodes are in one room', async () => {
  hanna = await (await browser.person(town)).join({ token: town.token('host', 'hanna'), name: 'Hanna', tone: HANNA })
  sam = await (await browser.person(town)).join({ token: town.token('speaker', 'sam'), name: 'Sam', tone: SAM })
  lea = await (await browser.person(town)).join({ token: town.token('listener', 'lea'), name: 'Lea' })
  ludo = await (await browser.person(town)).join({ token: town.token('listener', 'ludo'), name: 'Ludo' })
  assert.deepEqual([await at('signaling-1'), await at('signaling-2')], [2, 2])
  await everybodyHears()
})

test('after a kill those of the dead node go on at the other, with seat and hand', async () => {
  await lea.do(room => room.raiseHand())
  const people = [hanna, sam, lea, ludo]
  const before = await Promise.all(people.map(one => one.me))
  await town.program('signaling-1').kill()
  await eventually('all are at the other', async () => await at('signaling-2') === 4)
  await Promise.all(people.map(one => one.until('is connected', room => room.state === 'connected')))
  assert.deepEqual(await Promise.all(people.map(one => one.me)), before)
  await hanna.until('sees the hand', room => room.hands.some(hand => hand.identity === 'lea'))
  await ludo.until('counts them all', room => room.counts.listeners === 2 && room.counts.speakers === 2)
  await everybodyHears()
})

test('the node that comes back takes people again', async () => {
  town.program('signaling-1').restart()
  await eventually('it is ready', () => town.ready())
  await Promise.all([lea, ludo].map(one => one.reload()))
  await everybodyHears()
})
