// Mouth to ear: a click published in one room, found in what a listener of the same page hears, both on one
// audio clock. The figures are printed, not judged: they are the machine's as much as ours.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { openChromium } from './person.js'
import { Town } from './town.js'

const CLICKS = 10

let town, browser
before(async () => { [town, browser] = [await Town.start(), await openChromium()] })
after(async () => { await browser?.close(); await town?.stop() })

for (const framing of [20, 60]) {
  test(`from mouth to ear at ${framing} ms framing`, async () => {
    const { page } = await (await browser.person(town)).join({ token: town.token('listener'), name: 'Lea', framing })
    const token = town.token('host', `hanna-${framing}`)
    const delays = await page.evaluate(async ({ token, clicks }) => {
      const { Dais } = await import('/sdk/v1/dais.js')
      const mouth = window.probe.clicks(clicks)
      const host = await Dais.join({ token, name: 'Hanna', microphone: mouth.stream.getAudioTracks()[0] })
      await new Promise(resolve => host.addEventListener('me', () => host.me.live && resolve()) || host.me.live && resolve())
      const tape = await window.probe.record([mouth.stream, window.room.stream])
      await mouth.play()
      const delays = window.probe.delaysMs(...tape.stop())
      await host.leave()
      return delays
    }, { token, clicks: CLICKS })
    const sorted = delays.toSorted((a, b) => a - b)
    console.log(`mouth to ear at ${framing} ms framing: median ${sorted[CLICKS / 2]} ms, least ${sorted[0]}, most ${sorted.at(-1)}`)
    assert.equal(delays.length, CLICKS, 'every click is heard')
  })
}
