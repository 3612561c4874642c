// In reach of a thumb: what one can do at this moment, and an unmistakable mark while one is on air.

import { fill, h, icon, say } from './dom.js'
import { words } from './words.js'

/** @import { Room } from '/sdk/v1/dais.js' */
/** @import { Actions } from './actions.js' */

/** @param {Room} room @param {Actions} act @param {() => void} settings */
export function dock(room, act, settings) {
  const mute = button('mic', () => act.setMuted(!room.me.muted), 'M')
  const hand = button('hand', () => act.toggleHand(), 'H')
  const down = button('down', () => act.stepDown())
  const gear = button('gear', settings)
  const leave = button('leave', () => act.leave())
  leave.element.classList.add('leave')
  mute.element.dataset.talk = ''
  const air = h('p', { class: 'air', hidden: true })
  const box = h('footer', { class: 'dock-area' }, air,
    h('div', { class: 'dock', role: 'group', 'aria-label': words.dock.label },
      mute.element, hand.element, down.element, gear.element, leave.element))

  const update = () => {
    const { onStage, muted, hand: up, live } = room.me
    mute.element.hidden = down.element.hidden = !onStage
    hand.element.hidden = onStage
    mute.show(muted ? 'micOff' : 'mic', muted ? words.dock.unmute : words.dock.mute)
    hand.show('hand', up ? words.dock.lower : words.dock.raise)
    down.show('down', words.dock.stepDown)
    gear.show('gear', words.dock.settings)
    leave.show('leave', words.dock.leave)
    mute.element.classList.toggle('live', live)
    mute.element.classList.toggle('primary', onStage && muted)
    hand.element.classList.toggle('primary', !up)
    hand.element.setAttribute('aria-pressed', String(up))
    document.documentElement.classList.toggle('on-air', live)
    mark()
  }

  const mark = () => {
    const { onStage, muted, hand: up, live, microphone } = room.me
    air.hidden = !onStage && !up
    air.dataset.tone = live ? 'live' : onStage ? 'stage' : 'hand'
    const missing = onStage && !muted && (microphone === 'none' || microphone === 'failed')
    if (missing) {
      if (!air.querySelector('button')) {
        fill(air, words.air.noMicrophone, h('button', { class: 'link', type: 'button', onclick: () => act.chooseMicrophone() }, words.air.chooseMicrophone))
      }
    } else {
      const pending = room.state === 'reconnecting' ? words.air.interrupted : words.air.waiting
      say(air, live ? words.air.live : !onStage ? words.air.hand : muted ? words.air.muted : pending)
    }
  }
  return { box, update }
}

/** @param {Parameters<typeof icon>[0]} symbol @param {() => void} press @param {string} [key] */
function button(symbol, press, key) {
  let shown = symbol
  const picture = h('span', { class: 'picture' }, icon(symbol))
  const label = h('span', { class: 'label' })
  const element = h('button', { type: 'button', onclick: press, ...(key && { 'aria-keyshortcuts': key }) }, picture, label)
  const show = (/** @type {Parameters<typeof icon>[0]} */ next, /** @type {string} */ text) => {
    if (next !== shown) fill(picture, icon(next))
    shown = next
    say(label, text)
  }
  return { element, show }
}
