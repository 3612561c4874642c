// The stage page as people use it: links, buttons and keys, against the real program. What it looks like is
// for eyes; that it says the right thing at the right time is for this test. Its tests are acts, in order.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { Town } from './town.js'
import { launch, press, says, throughTheGreenRoom, tile, visit } from './visitor.js'

const FIRST_VIEW_BYTES = 60_000

let town, browser, hanna, lea, bo
before(async () => {
  town = await Town.start()
  browser = await launch()
})
after(async () => { await browser?.close(); await town?.stop() })

test('a listener is in with a name and one button, and is asked for nothing', async () => {
  lea = await visit(browser, town.url, town.token('listener'), { width: 390, height: 844 })
  await lea.waitForLoadState('networkidle')
  assert.ok(lea.bytes < FIRST_VIEW_BYTES, `the first view took ${lea.bytes} bytes`)
  await lea.getByLabel('Your name').fill('Lea')
  await press(lea, 'Join and listen')
  await says(lea, '.dock', 'Raise hand')
  await says(lea, '.spotlight', 'Nobody is on stage yet')
  assert.equal(await lea.locator('dialog').count(), 0)
})

test('a host sees their microphone before anybody hears it', async () => {
  hanna = await visit(browser, town.url, town.token('host', 'hanna', { name: 'Hanna' }))
  await press(hanna, 'Continue')
  await says(hanna, 'dialog', 'We can hear you')
  await hanna.getByText('Arrive muted').click()
  await press(hanna, 'Join the event')
  await says(hanna, '.air', 'You are live')
  await says(lea, tile('Hanna'), 'Host')
})

test('who speaks is seen by the listener', async () => {
  await lea.waitForSelector(`${tile('Hanna')}.speaking`)
})

test('raising a hand leads through the green room, and the host sees it', async () => {
  await press(lea, 'Raise hand')
  await says(lea, 'dialog', 'We can hear you')
  await lea.locator('dialog').getByRole('button', { name: 'Raise hand' }).click()
  await says(lea, '.air', 'Your hand is up')
  await says(hanna, '.hands', 'Lea')
  await press(hanna, 'Lower hand: Lea')
  await says(lea, '.toast', 'Your hand was lowered')
  await press(lea, 'Raise hand')
  await says(lea, 'dialog', 'We can hear you')
  await lea.locator('dialog').getByRole('button', { name: 'Raise hand' }).click()
  await says(hanna, '.hands', 'Lea')
})

test('brought on stage, one arrives muted, and M goes on air', async () => {
  await press(hanna, 'Bring on stage')
  await says(lea, '.air', 'You are on stage, muted')
  await hanna.waitForSelector(`${tile('Lea')}.muted`)
  await lea.keyboard.press('m')
  await says(lea, '.air', 'You are live')
  await hanna.waitForSelector(`${tile('Lea')}.speaking`)
})

test('a host mutes; space talks for as long as it is held', async () => {
  await press(hanna, 'Options for Lea')
  await hanna.locator('.menu').getByRole('button', { name: 'Mute' }).click()
  await says(lea, '.air', 'You are on stage, muted')
  await says(lea, '.toast', 'A host muted you')
  await lea.keyboard.down(' ')
  await says(lea, '.air', 'You are live')
  await lea.keyboard.up(' ')
  await says(lea, '.air', 'You are on stage, muted')
})

test('on the button, a short space is a press like any other', async () => {
  await lea.getByRole('button', { name: 'Unmute' }).focus()
  await lea.keyboard.press(' ')
  await says(lea, '.air', 'You are live')
  await lea.keyboard.press(' ')
  await says(lea, '.air', 'You are on stage, muted')
})

test('a reload comes back to the same seat; a touch makes it sound', async () => {
  await lea.reload()
  await says(lea, '.air', 'You are on stage, muted')
  await press(lea, 'Tap to listen Your browser waits for a touch before it plays sound.')
  await lea.locator('.tap').waitFor({ state: 'detached' })
})

test('moved to the audience, one is told', async () => {
  await press(hanna, 'Options for Lea')
  await press(hanna, 'Move to the audience')
  await says(lea, '.toast', 'You are back in the audience')
  await says(lea, '.dock', 'Raise hand')
})

test('a host lowers all hands at once', async () => {
  await press(lea, 'Raise hand')
  await throughTheGreenRoom(lea, 'Raise hand')
  await says(hanna, '.hands', 'Lea')
  await press(hanna, 'Lower all hands')
  await says(lea, '.dock', 'Raise hand')
  await says(hanna, '.panel', 'No hands are up')
  await hanna.getByRole('button', { name: 'Lower all hands' }).waitFor({ state: 'hidden' })
})

test('an invitation can be declined and accepted', async () => {
  bo = await visit(browser, town.url, town.token('listener', undefined, { name: 'Bo' }))
  await press(bo, 'Join and listen')
  const invite = async () => {
    await hanna.locator('.people button', { hasText: 'Bo' }).click()
    await press(hanna, 'Invite to speak')
    await says(bo, 'dialog', 'Hanna would like you to speak')
  }
  await invite()
  await press(bo, 'No, thank you')
  await says(hanna, '.toast', 'Bo does not want to speak now')
  await invite()
  await press(bo, 'Accept')
  await says(bo, 'dialog', 'We can hear you')
  await press(bo, 'Go on stage')
  await says(bo, '.air', 'You are on stage, muted')
})

test('the connection is described in words', async () => {
  await press(lea, 'Settings')
  await press(lea, 'Connection details')
  await says(lea, '.grade', 'Good')
  await says(lea, '.facts-list', 'edge-')
  await lea.keyboard.press('Escape')
})

test('removed, one is told; the end is the end for everybody', async () => {
  await press(hanna, 'Options for Bo')
  await press(hanna, 'Remove from the event')
  await press(hanna, 'Remove')
  await says(bo, 'h1', 'A host removed you')
  await press(hanna, 'End event')
  await press(hanna, 'End for everybody')
  await Promise.all([hanna, lea].map(page => says(page, 'h1', 'The event has ended')))
  assert.deepEqual([hanna, lea, bo].flatMap(page => page.broken), [])
})

test('a link that opens nothing says so', async () => {
  const stranger = await visit(browser, town.url, 'nonsense')
  await stranger.getByLabel('Your name').fill('Nobody')
  await press(stranger, 'Join and listen')
  await says(stranger, '.trouble', 'This link is not valid or has expired')
})
