// The stage, tile by tile, and the audience around it. Tiles have a fixed size: people come and go without
// anything else moving.

import { avatar, dialog, fill, h, icon, keyed, say } from './dom.js'
import { personSheet } from './host.js'
import { words } from './words.js'

/** @import { Room } from '/sdk/v1/dais.js' */
/** @import { Actions } from './actions.js' */
/** @typedef {Room['stage'][number]} Member */
/** @typedef {{ identity: string, name: string }} Person */

/** More faces than this are a crowd: a count says more. */
const FACES = 60
const PAGE = 50

/** @param {Room} room @param {Actions} act */
export function stageGrid(room, act) {
  const empty = h('p', { class: 'quiet empty' }, words.room.stageEmpty)
  const grid = h('ul', { class: 'stage', 'aria-label': words.room.stage })
  const box = h('section', { class: 'spotlight', 'aria-label': words.room.stage }, empty, grid)

  /** @param {Member} member */
  const make = member => {
    const me = member.identity === room.me.identity
    const face = h('div', { class: 'face' }, h('i', { class: 'ring' }), avatar(member), h('span', { class: 'badge' }, icon('micOff')))
    const tags = h('small')
    const manage = room.me.host && !me && !member.host && h('button', {
      class: 'plain round manage', type: 'button', 'aria-haspopup': 'dialog', 'aria-label': words.room.options(member.name),
      onclick: () => personSheet(room, act, member),
    }, icon('more'))
    const tile = h('li', { class: 'tile' }, face, h('b', { dir: 'auto', title: member.name }, member.name), tags, manage)
    return Object.assign(tile, {
      update: (/** @type {Member} */ now) => {
        const marks = [me && words.room.you, now.host && words.room.host, now.muted && words.room.muted]
        say(tags, marks.filter(Boolean).join(' · '))
        tile.classList.toggle('muted', now.muted)
      },
    })
  }
  const update = () => {
    // Hosts first: who comes later moves nobody.
    const stage = room.stage.sort((a, b) => Number(b.host) - Number(a.host))
    empty.hidden = stage.length > 0
    keyed(grid, stage, member => member.identity, make)
  }
  /** The ring breathes with the voice. */
  const speaking = () => {
    const levels = room.speaking
    for (const tile of /** @type {Iterable<HTMLElement>} */ (grid.children)) {
      const level = levels.get(tile.dataset.key ?? '')
      tile.classList.toggle('speaking', level !== undefined)
      tile.style.setProperty('--level', (level ?? 0).toFixed(2))
    }
  }
  return { box, update, speaking }
}

/** @param {Room} room @param {Actions} act */
export function audience(room, act) {
  const count = h('span', { class: 'count' })
  const faces = h('ul', { class: 'people' })
  const empty = h('p', { class: 'quiet' }, words.room.audienceEmpty)
  const rest = h('span', { class: 'quiet' })
  const all = h('button', { type: 'button', class: 'link', onclick: () => everybody(room, act) }, words.room.showAll)
  const more = h('p', { class: 'more' }, rest, all)
  const box = h('section', { class: 'audience', 'aria-label': words.room.audience },
    h('h2', {}, words.room.audience, count), empty, faces, more)

  const update = () => {
    const onStage = new Set(room.stage.map(member => member.identity))
    const people = room.people.filter(person => !onStage.has(person.identity))
    const shown = people.slice(0, FACES)
    const hidden = room.counts.listeners - shown.length
    say(count, room.counts.listeners ? room.counts.listeners.toLocaleString() : '')
    empty.hidden = room.counts.listeners > 0
    keyed(faces, shown, person => person.identity, person => face(room, act, person))
    more.hidden = hidden <= 0
    say(rest, words.room.andMore(hidden))
  }
  return { box, update }
}

/** @param {Room} room @param {Actions} act @param {Person} person */
function face(room, act, person) {
  const me = person.identity === room.me.identity
  const name = h('span', { class: 'name', dir: 'auto' })
  const hand = h('span', { class: 'badge' }, icon('hand'))
  const content = [h('span', { class: 'face' }, avatar(person), hand), name]
  const inner = room.me.host && !me
    ? h('button', { class: 'plain', type: 'button', 'aria-haspopup': 'dialog', onclick: () => personSheet(room, act, person) }, ...content)
    : h('div', {}, ...content)
  return Object.assign(h('li', { title: person.name }, inner), {
    update: (/** @type {Person} */ now) => {
      say(name, me ? words.room.you : now.name)
      const up = me ? room.me.hand : room.hands.some(one => one.identity === now.identity)
      hand.hidden = !up
    },
  })
}

/** The whole list, page by page. @param {Room} room @param {Actions} act */
function everybody(room, act) {
  const faces = h('ul', { class: 'people' })
  const more = h('button', { type: 'button', onclick: () => load() }, words.room.more)
  /** @type {string | undefined} */
  let cursor
  const load = async () => {
    more.disabled = true
    await act.attempt(room.audience({ limit: PAGE, ...(cursor && { cursor }) }).then(page => {
      cursor = page.cursor
      faces.append(...page.participants.map(person => {
        const element = face(room, act, person)
        element.update(person)
        return element
      }))
    }))
    more.disabled = false
    more.hidden = cursor === undefined
  }
  dialog(words.room.audience, () => [faces, h('div', { class: 'actions' }, more)])
  load()
}

/** Header line: how the room is. @param {Room} room */
export function headline(room) {
  const badge = h('span', { class: 'live-badge' })
  const time = h('span', { class: 'time' })
  const listening = h('span', {})
  const title = h('h1', { dir: 'auto' })
  const facts = h('p', { class: 'facts' },
    h('span', { class: 'state' }, badge, time), h('span', { class: 'people-count' }, icon('people'), listening))
  const update = (/** @type {(ms: number) => string} */ clock) => {
    const { title: name, room: id, state, since } = room.info
    const live = state === 'live'
    say(title, name || id)
    badge.classList.toggle('on', live)
    if (badge.dataset.state !== state) {
      badge.dataset.state = state
      fill(badge, live ? words.room.live : words.room.backstage)
    }
    say(time, live ? clock(room.now - since) : '')
    say(listening, words.room.listening(room.counts.listeners))
  }
  return { title, facts, update }
}
