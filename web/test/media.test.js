import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, mock, test } from 'node:test'

import { DaisError } from '../sdk/errors.js'
import { Media } from '../sdk/media.js'

const sdp = (/** @type {string} */ name) => readFileSync(new URL(`offers/chromium-${name}.sdp`, import.meta.url), 'utf8')

/** As much of a peer connection as it takes to make an offer. */
class FakePeer {
  #purpose = 'listen'

  addTransceiver(/** @type {string} */ _, /** @type {{ direction: string }} */ { direction }) {
    if (direction === 'sendonly') this.#purpose = 'speak'
    return { sender: {}, receiver: { track: {} } }
  }

  async createOffer() {
    return { type: 'offer', sdp: sdp(this.#purpose) }
  }

  async setLocalDescription() {}
  close() {}
}

const mixer = /** @type {any} */ ({ channel: () => ({ close: () => {} }) })

/** What was asked for, in order. @type {string[]} */
let asked = []
/** @type {Media} */
let media

/** Everything that needs no time has happened. */
const settled = () => new Promise(resolve => setImmediate(resolve))

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] })
  Object.assign(globalThis, { RTCPeerConnection: FakePeer })
  asked = []
  media = new Media({
    mixer,
    ask: async purpose => {
      asked.push(purpose)
      throw new DaisError('busy', 'many are coming in', 3000)
    },
    onChange: () => {},
    onLevels: () => {},
  })
})

afterEach(() => {
  media.close()
  mock.timers.reset()
})

test('whoever got an appointment comes at that time, and not before', async () => {
  media.want('listen')
  await settled()
  assert.deepEqual(asked, ['listen'])
  assert.equal(media.problem?.error.code, 'busy')
  assert.ok((media.problem?.retryAt ?? 0) >= 3000)

  mock.timers.tick(2999)
  media.retry()
  media.renew(new DaisError('moved', 'the old one is gone'))
  await settled()
  assert.equal(asked.length, 1, 'nothing makes it earlier')
  assert.equal(media.problem?.error.code, 'busy', 'and they still know when')

  mock.timers.tick(51)
  await settled()
  assert.equal(asked.length, 2)
})

test('an appointment is for one purpose: on stage another node is asked at once', async () => {
  media.want('listen')
  await settled()
  media.want('speak')
  await settled()
  assert.deepEqual(asked, ['listen', 'speak'])
})
