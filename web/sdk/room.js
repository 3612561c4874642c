// A room one has joined: what is known of it, what happens in it, and what one can do.
//
// The socket and the media live apart: when signaling is cut, people go on hearing, and the room comes back
// by its resume token with everything as it was.

import { Door } from './door.js'
import { DaisError, own } from './errors.js'
import { Media } from './media.js'
import { Mixer } from './mixer.js'
import { grade, heard } from './quality.js'
import { Roster } from './roster.js'
import { Speaking } from './speaking.js'

/** @import { Notice, RoomInfo, Welcome, You } from './protocol' */
/** @import { Problem } from './door.js' */
/** @import { Meter } from './mixer.js' */
/**
 * @typedef {object} JoinOptions
 * @property {string} [url] of the server; the page's own by default
 * @property {string | (() => string | Promise<string>)} token a function is asked again when a new one is needed
 * @property {string} [name] shown to others, where the token brings none
 * @property {MediaStreamTrack} [microphone] none yet is fine; a listener needs none
 * @property {20 | 60} [framing] milliseconds of audio in a packet; the server's choice by default
 */
/** @typedef {'joining' | 'connected' | 'reconnecting' | 'left'} State */
/** @typedef {Awaited<ReturnType<Room['stats']>>} Stats */

const QUALITY_MS = 10_000
/** The server closes, the room does not. */
const PASSING = new Set(['shutdown', 'too_slow'])

export class Room extends EventTarget {
  #door
  #mixer
  #media
  #roster = new Roster()
  #entered = false
  #heardOnce = false
  /** @type {You} */
  #you = { identity: '', name: '', role: 'listener', muted: false, hand: false }
  /** @type {RoomInfo} */
  #room = { room: '', title: '', state: 'live', since: 0, seats: 0 }
  #clockMs = 0
  /** @type {State} */
  #state = 'joining'
  /** @type {string | undefined} */
  #leftWhy
  /** @type {MediaStreamTrack | undefined} */
  #microphone
  /** @type {Meter | undefined} */
  #meter
  #speaking = new Speaking()
  /** @type {{ voices: any[], at: number }} */
  #looked = { voices: [], at: 0 }
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #reporting
  /** What was last told of a kind. @type {Map<string, string>} */
  #said = new Map()
  #again = () => this.#retryNow()

  /** Use `Dais.join`. @param {JoinOptions} options */
  constructor(options) {
    super()
    this.#door = new Door({
      url: socketUrl(options.url ?? location.href),
      token: options.token,
      name: options.name,
      onWelcome: (welcome, resumed) => this.#welcome(welcome, resumed),
      onNotice: notice => this.#notice(notice),
      onChange: () => this.#update(),
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
      this.#end('failed')
      throw error
    }
    this.#entered = true
    addEventListener('online', this.#again)
    this.#reporting = setInterval(() => this.#reportQuality().catch(() => {}), QUALITY_MS)
    return this
  }

  // What is known

  /** Oneself. `live` says that one's voice reaches the room. */
  get me() {
    const { identity, name, role, number, muted, hand } = this.#you
    const onStage = number !== undefined
    return { identity, name, role, host: role === 'host', onStage, number, muted, hand, live: this.#media.sending }
  }

  /** Who is on stage. */
  get stage() { return this.#roster.stage }
  /** Hands in the order they went up; known to hosts. */
  get hands() { return this.#roster.hands }
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
    this.#setMe({ hand: true })
  }

  async lowerHand() {
    await this.#door.request({ type: 'lower_hand' })
    this.#setMe({ hand: false })
  }

  /** Takes the seat of an invitation. */
  async accept() { await this.#door.request({ type: 'accept' }) }
  async decline() { await this.#door.request({ type: 'decline' }) }

  /** Back to the audience. */
  async stepDown() {
    this.#media.setMuted(true)
    await this.#door.request({ type: 'demote' })
  }

  /** Holds at once, also while the server cannot be reached. */
  async mute() {
    this.#setMe({ muted: true })
    await this.#door.request({ type: 'mute' }).catch(error => {
      if (this.#door.connected) throw error
    })
  }

  async unmute() {
    await this.#door.request({ type: 'unmute' })
    this.#setMe({ muted: false })
  }

  /** @param {MediaStreamTrack | null} track */
  setMicrophone(track) {
    this.#microphone = track ?? undefined
    this.#meter?.close()
    this.#meter = track ? this.#mixer.meter(track) : undefined
    this.#media.setMicrophone(track)
    track?.addEventListener('ended', () => {
      if (this.#microphone === track) this.#emit('microphone', { ended: true })
    })
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

  async leave() {
    await this.#door.request({ type: 'leave' }).catch(() => {})
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

  /** @param {Welcome} welcome @param {boolean} resumed */
  #welcome(welcome, resumed) {
    const wishedMuted = this.#entered && this.#you.muted && !welcome.you.muted
    this.#clockMs = welcome.now - Date.now()
    this.#room = welcome.room
    this.#roster.replace(welcome)
    this.#media.iceServers = welcome.media.ice_servers
    this.#media.voices = welcome.media.voices
    this.#setMe({ number: undefined, ...welcome.you })
    if (this.#entered && !resumed) this.#media.renew(own('not_connected'))
    this.#media.want(this.me.onStage ? 'speak' : 'listen')
    this.#media.retry()
    if (wishedMuted && this.me.onStage) this.mute().catch(() => {})
    this.#update()
    for (const type of ['room', 'stage', 'presence', 'hands']) this.#emit(type, {})
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
        if (this.#roster.stageChanged(notice)) this.#stageChanged(notice)
        return
      case 'hands':
        return this.#handsChanged(notice)
      case 'presence':
        if (this.#roster.presenceChanged(notice)) this.#emit('presence', notice)
        return
      case 'invited':
        return this.#emit('invited', { by: notice.by, expiresAt: Date.now() + notice.expires_ms })
      case 'promoted':
        return this.#promoted(notice)
      case 'demoted':
        return this.#demoted(notice.by)
      case 'muted':
        this.#setMe({ muted: true })
        return this.#emit('muted', { by: notice.by })
      case 'declined':
        return this.#emit('declined', { identity: notice.identity, why: notice.why })
      case 'moved':
        if ((notice.purpose === 'speak') !== this.me.onStage) return
        return this.#media.renew(new DaisError('moved', `your media moves to another server: ${notice.why}`))
      case 'removed':
        return this.#removed(notice.reason)
    }
  }

  /** @param {{ by: string | null, number: number, muted: boolean }} seat */
  #promoted({ by, number, muted }) {
    const role = this.#you.role === 'host' ? 'host' : 'speaker'
    this.#setMe({ number, muted, hand: false, role })
    this.#emit('promoted', { by, muted })
    this.#media.want('speak')
  }

  #demoted(/** @type {string | null} */ by) {
    const role = this.#you.role === 'host' ? 'host' : 'listener'
    this.#setMe({ number: undefined, muted: true, role })
    this.#media.want('listen')
    this.#emit('demoted', { by })
  }

  /** The stage's word about oneself counts. @param {{ set: { identity: string }[], gone: string[] }} change */
  #stageChanged(change) {
    const mine = this.#roster.member(this.#you.identity)
    if (mine && this.me.onStage && mine.muted !== this.#you.muted) this.#setMe({ muted: mine.muted })
    this.#emit('stage', { set: change.set, gone: change.gone })
  }

  /** Hosts hear of every hand, others of their own. @param {import('./protocol').HandsChange} change */
  #handsChanged(change) {
    if (!this.#roster.handsChanged(change)) return
    const { identity } = this.#you
    if (change.down.includes(identity)) this.#setMe({ hand: false })
    if (change.up.some(hand => hand.identity === identity)) this.#setMe({ hand: true })
    this.#emit('hands', change)
  }

  #removed(/** @type {string} */ reason) {
    if (PASSING.has(reason)) this.#door.reopen()
    else this.#end(reason)
  }

  #end(/** @type {string} */ why) {
    if (this.#state === 'left') return
    this.#leftWhy = why
    this.#state = 'left'
    removeEventListener('online', this.#again)
    clearInterval(this.#reporting)
    this.#door.close()
    this.#media.close()
    this.#meter?.close()
    this.#mixer.close()
    this.#emit('state', { state: 'left', why })
    if (why !== 'left' && why !== 'failed') this.#emit('removed', { reason: why })
  }

  /** @param {Partial<You>} change */
  #setMe(change) {
    this.#you = { ...this.#you, ...change }
    this.#media.setMuted(this.#you.muted || !this.me.onStage)
    this.#emitNew('me', this.me)
  }

  #mediaChanged() {
    if (this.#media.ok) this.#heardOnce = true
    this.#update()
    this.#emitNew('me', this.me)
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
    if (this.#media.sending) this.#speaking.hear(this.#you.identity, this.#meter?.level ?? 0)
    if (this.#speaking.refresh()) this.#emit('speaking', { speaking: this.speaking })
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
