// What a bad network, a slow browser and impatient hands do to oneself: the stories of sdk/oneself.js, each once in
// a real browser. Whatever happens, button, microphone, stage and words agree in the end.

import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, test } from 'node:test'

import { Cable } from './cable.js'
import { eventually, Town } from './town.js'
import { launch, press, says, throughTheGreenRoom, tile, visit } from './visitor.js'

let town, cable, browser, hanna, lea
before(async () => { [town, browser] = [await Town.start(), await launch()] })
after(async () => { await browser?.close(); await town?.stop() })

/** Each story in a room of its own, with a host who stays and a guest whose cable is bad. */
let room = 0
beforeEach(async () => {
  room++
  cable = await Cable.to(town.url)
  hanna = await visit(browser, town.url, town.token('host', 'hanna', { name: 'Hanna', room: `hall-${room}` }))
  await press(hanna, 'Continue')
  await throughTheGreenRoom(hanna, 'Join the event')
  lea = await visit(browser, cable.url, town.token('listener', undefined, { name: 'Lea', room: `hall-${room}` }))
  await press(lea, 'Join and listen')
  await says(hanna, '.facts', '1 listening')
  await says(lea, '.dock', 'Raise hand')
})
afterEach(async () => {
  cable.close()
  const pages = [hanna, lea]
  assert.deepEqual(pages.flatMap(page => page.broken), [])
  await Promise.all(pages.map(page => page.context().close()))
})

async function raiseHand(options) {
  await press(lea, 'Raise hand')
  await throughTheGreenRoom(lea, 'Raise hand', options)
  await says(hanna, '.hands', 'Lea')
}

async function comeOnStage(options) {
  await raiseHand(options)
  await press(hanna, 'Bring on stage')
  await says(lea, '.air', options?.muted === false ? 'You are live' : 'You are on stage, muted')
}

const manage = async (name, ...buttons) => {
  await press(hanna, `Options for ${name}`)
  for (const button of buttons) await hanna.locator('dialog').getByRole('button', { name: button }).last().click()
}
const fromAudience = async (...buttons) => {
  await hanna.locator('.people button', { hasText: 'Lea' }).click()
  for (const button of buttons) await hanna.locator('dialog').getByRole('button', { name: button }).last().click()
}
const openMicrophones = () => lea.evaluate(() => window.microphones.open.length)
const hot = () => lea.evaluate(() => window.microphones.hot)
const closedAgain = () => eventually('no microphone is open', async () => await openMicrophones() === 0)

const admin = () => ({ authorization: `Bearer ${town.token('admin', undefined, { room: `hall-${room}` })}` })

/** @param {string} name */
async function identityOf(name) {
  const answer = await fetch(`${town.url}/v1/rooms/hall-${room}/participants`, { headers: admin() })
  const { participants } = await answer.json()
  return participants.find(person => person.name === name).identity
}

/** The button says it, the microphone does it, and the host sees it. */
async function agree(muted) {
  await eventually('the button', async () => await lea.getByRole('button', { name: muted ? 'Unmute' : 'Mute', exact: true }).count() === 1)
  await says(lea, '.air', muted ? 'You are on stage, muted' : 'You are live')
  await eventually('the microphone', async () => await hot() === !muted)
  await hanna.waitForSelector(muted ? `${tile('Lea')}.muted` : `${tile('Lea')}:not(.muted)`)
}

test('space held for less than the way there and back: nothing leaves once it is released', async () => {
  await comeOnStage()
  cable.delayMs = 150
  await lea.evaluate(() => addEventListener('keyup', () => { window.releasedAt = performance.now() }, true))
  for (const heldMs of [80, 150, 280, 400]) {
    await lea.keyboard.down(' ')
    await lea.waitForTimeout(heldMs)
    await lea.keyboard.up(' ')
    // Two ways there and back: whatever echo there is has come.
    await lea.waitForTimeout(4 * cable.delayMs + 100)
    await agree(true)
    const late = await lea.evaluate(() => window.microphones.hotAt - window.releasedAt)
    assert.ok(late < 20, `hot for ${late} ms after it was held for ${heldMs} ms`)
  }
})

test('quick taps end as the last one meant, though the browser takes its time', async () => {
  await comeOnStage()
  cable.delayMs = 30
  await lea.evaluate(() => { window.microphones.replaceMs = 120 })
  let muted = true
  for (const taps of [2, 3, 5, 4, 7]) {
    for (let tap = 0; tap < taps; tap++) {
      await lea.keyboard.press('m')
      muted = !muted
      await lea.waitForTimeout(35)
    }
    await agree(muted)
  }
})

test('promoted while cut off: told so, and muted as one chose to arrive', async () => {
  await raiseHand()
  cable.cut()
  await press(hanna, 'Bring on stage')
  await hanna.waitForSelector(tile('Lea'))
  assert.equal(await lea.locator(tile('Lea')).count(), 0)
  cable.mend()
  await says(lea, '.toast', 'You are on stage.')
  await agree(true)
  assert.equal(await openMicrophones(), 1, 'ready to speak')
  await press(lea, 'Unmute')
  await agree(false)
})

test('demoted while cut off: told so, and the microphone is closed', async () => {
  await comeOnStage({ muted: false })
  cable.cut()
  await manage('Lea', 'Move to the audience')
  await says(hanna, '.facts', '1 listening')
  assert.equal(await hot(), true, 'who is on stage is heard on while signaling is cut')
  cable.mend()
  await says(lea, '.toast', 'You are back in the audience')
  await says(lea, '.dock', 'Raise hand')
  await closedAgain()
})

test('an invitation outlives reloads, and leads on stage', async () => {
  await fromAudience('Invite to speak')
  await says(lea, 'dialog', 'Hanna would like you to speak')
  for (let reload = 0; reload < 3; reload++) {
    await lea.reload()
    await says(lea, 'dialog', 'Hanna would like you to speak')
  }
  await press(lea, 'Accept')
  await throughTheGreenRoom(lea, 'Go on stage')
  await agree(true)
})

test('an invitation that is taken back is gone from the screen, with a word', async () => {
  await fromAudience('Invite to speak')
  await press(lea, 'Accept')
  await says(lea, 'dialog', 'We can hear you')
  const identity = await identityOf('Lea')
  const answer = await fetch(`${town.url}/v1/rooms/hall-${room}/demote`, {
    method: 'POST', headers: { ...admin(), 'content-type': 'application/json' }, body: JSON.stringify({ identity }),
  })
  assert.ok(answer.ok, await answer.text())
  await says(lea, '.toast', 'The invitation is no longer open')
  await lea.locator('dialog').waitFor({ state: 'detached' })
  await closedAgain()
})

for (const [why, button, title, sure] of [
  ['kicked', 'Remove from the event', 'A host removed you', 'Remove'],
  ['banned', 'Remove for good', 'A host removed you', 'Remove'],
]) {
  test(`${why} while cut off: told why, and back only by a click if at all`, async () => {
    cable.cut()
    await fromAudience(button, sure)
    await says(hanna, '.facts', '0 listening')
    cable.mend()
    await says(lea, 'h1', title)
    await lea.reload()
    await says(lea, 'h1', `hall-${room}`)
    await says(hanna, '.facts', '0 listening')
  })
}

test('kicked while the page is loaded again: told why', async () => {
  cable.cut()
  await fromAudience('Remove from the event', 'Remove')
  await says(hanna, '.facts', '0 listening')
  cable.mend()
  await lea.reload()
  await says(lea, 'h1', 'A host removed you')
  await press(lea, 'Join again')
  await press(lea, 'Join and listen')
  await says(hanna, '.facts', '1 listening')
})

test('whoever leaves is gone at once, and so is their microphone', async () => {
  await comeOnStage()
  await press(lea, 'Leave')
  await lea.locator('dialog').getByRole('button', { name: 'Leave' }).click()
  await says(lea, 'h1', 'You have left')
  await hanna.locator(tile('Lea')).waitFor({ state: 'detached' })
  assert.equal(await openMicrophones(), 0)
})

test('a second reload before the first was answered is still one person', async () => {
  const before = await identityOf('Lea')
  const joins = () => town.metric('dais_signaling_messages_total', 'type="join"')
  for (let again = 0; again < 2; again++) {
    const sent = await joins()
    cable.hold()
    await lea.reload()
    await eventually('it has knocked', async () => await joins() === sent + 1)
  }
  cable.release()
  await lea.reload()
  await says(lea, '.dock', 'Raise hand')
  assert.equal(await identityOf('Lea'), before)
  await says(hanna, '.facts', '1 listening')
})

test('two microphones chosen in one breath: the last one is open, the list names it, and none stays', async () => {
  await press(lea, 'Raise hand')
  await says(lea, 'dialog', 'We can hear you')
  await lea.evaluate(() => { window.microphones.openMs = [400, 50] })
  const list = lea.locator('#microphone')
  const [, second, third] = await list.locator('option').evaluateAll(options => options.map(option => option.value))
  await list.selectOption(second)
  await list.selectOption(third)
  await eventually('the last one is open', () => lea.evaluate(id =>
    window.microphones.open.length === 1 && window.microphones.open[0].getSettings().deviceId === id, third))
  await eventually('all three have been opened', () => lea.evaluate(() => window.microphones.opened.length === 3))
  assert.deepEqual([await openMicrophones(), await list.inputValue()], [1, third])
  await press(lea, 'Cancel')
  await closedAgain()
})

test('the event ends while a microphone is being opened: it does not stay open', async () => {
  await raiseHand()
  const opened = await lea.evaluate(() => {
    window.microphones.openMs = [1000]
    return window.microphones.opened.length
  })
  await press(hanna, 'Bring on stage')
  await says(lea, '.air', 'You are on stage, muted')
  await press(hanna, 'End event')
  await press(hanna, 'End for everybody')
  await says(lea, 'h1', 'The event has ended')
  await eventually('it has been opened', () => lea.evaluate(before => window.microphones.opened.length > before, opened))
  await closedAgain()
})
