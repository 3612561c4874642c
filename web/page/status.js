// What is happening, in words: the line that keeps anybody from sitting in silence and wondering.

import { fill, h, toast } from './dom.js'
import { list, roughly, words } from './words.js'

/** @import { Room } from '/sdk/v1/dais.js' */

/** What is repaired sooner is not worth a word. */
const PATIENCE_MS = 1500

/** @param {Room} room */
export function statusLine(room) {
  const text = h('span')
  const detail = h('small', { 'aria-live': 'off' })
  const box = h('div', { class: 'status', hidden: true }, h('i', { class: 'pulse' }), h('p', {}, text, detail))
  const region = h('div', { role: 'status', class: 'status-region' }, box)
  /** What was shown of it, so that its end can be told too. @type {string | undefined} */
  let told
  let moving = false

  const update = () => {
    const problem = room.problem
    if (problem?.code === 'moved') moving = true
    const shown = current(room)
    box.hidden = shown === undefined
    if (shown) {
      box.dataset.tone = shown.tone
      if (text.textContent !== shown.text) fill(text, shown.text)
      fill(detail, shown.detail ?? '')
    }
    if (problem && shown?.tone === 'bad') told = problem.code
    if (!problem && room.state === 'connected') afterwards()
  }
  const afterwards = () => {
    if (told) toast(told === 'not_connected' || told === 'unreachable' ? words.status.back : words.status.repaired)
    else if (moving) toast(words.status.moved)
    told = undefined
    moving = false
  }
  return { box: region, update }
}

/** @param {Room} room @returns {{ tone: 'info' | 'bad', text: string, detail?: string } | undefined} */
function current(room) {
  const { problem, state, me, info } = room
  const lasted = problem ? Date.now() - problem.since : 0
  // Many come at once and are let in one after another: nothing is wrong.
  if ((problem?.code === 'busy' || problem?.code === 'full') && room.signaling) {
    const text = problem.code === 'full' ? words.status.full : words.status.crowd
    return { tone: 'info', text, detail: words.status.hearIn(secondsUntil(problem.retryAt)) }
  }
  const firm = problem && (problem.code === 'udp_blocked' || problem.code === 'media_failed')
  if (problem && (firm || lasted > PATIENCE_MS)) {
    const wait = secondsUntil(problem.retryAt)
    const detail = [words.status.since(roughly(lasted)), wait > 0 && words.status.nextTry(wait)].filter(Boolean).join(', ')
    return { tone: 'bad', text: why(room, problem.code), detail }
  }
  if (room.pending.length > 0) {
    return { tone: 'bad', text: words.status.pending(list(room.pending.map(identity => nameOf(room, identity)))) }
  }
  if (state === 'joining') return { tone: 'info', text: words.status.joining }
  if (info.state !== 'backstage') return undefined
  return { tone: 'info', text: me.onStage ? words.status.backstageSpeaker : words.status.backstageListener }
}

/** @param {Room} room @param {string} identity */
function nameOf(room, identity) {
  return [...room.stage, ...room.people].find(person => person.identity === identity)?.name ?? identity
}

function secondsUntil(/** @type {number | undefined} */ time) {
  return time === undefined ? 0 : Math.max(0, Math.ceil((time - Date.now()) / 1000))
}

function why(/** @type {Room} */ room, /** @type {string} */ code) {
  if (!navigator.onLine) return words.status.offline
  if (code === 'udp_blocked') return words.status.udp
  if (code === 'media_failed') return words.status.media
  if (!room.signaling) return room.hearing ? words.status.signaling : words.status.lost
  if (code === 'unavailable' || code === 'room_full') return words.status.server
  return words.status.sound
}
