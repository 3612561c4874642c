// The keyboard: M mutes, holding space talks, H raises the hand, ? helps.

/** @import { Room } from '/sdk/v1/dais.js' */
/** @import { Actions } from './actions.js' */

/** @param {Room} room @param {Actions} act @param {() => void} help @returns {() => void} stops listening */
export function keys(room, act, help) {
  let holding = false
  const down = (/** @type {KeyboardEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isBusy(event)) return
    const key = event.key.toLowerCase()
    if (key === ' ' && room.me.onStage && !isPressable(event)) {
      event.preventDefault()
      if (event.repeat || holding || !room.me.muted) return
      holding = true
      act.setMuted(false)
    } else if (!event.repeat) once(key)
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
  const up = (/** @type {KeyboardEvent} */ event) => event.key === ' ' && release()

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

/** There space presses the button. */
function isPressable(/** @type {KeyboardEvent} */ event) {
  return /** @type {Element} */ (event.target).closest('button, a') !== null
}
