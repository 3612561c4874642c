// Half a minute in which nobody says a word, with somebody on stage who is served no voices: an encoder over WHIP.
// Whoever speaks then is heard at once, be it the host or the encoder.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { publish } from './encoder.js'
import { openChromium } from './person.js'
import { Town } from './town.js'

const HANNA = 440
const ENCODER = 620
const TONES = [HANNA, ENCODER]
/** 12 s have always been fine. */
const SILENCE_MS = 30_000

let town, browser, hanna, lea, encoder
before(async () => { [town, browser] = [await Town.start(), await openChromium()] })
after(async () => { await browser?.close(); await town?.stop() })

test('after half a minute of silence whoever speaks is heard', async () => {
  hanna = await (await browser.person(town)).join({ token: town.token('host', 'hanna'), name: 'Hanna', tone: HANNA })
  lea = await (await browser.person(town)).join({ token: town.token('listener'), name: 'Lea' })
  await lea.untilHears([HANNA], TONES)
  encoder = await publish(browser, town, town.url, town.token('speaker', 'encoder'), ENCODER)
  await hanna.do(room => room.mute())
  await lea.untilHears([], TONES)
  await new Promise(resolve => setTimeout(resolve, SILENCE_MS))
  const early = () => town.metric('dais_origin_dropped_frames_total', 'reason="early"')
  const before = await early()
  await hanna.do(room => room.unmute())
  await lea.untilHears([HANNA], TONES)
  await hanna.do(room => room.mute())
  await encoder.loud(true)
  await lea.untilHears([ENCODER], TONES)
  assert.equal(await early(), before, 'nothing was too early')
})
