// What a speaker's network loses on the way up is repaired at the origin, so that nobody hears it.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { openChromium } from './person.js'
import { eventually, Town } from './town.js'
import { Wire } from './wire.js'

const HANNA = 440
/** One packet in so many is lost: 5 %. */
const LOST = 20
/** Packets of 20 ms that are listened to. */
const PACKETS = 400

let town, browser, wire
before(async () => {
  [town, browser] = [await Town.start(), await openChromium()]
  wire = await Wire.to(town.media)
})
after(async () => {
  await browser?.close()
  wire?.close()
  await town?.stop()
})

test('a listener hears nothing of what is lost between the speaker and the origin', async () => {
  const hanna = await browser.person(town)
  await hanna.join({ token: town.token('host', 'hanna'), name: 'Hanna', tone: HANNA, reroute: { [town.media]: wire.port } })
  const lea = await (await browser.person(town)).join({ token: town.token('listener'), name: 'Lea', framing: 20 })
  await lea.untilHears([HANNA], [HANNA])

  wire.loses = LOST
  const before = await lea.damage()
  await eventually('enough is heard', async () => (await lea.damage()).packets > before.packets + PACKETS)
  const after = await lea.damage()
  const concealed = (after.concealed - before.concealed) / (960 * (after.packets - before.packets))
  console.log(`of ${wire.lost} packets of 20 ms that the speaker lost, a listener conceals ${(100 * concealed).toFixed(2)} % of the time`)
  assert.ok(wire.lost >= PACKETS / LOST, 'packets were lost')
  assert.ok(concealed < 0.01, `${concealed} concealed`)
})
