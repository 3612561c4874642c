// What one does oneself: hand, microphone, stage. What follows from it is the room's business: the microphone
// is open only while one is on stage; on the way there it was seen in the green room, and closed again.

import { announce, confirm, toast } from './dom.js'
import { greenRoom, openRemembered } from './green.js'
import { invitations } from './invitation.js'
import { inWords, words } from './words.js'

/** @import { Room } from '/sdk/v1/dais.js' */
/** @typedef {ReturnType<typeof actions>} Actions */

/**
 * @param {Room} room
 * @param {MediaStreamTrack | null | undefined} microphone with which one came in; null: without one, as one wished
 */
export function actions(room, microphone) {
  /** @param {Promise<unknown>} doing */
  const attempt = doing => doing.then(() => true, error => {
    toast(inWords(error), 'error')
    return false
  })

  /** How one arrives on stage. @param {boolean} muted */
  const arrive = muted => muted ? room.mute() : room.unmute()

  if (microphone !== null) room.setMicrophone(openRemembered, microphone)
  if (!room.me.onStage) {
    arrive(true)
    if (microphone) toast(words.errors.stage_full ?? '', 'error')
  }

  /** @type {Record<string, (detail: any) => void>} */
  const told = {
    promoted: () => toast(room.me.muted ? words.said.onStage : words.said.unmutedOnStage),
    demoted: () => toast(words.said.offStage),
    lowered: ({ lost }) => toast(lost ? words.said.handDown : words.said.handLowered),
    muted: () => toast(words.said.mutedBy),
    microphone: ({ error }) => toast(error ? inWords(error) : words.said.microphoneGone, 'error'),
  }
  for (const [type, tell] of Object.entries(told)) {
    room.addEventListener(type, event => tell(/** @type {CustomEvent} */ (event).detail))
  }

  const act = {
    attempt,
    arrive,

    /** @param {boolean} muted */
    async setMuted(muted) {
      if (!room.me.onStage || room.me.muted === muted) return
      if (!muted && room.me.microphone === 'none') room.setMicrophone(openRemembered)
      const done = await attempt(muted ? room.mute() : room.unmute())
      if (done && room.me.muted === muted) announce(muted ? words.said.muted : words.said.unmuted)
    },

    async toggleHand() {
      if (room.me.onStage) return
      if (room.me.hand) {
        if (await attempt(room.lowerHand())) announce(words.said.handDown)
        return
      }
      greenRoom({
        purpose: 'raise',
        muted: room.me.muted,
        go: async ({ microphone: seen, muted }) => {
          seen?.stop()
          arrive(muted)
          if (await attempt(room.raiseHand())) announce(words.said.handUp)
        },
      })
    },

    chooseMicrophone() {
      greenRoom({ purpose: 'use', go: ({ microphone: chosen }) => room.setMicrophone(openRemembered, chosen) })
    },

    stepDown: () => attempt(room.stepDown()),

    leave() {
      if (room.me.onStage) confirm(words.confirm.leaveStage, '', words.dock.leave, () => room.leave())
      else room.leave()
    },
  }
  invitations(room, act)
  return act
}
