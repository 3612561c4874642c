// Sheets that few people open, loaded when they do: settings, shortcuts, and how the connection is.

import { dialog, fill, h, icon } from './dom.js'
import { words } from './words.js'

/** @import { Room } from '/sdk/v1/dais.js' */
/** @import { Actions } from './actions.js' */

/** @param {Room} room @param {Actions} act @param {HTMLAudioElement} audio */
export function settingsSheet(room, act, audio) {
  dialog(words.settings.title, close => {
    /** @param {Parameters<typeof icon>[0]} symbol @param {string} label @param {() => void} then */
    const item = (symbol, label, then) =>
      h('button', { type: 'button', class: 'item', onclick: () => { close(); then() } }, icon(symbol), label)
    const volume = h('input', {
      type: 'range', id: 'volume', min: '0', max: '1', step: '0.01', value: String(audio.volume),
      oninput: () => { audio.volume = Number(volume.value) },
    })
    return [
      h('div', { class: 'field' }, h('label', { htmlFor: 'volume' }, words.settings.volume), volume),
      h('div', { class: 'menu' },
        room.me.onStage && item('mic', words.settings.microphone, () => act.chooseMicrophone()),
        item('signal', words.settings.stats, () => statsSheet(room)),
        item('keyboard', words.settings.shortcuts, helpSheet)),
    ]
  })
}

export function helpSheet() {
  dialog(words.help.title, () => [h('dl', { class: 'keys' },
    ...words.help.keys.flatMap(([key, what]) => [h('dt', {}, h('kbd', {}, key)), h('dd', {}, what)]))])
}

/** @param {Room} room */
export function statsSheet(room) {
  const line = h('p', { class: 'grade' })
  const list = h('ul', { class: 'facts-list' })
  const byHand = h('pre', { hidden: true, tabIndex: 0 })
  const copied = h('span', { role: 'status', class: 'quiet' })
  /** @type {object} */
  let last = {}
  const show = async () => {
    const stats = await room.stats()
    const { grade, loss, concealed, delayMs, jitterMs, framingMs, bitsPerSecond, node, state } = stats
    last = stats
    line.dataset.grade = grade
    fill(line, node ? words.stats.grades[grade] : words.stats.nothing)
    const facts = [
      words.stats.lost(percent(loss)), words.stats.concealed(percent(concealed)),
      words.stats.buffered(Math.round(delayMs)), words.stats.jitter(Math.round(jitterMs)),
      framingMs > 0 && words.stats.framing(framingMs), words.stats.rate((bitsPerSecond / 1000).toFixed(0)), node, state,
    ]
    fill(list, ...facts.filter(Boolean).map(fact => h('li', {}, /** @type {string} */ (fact))))
  }
  const copy = async () => {
    const report = { ...last, room: room.info.room, at: new Date().toISOString(), problem: room.problem ?? null, browser: navigator.userAgent }
    const text = JSON.stringify(report, null, 2)
    try {
      await navigator.clipboard.writeText(text)
      fill(copied, words.stats.copied)
    } catch {
      // Pages without https have no clipboard.
      fill(byHand, text)
      byHand.hidden = false
    }
  }
  const timer = setInterval(() => show().catch(() => {}), 2000)
  dialog(words.stats.title, () => [line, list, byHand,
    h('div', { class: 'actions' }, copied, h('button', { type: 'button', onclick: copy }, words.stats.copy))],
  () => clearInterval(timer))
  show().catch(() => {})
}

/** @param {number} share */
const percent = share => `${(share * 100).toFixed(share > 0 && share < 0.095 ? 1 : 0)} %`
