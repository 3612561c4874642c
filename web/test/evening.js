// An evening on which everything goes wrong, on a clock of its own: one person with their page, the server as it
// answers in order, and a browser that takes its time. What happens when is up to whoever calls `happen`.

import { DaisError, own } from '../sdk/errors.js'
import { Oneself } from '../sdk/oneself.js'
import { Steps } from '../sdk/steps.js'

/** @import { Notice, You } from '../sdk/protocol' */
/** @import { News } from '../sdk/oneself.js' */

const ME = 'lea'
const HOST = 'hanna'
const INVITATION_MS = 30_000

/** A microphone of which one can tell whether it is open. */
class Track {
  enabled = true
  /** @type {'live' | 'ended'} */
  readyState = 'live'
  #ended = () => {}

  stop() { this.readyState = 'ended' }
  addEventListener(/** @type {string} */ _, /** @type {() => void} */ then) { this.#ended = then }
  unplug() {
    this.stop()
    this.#ended()
  }
}

/** A session with a line for a microphone: what it carries, and what it will when the browser is done. */
class Line {
  /** @type {Track | null} */
  carries = null
  /** @type {{ track: Track | null, done: (ok: boolean) => void } | undefined} */
  pending
  closed = false

  /** @param {any} track @returns {Promise<void>} */
  attach(track) {
    if (this.pending) throw new Error('one step at a time')
    return new Promise((resolve, reject) => {
      this.pending = {
        track,
        done: ok => {
          this.pending = undefined
          if (ok) this.carries = track
          ok ? resolve() : reject(new Error('no'))
        },
      }
    })
  }
}

/** The server, as far as it concerns one person; the rules are those of crates/room. */
class Server {
  /** @type {{ number: number, muted: boolean } | undefined} */
  seat
  hand = false
  mutedByHost = false
  /** @type {{ by: string, expires: number } | undefined} */
  invitation
  /** @type {'kicked' | undefined} */
  out
  now = 0
  /** How often a host muted one. */
  mutes = 0
  echoesFirst = false
  #number = 0
  /** Who hears what happens. @type {Socket | undefined} */
  socket

  /** @returns {You} */
  get you() {
    const role = this.seat ? 'speaker' : 'listener'
    const { hand, invitation, seat } = this
    return {
      identity: ME, name: 'Lea', role, hand, muted: seat?.muted ?? false, ...(seat && { number: seat.number }),
      ...(invitation && { invitation: { by: invitation.by, expires_ms: invitation.expires - this.now } }),
    }
  }

  /** The answer goes before what everybody is told, or behind it where that took another way. @param {string} type @param {(code?: string) => void} answer */
  asked(type, answer) {
    this.expire()
    const fits = {
      mute: this.seat, unmute: this.seat, demote: this.seat,
      raise_hand: !this.seat, accept: this.invitation, decline: this.invitation,
    }[type]
    if (!fits) return answer('conflict')
    if (!this.echoesFirst) answer()
    if (type === 'unmute') this.mutedByHost = false
    if (type === 'mute' || type === 'unmute') this.#setMuted(type === 'mute')
    if (type === 'demote') this.demote(null)
    if (type === 'decline') this.invitation = undefined
    if (type === 'accept' || (type === 'raise_hand' && this.invitation)) this.#sit(HOST)
    else if (type === 'raise_hand') this.hand = true
    if (this.echoesFirst) answer()
  }

  /** What hosts do. */
  promote() {
    if (this.out || this.seat) return
    if (this.hand) return this.#sit(HOST)
    if (this.invitation) return
    this.invitation = { by: HOST, expires: this.now + INVITATION_MS }
    this.#say({ type: 'invited', by: HOST, expires_ms: INVITATION_MS })
  }

  mute() {
    if (!this.seat) return
    const news = !this.mutedByHost
    this.mutedByHost = true
    this.#setMuted(true)
    if (!news) return
    this.mutes++
    this.#say({ type: 'muted', by: HOST })
  }

  /** @param {string | null} by */
  demote(by = HOST) {
    if (!this.seat && !this.invitation) return
    this.seat = this.invitation = undefined
    this.#say({ type: 'stage', version: 0, set: [], gone: [ME] })
    this.#say({ type: 'demoted', by })
  }

  lowerHand() {
    if (!this.hand) return
    this.hand = false
    this.#say({ type: 'hands', version: 0, up: [], down: [ME] })
  }

  kick() {
    if (this.out) return
    this.seat = this.invitation = undefined
    this.hand = false
    this.out = 'kicked'
    this.#say({ type: 'removed', reason: 'kicked' })
  }

  expire() {
    if (this.invitation && this.invitation.expires <= this.now) this.invitation = undefined
  }

  #sit(/** @type {string} */ by) {
    this.invitation = undefined
    this.hand = false
    this.seat = { number: ++this.#number, muted: this.mutedByHost }
    this.#echo()
    this.#say({ type: 'promoted', by, ...this.seat })
  }

  #setMuted(/** @type {boolean} */ muted) {
    if (!this.seat || this.seat.muted === muted) return
    this.seat = { ...this.seat, muted }
    this.#echo()
  }

  #echo() {
    if (this.seat) this.#say({ type: 'stage', version: 0, set: [{ identity: ME, name: 'Lea', host: false, ...this.seat }], gone: [] })
  }

  #say(/** @type {Notice} */ notice) {
    this.socket?.down.push(() => this.socket?.tab?.hear(notice))
  }
}

/** What is on its way between a tab and the server, in order. */
class Socket {
  /** @type {(() => void)[]} */
  up = []
  /** @type {(() => void)[]} */
  down = []
  /** @type {Tab | undefined} */
  tab
  /** @type {Set<(error: Error) => void>} */
  waiting = new Set()
}

/** A page that is loaded: what `Room` is to it, without socket and browser. */
class Tab {
  /** @type {Socket | undefined} */
  socket
  /** It has been welcomed on it. */
  entered = false
  /** @type {Line | undefined} */
  line
  /** Every one that there was: the browser may answer for one that is gone. @type {Line[]} */
  lines = []
  flows = false
  may = false
  /** @type {{ track: Track, done: (ok: boolean) => void }[]} */
  opening = []
  /** Every track that was ever opened here. @type {Track[]} */
  tracks = []
  /** @type {string | undefined} */
  left
  /** What the person has been told. */
  told = { onStage: false, mutes: 0 }
  /** The last button that was pressed, until a host, a cut or an error undoes it. @type {boolean | undefined} */
  pressed
  /** @type {Map<number, Error | null | undefined>} */
  wishes = new Map()
  turns = 0

  /** @param {Evening} evening @param {boolean | undefined} muted */
  constructor(evening, muted) {
    this.evening = evening
    this.oneself = new Oneself({ muted })
    this.steps = new Steps(this.oneself, {
      ask: type => this.request(type),
      broken: () => this.renew(),
      onNews: news => this.#news(news),
      onChange: () => this.#changed(),
    })
    this.choose()
  }

  /** A microphone, out of the green room. */
  choose() {
    this.steps.tell(oneself => oneself.useMicrophone({ open: () => this.#open() }))
  }

  /** @param {string} type @returns {Promise<void>} */
  request(type) {
    const { socket } = this
    const { server } = this.evening
    return new Promise((resolve, reject) => {
      if (!socket || !this.entered) return reject(own('not_connected'))
      socket.waiting.add(reject)
      socket.up.push(() => {
        server.asked(type, code => socket.down.push(() => {
          socket.waiting.delete(reject)
          code ? reject(new DaisError(code, code)) : resolve()
        }))
      })
    })
  }

  hear(/** @type {Notice} */ notice) {
    if (notice.type === 'removed') return this.end(notice.reason)
    this.steps.tell(oneself => oneself.hear(notice, this.evening.server.now))
  }

  /** @param {You} you */
  welcome(you) {
    const first = !this.oneself.known
    this.entered = true
    this.steps.tell(oneself => oneself.welcome(you, { resumed: true, now: this.evening.server.now }))
    // What stands there when the page is shown needs no telling.
    if (first) this.told.onStage = this.oneself.onStage
  }

  end(/** @type {string} */ why) {
    this.left = why
    if (this.line) this.line.closed = true
    this.steps.tell(oneself => oneself.end())
    this.lose()
  }

  /** The socket is gone. */
  lose() {
    const { socket } = this
    this.socket = undefined
    this.entered = false
    socket?.waiting.forEach(reject => reject(own('not_connected')))
    this.steps.tell(oneself => oneself.cut())
  }

  /** @param {boolean} muted */
  press(muted) {
    this.pressed = muted
    const wish = (/** @type {Oneself} */ oneself) => muted ? oneself.mute() : oneself.unmute()
    this.steps.tell(oneself => this.wishes.set(wish(oneself), undefined))
  }

  /** The media session that is wanted is there, or another one, or the one that is there works or does not. @param {number} which */
  media(which) {
    if (this.left) return
    const wanted = this.oneself.onStage
    if ((this.line !== undefined) !== wanted || which % 3 === 1) {
      this.#replace(wanted)
      this.flows = true
    } else {
      this.flows = !this.flows
    }
    this.#reach()
  }

  renew() {
    this.#replace(this.line !== undefined)
    this.#reach()
  }

  #replace(/** @type {boolean} */ wanted) {
    if (this.line) this.line.closed = true
    this.line = wanted ? new Line() : undefined
    if (this.line) this.lines.push(this.line)
  }

  /** What the browser is busy with. */
  get pending() {
    return this.lines.flatMap(line => line.pending ?? [])
  }

  /** Everything that leaves the microphone at this moment. */
  get leaving() {
    const { carries, closed = true } = this.line ?? {}
    return !closed && carries?.enabled === true && carries.readyState === 'live'
  }

  get open() {
    return this.tracks.filter(track => track.readyState === 'live')
  }

  #open() {
    return new Promise((/** @type {(track: any) => void} */ resolve, reject) => {
      this.opening.push({
        track: new Track(),
        done: ok => {
          const [one] = this.opening.splice(0, 1)
          if (!one) return
          if (!ok) return reject(own('microphone_denied'))
          this.tracks.push(one.track)
          resolve(one.track)
        },
      })
    })
  }

  #reach() {
    const reach = { session: this.line, may: this.oneself.onStage, flows: this.flows }
    this.steps.tell(oneself => oneself.reaches(/** @type {any} */ (reach)))
  }

  #changed() {
    if (++this.turns > 10_000) throw new Error('it never comes to rest')
    // As `Media` says when another session is wanted.
    if (!this.left && this.line && this.oneself.onStage !== this.may) {
      this.may = this.oneself.onStage
      this.#reach()
    }
    this.may = this.oneself.onStage
  }

  #news(/** @type {News} */ { type, detail }) {
    if (type === 'settled') {
      if (this.wishes.get(detail.wish)) throw new Error('settled twice')
      if (this.wishes.has(detail.wish)) this.wishes.set(detail.wish, detail.error ?? null)
    }
    if (type === 'muted' && ++this.told.mutes > this.evening.server.mutes) throw new Error('no host muted anybody')
    if (type === 'muted' || type === 'demoted' || detail.error) this.pressed = undefined
    if (type === 'promoted') this.told.onStage = true
    if (type === 'demoted') this.told.onStage = false
  }
}

export class Evening {
  server = new Server()
  tab = new Tab(this, undefined)
  reloads = 0

  constructor({ echoesFirst = false } = {}) {
    this.server.echoesFirst = echoesFirst
    this.connect()
  }

  connect() {
    if (this.tab.socket || this.tab.left) return
    this.server.expire()
    if (this.server.out) return this.tab.end(this.server.out)
    const socket = new Socket()
    socket.tab = this.tab
    this.tab.socket = this.server.socket = socket
    const { you } = this.server
    socket.down.push(() => this.tab.welcome(you))
  }

  /** @param {string} what @param {number} which */
  happen(what, which) {
    const { tab, server } = this
    switch (what) {
      case 'mute': return tab.press(true)
      case 'unmute': return (tab.entered || !tab.oneself.onStage) && !tab.left ? tab.press(false) : undefined
      case 'step down':
        tab.press(true)
        return tab.request('demote').catch(() => {})
      case 'raise hand':
        return tab.request('raise_hand').then(() => tab.steps.tell(oneself => oneself.movedHand(true)), () => {})
      case 'accept':
        if (!tab.oneself.invitation) return
        tab.steps.tell(oneself => oneself.accept())
        return tab.request('accept').catch(error => tab.steps.tell(oneself => oneself.notAccepted(error)))
      case 'decline':
        if (!tab.oneself.invitation) return
        tab.steps.tell(oneself => oneself.decline())
        return tab.request('decline').catch(() => {})
      case 'choose': return tab.choose()
      case 'host promotes': return server.promote()
      case 'host mutes': return server.mute()
      case 'host demotes': return server.demote()
      case 'host lowers': return server.lowerHand()
      case 'host kicks': return server.kick()
      case 'up': return tab.socket?.up.shift()?.()
      case 'down': return tab.socket?.down.shift()?.()
      case 'cut':
        server.socket = undefined
        return tab.lose()
      case 'connect': return this.connect()
      case 'reload': return this.#reload()
      case 'opens': return tab.opening[0]?.done(true)
      case 'does not open': return tab.opening[0]?.done(false)
      case 'attached': return tab.pending[which % Math.max(1, tab.pending.length)]?.done(which % 5 > 0)
      case 'media': return tab.media(which)
      case 'unplug': return tab.open[which % Math.max(1, tab.open.length)]?.unplug()
      case 'time':
        server.now += INVITATION_MS / 2
        server.expire()
        return tab.steps.tell(oneself => oneself.expire(server.now))
    }
    throw new Error(what)
  }

  /** Until nothing happens any more by itself. */
  async rest() {
    for (let round = 0; round < 200; round++) {
      await settled()
      const { tab } = this
      this.connect()
      const busy = [
        ...tab.socket?.up.splice(0) ?? [], ...tab.socket?.down.splice(0) ?? [],
        ...tab.opening.map(() => () => tab.opening[0]?.done(true)),
        ...tab.pending.map(one => () => one.done(true)),
        ...(!tab.left && ((tab.line !== undefined) !== tab.oneself.onStage || !tab.flows) ? [() => tab.media(0)] : []),
      ]
      // A message that was long on its way promises more time than there is.
      if (tab.oneself.invitation && !this.server.invitation) busy.push(() => this.happen('time', 0))
      if (busy.length === 0) return
      for (const step of busy) {
        step()
        await settled()
      }
    }
    throw new Error('it never comes to rest')
  }

  /** The browser takes everything away; what is kept is whether one was muted. */
  #reload() {
    const { tab } = this
    if (tab.left) return
    this.reloads++
    tab.tracks.forEach(track => track.stop())
    tab.opening = []
    this.server.socket = undefined
    this.tab = new Tab(this, tab.oneself.muted || undefined)
    this.connect()
  }
}

/** All that promises have under way is done. */
export const settled = () => new Promise(resolve => setImmediate(resolve))
