// A town hall in the middle of an event, for drills: parts as processes, a load of people in it, and what is true of
// them, as each signaling node tells it.
//
//   Town (signaling ×2, nginx, origins, edges, Redis, NATS) ◀── `dais load`      Hall ── API, metrics, redis-cli
//
// What is done to it, and what is allowed to happen then, is none of its business.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

import { Cable } from '../browser/cable.js'
import { eventually, Town } from '../browser/town.js'
import { options } from '../load/benchmark/rows.js'
import { Stranger } from './stranger.js'

/** Two signaling nodes behind nginx, an origin each near them, four edges in one region and two in the other. */
export const TOWN = { signaling: ['a', 'b'], origin: ['a', 'b'], edge: ['a', 'a', 'a', 'a', 'b', 'b'], cables: true }

/** How long an answer of the API may take. */
const PATIENCE_MS = 8_000
/** How long everybody may take to come in. */
const ENTRY_MS = 150_000
/** How long it may take after a misfortune until everything is true again. */
const AFTER_MS = 20_000
/** Most people on one page of a list. */
const PAGE = 500
/** Packets that each is sent, on the mean, before they count as hearing. */
const PACKETS_EACH = 10

/** By which people come: to each signaling node, by nginx, or to each node from one address. @typedef {'direct' | 'nginx' | 'one address'} Doors */
/** What a signaling node says of the room. @typedef {{ state: string, stage: string[], hands: string[], people: string[], counts: any }} Truth */

export class Hall {
  /** @type {Town} */
  town
  /** The room of the load. */
  room = ''
  /** What a drill has found, by name. @type {Record<string, any>} */
  facts = {}
  /** What is to be told beside that. @type {string[]} */
  said = []
  #load
  /** Of `dais load`. @type {Promise<any>} */
  #report
  #isOver = false
  #strangers = 0
  /** Ways of their own that people come by. @type {Cable[]} */
  #doors = []

  /**
   * Opens it, and lets people come.
   * @param {import('../browser/forms.js').Shape | (() => Promise<import('../browser/forms.js').Form>)} shape or what makes another form
   * @param {Record<string, any>} [load] options of `dais load`; none: nobody comes by it
   * @param {Doors} [doors] by which people come
   */
  static async open(shape, load, doors = 'direct') {
    const hall = new Hall()
    hall.#load = load
    const town = hall.town = await (typeof shape === 'function' ? Town.of(shape) : Town.ofShape(shape))
    if (!load) return hall
    const urls = (await hall.#urls(doors)).flatMap(url => ['--url', url])
    const media = [...town.names('origin'), ...town.names('edge')]
    const metrics = media.flatMap(name => ['--metrics', `${town.program(name).admin}/metrics`])
    hall.#report = town.run('load', '--json', ...urls, ...metrics, ...options({ load })).then(JSON.parse).finally(() => { hall.#isOver = true })
    // Whoever asks for it hears of it.
    hall.#report.catch(() => {})
    return hall
  }

  /** @param {Doors} doors */
  async #urls(doors) {
    if (doors === 'nginx') return [this.town.url]
    const own = this.town.names('signaling').map(name => this.town.program(name).url)
    if (doors === 'direct') return own
    this.#doors = await Promise.all(own.map(url => Cable.to(url)))
    return this.#doors.map(cable => cable.url)
  }

  /** Listeners who should be there. */
  get listeners() {
    return this.#load.listeners
  }

  /** The report, once the load has ended; none where there was no load. */
  async report() {
    if (this.#isOver) this.said.push('the load ended before the drill did')
    return this.#report
  }

  /** Ends it; an error where a part has ended by itself, or does not end well. */
  async close() {
    this.#doors.forEach(cable => cable.close())
    await this.town.stop()
  }

  /** Waits until everybody hears, mutes a speaker, and tells what is true then. */
  async begin() {
    await this.everybodyHears()
    await this.act('signaling-1', 'mute', 'speaker-2')
    return this.#agreed()
  }

  /** Waits until everybody does, and knows the room then. */
  async everybodyHears() {
    const { town } = this
    await eventually('everybody is in', async () =>
      this.#isOver || await this.peers() >= this.listeners && await town.metric('dais_origin_speakers') >= this.#load.speakers, ENTRY_MS)
    if (this.#isOver) await this.#report
    const [{ room }] = (await this.ask('signaling-1', 'GET', '/v1/rooms')).rooms
    this.room = room
    const sent = () => town.metric('dais_edge_egress_packets_total')
    const before = await sent()
    await eventually('everybody is sent something', async () => await sent() > before + this.listeners * PACKETS_EACH)
  }

  /** Peers of listeners at all edges that run. */
  peers() {
    return this.town.metric('dais_edge_listeners')
  }

  /** Asks a signaling node as an admin. An error that it answers has `code` and `retry_after_ms`. */
  async ask(node, method, path, body = undefined) {
    const failed = (why, says) => Object.assign(new Error(`${method} ${path} at ${node}: ${why}`), says)
    const answer = await fetch(`${this.town.program(node).url}${path}`, {
      method, body: body && JSON.stringify(body), signal: AbortSignal.timeout(PATIENCE_MS),
      headers: { authorization: `Bearer ${this.town.token('admin', 'drill', { room: undefined })}`, 'content-type': 'application/json' },
    }).catch(error => { throw failed(error.message, { code: error.name === 'TimeoutError' ? 'no_answer' : 'unreachable' }) })
    const says = await answer.json()
    if (!answer.ok) throw failed(`${answer.status} ${JSON.stringify(says)}`, says)
    return says
  }

  /** What hosts do: `mute`, `ban`. */
  act(node, what, identity) {
    return this.ask(node, 'POST', `/v1/rooms/${this.room}/${what}`, { identity })
  }

  /** What a signaling node says. @param {string} node @returns {Promise<Truth>} */
  async truth(node) {
    const { state, stage, counts } = await this.ask(node, 'GET', `/v1/rooms/${this.room}`)
    const people = await this.#people(node)
    return {
      state, counts,
      stage: stage.map(({ identity, number, muted }) => `${identity} ${number} ${muted ? 'muted' : 'heard'}`).sort(),
      hands: people.filter(one => one.hand).map(one => one.identity).sort(),
      people: people.map(one => one.identity).sort(),
    }
  }

  async #people(node) {
    const people = []
    for (let cursor = ''; cursor !== undefined;) {
      const after = cursor && `&cursor=${encodeURIComponent(cursor)}`
      const page = await this.ask(node, 'GET', `/v1/rooms/${this.room}/participants?limit=${PAGE}${after}`)
      people.push(...page.participants)
      cursor = page.cursor
    }
    return people
  }

  /** Waits until both nodes say the same of everybody who should be there; what they say. @returns {Promise<Truth>} */
  async #agreed() {
    let seen
    await eventually('signaling nodes agree', async () => {
      const [one, other] = await Promise.all(this.town.names('signaling').map(name => this.truth(name)))
      seen = one
      return JSON.stringify(one) === JSON.stringify(other) && one.counts.listeners === this.listeners
        && one.hands.length === (this.#load.hands ?? 0) && one.people.length === this.listeners + this.#load.speakers
    })
    return seen
  }

  /** Whether somebody can come to each signaling node, raise a hand, lower it and leave, once it has had its time. */
  async #works(nodes) {
    const comes = async node => {
      const stranger = await this.stranger(node)
      const done = stranger.isIn && await stranger.waves()
      await stranger.leave()
      return done
    }
    const works = nodes.map(node => eventually('somebody comes', () => comes(node), AFTER_MS).then(() => true, () => false))
    return (await Promise.all(works)).every(Boolean)
  }

  /**
   * Notes whether everything works, and as `after` how what each signaling node says differs from what was true, once it does no more, or when it
   * has had its time.
   * @param {Truth} expected
   */
  async settle(expected) {
    const began = Date.now()
    const nodes = this.town.names('signaling').filter(name => this.town.program(name).isAwake)
    this.facts.works = await this.#works(nodes)
    for (;;) {
      const looked = await Promise.all(nodes.map(name => this.truth(name).then(truth => difference(truth, expected), unknown)))
      const peers = await this.peers() - (expected.people.length - expected.stage.length)
      const after = this.facts.after = { ...worst(looked), peers }
      const isTrue = after.stage && after.hands && after.counts && !after.lost && !after.strange && !peers
      if (isTrue || Date.now() - began > AFTER_MS) {
        this.facts.true_after_s = isTrue ? (Date.now() - began) / 1_000 : null
        return
      }
      await pause(0.2)
    }
  }

  /** Comes to a signaling node and asks to hear; what it answered at last. */
  async knock(node) {
    const stranger = await this.stranger(node)
    const answer = stranger.isIn ? await stranger.listen() : stranger.answer
    await stranger.leave()
    return answer
  }

  /** A new person at a signaling node. */
  stranger(node) {
    const token = this.town.token('listener', `stranger-${++this.#strangers}`, { room: this.room })
    return Stranger.at(this.town.program(node).url, token)
  }

  /** Edges of a region as they sit in the room's tree: the first is the hub. */
  async edges(region) {
    const names = this.town.names('edge').filter(name => this.town.region(name) === region)
    const counted = names.map(async name => ({ name, children: await this.town.metric('dais_link_children', `"${name}"`) }))
    return (await Promise.all(counted)).sort((a, b) => b.children - a.children).map(({ name }) => name)
  }

  /** The origin that has the room. */
  async origin() {
    const names = this.town.names('origin')
    const speakers = await Promise.all(names.map(name => this.town.metric('dais_origin_speakers', `"${name}"`)))
    return names[speakers.findIndex(count => count > 0)]
  }

  /** Asks Redis itself. @param {string[]} command */
  async redis(...command) {
    const { stdout } = await promisify(execFile)('redis-cli', ['-u', this.town.program('redis').url, ...command])
    return stdout.trim()
  }
}

export const pause = seconds => new Promise(resolve => { setTimeout(resolve, seconds * 1_000) })

/** @param {Truth} seen @param {Truth} expected */
function difference(seen, expected) {
  const known = new Set(expected.people)
  const there = new Set(seen.people)
  const stage = expected.stage.length
  const { listeners, speakers, hands } = seen.counts
  return {
    stage: seen.state === expected.state && String(seen.stage) === String(expected.stage),
    hands: String(seen.hands) === String(expected.hands),
    lost: expected.people.filter(one => !there.has(one)).length,
    strange: seen.people.filter(one => !known.has(one)).length + seen.people.length - there.size,
    counts: listeners === expected.people.length - stage && speakers === stage && hands === expected.hands.length,
  }
}

/** Of a node that did not tell, which is as bad as it can be. */
const unknown = () => ({ stage: false, hands: false, lost: null, strange: null, counts: false })

/** What is wrong at one node is wrong. */
function worst(looked) {
  const every = name => looked.every(one => one[name])
  const most = name => looked.some(one => one[name] === null) ? null : Math.max(...looked.map(one => one[name]))
  return { stage: every('stage'), hands: every('hands'), counts: every('counts'), lost: most('lost'), strange: most('strange') }
}
