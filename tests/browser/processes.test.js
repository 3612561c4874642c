// The parts as processes: signaling, an origin and two edges that find each other over NATS.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { openChromium } from './person.js'
import { Town } from './town.js'

const HANNA = 440
const LEA = 620
const TONES = [HANNA, LEA, 850]

let town, browser, hanna, lea, ludo
before(async () => {
  town = await Town.inParts()
  browser = await openChromium()
})
after(async () => { await browser?.close(); await town?.stop() })

test('whoever speaks is heard at both edges, over the links between processes', async () => {
  hanna = await (await browser.person(town)).join({ token: town.token('host', 'hanna'), name: 'Hanna', tone: HANNA })
  lea = await (await browser.person(town)).join({ token: town.token('listener', 'lea'), name: 'Lea', tone: LEA })
  ludo = await (await browser.person(town)).join({ token: town.token('listener'), name: 'Ludo' })
  await Promise.all([lea, ludo].map(person => person.untilHears([HANNA], TONES)))
  const nodes = await Promise.all([lea, ludo].map(async person => (await person.stats()).node))
  assert.deepEqual(nodes.sort(), ['edge-1', 'edge-2'])
})

test('a raised hand is brought on stage, and everybody hears both', async () => {
  await lea.do(room => room.raiseHand())
  await hanna.until('sees the hand', room => room.hands.some(hand => hand.identity === 'lea'))
  assert.equal(await hanna.do(room => room.host.promote('lea')), 'seated')
  await lea.until('is on stage', room => room.me.onStage)
  await lea.do(room => room.unmute())
  await ludo.untilHears([HANNA, LEA], TONES)
  await hanna.untilHears([LEA], TONES)
})
