// The stage page: from a link to a room, and out of it again.
//
//   link ─▶ join screen ─▶ (green room, for those who speak) ─▶ room ─▶ farewell
//
// It uses nothing of the SDK but its public face.

import { Dais } from '/sdk/v1/dais.js'

import { h, fill } from './dom.js'
import { memory } from './memory.js'
import { joinScreen, noLink } from './join.js'
import { direction, inWords, language, words } from './words.js'

/**
 * @typedef {object} Entry how somebody comes in
 * @property {string} [name]
 * @property {MediaStreamTrack | null} [microphone] null: without one, as they wish
 * @property {boolean} [muted] after a reload as before it
 */

/** These are told as what happened, not as something that went wrong. */
const FAREWELLS = new Set(['kicked', 'banned', 'replaced', 'ended'])

const app = /** @type {HTMLElement} */ (document.getElementById('app'))

document.documentElement.lang = language
document.documentElement.dir = direction
addEventListener('hashchange', () => location.reload())

const token = new URLSearchParams(location.hash.slice(1)).get('token') ?? ''
if (!token) fill(app, noLink())
else if (memory.inside === token) comeBack()
else welcome()

/** @param {unknown} [problem] why one could not come in */
function welcome(problem) {
  memory.inside = undefined
  const claims = Dais.readClaims(token)
  fill(app, joinScreen({ claims, problem, enter, prepare }))
  app.addEventListener('focusin', () => import('./stage.js'), { once: true })
  document.title = `${claims.room ?? ''} · ${words.brand}`
}

/** Those who go on stage at once look at their microphone first. @param {string} name */
async function prepare(name) {
  const { greenRoom } = await import('./green.js')
  greenRoom({
    purpose: 'enter',
    go: ({ microphone = null, muted }) => enter({ name, muted, microphone }).catch(refused),
  })
}

/** After a reload one is simply there again. */
async function comeBack() {
  fill(app, h('p', { class: 'waiting', role: 'status' }, words.status.joining))
  await enter({ name: memory.name }).catch(refused)
}

/** Rejects when the server says no. @param {Entry} entry */
async function enter({ name = '', microphone, muted }) {
  try {
    const join = Dais.join({ token, name, ...(muted !== undefined && { muted }) })
    const [room, { stagePage }] = await Promise.all([join, import('./stage.js')])
    memory.inside = token
    fill(app, stagePage(room, microphone))
    const look = () => room.state === 'left' && farewell(room.leftWhy)
    room.addEventListener('state', look)
    look()
  } catch (error) {
    microphone?.stop()
    throw error
  }
}

/** @param {any} error */
function refused(error) {
  if (FAREWELLS.has(error.code)) farewell(error.code)
  else welcome(error)
}

function farewell(why = 'left') {
  memory.inside = undefined
  document.querySelectorAll('dialog').forEach(dialog => dialog.close())
  const known = /** @type {Record<string, string[] | string>} */ (words.gone)[why]
  const [title = '', note = ''] = Array.isArray(known) ? known : [words.gone.other[0], inWords({ code: why, message: why })]
  const final = why === 'ended' || why === 'banned'
  fill(app, h('main', { class: 'center' },
    h('div', { class: 'card farewell' },
      h('h1', { tabIndex: -1 }, title),
      h('p', {}, note),
      !final && h('button', { class: 'primary', type: 'button', onclick: () => welcome() }, words.gone.again))))
  app.querySelector('h1')?.focus()
}
