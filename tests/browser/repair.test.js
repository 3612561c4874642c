// What breaks on the way is noticed and repaired by the SDK, and what does not break is left alone.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { openChromium } from './person.js'
import { Town } from './town.js'

const HANNA = 440
const TONES = [HANNA, 620, 850]

let town, browser, hanna, lea
before(async () => {
  [town, browser] = [await Town.start(), await openChromium()]
  hanna = await enter({ token: town.token('host', 'hanna'), name: 'Hanna', tone: HANNA })
  lea = await enter({ token: town.token('listener'), name: 'Lea' })
  await lea.untilHears([HANNA], TONES)
})
after(async () => { await browser?.close(); await town?.stop() })

/** Somebody whose sockets can be cut, and whom the server cannot tell that their peer is gone. */
async function enter(options) {
  const person = await browser.person(town)
  await person.page.addInitScript(() => {
    window.sockets = []
    window.WebSocket = class extends WebSocket {
      constructor(url) {
        super(url)
        window.sockets.push(this)
      }

      set onmessage(then) {
        super.onmessage = then && (event => JSON.parse(event.data).type === 'moved' || then(event))
      }
    }
  })
  return await person.join(options)
}

test('a media session that falls silent is replaced by another', async () => {
  const repair = await lea.page.evaluate(async () => {
    const { room, probe } = window
    const codes = new Set()
    room.addEventListener('state', () => codes.add(room.problem?.code))
    const until = async state => {
      while (room.state !== state) await new Promise(resolve => room.addEventListener('state', resolve, { once: true }))
      return performance.now()
    }
    const broken = performance.now()
    probe.peers.at(-1).close()
    const noticed = await until('reconnecting')
    const repaired = await until('connected')
    return { codes: [...codes].filter(Boolean), noticedMs: noticed - broken, repairedMs: repaired - noticed, peers: probe.peers.length }
  })
  console.log(`a dead session is noticed after ${Math.round(repair.noticedMs)} ms, repaired ${Math.round(repair.repairedMs)} ms later`)
  assert.deepEqual([repair.codes, repair.peers], [['no_audio'], 2])
  await lea.untilHears([HANNA], TONES)
})

test('a silent room is not a broken one', async () => {
  await hanna.do(room => room.mute())
  await lea.untilHears([], TONES)
  const states = await lea.page.evaluate(async () => {
    const states = []
    window.room.addEventListener('state', () => states.push(window.room.state))
    // Three times as long as the patience with no packets at all.
    await new Promise(resolve => setTimeout(resolve, 3000))
    return states
  })
  assert.deepEqual(states, [])
  await hanna.do(room => room.unmute())
  await lea.untilHears([HANNA], TONES)
})

test('a cut socket leaves the audio alone, and the seat', async () => {
  const before = await hanna.negotiations()
  const { number } = await hanna.me
  await hanna.page.evaluate(async () => {
    const { room, sockets } = window
    const until = async state => {
      while (room.state !== state) await new Promise(resolve => room.addEventListener('state', resolve, { once: true }))
    }
    sockets.at(-1).close()
    await until('reconnecting')
    await until('connected')
  })
  assert.deepEqual([await hanna.negotiations(), (await hanna.me).number], [before, number])
  await lea.untilHears([HANNA], TONES)
})
