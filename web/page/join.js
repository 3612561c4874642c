// The door: a name, one button, and a plain word when it does not open.

import { fill, h, icon } from './dom.js'
import { memory } from './memory.js'
import { inWords, words } from './words.js'

/** @import { Entry } from './main.js' */
/**
 * @typedef {object} Door
 * @property {{ room?: string, name?: string, role?: string }} claims
 * @property {unknown} problem
 * @property {(entry: Entry) => Promise<void>} enter
 * @property {(name: string) => Promise<void>} prepare
 */

/** Trying again helps with these; the page does it by itself. */
const PASSING = new Set(['room_full', 'unavailable', 'rate_limited', 'unreachable', 'timeout'])
const RETRY_MS = 5000

/** @param {Door} door */
export function joinScreen({ claims, problem, enter, prepare }) {
  const speaks = claims.role === 'host' || claims.role === 'speaker'
  const input = h('input', {
    id: 'name', maxLength: 64, required: true, autocomplete: 'name',
    placeholder: words.join.namePlaceholder, value: memory.name,
  })
  const button = h('button', { class: 'primary wide', type: 'submit' }, speaks ? words.join.speak : words.join.listen)
  const trouble = h('div', { class: 'trouble', role: 'alert' })
  const note = claims.role === 'host' ? words.join.hostNote : speaks ? words.join.speakerNote : words.join.listenNote

  /** @param {unknown} error */
  const refused = error => {
    button.disabled = false
    fill(button, speaks ? words.join.speak : words.join.listen)
    showTrouble(trouble, error, () => form.isConnected && submit())
  }
  const submit = () => {
    const name = claims.name ?? input.value.trim()
    if (!claims.name) memory.name = name
    fill(trouble)
    if (speaks) return prepare(name)
    button.disabled = true
    fill(button, words.join.joining)
    return enter({ name }).catch(refused)
  }
  const form = h('form', {
    class: 'card join',
    onsubmit: (/** @type {Event} */ event) => {
      event.preventDefault()
      submit()
    },
  },
  h('p', { class: 'quiet' }, words.join.invited),
  h('h1', { dir: 'auto' }, claims.room ?? words.brand),
  claims.name
    ? h('p', { class: 'as', dir: 'auto' }, claims.name)
    : h('div', { class: 'field' }, h('label', { htmlFor: 'name' }, words.join.name), input),
  button, trouble, h('p', { class: 'note' }, icon(speaks ? 'mic' : 'sound'), note))
  if (problem) queueMicrotask(() => refused(problem))
  return h('main', { class: 'center' }, brand(), form)
}

export function noLink() {
  return h('main', { class: 'center' }, brand(),
    h('div', { class: 'card farewell' }, h('h1', {}, words.join.noTokenTitle), h('p', {}, words.join.noToken)))
}

function brand() {
  return h('p', { class: 'brand' }, h('img', { src: '/page/icon.svg', alt: '', width: 28, height: 28 }), words.brand)
}

/** Why the door stays shut and, where waiting helps, when it is tried again. */
function showTrouble(/** @type {HTMLElement} */ box, /** @type {any} */ error, /** @type {() => void} */ again) {
  fill(box, h('p', {}, inWords(error)))
  if (!PASSING.has(error.code)) return
  const at = Date.now() + (error.retryAfterMs ?? RETRY_MS)
  const left = h('p', { class: 'quiet', 'aria-live': 'off' })
  box.append(left)
  const timer = setInterval(tick, 250)
  function tick() {
    const seconds = Math.ceil((at - Date.now()) / 1000)
    left.textContent = words.join.nextTry(Math.max(0, seconds))
    if (seconds > 0 && left.isConnected) return
    clearInterval(timer)
    if (left.isConnected) again()
  }
  tick()
}
