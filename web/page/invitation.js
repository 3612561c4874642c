// An invitation on the screen: for as long as the room has one, and whatever became of it.

import { dialog, fill, h, toast } from './dom.js'
import { greenRoom, openRemembered } from './green.js'
import { words } from './words.js'

/** @import { Room } from '/sdk/v1/dais.js' */
/** @import { Actions } from './actions.js' */

/** @param {Room} room @param {Pick<Actions, 'attempt' | 'arrive'>} act */
export function invitations(room, act) {
  /** What stands for it on the screen, until it has been answered. @type {HTMLDialogElement | undefined} */
  let shown

  const update = () => {
    const { invitation } = room
    if (invitation && !invitation.accepted) shown ??= ask(invitation)
    if (invitation || !shown) return
    const box = shown
    shown = undefined
    box.close()
    if (!room.me.onStage && room.state !== 'left') toast(words.invitation.over)
  }

  /** Closed by whoever was asked, and not because there is nothing to be answered any more. */
  const declined = () => {
    if (!shown) return
    shown = undefined
    act.attempt(room.decline())
  }

  /** @param {{ by: string | undefined, expiresAt: number }} invitation */
  function ask({ by, expiresAt }) {
    const host = room.stage.find(member => member.identity === by)
    const left = h('p', { class: 'quiet' })
    const tick = () => fill(left, words.invitation.note(Math.max(0, Math.ceil((expiresAt - Date.now()) / 1000))))
    const timer = setInterval(tick, 250)
    tick()
    const box = dialog(words.invitation.title, close => [
      host && h('p', {}, words.invitation.by(host.name)), left,
      h('div', { class: 'actions' },
        h('button', { type: 'button', onclick: close }, words.invitation.decline),
        h('button', { type: 'button', class: 'primary', onclick: accept }, words.invitation.accept)),
    ], () => {
      clearInterval(timer)
      if (shown === box) declined()
    })
    return box
  }

  function accept() {
    const asked = shown
    shown = greenRoom({
      purpose: 'accept',
      go: ({ microphone, muted }) => {
        shown = undefined
        act.arrive(muted)
        act.attempt(room.accept())
        if (microphone) room.setMicrophone(openRemembered, microphone)
      },
      cancelled: declined,
    })
    asked?.close()
  }

  room.addEventListener('invitation', update)
  update()
}
