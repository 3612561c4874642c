// A room one has joined: what is known of it, what happens in it, and what one can do.
//
// The socket and the media live apart: when signaling is cut, people go on hearing, and the room comes back
// by its resume token with everything as it was.

import { Door, FINAL } from './door.js'
import { DaisError, own } from './errors.js'
import { Media } from './media.js'
import { Mixer } from './mixer.js'
import { Oneself } from './oneself.js'
import { grade, heard } from './quality.js'
import { Roster } from './roster.js'
import { sleep } from './session.js'
import { Speaking } from './speaking.js'
import { Steps } from './steps.js'

/** @import { Notice, RoomInfo, Welcome } from './protocol' */
/** @import { News } from './oneself.js' */
/** @import { Problem } from './door.js' */
/** @import { Meter } from './mixer.js' */
/**
 * @typedef {object} JoinOptions
 * @property {string} [url] of the server; the page's own by default
 * @property {string | (() => string | Promise<string>)} token a function is asked again when a new one is needed
 * @property {string} [name] shown to others, where the token brings none
 * @property {MediaStreamTrack | OpenMicrophone} [microphone] none yet is fine; a listener needs none
 * @property {boolean} [muted] how one wishes to arrive on stage; unless one says, as the server has it
 * @property {20 | 60} [framing] milliseconds of audio in a packet; the server's choice by default
 */
/** @typedef {() => Promise<MediaStreamTrack>} OpenMicrophone called when a microphone is needed; the room stops what it opened */
/** @typedef {'joining' | 'connected' | 'reconnecting' | 'left'} State */
/** @typedef {Awaited<ReturnType<Room['stats']>>} Stats */

const QUALITY_MS = 10_000
export class Room extends EventTarget {
  #door
  #mixer
  #media
  #roster = new Roster()
  /** @type {string[]} */
  #pending = []
  #oneself
  #steps
  #entered = false
  #heardOnce = false
  /** @type {RoomInfo} */
  #room = { room: '', title: '', state: 'live', since: 0, seats: 0 }
  #clockMs = 0
  /** @type {State} */
  #state = 'joining'
  /** @type {string | undefined} */
  #leftWhy
  /** Of the track in `of`. @type {{ meter: Meter, of: MediaStreamTrack } | undefined} */
  #meter
  #speaking = new Speaking()
  /** @type {{ voices: any[], at: number }} */
  #looked = { voices: [], at: 0 }
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #reporting
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #expiring
  /** Who waits for a wish to come true. @type {Map<number, (error?: DaisError) => void>} */
  #waiting = new Map()
  /** What was last told of a kind. @type {Map<string, string>} */
  #said = new Map()
  #again = () => this.#retryNow()

  /** Use `Dais.join`. @param {JoinOptions} options */
  constructor(options) {
    super()
    this.#oneself = new Oneself({ muted: options.muted })
    this.#steps = new Steps(this.#oneself, {
      ask: type => this.#ask(type),
      broken: () => this.#media.renew(own('media_failed')),
      onNews: news => this.#news(news),
      onChange: () => this.#oneselfChanged(),
    })
    this.#door = new Door({
      url: socketUrl(options.url ?? location.href),
      token: options.token,
      name: options.name,
      isMuted: () => this.#oneself.muted,
      onBack: wasMuted => { if (wasMuted && options.muted === undefined) this.#oneself.mute() },
      onWelcome: welcome => this.#welcome(welcome),
      onNotice: notice => this.#notice(notice),
      onChange: () => this.#doorChanged(),
      onFinal: code => this.#end(code),
    })
    this.#mixer = new Mixer(() => this.#emit('playback', { blocked: this.playbackBlocked }))
    this.#media = new Media({
      mixer: this.#mixer,
      ...(options.framing && { framing: options.framing }),
      ask: (purpose, offer) => this.#door.request({ type: 'media', purpose, offer }),
      onChange: () => this.#mediaChanged(),
      onLevels: levels => this.#levels(levels),
    })
    if (options.microphone) this.setMicrophone(options.microphone)
  }

  /** The first join; rejects with the reason. */
  async enter() {
    this.#mixer.resume().catch(() => {})
    try {
      await this.#door.open()
    } catch (error) {
      this.#end('failed', !(error instanceof DaisError && FINAL.has(error.code)))
      throw error
    }
    this.#entered = true
    addEventListener('online', this.#again)
    this.#reporting = setInterval(() => this.#reportQuality().catch(() => {}), QUALITY_MS)
    return this
  }

  // What is known

  /**
   * Oneself. `muted` is as one wishes it; `live` says that one's voice reaches the room; `microphone` is
   * `none`, `opening`, `open` or `failed`.
   */
  get me() { return this.#oneself.me }
  /** A seat is held for oneself: `{ by, expiresAt, accepted }`, until one is on stage or it runs out. */
  get invitation() { return this.#oneself.invitation }
  /** Why somebody else put one out: `kicked`, `banned`, `replaced`, `ended`. */
  get removed() { return this.#leftWhy === 'left' || this.#leftWhy === 'failed' ? undefined : this.#leftWhy }
  /** Who is on stage. */
  get stage() { return this.#roster.stage }
  /** Hands in the order they went up; known to hosts. */
  get hands() { return this.#roster.hands }
  /** Those who may still be heard though they are muted or off the stage: the server is not certain yet. Known to hosts. */
  get pending() { return this.#pending }
  /** The audience, while the room is small; else a part of it. */
  get people() { return this.#roster.people }
  get counts() { return this.#roster.counts }
  get state() { return this.#state }
  /** `{ room, title, state: 'backstage' | 'live' | 'ended', since, seats }` */
  get info() { return { ...this.#room } }
  /** Why it was left: `kicked`, `banned`, `replaced`, `ended`, `left` or an error code. */
  get leftWhy() { return this.#leftWhy }
  /** What does not work at this moment, and since when. */
  get problem() { return this.#door.problem ?? mediaProblem(this.#media.problem) }
  /** Whether the socket is there; audio does not depend on it. */
  get signaling() { return this.#door.connected }
  /** Whether voices arrive; a cut socket does not stop them. */
  get hearing() { return this.#media.ok }
  /** The voices, as one track that stays; for an `<audio>`. */
  get stream() { return this.#mixer.stream }
  /** The browser waits for a touch before anything sounds: call `resumePlayback` from a click. */
  get playbackBlocked() { return this.#mixer.blocked }
  /** Who speaks at this moment, each with a level from 0 to 1. */
  get speaking() { return this.#speaking.levels }
  /** The server's clock, in ms of Unix time: what every `since` is measured on. */
  get now() { return Date.now() + this.#clockMs }

  // What one can do

  async raiseHand() {
    await this.#door.request({ type: 'raise_hand' })
    this.#steps.tell(oneself => oneself.movedHand(true))
  }

  async lowerHand() {
    await this.#door.request({ type: 'lower_hand' })
    this.#steps.tell(oneself => oneself.movedHand(false))
  }

  /** Takes the seat of an invitation. */
  async accept() {
    this.#steps.tell(oneself => oneself.accept())
    await this.#door.request({ type: 'accept' }).catch(error => {
      this.#steps.tell(oneself => oneself.notAccepted(error))
      throw error
    })
  }

  async decline() {
    this.#steps.tell(oneself => oneself.decline())
    await this.#door.request({ type: 'decline' })
  }

  /** Back to the audience. */
  async stepDown() {
    this.#steps.tell(oneself => oneself.mute())
    await this.#door.request({ type: 'demote' })
  }

  /** Holds at once, also while the server cannot be reached; in the audience, for when one comes on stage. */
  async mute() { await this.#wish(oneself => oneself.mute()) }

  /** One is heard once the server says so. In the audience: for when one comes on stage. */
  async unmute() {
    if (this.me.onStage && !this.#door.connected) throw own('not_connected')
    await this.#wish(oneself => oneself.unmute())
  }

  /**
   * Where one's microphone comes from: a track, which stays yours to stop and whose `enabled` is the room's
   * meanwhile; or a function that opens one, called when it is needed. What that opened, `opened` included, is
   * stopped as soon as it is not.
   * @param {MediaStreamTrack | OpenMicrophone | null} source
   * @param {MediaStreamTrack} [opened] by that function already
   */
  setMicrophone(source, opened) {
    const from = typeof source === 'function' ? { open: source } : source ? { track: source } : undefined
    this.#steps.tell(oneself => oneself.useMicrophone(from, opened))
    for (const track of [from?.track, opened]) {
      track?.addEventListener('ended', () => this.#steps.tell(oneself => oneself.ended(track)))
    }
  }

  /** From a click, when `playbackBlocked`. */
  async resumePlayback() { await this.#mixer.resume() }

  /**
   * A page of the audience list.
   * @param {{ cursor?: string, limit?: number }} [page]
   * @returns {Promise<{ participants: import('./protocol').Person[], cursor?: string }>}
   */
  async audience(page = {}) {
    return await this.#door.request({ type: 'audience', ...page })
  }

  /** At once: whether the server hears it or not, nothing of oneself stays. */
  async leave() {
    this.#door.request({ type: 'leave' }).catch(() => {})
    this.#end('left')
  }

  /** What hosts decide; each rejects with the server's error. */
  host = {
    /** `seated` when the hand was up, else `invited`: they are asked first. @param {string} identity @returns {Promise<'seated' | 'invited'>} */
    promote: async identity => (await this.#door.request({ type: 'promote', identity })).type,
    demote: (/** @type {string} */ identity) => this.#door.request({ type: 'demote', identity }),
    mute: (/** @type {string} */ identity) => this.#door.request({ type: 'mute', identity }),
    kick: (/** @type {string} */ identity) => this.#door.request({ type: 'kick', identity }),
    ban: (/** @type {string} */ identity) => this.#door.request({ type: 'ban', identity }),
    unban: (/** @type {string} */ identity) => this.#door.request({ type: 'unban', identity }),
    lowerHand: (/** @type {string} */ identity) => this.#door.request({ type: 'lower_hand', identity }),
    lowerAllHands: () => this.#door.request({ type: 'lower_all_hands' }),
    goLive: () => this.#door.request({ type: 'go_live' }),
    end: () => this.#door.request({ type: 'end' }),
  }

  /** What this participant hears since the last call, and from where. */
  async stats() {
    const session = this.#media.session
    const voices = await session?.voices() ?? []
    const now = performance.now()
    const { at, voices: before } = this.#looked
    const numbers = heard(this.#sameSession(voices) ? before : [], voices, now - at)
    this.#looked = { voices, at: now }
    return {
      ...numbers,
      grade: grade(numbers),
      framingMs: session?.framingMs ?? 0,
      node: session?.node ?? '',
      purpose: session?.purpose ?? 'listen',
      state: this.#state,
    }
  }

  // How it comes about

  /** Counters of another session would make nonsense of the differences. */
  #sameSession(/** @type {any[]} */ voices) {
    const before = new Map(this.#looked.voices.map(voice => [voice.id, voice.packetsReceived]))
    return voices.every(voice => (before.get(voice.id) ?? 0) <= voice.packetsReceived)
  }

  /** @param {Welcome} welcome */
  #welcome(welcome) {
    const { resumed } = welcome
    this.#clockMs = welcome.now - Date.now()
    this.#room = welcome.room
    this.#roster.replace(welcome)
    this.#pending = []
    this.#media.iceServers = welcome.media.ice_servers
    this.#media.voices = welcome.media.voices
    if (this.#entered && !resumed) this.#media.renew(own('not_connected'))
    this.#steps.tell(oneself => oneself.welcome(welcome.you, { resumed, now: Date.now() }))
    this.#media.retry()
    this.#update()
    for (const type of ['room', 'stage', 'presence', 'hands', 'pending']) this.#emit(type, {})
  }

  #retryNow() {
    this.#door.retry()
    this.#media.retry()
  }

  /** @param {Notice} notice */
  #notice(notice) {
    switch (notice.type) {
      case 'room':
        this.#room = { ...this.#room, state: notice.state, since: notice.since }
        return this.#emit('room', this.info)
      case 'stage':
        if (!this.#roster.stageChanged(notice)) return
        this.#hear(notice)
        return this.#emit('stage', { set: notice.set, gone: notice.gone })
      case 'hands':
        if (!this.#roster.handsChanged(notice)) return
        this.#hear(notice)
        return this.#emit('hands', notice)
      case 'presence':
        if (this.#roster.presenceChanged(notice)) this.#emit('presence', notice)
        return
      case 'invited':
      case 'promoted':
      case 'demoted':
      case 'muted':
        return this.#hear(notice)
      case 'pending':
        this.#pending = notice.identities
        return this.#emit('pending', { identities: notice.identities })
      case 'declined':
        return this.#emit('declined', { identity: notice.identity, why: notice.why })
      case 'moved':
        if ((notice.purpose === 'speak') !== this.me.onStage) return
        return this.#media.renew(new DaisError('moved', `your media moves to another server: ${notice.why}`))
      case 'removed':
        return this.#removed(notice.reason)
    }
  }

  #hear(/** @type {Notice} */ notice) {
    this.#steps.tell(oneself => oneself.hear(notice, Date.now()))
  }

  #removed(/** @type {string} */ reason) {
    // The server closes, the room does not.
    if (reason === 'shutdown') this.#door.goOver()
    else if (reason === 'too_slow') this.#door.reopen()
    else this.#end(reason)
  }

  /** @param {string} why @param {boolean} [later] somebody will try again */
  #end(why, later) {
    if (this.#state === 'left') return
    this.#leftWhy = why
    this.#state = 'left'
    removeEventListener('online', this.#again)
    clearInterval(this.#reporting)
    clearTimeout(this.#expiring)
    this.#steps.tell(oneself => oneself.end())
    this.#door.close(later)
    this.#media.close()
    this.#meter?.meter.close()
    this.#mixer.close()
    this.#emit('state', { state: 'left', why })
    if (this.removed) this.#emit('removed', { reason: why })
  }

  // Oneself: what it wants of the world, and what it tells

  /** Resolves when the wish has come true or another has taken its place. @param {(oneself: Oneself) => number} wish */
  async #wish(wish) {
    const error = await new Promise(resolve => {
      this.#steps.tell(oneself => this.#waiting.set(wish(oneself), resolve))
    })
    if (error) throw error
  }

  /** @param {'mute' | 'unmute'} type */
  async #ask(type) {
    try {
      return await this.#door.request({ type })
    } catch (error) {
      // It is asked again, not earlier than the server wants it.
      if (error instanceof DaisError && error.retryAfterMs) await sleep(error.retryAfterMs)
      throw error
    }
  }

  /** @param {News} news */
  #news({ type, detail }) {
    if (type !== 'settled') return this.#emit(type, detail)
    this.#waiting.get(detail.wish)?.(detail.error)
    this.#waiting.delete(detail.wish)
  }

  #oneselfChanged() {
    if (this.#state !== 'left' && this.#oneself.known) this.#media.want(this.me.onStage ? 'speak' : 'listen')
    clearTimeout(this.#expiring)
    const { invitation } = this
    if (invitation) {
      const left = Math.max(0, invitation.expiresAt - Date.now())
      this.#expiring = setTimeout(() => this.#steps.tell(oneself => oneself.expire(Date.now())), left)
    }
    this.#emitNew('invitation', { invitation })
    this.#emitNew('me', this.me)
  }

  #doorChanged() {
    if (!this.#door.connected) this.#steps.tell(oneself => oneself.cut())
    this.#update()
  }

  #mediaChanged() {
    if (this.#media.ok) this.#heardOnce = true
    this.#steps.tell(oneself => oneself.reaches(this.#media.reach))
    this.#update()
  }

  #update() {
    if (this.#state === 'left') return
    const works = this.#door.connected && this.#media.ok
    this.#state = works ? 'connected' : this.#heardOnce ? 'reconnecting' : 'joining'
    this.#emitNew('state', { state: this.#state, problem: this.problem })
  }

  /** @param {Map<number, number>} levels by number */
  #levels(levels) {
    for (const [number, level] of levels) {
      const identity = this.#roster.speaker(number)
      if (identity) this.#speaking.hear(identity, level)
    }
    if (this.me.live) this.#speaking.hear(this.#oneself.identity, this.#ownLevel())
    if (this.#speaking.refresh()) this.#emit('speaking', { speaking: this.speaking })
  }

  #ownLevel() {
    const { track } = this.#oneself
    if (this.#meter?.of !== track) {
      this.#meter?.meter.close()
      this.#meter = track && { meter: this.#mixer.meter(track), of: track }
    }
    return this.#meter?.meter.level ?? 0
  }

  async #reportQuality() {
    if (!this.#door.connected || !this.#media.ok) return
    const { loss, concealed, jitterMs, delayMs, framingMs } = await this.stats()
    await this.#door.request({
      type: 'quality', loss, concealed, jitter_ms: jitterMs, delay_ms: delayMs, framing_ms: framingMs,
    })
  }

  /** The same as last time is no news. */
  #emitNew(/** @type {string} */ type, /** @type {object} */ detail) {
    const said = JSON.stringify(detail)
    if (this.#said.get(type) === said) return
    this.#said.set(type, said)
    this.#emit(type, detail)
  }

  #emit(/** @type {string} */ type, /** @type {object} */ detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }))
  }
}

/** @param {Media['problem']} problem @returns {Problem | undefined} */
function mediaProblem(problem) {
  if (!problem) return undefined
  const { error: { code, message }, since, retryAt } = problem
  return { code, message, since, ...(retryAt && { retryAt }) }
}

function socketUrl(/** @type {string} */ base) {
  const url = new URL('/v1/join', base)
  url.protocol = url.protocol.replace('http', 'ws')
  return url.href
}
