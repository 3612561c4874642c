// What hosts see and do: hands in the order they went up, and a sheet of what can be done about a person.

import { announce, avatar, confirm, dialog, fill, h, icon, keyed, say, toast } from './dom.js'
import { roughly, words } from './words.js'

/** @import { Room } from '/sdk/v1/dais.js' */
/** @import { Actions } from './actions.js' */
/** @typedef {{ identity: string, name: string }} Person */

const FRESH_MS = 5000

/** @param {Room} room @param {Actions} act */
export function handsPanel(room, act) {
  const count = h('span', { class: 'count' })
  const empty = h('p', { class: 'quiet' }, words.room.handsEmpty)
  const rows = h('ol', { class: 'hands' })
  const lowerAll = h('button', {
    type: 'button', class: 'link',
    onclick: async () => await act.attempt(room.host.lowerAllHands()) && announce(words.said.allHandsDown),
  }, words.room.lowerAll)
  const panel = h('section', { class: 'card panel', 'aria-label': words.room.handsTitle },
    h('header', {}, h('h2', {}, icon('hand'), words.room.handsTitle, count), lowerAll), empty, rows)

  const update = () => {
    const hands = room.hands
    say(count, hands.length ? String(hands.length) : '')
    empty.hidden = hands.length > 0
    lowerAll.hidden = hands.length === 0
    keyed(rows, hands, hand => hand.identity, hand => {
      const waiting = h('small')
      const row = h('li', {}, avatar(hand), h('div', { class: 'who' }, h('b', { dir: 'auto' }, hand.name), waiting),
        h('button', { class: 'primary small', type: 'button', onclick: () => promote(room, act, hand) }, words.room.bring),
        h('button', {
          class: 'plain round', type: 'button', 'aria-label': `${words.room.lowerTheirs}: ${hand.name}`,
          onclick: () => act.attempt(room.host.lowerHand(hand.identity)),
        }, icon('close')))
      return Object.assign(row, {
        update: (/** @type {{ since: number }} */ { since }) => {
          const waited = room.now - since
          say(waiting, waited < FRESH_MS ? words.room.justNow : words.room.waiting(roughly(waited)))
        },
      })
    })
  }
  return { panel, update }
}

/** @param {Room} room @param {Actions} act @param {Person} person */
async function promote(room, act, { identity, name }) {
  await act.attempt(room.host.promote(identity).then(how => how === 'invited' && toast(words.said.invited(name))))
}

/** What can be done about somebody. @param {Room} room @param {Actions} act @param {Person} person */
export function personSheet(room, act, person) {
  const { identity, name } = person
  const member = room.stage.find(one => one.identity === identity)
  const hand = room.hands.some(one => one.identity === identity)
  const host = room.host

  dialog(name, close => {
    /** @param {Parameters<typeof icon>[0]} symbol @param {string} label @param {() => unknown} then @param {string} [tone] */
    const item = (symbol, label, then, tone = '') =>
      h('button', { type: 'button', class: `item ${tone}`, onclick: () => { close(); then() } }, icon(symbol), label)
    const remove = (/** @type {string} */ question, /** @type {() => Promise<unknown>} */ then) =>
      confirm(question, '', words.person.sure, () => act.attempt(then()))
    return [h('div', { class: 'menu' },
      !member && item('mic', hand ? words.person.promote : words.person.invite, () => promote(room, act, person)),
      member && !member.muted && item('micOff', words.person.mute, () => act.attempt(host.mute(identity))),
      member && item('down', words.person.demote, () => act.attempt(host.demote(identity))),
      item('leave', words.person.kick, () => remove(words.person.kickSure(name), () => host.kick(identity)), 'bad'),
      item('close', words.person.ban, () => remove(words.person.banSure(name), () => host.ban(identity)), 'bad'))]
  })
}

/** Begin and end, for the header. @param {Room} room @param {Actions} act */
export function hostControls(room, act) {
  const box = h('div', { class: 'host-controls' })
  const goLive = h('button', { type: 'button', class: 'primary small', onclick: () => act.attempt(room.host.goLive()) }, words.room.goLive)
  const end = h('button', {
    type: 'button', class: 'quiet-danger small',
    onclick: () => confirm(words.confirm.end, words.confirm.endNote, words.confirm.endSure, () => act.attempt(room.host.end())),
  }, words.room.end)
  const update = () => {
    goLive.hidden = room.info.state !== 'backstage'
    if (!box.firstChild) fill(box, goLive, end)
  }
  return { box, update }
}
