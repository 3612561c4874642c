import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { readOffer, writeAnswer } from '../sdk/sdp.js'

/** @import { Answer } from '../sdk/protocol' */

const offer = (/** @type {string} */ name) => readFileSync(new URL(`offers/${name}.sdp`, import.meta.url), 'utf8')
const sections = (/** @type {string} */ sdp) => sdp.split(/^(?=m=)/m).slice(1)

/** @type {Answer} */
const answer = {
  ufrag: 'node1234',
  pwd: 'a'.repeat(24),
  fingerprint: 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8',
  candidates: [
    { protocol: 'udp', ip: '127.0.0.1', port: 7100 },
    { protocol: 'carrier-pigeon', ip: '127.0.0.1', port: 1 },
    { protocol: 'udp', ip: '::1', port: 7100 },
  ],
  ssrcs: [11, 12, 13],
}

test('a listener of Chromium is described in a few facts', () => {
  const facts = readOffer(offer('chromium-listen'), 60)
  assert.equal(facts.opus, 111)
  assert.equal(facts.red, 63)
  assert.equal(facts.level_ext, 1)
  assert.equal(facts.lines, 3)
  assert.equal(facts.framing, 60)
  assert.equal(facts.nack, undefined)
  assert.match(facts.fingerprint, /^[\w-]{43}$/)
})

test('a speaker of Firefox: fingerprint at session level, no RED, bundle-only lines', () => {
  const facts = readOffer(offer('firefox-speak'))
  assert.equal(facts.opus, 109)
  assert.equal(facts.red, undefined)
  assert.equal(facts.lines, 3)
  assert.equal('framing' in facts, false)
  assert.match(facts.fingerprint, /^[\w-]{43}$/)
})

test('offer and answer together stay below 1,200 bytes', () => {
  const offered = JSON.stringify({ type: 'media', purpose: 'speak', id: 99, offer: readOffer(offer('firefox-speak'), 60) })
  const answered = JSON.stringify({ type: 'media', purpose: 'speak', id: 99, node: 'n'.repeat(64), answer })
  assert.ok(offered.length + answered.length < 1200, `${offered.length} + ${answered.length}`)
})

test('every section of the answer stands on its own', () => {
  for (const name of ['chromium-listen', 'firefox-listen']) {
    const written = sections(writeAnswer(offer(name), answer))
    assert.equal(written.length, 3)
    written.forEach((section, index) => {
      assert.ok(section.startsWith('m=audio 9 UDP/TLS/RTP/SAVPF 1'), section)
      assert.ok(section.includes(`a=mid:${index}\r\n`))
      assert.ok(section.includes(`a=ssrc:${answer.ssrcs[index]} cname:dais\r\n`))
      assert.ok(section.includes(`a=msid:voices voice-${index}\r\n`))
      assert.ok(section.includes('a=sendonly\r\n'))
      assert.ok(section.includes('a=setup:passive\r\n'))
      assert.ok(section.includes('a=ice-ufrag:node1234\r\n'))
      assert.ok(section.includes('a=fingerprint:sha-256 00:01:02:03'))
      assert.equal(section.match(/a=candidate:/g)?.length, 2, 'unknown protocols are skipped')
    })
  }
})

test('a publisher is asked for FEC and DTX, and for RED only where the node takes it', () => {
  const [plain = ''] = sections(writeAnswer(offer('chromium-speak'), answer))
  assert.ok(plain.startsWith('m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n'))
  assert.ok(plain.includes('a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1\r\n'))
  assert.ok(plain.includes('a=recvonly\r\n'))
  assert.ok(!plain.includes('a=ssrc'))

  const [redundant = '', voice = ''] = sections(writeAnswer(offer('chromium-speak'), { ...answer, red: true }))
  assert.ok(redundant.startsWith('m=audio 9 UDP/TLS/RTP/SAVPF 63 111\r\n'))
  assert.ok(redundant.includes('a=fmtp:63 111/111\r\n'))
  assert.ok(voice.startsWith('m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n'), 'what comes down is plain')
  assert.ok(voice.includes('a=ssrc:11 '), 'the first voice is on the first receive line')
})

test('Firefox has no RED, so none is answered even if the node would take it', () => {
  const [mic = ''] = sections(writeAnswer(offer('firefox-speak'), { ...answer, red: true }))
  assert.ok(mic.startsWith('m=audio 9 UDP/TLS/RTP/SAVPF 109\r\n'))
  assert.ok(!mic.includes('red'))
})

test('nonsense is refused with a reason', () => {
  assert.throws(() => readOffer('v=0\r\n'), /no audio/)
  assert.throws(() => readOffer('v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n'), /lacks Opus/)
})
