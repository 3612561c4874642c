// The shortest story: the host whistles, a listener hears that tone.

import { after, before, test } from 'node:test'

import { openChromium } from './person.js'
import { Town } from './town.js'

let town, browser
before(async () => { [town, browser] = [await Town.start(), await openChromium()] })
after(async () => { await browser?.close(); await town?.stop() })

test('a listener hears the tone that the host whistles', async () => {
  const host = await browser.person(town)
  await host.join({ token: town.token('host', 'hanna'), name: 'Hanna', tone: 440 })
  const listener = await browser.person(town)
  await listener.join({ token: town.token('listener'), name: 'Lea' })
  await listener.untilHears([440], [440, 620, 850])
})
