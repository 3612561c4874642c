import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'

import { Door } from '../sdk/door.js'

/** @import { Notice } from '../sdk/protocol' */

/** What each socket is told to answer to `join`, in order. @type {Record<string, unknown>[]} */
let answers = []
/** @type {any[]} */
let joins = []
/** @type {FakeSocket[]} */
let sockets = []

class FakeSocket {
  static OPEN = 1
  readyState = 1
  onopen = () => {}
  onclose = () => {}
  onmessage = (/** @type {{ data: string }} */ _) => {}

  constructor() {
    sockets.push(this)
    queueMicrotask(() => this.onopen())
  }

  send(/** @type {string} */ text) {
    const message = JSON.parse(text)
    if (message.type === 'join') joins.push(message)
    const answer = message.type === 'join' ? answers.shift() : { type: 'ok' }
    queueMicrotask(() => this.onmessage({ data: JSON.stringify({ ...answer, id: message.id }) }))
  }

  close() {
    this.readyState = 3
    queueMicrotask(() => this.onclose?.())
  }
}

Object.assign(globalThis, {
  WebSocket: FakeSocket,
  sessionStorage: { getItem: () => null, setItem: () => {}, removeItem: () => {} },
  addEventListener: () => {},
  removeEventListener: () => {},
})

const welcome = (/** @type {string} */ resume, resumed = false) => ({ type: 'welcome', resume, resumed })
const refused = (/** @type {string} */ code) => ({ type: 'error', code, message: code })

beforeEach(() => { [answers, joins, sockets] = [[], [], []] })

/** A door whose events end up in `seen`. */
function door() {
  /** @type {unknown[]} */
  const seen = []
  /** @type {(() => void)[]} */
  const waiting = []
  const see = (/** @type {unknown[]} */ ...what) => {
    seen.push(what)
    waiting.splice(0).forEach(wake => wake())
  }
  const made = new Door({
    url: 'ws://server/v1/join',
    token: 'token',
    name: 'Lea',
    isMuted: () => true,
    onBack: wasMuted => see('back', wasMuted),
    onWelcome: ({ resumed }) => see('welcome', resumed),
    onNotice: (/** @type {Notice} */ notice) => see(notice.type),
    onChange: () => queueMicrotask(() => made.retry()),
    onFinal: code => see('final', code),
  })
  /** @param {number} count */
  const until = async count => {
    while (seen.length < count) await new Promise(resolve => waiting.push(() => resolve(undefined)))
    return seen
  }
  return { made, until }
}

test('the first join shows the token and the name', async () => {
  answers = [welcome('a')]
  const { made, until } = door()
  await made.open()
  assert.deepEqual(await until(1), [['welcome', false]])
  assert.equal(joins[0].token, 'token')
  assert.equal(joins[0].name, 'Lea')
  assert.equal(joins[0].resume, undefined)
})

test('after a cut it comes back with the resume token, each of which is used once', async () => {
  answers = [welcome('a'), welcome('b', true), welcome('c', true)]
  const { made, until } = door()
  await made.open()
  sockets[0]?.close()
  await until(2)
  sockets[1]?.close()
  assert.deepEqual(await until(3), [['welcome', false], ['welcome', true], ['welcome', true]])
  assert.deepEqual(joins.map(join => join.resume), [undefined, 'a', 'b'])
})

test('the token always goes beside the resume token: where that is spent, it opens the door', async () => {
  answers = [welcome('a'), welcome('b')]
  const { made, until } = door()
  await made.open()
  sockets[0]?.close()
  assert.deepEqual(await until(2), [['welcome', false], ['welcome', false]])
  assert.deepEqual(joins.map(join => [join.token, join.resume]), [['token', undefined], ['token', 'a']])
})

test('a resume token that does not work is not shown again', async () => {
  answers = [welcome('a'), refused('resume_invalid'), welcome('b')]
  const { made, until } = door()
  await made.open()
  sockets[0]?.close()
  assert.deepEqual(await until(2), [['welcome', false], ['welcome', false]])
  assert.deepEqual(joins.map(join => join.resume), [undefined, 'a', undefined])
})

test('a full server is asked again with the same resume token, a ban ends it', async () => {
  answers = [welcome('a'), refused('unavailable'), refused('banned')]
  const { made, until } = door()
  await made.open()
  sockets[0]?.close()
  assert.deepEqual(await until(2), [['welcome', false], ['final', 'banned']])
  assert.deepEqual(joins.map(join => join.resume), [undefined, 'a', 'a'])
})

test('whoever was put out, or joined somewhere else, meanwhile does not come back as somebody new', async () => {
  for (const code of ['kicked', 'banned', 'replaced']) {
    answers = [welcome('a'), refused(code), welcome('b')]
    const { made, until } = door()
    await made.open()
    sockets.at(-1)?.close()
    assert.deepEqual(await until(2), [['welcome', false], ['final', code]])
    assert.equal(answers.length, 1, 'it has not knocked again')
  }
})

test('requests find their answers; without a connection they say so', async () => {
  answers = [welcome('a')]
  const { made } = door()
  await assert.rejects(made.request({ type: 'mute' }), { code: 'not_connected' })
  await made.open()
  assert.equal((await made.request({ type: 'mute' })).type, 'ok')
  made.close()
  await assert.rejects(made.request({ type: 'mute' }), { code: 'left' })
})

test('when a server lets go of its people it is as if nothing had happened, and what is asked meanwhile is answered', async () => {
  answers = [welcome('a'), welcome('b', true)]
  const { made, until } = door()
  await made.open()
  const over = made.goOver()
  assert.equal(made.connected, true)
  const asked = made.request({ type: 'raise_hand' })
  await over
  assert.equal((await asked).type, 'ok')
  assert.deepEqual(await until(2), [['welcome', false], ['welcome', true]])
  assert.deepEqual([joins.map(join => join.resume), made.problem, made.connected], [[undefined, 'a'], undefined, true])
})

test('where nobody else is there it is an outage like any other', async () => {
  answers = [welcome('a'), refused('unavailable'), welcome('b', true)]
  const { made, until } = door()
  await made.open()
  const over = made.goOver()
  const asked = made.request({ type: 'raise_hand' })
  await over
  await assert.rejects(asked, { code: 'not_connected' })
  assert.equal(made.problem?.code, 'unavailable')
  assert.deepEqual(await until(2), [['welcome', false], ['welcome', true]])
  answers = [refused('banned')]
  await made.goOver()
  assert.deepEqual((await until(3)).at(-1), ['final', 'banned'])
})

test('a refused first join rejects with the server’s code', async () => {
  answers = [refused('room_full')]
  await assert.rejects(door().made.open(), { code: 'room_full' })
})
