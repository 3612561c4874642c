// A room that only waits: no origin has it, and its listeners have media all the same. Whoever speaks then is heard by
// them in the session that they have. Always on the form of processes, whatever `DAIS_FORM` says.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { openChromium } from './person.js'
import { eventually, Town } from './town.js'

const HANNA = 440
const TONES = [HANNA]
/** So many packets of silence are some seconds of it. */
const SOME = 8
/** One session of media, with an offer and an answer. */
const ONE_SESSION = [2]

let town, browser, hanna, lea, ludo
before(async () => {
  process.env.DAIS_FORM = 'cluster'
  town = await Town.start()
  browser = await openChromium()
})
after(async () => { await browser?.close(); await town?.stop() })

/** Waits until so many more packets have come. */
async function more(person, packets) {
  const before = (await person.damage()).packets
  await eventually('more packets come', async () => (await person.damage()).packets >= before + packets)
}

test('whoever waits gets silence from their edge, and no origin is sought for them', async () => {
  lea = await (await browser.person(town)).join({ token: town.token('listener', 'lea'), name: 'Lea' })
  assert.equal(await lea.do(room => room.info.state), 'backstage')
  await more(lea, SOME)
  assert.equal(await town.metric('dais_origin_frames_total'), 0)
  assert.ok(await town.metric('dais_edge_keep_alives_total') >= SOME)
  assert.deepEqual(await lea.negotiations(), ONE_SESSION)
})

test('the first host is heard in the session that there is', async () => {
  hanna = await (await browser.person(town)).join({ token: town.token('host', 'hanna'), name: 'Hanna', tone: HANNA })
  await lea.untilHears([HANNA], TONES)
  assert.deepEqual(await lea.negotiations(), ONE_SESSION)
  assert.equal((await lea.damage()).lost, 0)
})

test('while the only origin is gone whoever comes gets media, and everybody hears the host once it is back', async () => {
  await town.program('origin-1').kill()
  await eventually('all know', async () => await town.metric('dais_known_nodes', 'kind="origin"') === 0)
  ludo = await (await browser.person(town)).join({ token: town.token('listener', 'ludo'), name: 'Ludo' })
  await Promise.all([lea, ludo].map(person => more(person, SOME)))
  town.program('origin-1').restart()
  await eventually('it is ready', () => town.ready())
  await Promise.all([lea, ludo].map(person => person.untilHears([HANNA], TONES)))
})
