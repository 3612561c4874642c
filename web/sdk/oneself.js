// What one is in the room, what one wishes to be, and what follows from both. Pure: no socket, no browser,
// no clock, so that it can be tried with thousands of evenings on which everything goes wrong.
//
//   the server's word ─┐            ┌─▶ next   what to ask, open, attach: one step at a time, each towards
//   one's own wishes ──┼─▶ Oneself ─┼─▶ news        the newest wish
//   how steps ended ───┘            └─▶ me     what to show
//
// What the server says is a state, and what one is told is what differs from the state before, whether it
// came as a message or behind a cut. A wish is a state too: the answer to an older one cannot undo it. Nothing
// is sent unless both agree: one is heard when one wishes it *and* the server has said so.

import { Device } from './device.js'
import { own } from './errors.js'

/** @import { Notice, You } from './protocol' */
/** @import { Source } from './device.js' */
/** @import { DaisError } from './errors.js' */
/** @typedef {{ attach: (track: MediaStreamTrack | null) => Promise<void> }} Sending a session with a line for a microphone */
/** @typedef {{ by: string | undefined, expiresAt: number, accepted: boolean }} Invitation */
/**
 * @typedef {import('./device.js').Step
 *   | { do: 'gate', track: MediaStreamTrack, open: boolean }
 *   | { do: 'ask', type: 'mute' | 'unmute', wish: number }
 *   | { do: 'attach', session: Sending, track: MediaStreamTrack | null }} Step
 */
/** @typedef {{ type: string, detail: Record<string, any> }} News */

/** The connection broke before an answer came: whether it was done is not known. */
const LOST = new Set(['not_connected', 'timeout', 'unreachable', 'left'])

export class Oneself {
  /** The server's last word. @type {You} */
  #you = { identity: '', name: '', role: 'listener', muted: false, hand: false }
  /** It has said one. */
  #known = false
  #connected = false
  /** How often one has come in: what is lost with one connection says nothing of the next. */
  #entries = 0
  #over = false
  /** @type {Invitation | undefined} */
  #invitation
  /** Muted or not, as one wishes, on stage or as one arrives there; undefined: as the server has it. */
  #wish = { muted: /** @type {boolean | undefined} */ (undefined), number: 0, told: true }
  /** The wish that the server is being asked for. @type {{ wish: number, muted: boolean, entry: number } | undefined} */
  #asking
  /** The wish that it has refused. @type {number | undefined} */
  #refused
  /** Somebody else has muted one, and the word of who it was is on its way. */
  #unexplained = false
  #device = new Device()
  /** Where one would speak, and whether one may yet: until others are no longer heard twice one may not. @type {{ session: Sending | undefined, may: boolean, flows: boolean }} */
  #reach = { session: undefined, may: false, flows: false }
  /** The track that the session carries. @type {MediaStreamTrack | null} */
  #attached = null
  /** The one that it is about to carry. @type {MediaStreamTrack | null | undefined} */
  #attaching
  /** The session that takes no track any more. @type {Sending | undefined} */
  #broken
  /** Tracks in use, and whether they are switched on. @type {Map<MediaStreamTrack, boolean>} */
  #gate = new Map()
  /** @type {News[]} */
  #news = []

  /** @param {{ muted?: boolean | undefined }} [wishes] how one wants to arrive */
  constructor({ muted } = {}) {
    this.#wish.muted = muted
  }

  // What can be shown

  get me() {
    const { identity, name, role, number, hand } = this.#you
    const { muted, live, onStage } = this
    return { identity, name, role, host: role === 'host', onStage, number, muted, hand, live, microphone: this.#device.state }
  }

  /** The server has said something. */
  get known() { return this.#known }
  get identity() { return this.#you.identity }
  get onStage() { return this.#you.number !== undefined }
  get invitation() { return this.#invitation }
  /** The microphone that is open. */
  get track() { return this.#device.track }
  /** As one wishes, at once; as the server has it where one has not said. */
  get muted() { return this.#wish.muted ?? this.#you.muted }
  /** One's voice reaches the room. */
  get live() {
    const track = this.#desired
    return track !== null && this.#attached === track && this.#attaching === undefined && this.#reach.flows
  }

  // What the server says

  /** How one stands, behind a `join`. @param {You} you @param {{ resumed: boolean, now: number }} how */
  welcome({ invitation, ...you }, { resumed, now }) {
    this.#connected = true
    this.#entries++
    this.#refused = undefined
    this.#take({ number: undefined, ...you }, { resumed })
    if (!invitation || this.onStage) this.#invitation = undefined
    else this.#invited(invitation.by, now + invitation.expires_ms)
    this.#known = true
  }

  /** Something has happened; what concerns others is passed over. @param {Notice} notice @param {number} now */
  hear(notice, now) {
    const { identity, role } = this.#you
    const host = role === 'host'
    switch (notice.type) {
      case 'promoted': {
        const { by, number, muted } = notice
        return this.#take({ ...this.#you, number, muted, role: host ? role : 'speaker', hand: false }, { by })
      }
      case 'demoted':
        this.#invitation = undefined
        return this.#take({ ...this.#you, number: undefined, muted: false, role: host ? role : 'listener' }, { by: notice.by })
      case 'muted':
        return this.#mutedBy(notice.by)
      case 'invited':
        return this.#invited(notice.by, now + notice.expires_ms)
      case 'stage': {
        const mine = notice.set.find(member => member.identity === identity)
        return mine && this.#seated(mine)
      }
      case 'hands':
        if (notice.down.includes(identity)) this.#take({ ...this.#you, hand: false })
        if (notice.up.some(hand => hand.identity === identity)) this.#you.hand = true
    }
  }

  /** One's own doing, which is no news. @param {boolean} up */
  movedHand(up) {
    this.#you.hand = up && !this.onStage
  }

  /** Nobody is on the other side, until the next `welcome`. */
  cut() {
    this.#connected = false
    if (!this.onStage || this.#wish.told) return
    // Nobody goes live long after they pressed the button.
    if (this.#wish.muted === false) this.#settle(own('not_connected'))
    this.#wishFor(true)
    this.#settle()
  }

  end() {
    this.#over = true
    this.#connected = false
    this.#invitation = undefined
    this.#settle()
  }

  // What one wishes

  /** Holds at once; on stage, or for when one comes there. @returns {number} which wish this is */
  mute() {
    return this.#wishFor(true, !this.onStage || !this.#connected)
  }

  /** @returns {number} which wish this is */
  unmute() {
    this.#device.retry()
    return this.#wishFor(false, !this.onStage)
  }

  accept() {
    if (this.#invitation) this.#invitation = { ...this.#invitation, accepted: true }
  }

  /** @param {DaisError} error */
  notAccepted({ code }) {
    // After a cut the next `welcome` knows whether the seat is still held.
    this.#invitation = this.#invitation && LOST.has(code) ? { ...this.#invitation, accepted: false } : undefined
  }

  decline() {
    this.#invitation = undefined
  }

  /** An invitation that has run out is none. @param {number} now */
  expire(now) {
    if (this.#invitation && this.#invitation.expiresAt <= now) this.#invitation = undefined
  }

  /** @param {Source | undefined} source @param {MediaStreamTrack} [ready] */
  useMicrophone(source, ready) {
    this.#device.need(this.#needsMicrophone)
    this.#device.use(source, ready)
  }

  // How steps ended, and what else the world does

  /** @param {number} wish @param {DaisError} [error] */
  asked(wish, error) {
    const asking = this.#asking
    if (asking?.wish !== wish) return
    this.#asking = undefined
    if (!error) {
      this.#you.muted = asking.muted
      if (wish === this.#wish.number) this.#settle()
    } else if (LOST.has(error.code)) {
      if (asking.entry === this.#entries) this.cut()
    } else if (error.retryAfterMs === undefined) {
      this.#refuse(wish, error)
    }
  }

  /** @param {number} wish @param {MediaStreamTrack} track */
  opened(wish, track) {
    this.#device.need(this.#needsMicrophone)
    this.#device.opened(wish, track)
  }

  /** @param {number} wish @param {DaisError} error */
  notOpened(wish, error) {
    if (this.#device.failed(wish)) this.#tell('microphone', { error })
  }

  /** @param {MediaStreamTrack} track */
  ended(track) {
    if (this.#device.ended(track)) this.#tell('microphone', { ended: true })
  }

  /** Another session, or the same and something about it is different. @param {{ session: Sending | undefined, may: boolean, flows: boolean }} reach */
  reaches(reach) {
    if (reach.session !== this.#reach.session) [this.#attached, this.#attaching] = [null, undefined]
    this.#reach = reach
  }

  /** @param {Sending} session @param {MediaStreamTrack | null} track @param {boolean} done */
  attached(session, track, done) {
    if (session !== this.#reach.session) return
    this.#attaching = undefined
    if (done) this.#attached = track
    else this.#broken = session
  }

  // What is to be done

  /** Each step is told once; how it ended must be told in turn. @returns {Step[]} */
  next() {
    this.#device.need(this.#needsMicrophone)
    return [...this.#gates(), ...this.#device.next(), ...this.#asks(), ...this.#attaches()]
  }

  /** What has happened since the last time, in order. */
  takeNews() {
    return this.#news.splice(0)
  }

  get #needsMicrophone() {
    return !this.#over && (this.onStage || this.#invitation?.accepted === true)
  }

  /** What should leave: the microphone, if everybody agrees. */
  get #desired() {
    const { session, may } = this.#reach
    const heard = session !== undefined && may && this.onStage && !this.#over && !this.muted && !this.#you.muted
    return heard ? this.#device.track ?? null : null
  }

  /**
   * A track that should not leave is silent at once: taking it off its session takes a while. One that is no
   * longer in use goes back as it came, to whoever lent it.
   * @returns {Step[]}
   */
  #gates() {
    const inUse = new Set([this.#device.track, this.#attached, this.#attaching])
    for (const track of inUse) if (track && !this.#gate.has(track)) this.#gate.set(track, true)
    /** @type {Step[]} */
    const steps = []
    for (const [track, before] of this.#gate) {
      const open = !inUse.has(track) || track === this.#desired
      if (open !== before) steps.push({ do: 'gate', track, open })
      if (inUse.has(track)) this.#gate.set(track, open)
      else this.#gate.delete(track)
    }
    return steps
  }

  /** @returns {Step[]} */
  #asks() {
    const { muted, number } = this.#wish
    if (!this.#connected || this.#asking || !this.onStage || muted === undefined || this.#refused === number) return []
    if (muted === this.#you.muted) {
      this.#settle()
      return []
    }
    this.#asking = { wish: number, muted, entry: this.#entries }
    return [{ do: 'ask', type: muted ? 'mute' : 'unmute', wish: number }]
  }

  /** @returns {Step[]} */
  #attaches() {
    const { session } = this.#reach
    const track = this.#desired
    if (!session || session === this.#broken || this.#attaching !== undefined || this.#attached === track) return []
    this.#attaching = track
    return [{ do: 'attach', session, track }]
  }

  /** What differs from before has just happened. @param {You} you @param {{ by?: string | null, resumed?: boolean }} [how] */
  #take(you, { by = null, resumed = true } = {}) {
    const before = this.#you
    const known = this.#known
    const wasMuted = this.muted && !this.#unexplained
    this.#you = you
    const moved = before.number !== you.number
    this.#unexplained &&= !moved
    if (moved && before.number !== undefined) this.#leave(by)
    if (moved && you.number !== undefined) this.#arrive(by)
    if (!moved && you.number !== undefined && you.muted && !wasMuted) this.#mutedBy(by)
    if (known && before.hand && !you.hand && you.number === undefined) this.#tell('lowered', { lost: !resumed })
  }

  /** By a host: newer than whatever one wished before. */
  #mutedBy(/** @type {string | null} */ by) {
    if (!this.onStage) return
    this.#you.muted = true
    this.#unexplained = false
    this.#wishFor(true)
    this.#tell('muted', { by })
  }

  /**
   * What everybody is told of one's own seat. While an answer is under way it may be about an older wish;
   * else it is somebody else's doing, of which `muted` tells the rest.
   * @param {{ number: number, muted: boolean }} seat
   */
  #seated({ number, muted }) {
    if (number !== this.#you.number || this.#asking || muted === this.#you.muted) return
    this.#you.muted = muted
    this.#unexplained = muted && !this.muted
    if (muted) this.#wishFor(true)
  }

  #invited(/** @type {string | undefined} */ by, /** @type {number} */ expiresAt) {
    if (this.onStage) return
    const stands = this.#invitation
    this.#invitation = { by, expiresAt, accepted: stands?.accepted ?? false }
    if (!stands) this.#tell('invited', { by, expiresAt })
  }

  #leave(/** @type {string | null} */ by) {
    // Whoever looks after their microphone themselves comes back muted, unless they say otherwise.
    this.#wishFor(this.#wish.muted === undefined ? undefined : true, true)
    this.#tell('demoted', { by })
  }

  #arrive(/** @type {string | null} */ by) {
    this.#invitation = undefined
    // As one wished to arrive: now there is somebody to be asked.
    if (this.#wish.muted !== undefined && this.#wish.muted !== this.#you.muted) this.#wish.told = false
    if (this.#known) this.#tell('promoted', { by, muted: this.muted })
  }

  /** A wish takes the place of the last one, which nobody waits for any more. @param {boolean | undefined} muted @param {boolean} [told] there is nobody to be asked for it */
  #wishFor(muted, told = false) {
    this.#settle()
    this.#wish = { muted, number: this.#wish.number + 1, told }
    if (told) this.#tell('settled', { wish: this.#wish.number })
    return this.#wish.number
  }

  /** The wish has come true, or never will. @param {DaisError} [error] why not */
  #settle(error) {
    if (this.#wish.told) return
    this.#wish.told = true
    this.#tell('settled', { wish: this.#wish.number, error })
  }

  #refuse(/** @type {number} */ wish, /** @type {DaisError} */ error) {
    if (wish !== this.#wish.number) return
    const { muted } = this.#wish
    this.#settle(error)
    if (muted === false) this.#wishFor(true)
    this.#settle()
    this.#refused = this.#wish.number
  }

  #tell(/** @type {string} */ type, /** @type {Record<string, any>} */ detail) {
    this.#news.push({ type, detail })
  }
}
