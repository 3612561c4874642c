// One media session: a peer connection to one node, negotiated once and never again.
//
// A listener has a receive line for each voice; a speaker has a microphone line before them. The microphone
// line carries nothing until a track is attached, and what a session plays is silent until it is faded in.

import { own } from './errors.js'
import { readOffer, writeAnswer } from './sdp.js'

/** @import { MediaAnswer, Offer, Purpose } from './protocol' */
/** @import { Channel, Mixer } from './mixer.js' */
/**
 * @typedef {object} SessionOptions
 * @property {Purpose} purpose
 * @property {Mixer} mixer
 * @property {RTCIceServer[]} iceServers
 * @property {number} voices
 * @property {20 | 60} [framing]
 * @property {(offer: Offer) => Promise<MediaAnswer>} ask
 */

/** UDP that has not answered by then is blocked. The person must know within five seconds, of which one
    may have gone into noticing. */
const REACH_MS = 3500
/** DTLS and the first packet, which comes at most 400 ms later even in silence. */
const SOUND_MS = 8000
/** From the first packet until the jitter buffer has something to play. */
const SETTLE_MS = 200

export class Session {
  #pc
  #closed = false
  /** @type {RTCRtpSender | undefined} */
  #sender
  /** @type {RTCRtpReceiver[]} */
  #receivers = []
  /** Timestamps already seen, by voice and source: entries linger for seconds. @type {Map<string, number>} */
  #seen = new Map()
  #timestamps = new Timestamps()
  /** When the last packet showed. */
  heardAt = 0
  node = ''
  /** @type {Channel} */
  channel

  /** @param {SessionOptions} options */
  constructor(options) {
    this.purpose = options.purpose
    this.#pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', iceServers: options.iceServers })
    if (options.purpose === 'speak') {
      this.#sender = this.#pc.addTransceiver('audio', { direction: 'sendonly' }).sender
    }
    for (let voice = 0; voice < options.voices; voice++) {
      this.#receivers.push(this.#pc.addTransceiver('audio', { direction: 'recvonly' }).receiver)
    }
    this.channel = options.mixer.channel(this.#receivers.map(receiver => receiver.track))
  }

  /** @param {SessionOptions} options @returns {Promise<Session>} with nothing sounding yet */
  static async open(options) {
    const session = new Session(options)
    try {
      await session.#negotiate(options)
      return session
    } catch (error) {
      session.close()
      throw error
    }
  }

  /** @param {SessionOptions} options */
  async #negotiate({ ask, framing }) {
    const offer = await this.#pc.createOffer()
    const sdp = offer.sdp ?? ''
    await this.#pc.setLocalDescription(offer)
    const { node, answer } = await ask(readOffer(sdp, framing))
    this.node = node
    await this.#pc.setRemoteDescription({ type: 'answer', sdp: writeAnswer(sdp, answer) })
  }

  /** Resolves when real packets from the node can be played; says why when they do not come. */
  async flowing() {
    const start = performance.now()
    for (let round = 1; !await this.#arrived(round); round++) {
      const waited = performance.now() - start
      if (this.#closed) throw own('left')
      const ice = this.#pc.iceConnectionState
      const reached = ice === 'connected' || ice === 'completed'
      if (ice === 'failed' || (!reached && waited > REACH_MS)) throw own('udp_blocked')
      if (this.#pc.connectionState === 'failed') throw own('media_failed')
      if (waited > SOUND_MS) throw own('no_audio')
      await sleep(20)
    }
    await sleep(SETTLE_MS)
    this.heardAt = performance.now()
  }

  /** A track is unmuted by its first packet; statistics are the slower second opinion. */
  async #arrived(/** @type {number} */ round) {
    return this.#receivers.some(receiver => !receiver.track.muted) || (round % 20 === 0 && await this.packets() > 0)
  }

  /** Sends this track from now on, or nothing. @param {MediaStreamTrack | null} track */
  async attach(track) {
    if (this.#sender && this.#sender.track !== track) await this.#sender.replaceTrack(track)
  }

  /**
   * Who is heard at this moment, by number, each with the level of their voice (0 to 1, linear).
   * @returns {Map<number, number>}
   */
  speaking() {
    const levels = new Map()
    this.#receivers.forEach((receiver, voice) => {
      this.#timestamps.add(voice, receiver.getSynchronizationSources()[0]?.rtpTimestamp)
      for (const { source, timestamp, audioLevel = 0 } of receiver.getContributingSources()) {
        if (!this.#isNews(`${voice} ${source}`, timestamp) || !source) continue
        levels.set(source, Math.max(audioLevel, levels.get(source) ?? 0))
      }
    })
    return levels
  }

  #isNews(/** @type {string} */ key, /** @type {number} */ timestamp) {
    if (this.#seen.get(key) === timestamp) return false
    if (this.#seen.size > 256) this.#seen.clear()
    this.#seen.set(key, timestamp)
    this.heardAt = performance.now()
    return true
  }

  /** Packets that came so far. */
  async packets() {
    return (await this.voices()).reduce((sum, voice) => sum + (voice.packetsReceived ?? 0), 0)
  }

  /** `inbound-rtp` statistics of each voice that sounded. @returns {Promise<any[]>} */
  async voices() {
    if (this.#closed) return []
    const report = await this.#pc.getStats()
    return [...report.values()].filter(one => one.type === 'inbound-rtp')
  }

  get failed() {
    return this.#pc.connectionState === 'failed'
  }

  /** Milliseconds of audio in a packet, as far as can be seen; 0 while nobody spoke. */
  get framingMs() {
    return this.#timestamps.framingMs
  }

  close() {
    if (this.#closed) return
    this.#closed = true
    this.channel.close()
    this.#pc.close()
  }
}

/** Guesses the framing: packets of 60 ms start at multiples of 60 ms from each other. */
class Timestamps {
  /** @type {number[]} */
  #last = []
  /** @type {number[]} */
  #steps = []

  add(/** @type {number} */ voice, /** @type {number | undefined} */ timestamp) {
    if (timestamp === undefined) return
    const step = (timestamp - (this.#last[voice] ?? timestamp)) >>> 0
    this.#last[voice] = timestamp
    // Longer steps are pauses, in which frames travel alone.
    if (step > 0 && step <= 14_400) this.#steps = [...this.#steps.slice(-29), step]
  }

  get framingMs() {
    if (this.#steps.length === 0) return 0
    const fits = (/** @type {number} */ ms) => this.#steps.filter(step => step % (ms * 48) === 0).length
    return [120, 60].find(ms => fits(ms) >= this.#steps.length * 0.7) ?? 20
  }
}

/** @param {number} ms @returns {Promise<void>} */
export const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))
