// The few lines that stand in for a framework: elements, icons, dialogs, toasts, and lists that keep their
// elements (and with them focus and animations) while what they show changes.

import { words } from './words.js'

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Record<string, any>} Props `on…` are listeners, what starts with `aria-`, `data-` or has no property is an attribute */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Props} [props]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(props)) set(element, name, value)
  element.append(...shown(children))
  return element
}

/** @param {HTMLElement} element @param {string} name @param {any} value */
function set(element, name, value) {
  if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
  else if (name === 'class') element.className = value
  else if (name in element && !name.startsWith('aria')) /** @type {any} */ (element)[name] = value
  else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : value)
}

/** Replaces what is inside. @param {Element} element @param {...Child} children */
export function fill(element, ...children) {
  element.replaceChildren(...shown(children))
}

/** @param {Child[]} children @returns {(Node | string)[]} */
function shown(children) {
  return children.filter(child => child !== null && child !== undefined && child !== false)
    .map(child => child instanceof Node ? child : String(child))
}

/** Changes a text only when it is another, so that nothing is announced twice. @param {Node} node @param {string} text */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text
}

/**
 * Shows `items` in `parent`, one element each, made once and updated later.
 * @template T
 * @param {HTMLElement} parent
 * @param {T[]} items
 * @param {(item: T) => string} key
 * @param {(item: T) => HTMLElement & { update: (item: T) => void }} make
 */
export function keyed(parent, items, key, make) {
  const old = new Map([...parent.children].map(child => [/** @type {HTMLElement} */ (child).dataset.key, child]))
  const wanted = items.map(item => {
    const name = key(item)
    const element = /** @type {ReturnType<typeof make>} */ (old.get(name) ?? make(item))
    element.dataset.key = name
    element.update(item)
    return element
  })
  const keep = new Set(/** @type {Element[]} */ (wanted))
  old.forEach(child => keep.has(child) || child.remove())
  wanted.forEach((element, index) => {
    if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index] ?? null)
  })
}

const PATHS = {
  mic: 'M12 3a3 3 0 0 0-3 3v6a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3ZM5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3',
  micOff: 'M9 9v3a3 3 0 0 0 4.6 2.5M15 11.5V6a3 3 0 0 0-5.8-1M5.5 11.5a6.5 6.5 0 0 0 10 5.5M18.5 11.5c0 1-.2 1.9-.6 2.7M12 18v3M4 3.5l16 17',
  hand: 'M8 12V5.5a1.5 1.5 0 0 1 3 0V11V4a1.5 1.5 0 0 1 3 0v7V5.5a1.5 1.5 0 0 1 3 0V14.5c0 4-2.5 6.5-6 6.5c-3 0-4.3-1.5-5.5-3.7l-2.3-4.2a1.4 1.4 0 0 1 2.4-1.5L8 14.5',
  gear: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5v5M9 14.5v5',
  leave: 'M14 4.5H7A1.5 1.5 0 0 0 5.5 6v12A1.5 1.5 0 0 0 7 19.5h7M10.5 12H20M16.5 8.5L20 12l-3.5 3.5',
  down: 'M12 5v13M6.5 12.5L12 18l5.5-5.5',
  people: 'M9 11a3.5 3.5 0 1 0 0-7a3.5 3.5 0 0 0 0 7ZM2.5 19.5c.5-3.5 3-5.5 6.5-5.5s6 2 6.5 5.5M16 4.3a3.5 3.5 0 0 1 0 6.4M18 14.5c2 .8 3.2 2.6 3.5 5',
  more: 'M6 12h.01M12 12h.01M18 12h.01',
  keyboard: 'M4 6.5h16a1.5 1.5 0 0 1 1.5 1.5v8a1.5 1.5 0 0 1-1.5 1.5H4A1.5 1.5 0 0 1 2.5 16V8A1.5 1.5 0 0 1 4 6.5ZM6.5 10h.01M10 10h.01M14 10h.01M17.5 10h.01M8 14h8',
  signal: 'M5 19v-4M10 19v-7M15 19V9M20 19V5',
  sound: 'M4.5 9.5v5H8l4.5 4v-13L8 9.5ZM16 9a4 4 0 0 1 0 6M18.5 6.5a8 8 0 0 1 0 11',
  close: 'M6 6l12 12M18 6L6 18',
}

/** @param {keyof typeof PATHS} name */
export function icon(name) {
  const space = 'http://www.w3.org/2000/svg'
  const svg = document.createElementNS(space, 'svg')
  svg.setAttribute('viewBox', '0 0 24 24')
  svg.setAttribute('aria-hidden', 'true')
  svg.setAttribute('class', 'icon')
  const path = document.createElementNS(space, 'path')
  path.setAttribute('d', PATHS[name])
  svg.append(path)
  return svg
}

/** Initials on a colour made from the identity. @param {{ identity: string, name: string }} person */
export function avatar({ identity, name }) {
  const parts = name.trim().split(/\s+/)
  const letters = [parts[0], parts.length > 1 ? parts.at(-1) : ''].map(part => [...(part ?? '')][0] ?? '').join('')
  const element = h('span', { class: 'avatar', 'aria-hidden': 'true' }, letters.toUpperCase() || '·')
  let hash = 2166136261
  for (const char of identity) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 16777619)
  element.style.setProperty('--hue', String((hash >>> 8) % 360))
  return element
}

/**
 * A dialog that is gone once it is closed. Escape, the close button and a press beside it close it.
 * @param {string} title
 * @param {(close: () => void) => Child[]} content
 * @param {() => void} [onClose]
 */
export function dialog(title, content, onClose) {
  const element = h('dialog', { 'aria-label': title })
  const close = () => element.close()
  element.append(h('header', {}, h('h2', {}, title),
    h('button', { class: 'plain round', type: 'button', 'aria-label': words.close, onclick: close }, icon('close'))))
  element.append(h('div', { class: 'content' }, ...content(close)))
  element.addEventListener('close', () => {
    element.remove()
    onClose?.()
  })
  element.addEventListener('click', event => event.target === element && close())
  document.body.append(element)
  element.showModal()
  return element
}

/** @param {string} title @param {string} note @param {string} sure @param {() => void} then */
export function confirm(title, note, sure, then) {
  dialog(title, close => [
    note && h('p', {}, note),
    h('div', { class: 'actions' },
      h('button', { type: 'button', onclick: close }, words.cancel),
      h('button', { type: 'button', class: 'danger', onclick: () => { close(); then() } }, sure)),
  ])
}

const TOAST_MS = 5000

/** Says something in passing, to eyes and ears. @param {string} text @param {'info' | 'error'} [tone] */
export function toast(text, tone = 'info') {
  const box = h('p', { class: `toast ${tone}` }, text)
  document.getElementById('toasts')?.append(box)
  announce(text)
  setTimeout(() => box.remove(), TOAST_MS)
}

/** For screen readers. @param {string} text */
export function announce(text) {
  const box = document.getElementById('announcer')
  if (!box) return
  const line = h('p', {}, text)
  box.append(line)
  setTimeout(() => line.remove(), TOAST_MS)
}
