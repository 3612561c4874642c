// The whole evening: speaking, listening, coming on stage and leaving it, in two browsers at once. The tests
// of this file are its acts, in order.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { openChromium, openFirefox } from './person.js'
import { eventually, Town } from './town.js'

/** No one of them is a harmonic of another. */
const HANNA = 440
const LEA = 620
const TONES = [HANNA, LEA, 850, 1130]

let town, chromium, firefox
/** The host, the listener who will speak, one who only listens, and one in Firefox. */
let hanna, lea, ludo, fox

before(async () => {
  town = await Town.start();
  [chromium, firefox] = await Promise.all([openChromium(), openFirefox()])
})
after(async () => {
  await Promise.all([chromium?.close(), firefox?.close()])
  await town?.stop()
})

/** Somebody at another edge. Each signaling node takes the edges in turns of its own, so it may need some tries. */
async function atAnotherEdge(person) {
  const { node } = await person.stats()
  for (let tries = 0; tries < 6; tries++) {
    const other = await (await chromium.person(town)).join({ token: town.token('listener'), name: 'Ludo' })
    await other.untilHears([HANNA], TONES)
    if ((await other.stats()).node !== node) return other
    await other.do(room => room.leave())
    await other.page.close()
  }
  throw new Error(`everybody hears at ${node}`)
}

const everybody = (...heard) => Promise.all(heard.map(([person, tones]) => person.untilHears(tones, TONES)))

test('the host whistles, and listeners on both edges and in Firefox hear that tone alone', async () => {
  hanna = await chromium.person(town)
  await hanna.join({ token: town.token('host', 'hanna'), name: 'Hanna', tone: HANNA })
  lea = await (await chromium.person(town)).join({ token: town.token('listener', 'lea'), name: 'Lea', tone: LEA })
  await lea.untilHears([HANNA], TONES)
  ludo = await atAnotherEdge(lea)
  fox = await (await firefox.person(town)).join({ token: town.token('listener'), name: 'Fox' })
  await everybody([lea, [HANNA]], [ludo, [HANNA]], [fox, [HANNA]], [hanna, []])
})

test('a raised hand is brought on stage, and everybody else hears the new tone too', async () => {
  await lea.do(room => room.raiseHand())
  await hanna.until('sees the hand', room => room.hands.some(hand => hand.identity === 'lea'))
  assert.equal(await hanna.do(room => room.host.promote('lea')), 'seated')
  await lea.until('is on stage', room => room.me.onStage)
  await lea.do(room => room.unmute())
  await everybody([ludo, [HANNA, LEA]], [fox, [HANNA, LEA]], [hanna, [LEA]], [lea, [HANNA]])
  await ludo.until('sees both on stage', room => room.stage.length === 2)
})

test('who speaks can be seen from the audio alone', async () => {
  await ludo.until('sees both speak', room => ['hanna', 'lea'].every(identity => room.speaking.has(identity)))
})

test('a host mutes, and only the speaker lifts it', async () => {
  await hanna.do(room => room.host.mute('lea'))
  await everybody([ludo, [HANNA]], [fox, [HANNA]], [hanna, []])
  assert.equal((await lea.me).muted, true)
  await lea.do(room => room.unmute())
  await everybody([ludo, [HANNA, LEA]], [fox, [HANNA, LEA]], [hanna, [LEA]])
})

test('a reload on stage resumes: same person, same seat', async () => {
  const before = await lea.me
  await lea.reload()
  const resumed = await lea.me
  assert.deepEqual([resumed.identity, resumed.number, resumed.onStage], [before.identity, before.number, true])
  await everybody([ludo, [HANNA, LEA]], [fox, [HANNA, LEA]], [hanna, [LEA]], [lea, [HANNA]])
})

test('demoted, one is a listener again', async () => {
  await hanna.do(room => room.host.demote('lea'))
  await lea.until('is off the stage', room => !room.me.onStage)
  await everybody([ludo, [HANNA]], [fox, [HANNA]], [hanna, []], [lea, [HANNA]])
})

test('without a hand one is invited, and may decline or accept', async () => {
  assert.equal(await hanna.do(room => room.host.promote('lea')), 'invited')
  await eventually('Lea is asked', () => lea.page.evaluate(() => window.events.includes('invited')))
  await lea.do(room => room.decline())
  assert.equal(await hanna.do(room => room.host.promote('lea')), 'invited')
  await eventually('Lea is asked again', () =>
    lea.page.evaluate(() => window.events.filter(event => event === 'invited').length === 2))
  await lea.do(room => room.accept())
  await lea.until('is on stage', room => room.me.onStage)
  await lea.do(room => room.unmute())
  await everybody([ludo, [HANNA, LEA]], [fox, [HANNA, LEA]])
})

test('a listener who reloads keeps the raised hand', async () => {
  await ludo.do(room => room.raiseHand())
  const { identity } = await ludo.me
  await ludo.reload()
  assert.deepEqual([(await ludo.me).identity, (await ludo.me).hand], [identity, true])
  await hanna.until('still sees the hand', (room, who) => room.hands.some(hand => hand.identity === who), identity)
  await ludo.untilHears([HANNA, LEA], TONES)
})

test('only a host does what hosts do', async () => {
  const refused = await ludo.do(room => room.host.kick('hanna').then(() => 'done', error => error.code))
  assert.equal(refused, 'forbidden')
})

test('kicked, one is out and silent, and may come back as a listener', async () => {
  await hanna.do(room => room.host.kick('lea'))
  await lea.until('is out', room => room.state === 'left' && room.leftWhy === 'kicked')
  await everybody([ludo, [HANNA]], [fox, [HANNA]], [hanna, []])
  await lea.reload()
  assert.equal((await lea.me).onStage, false)
  await lea.untilHears([HANNA], TONES)
})

test('nobody who only listened ever negotiated again', async () => {
  // One offer and one answer. Ludo's count began with the reload.
  assert.deepEqual(await fox.negotiations(), [2])
  assert.deepEqual(await ludo.negotiations(), [2])
})

test('the end is the end for everybody', async () => {
  await hanna.do(room => room.host.end())
  for (const person of [hanna, lea, ludo, fox]) {
    await person.until('is out', room => room.state === 'left' && room.leftWhy === 'ended')
  }
})
