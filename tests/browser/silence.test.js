// Half a minute in which nobody says a word, with somebody on stage who is served no voices: an encoder over WHIP.
// Whoever speaks then is heard at once, be it the host or the encoder.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

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

/** A page that publishes over WHIP and nothing else: `loud(false)` is digital silence. */
async function publish() {
  const { page } = await browser.person(town)
  await page.goto(`${town.url}/sdk/v1/dais.js`)
  await page.evaluate(async ([token, hz]) => {
    const { audio } = window.probe
    const out = audio().createMediaStreamDestination()
    const volume = new GainNode(audio(), { gain: 0 })
    const voice = new OscillatorNode(audio(), { frequency: hz })
    voice.connect(volume).connect(out)
    voice.start()
    window.loud = loud => { volume.gain.value = loud ? 0.3 : 0 }
    const peer = new RTCPeerConnection()
    peer.addTransceiver(out.stream.getAudioTracks()[0], { direction: 'sendonly' })
    await peer.setLocalDescription()
    const answer = await fetch('/whip/hall', {
      method: 'POST', body: peer.localDescription.sdp,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/sdp' },
    })
    if (!answer.ok) throw new Error(await answer.text())
    await peer.setRemoteDescription({ type: 'answer', sdp: await answer.text() })
    while (peer.connectionState !== 'connected') await new Promise(resolve => peer.addEventListener('connectionstatechange', resolve, { once: true }))
  }, [town.token('speaker', 'encoder'), ENCODER])
  return { loud: loud => page.evaluate(on => window.loud(on), loud) }
}

test('after half a minute of silence whoever speaks is heard', async () => {
  hanna = await (await browser.person(town)).join({ token: town.token('host', 'hanna'), name: 'Hanna', tone: HANNA })
  lea = await (await browser.person(town)).join({ token: town.token('listener'), name: 'Lea' })
  await lea.untilHears([HANNA], TONES)
  encoder = await publish()
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
