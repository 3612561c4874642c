// The keyboard: M mutes, holding space talks, H raises the hand, ? helps.

/** @import { Room } from '/sdk/v1/dais.js' */
/** @import { Actions } from './actions.js' */

/** Shorter is a press of the button, longer is talking. */
const TAP_MS = 300

/** @param {Room} room @param {Actions} act @param {() => void} help @returns {() => void} stops listening */
export function keys(room, act, help) {
  let holding = false
  let since = 0
  const down = (/** @type {KeyboardEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isBusy(event)) return
    const key = event.key.toLowerCase()
    if (key === ' ') talk(event)
    else if (!event.repeat) once(key)
  }
  const talk = (/** @type {KeyboardEvent} */ event) => {
    if (!room.me.onStage || isPressable(event) || !(holding || room.me.muted)) return
    event.preventDefault()
    if (holding || event.repeat) return
    holding = true
    since = performance.now()
    act.setMuted(false)
  }
  const once = (/** @type {string} */ key) => {
    if (key === 'm') act.setMuted(!room.me.muted)
    if (key === 'h') act.toggleHand()
    if (key === '?') help()
  }
  const release = () => {
    if (!holding) return
    holding = false
    act.setMuted(true)
  }
  const up = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== ' ' || !holding) return
    // Nor does it press the button that has the focus.
    event.preventDefault()
    const tapped = isOnTalkButton(event) && performance.now() - since < TAP_MS
    if (tapped) holding = false
    else release()
  }

  addEventListener('keydown', down)
  addEventListener('keyup', up)
  addEventListener('blur', release)
  return () => {
    removeEventListener('keydown', down)
    removeEventListener('keyup', up)
    removeEventListener('blur', release)
  }
}

/** Somebody types, or has a sheet open. */
function isBusy(/** @type {KeyboardEvent} */ event) {
  const target = /** @type {Element} */ (event.target)
  return document.querySelector('dialog[open]') !== null || target.matches('input, select, textarea')
}

function isOnTalkButton(/** @type {KeyboardEvent} */ event) {
  return /** @type {Element} */ (event.target).closest('[data-talk]') !== null
}

/** There space presses the button; but on the one that unmutes it talks. */
function isPressable(/** @type {KeyboardEvent} */ event) {
  return /** @type {Element} */ (event.target).closest('button:not([data-talk]), a') !== null
}
