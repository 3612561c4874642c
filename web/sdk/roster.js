// Who is here, kept up to date from what the server says changed. Pure.
//
// Stage and hands come whole and in order; presence comes merged. What is older than what is known
// changes nothing.

/** @import { Counts, Hand, HandsChange, Person, PresenceChange, StageChange, StageMember, Welcome } from './protocol' */

export class Roster {
  /** @type {Map<string, StageMember>} */
  #stage = new Map()
  /** @type {Map<string, Hand>} */
  #hands = new Map()
  /** @type {Map<string, Person>} */
  #people = new Map()
  /** Who a number was given to, also after they left the stage. @type {Map<number, string>} */
  #numbers = new Map()
  #versions = { stage: 0, hands: 0, presence: 0 }
  /** @type {Counts} */
  counts = { listeners: 0, speakers: 0, hands: 0 }

  /** Forgets everything else. @param {Welcome} welcome */
  replace(welcome) {
    this.#versions = { stage: welcome.stage_version, hands: 0, presence: welcome.presence_version }
    this.counts = welcome.counts
    this.#people = byIdentity(welcome.people)
    this.#hands = byIdentity(welcome.hands ?? [])
    this.#stage.clear()
    this.#numbers.clear()
    welcome.stage.forEach(member => this.#seat(member))
  }

  /** @param {StageChange} change @returns {boolean} whether it is news */
  stageChanged(change) {
    if (change.version <= this.#versions.stage) return false
    this.#versions.stage = change.version
    change.gone.forEach(identity => this.#stage.delete(identity))
    change.set.forEach(member => this.#seat(member))
    return true
  }

  /** @param {HandsChange} change @returns {boolean} whether it is news */
  handsChanged(change) {
    if (change.version <= this.#versions.hands) return false
    this.#versions.hands = change.version
    change.down.forEach(identity => this.#hands.delete(identity))
    change.up.forEach(hand => this.#hands.set(hand.identity, hand))
    return true
  }

  /** @param {PresenceChange} change @returns {boolean} whether it is news */
  presenceChanged(change) {
    if (change.version <= this.#versions.presence) return false
    this.#versions.presence = change.version
    this.counts = change.counts
    if (change.since === 0) this.#people.clear() // then `joined` is everybody
    change.left?.forEach(identity => this.#people.delete(identity))
    change.joined?.forEach(person => this.#people.set(person.identity, person))
    return true
  }

  /** Who speaks under this number. @param {number} number */
  speaker(number) {
    return this.#numbers.get(number)
  }

  /** @param {string} identity */
  member(identity) {
    return this.#stage.get(identity)
  }

  get stage() {
    return [...this.#stage.values()].sort((a, b) => a.number - b.number)
  }

  get hands() {
    return [...this.#hands.values()].sort(({ turn: a }, { turn: b }) => a[0] - b[0] || a[1] - b[1])
  }

  get people() {
    return [...this.#people.values()]
  }

  /** @param {StageMember} member */
  #seat(member) {
    this.#stage.set(member.identity, member)
    this.#numbers.set(member.number, member.identity)
  }
}

/** @template {{ identity: string }} T @param {T[]} all @returns {Map<string, T>} */
function byIdentity(all) {
  return new Map(all.map(one => [one.identity, one]))
}
