// A listener's address changes in mid-sentence, as behind a router that restarts: the node checks the new one,
// then sends there, and the listener notices nothing.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { openChromium, openFirefox } from './person.js'
import { eventually, Town } from './town.js'
import { Wire } from './wire.js'

const HANNA = 440
const TONES = [HANNA, 620]

let town, chromium, firefox, wires, reroute
before(async () => {
  town = await Town.start();
  [chromium, firefox] = await Promise.all([openChromium(), openFirefox()])
  wires = await Promise.all([0, 1, 2].map(node => Wire.to(town.media + node)))
  reroute = Object.fromEntries(wires.map((wire, node) => [town.media + node, wire.port]))
  const hanna = await chromium.person(town)
  await hanna.join({ token: town.token('host', 'hanna'), name: 'Hanna', tone: HANNA })
})
after(async () => {
  await Promise.all([chromium?.close(), firefox?.close()])
  wires?.forEach(wire => wire.close())
  await town?.stop()
})

for (const [name, browser] of [['Chromium', () => chromium], ['Firefox', () => firefox]]) {
  test(`a listener in ${name} is followed to another address`, async () => {
    const lea = await browser().person(town)
    await lea.join({ token: town.token('listener'), name: 'Lea', reroute })
    await lea.untilHears([HANNA], TONES)
    const before = await town.metric('dais_edge_moved_total')
    await Promise.all(wires.map(wire => wire.move()))
    await eventually('the node follows', async () => await town.metric('dais_edge_moved_total') === before + 1, 30_000)
    wires.forEach(wire => wire.forget())

    const { packets } = await lea.damage()
    await eventually('packets come the new way', async () => (await lea.damage()).packets > packets + 50)
    await lea.untilHears([HANNA], TONES)
    assert.deepEqual(await lea.negotiations(), [2], 'no other session was needed')
    await lea.page.close()
  })
}
