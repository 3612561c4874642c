// What a person hears while they come on stage and leave it again, sample by sample: no gap, no echo.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { openChromium } from './person.js'
import { eventually, Town } from './town.js'

const HANNA = 440
const LEA = 620
/** How much is recorded before, between and after the changes. */
const STRETCH_S = 2
/** What nobody may hear missing. */
const GAP_MS = 60

let town, browser
before(async () => { [town, browser] = [await Town.start(), await openChromium()] })
after(async () => { await browser?.close(); await town?.stop() })

/** A shared machine stalls now and then, and what stalls then is heard as a gap: not thrice in a row. */
const TRIES = 3

test('through promotion and demotion the host sounds on without a gap, and nobody hears themselves', async () => {
  const hanna = await (await browser.person(town)).join({ token: town.token('host', 'hanna'), name: 'Hanna', tone: HANNA })
  const lea = await (await browser.person(town)).join({ token: town.token('listener', 'lea'), name: 'Lea', tone: LEA })
  const ludo = await (await browser.person(town)).join({ token: town.token('listener'), name: 'Ludo' })
  await lea.untilHears([HANNA], [HANNA, LEA])
  let heard
  for (let attempt = 1; attempt <= TRIES; attempt++) {
    heard = await throughTheStage(hanna, lea, ludo)
    assert.ok(heard.own < 0.1, `their own tone at ${heard.own} of the host's`)
    if (heard.gapMs < GAP_MS) return
  }
  assert.fail(`a gap of ${heard.gapMs} ms`)
})

/** Lea comes on stage and leaves it: what she heard meanwhile. */
async function throughTheStage(hanna, lea, ludo) {
  await lea.page.evaluate(async () => { window.tape = await window.probe.record([window.room.stream]) })
  const stretch = async () => {
    const seconds = () => lea.page.evaluate(() => window.tape.seconds())
    const until = await seconds() + STRETCH_S
    await eventually('the tape runs on', async () => await seconds() > until)
  }

  await stretch()
  await lea.do(room => room.raiseHand())
  await hanna.do(room => room.host.promote('lea'))
  await lea.until('is on stage', room => room.me.onStage)
  await lea.do(room => room.unmute())
  await ludo.untilHears([HANNA, LEA], [HANNA, LEA])
  await stretch()
  await hanna.do(room => room.host.demote('lea'))
  await ludo.untilHears([HANNA], [HANNA, LEA])
  await lea.until('listens again', async room => (await room.stats()).purpose === 'listen')
  await lea.untilHears([HANNA], [HANNA, LEA])
  await stretch()

  const [heard] = await lea.page.evaluate(([hanna, lea]) => window.tape.stop().map(samples => ({
    seconds: samples.length / 48_000,
    gapMs: window.probe.longestGapMs(samples, hanna),
    own: window.probe.loudest(samples, lea) / window.probe.loudest(samples, hanna),
  })), [HANNA, LEA])
  console.log(`promotion: ${heard.seconds.toFixed(1)} s recorded, longest gap ${heard.gapMs} ms, own tone ${(20 * Math.log10(heard.own)).toFixed(0)} dB`)
  return heard
}
