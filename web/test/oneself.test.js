import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { Evening, settled } from './evening.js'

/** How often each thing happens. */
const HAPPENS = {
  mute: 6, unmute: 6, 'step down': 1, 'raise hand': 3, accept: 3, decline: 1, choose: 2,
  'host promotes': 5, 'host mutes': 3, 'host demotes': 2, 'host lowers': 1, 'host kicks': 0.2,
  up: 12, down: 14, cut: 2, connect: 5, reload: 1,
  opens: 5, 'does not open': 1, attached: 8, media: 6, unplug: 1, time: 0.5,
}
const step = fc.tuple(
  fc.oneof(...Object.entries(HAPPENS).map(([what, often]) => ({ arbitrary: fc.constant(what), weight: 10 * often }))),
  fc.nat(20))

/** @param {Evening} evening */
function nothingLeavesUnasked({ tab }) {
  const { onStage, muted } = tab.oneself.me
  if (tab.leaving) assert.ok(onStage && !muted && !tab.left, 'the microphone is open though the button says that it is not')
}

/** The one rule: at rest button, track, stage and words agree, and nothing is open that nobody needs. @param {Evening} evening */
function allAgree({ tab, server }) {
  const { me, invitation } = tab.oneself
  if (tab.left || server.out) {
    assert.equal(tab.left, server.out, 'whoever is out knows why')
    assert.deepEqual([tab.open.length, tab.leaving], [0, false], 'and nothing of theirs is open')
    return
  }
  assert.equal(me.number, server.seat?.number, 'the seat')
  assert.equal(me.hand, server.hand, 'the hand')
  assert.equal(invitation?.by, server.invitation?.by, 'the invitation')
  assert.equal(tab.told.onStage, me.onStage, 'what one was told')
  if (me.onStage) assert.equal(me.muted, server.seat?.muted, 'the button and the stage')
  if (me.onStage && tab.pressed !== undefined) assert.equal(me.muted, tab.pressed, 'what one wished last')
  const needed = me.onStage || invitation?.accepted === true
  assert.ok(tab.open.length <= (needed ? 1 : 0), `${tab.open.length} microphones are open`)
  assert.equal(tab.open.length === 1, me.microphone === 'open', 'what one is told of the microphone')
  const heard = me.onStage && !me.muted && tab.open.length === 1
  assert.equal(me.live, heard, 'live')
  assert.equal(tab.line?.carries ?? null, heard ? tab.open[0] : null, 'what the session carries')
  assert.equal(tab.leaving, heard, 'what leaves')
  for (const [wish, outcome] of tab.wishes) assert.notEqual(outcome, undefined, `wish ${wish} is waited for in vain`)
}

test('whatever happens in whatever order: nothing leaves unasked, and at rest everything agrees', async () => {
  let reached = 0
  await fc.assert(fc.asyncProperty(
    fc.array(step, { maxLength: 80 }), fc.boolean(), fc.boolean(),
    async (story, echoesFirst, begun) => {
      const evening = begun ? await onStage({ echoesFirst }) : new Evening({ echoesFirst })
      for (const [what, which] of story) {
        evening.happen(what, which)
        nothingLeavesUnasked(evening)
        await settled()
        nothingLeavesUnasked(evening)
      }
      await evening.rest()
      allAgree(evening)
      if (evening.tab.oneself.live) reached++
    }), { numRuns: Number(process.env.RUNS ?? 3000), ...(process.env.SEED && { seed: Number(process.env.SEED) }) })
  assert.ok(reached > 0, 'some are live in the end')
})

/** @param {{ echoesFirst?: boolean, muted?: boolean }} [how] */
async function onStage({ muted = false, ...how } = {}) {
  const evening = new Evening(how)
  for (const what of [muted ? 'mute' : 'raise hand', 'raise hand', 'host promotes']) {
    await evening.rest()
    evening.happen(what, 0)
  }
  await evening.rest()
  assert.ok(evening.tab.oneself.onStage)
  return evening
}

/** What is under way arrives. @param {Evening} evening @param {...string} what */
async function then(evening, ...what) {
  for (const one of what) {
    evening.happen(one, 1)
    await settled()
    nothingLeavesUnasked(evening)
  }
}

test('the echo of an unmute behind a mute opens nothing: space held for less than the way there and back', async () => {
  const evening = await onStage({ muted: true })
  const { tab } = evening
  await then(evening, 'unmute', 'attached')
  assert.equal(tab.leaving, false, 'nobody is heard before the server says so')
  await then(evening, 'up', 'mute')
  assert.equal(tab.oneself.muted, true)
  await then(evening, 'down', 'down', 'attached')
  assert.deepEqual([tab.oneself.me.muted, tab.oneself.live, tab.leaving], [true, false, false])
  await evening.rest()
  allAgree(evening)
})

test('from mute() on nothing leaves, though the browser takes its time to let go of the track', async () => {
  const evening = await onStage()
  const { tab } = evening
  assert.equal(tab.leaving, true)
  evening.happen('mute', 0)
  assert.equal(tab.leaving, false)
  await then(evening, 'unmute', 'mute', 'unmute', 'mute', 'attached')
  assert.equal(tab.leaving, false)
  await evening.rest()
  allAgree(evening)
  assert.equal(evening.server.seat?.muted, true)
})

test('quick taps end as the last one meant, whatever the browser is still busy with', async () => {
  for (let taps = 1; taps <= 7; taps++) {
    const evening = await onStage({ muted: true })
    for (let tap = 0; tap < taps; tap++) await then(evening, tap % 2 ? 'mute' : 'unmute', ...(tap % 3 ? ['up'] : []), ...(tap % 2 ? ['down'] : []))
    await evening.rest()
    allAgree(evening)
    assert.equal(evening.tab.oneself.live, taps % 2 === 1, `${taps} taps`)
  }
})

test('promoted while cut, one is told, and arrives as one wished', async () => {
  for (const wished of ['mute', 'unmute']) {
    const evening = new Evening()
    await evening.rest()
    await then(evening, 'raise hand', wished, 'up', 'down', 'cut', 'host promotes')
    await evening.rest()
    allAgree(evening)
    assert.deepEqual([evening.tab.told.onStage, evening.tab.oneself.live], [true, wished === 'unmute'])
  }
})

test('demoted while cut, one is told, and the microphone is closed', async () => {
  const evening = await onStage()
  await then(evening, 'cut', 'host demotes')
  assert.equal(evening.tab.open.length, 1, 'those on stage go on while signaling is cut')
  await evening.rest()
  allAgree(evening)
  assert.deepEqual([evening.tab.told.onStage, evening.tab.open.length], [false, 0])
})

test('an unmute that the cut swallowed does not make anybody live later', async () => {
  const evening = await onStage({ muted: true })
  await then(evening, 'unmute', 'up', 'cut')
  await evening.rest()
  assert.deepEqual([evening.tab.oneself.me.muted, evening.server.seat?.muted], [true, true])
  allAgree(evening)
})

test('to be heard is agreed to for one time on stage', async () => {
  const evening = await onStage()
  await then(evening, 'mute', 'unmute')
  await evening.rest()
  assert.equal(evening.tab.oneself.live, true)
  await then(evening, 'host demotes', 'down', 'down', 'raise hand', 'up', 'down', 'host promotes')
  await evening.rest()
  assert.deepEqual([evening.tab.oneself.onStage, evening.tab.oneself.live], [true, false])
  allAgree(evening)
})

test('a wish to arrive unmuted that the cut swallowed is nobody else’s doing', async () => {
  const evening = await onStage()
  for (const what of ['host mutes', 'host demotes', 'unmute', 'raise hand', 'host promotes']) {
    evening.happen(what, 0)
    if (what !== 'host promotes') await evening.rest()
  }
  await then(evening, 'down', 'down', 'cut')
  await evening.rest()
  allAgree(evening)
  assert.deepEqual([evening.tab.oneself.me.muted, evening.tab.told.mutes], [true, 1])
})

test('an invitation outlives a reload; kicked while away, one knows why', async () => {
  const evening = new Evening()
  await evening.rest()
  await then(evening, 'host promotes', 'down', 'reload', 'down')
  assert.equal(evening.tab.oneself.invitation?.by, 'hanna')
  await then(evening, 'cut', 'host kicks', 'connect')
  assert.equal(evening.tab.left, 'kicked')
  allAgree(evening)
})

test('a microphone that opens after the end, or after another was chosen, is closed', async () => {
  const evening = new Evening()
  await evening.rest()
  await then(evening, 'raise hand', 'up', 'down', 'host promotes', 'down', 'down', 'choose', 'choose')
  assert.ok(evening.tab.opening.length > 1)
  await then(evening, 'opens', 'opens')
  assert.ok(evening.tab.open.length <= 1)
  await then(evening, 'choose', 'host kicks', 'down', 'opens', 'opens')
  assert.equal(evening.tab.open.length, 0)
})
