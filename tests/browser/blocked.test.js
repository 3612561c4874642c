// A network that lets no UDP through: the server is told to announce an address that nobody answers at.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { openChromium } from './person.js'
import { Town } from './town.js'

/** Of the range for documentation (RFC 5737): routed nowhere. */
const NOWHERE = '192.0.2.1'

let town, browser
before(async () => { [town, browser] = [await Town.start('--media-ip', NOWHERE), await openChromium()] })
after(async () => { await browser?.close(); await town?.stop() })

test('whose UDP is blocked is in the room all the same, and is told the reason', async () => {
  const { page } = await browser.person(town)
  await page.goto(`${town.url}/sdk/v1/dais.js`)
  const told = await page.evaluate(async token => {
    const { Dais } = await import('/sdk/v1/dais.js')
    const begun = performance.now()
    const room = await Dais.join({ token, name: 'Lea' })
    while (!room.problem) await new Promise(resolve => room.addEventListener('state', resolve, { once: true }))
    return { code: room.problem.code, state: room.state, listeners: room.counts.listeners, afterMs: performance.now() - begun }
  }, town.token('listener'))
  console.log(`blocked UDP is named after ${Math.round(told.afterMs)} ms`)
  assert.deepEqual([told.code, told.state, told.listeners], ['udp_blocked', 'joining', 1])
})
