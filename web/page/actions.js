// What one does oneself: hand, microphone, stage. The microphone is open only while one is on stage; on the
// way there it was seen in the green room, and closed again.

import { announce, confirm, dialog, fill, h, toast } from './dom.js'
import { greenRoom, openOrDefault } from './green.js'
import { memory } from './memory.js'
import { inWords, words } from './words.js'

/** @import { Room } from '/sdk/v1/dais.js' */
/** @typedef {ReturnType<typeof actions>} Actions */

/**
 * @param {Room} room
 * @param {MediaStreamTrack | undefined} microphone with which one came in
 */
export function actions(room, microphone) {
  let track = microphone
  let arriveMuted = true
  /** It is oneself who lowers the hand. */
  let lowering = false
  /** Mute and unmute in the order they were asked for. */
  let muting = Promise.resolve()

  /** @param {Promise<unknown>} doing */
  const attempt = doing => doing.then(() => true, error => {
    toast(inWords(error), 'error')
    return false
  })

  /** @param {MediaStreamTrack | undefined} next */
  const use = next => {
    if (track !== next) track?.stop()
    track = next
    room.setMicrophone(next ?? null)
    room.dispatchEvent(new CustomEvent('microphone'))
  }

  const openMicrophone = async () => {
    if (track?.readyState === 'live') return
    try {
      const opened = await openOrDefault(memory.microphone)
      if (room.me.onStage) use(opened)
      else opened.stop()
    } catch (error) {
      toast(inWords(error), 'error')
    }
  }

  /** @param {boolean} muted */
  const setMuted = muted => {
    muting = muting.then(async () => {
      if (!room.me.onStage || room.me.muted === muted) return
      if (!muted) await openMicrophone()
      if (await attempt(muted ? room.mute() : room.unmute())) announce(muted ? words.said.muted : words.said.unmuted)
    })
    return muting
  }

  room.addEventListener('promoted', async () => {
    toast(arriveMuted ? words.said.onStage : words.said.unmutedOnStage)
    const muted = arriveMuted
    if (muted && !room.me.muted) setMuted(true)
    await openMicrophone()
    if (!muted && room.me.muted) setMuted(false)
  })
  room.addEventListener('demoted', () => {
    arriveMuted = true
    use(undefined)
    toast(words.said.offStage)
  })
  room.addEventListener('hands', event => {
    const { down = [] } = /** @type {CustomEvent} */ (event).detail
    if (!down.includes(room.me.identity)) return
    if (!lowering) toast(words.said.handLowered)
    lowering = false
  })
  room.addEventListener('muted', () => toast(words.said.mutedBy))
  room.addEventListener('removed', () => track?.stop())
  room.addEventListener('microphone', event => {
    if (!(/** @type {CustomEvent} */ (event)).detail?.ended) return
    toast(words.said.microphoneGone, 'error')
    track = undefined
    openMicrophone()
  })
  room.addEventListener('invited', event => invited(/** @type {CustomEvent} */ (event).detail))

  /** @param {{ by?: string, expiresAt: number }} invitation */
  function invited({ by, expiresAt }) {
    const host = room.stage.find(member => member.identity === by)
    const left = h('p', { class: 'quiet' })
    let answered = false
    const box = dialog(words.invitation.title, close => [
      host && h('p', {}, words.invitation.by(host.name)), left,
      h('div', { class: 'actions' },
        h('button', { type: 'button', onclick: close }, words.invitation.decline),
        h('button', { type: 'button', class: 'primary', onclick: () => { answered = true; close(); accept() } },
          words.invitation.accept)),
    ], () => {
      clearInterval(timer)
      if (!answered && Date.now() < expiresAt) attempt(room.decline())
    })
    const timer = setInterval(tick, 250)
    function tick() {
      const seconds = Math.ceil((expiresAt - Date.now()) / 1000)
      fill(left, words.invitation.note(Math.max(0, seconds)))
      if (seconds <= 0 || room.me.onStage) box.close()
    }
    tick()
  }

  function accept() {
    greenRoom({
      purpose: 'accept',
      go: ({ microphone: opened, muted }) => {
        arriveMuted = muted
        track = opened
        if (opened) room.setMicrophone(opened)
        return attempt(room.accept())
      },
      cancelled: () => attempt(room.decline()),
    })
  }

  return {
    get hasMicrophone() { return track?.readyState === 'live' },
    openMicrophone,
    setMuted,
    attempt,

    /** One came to speak, and every seat was taken. */
    noSeat() {
      use(undefined)
      toast(words.errors.stage_full ?? '', 'error')
    },

    async toggleHand() {
      if (room.me.onStage) return
      if (room.me.hand) {
        lowering = true
        if (await attempt(room.lowerHand())) announce(words.said.handDown)
        return
      }
      greenRoom({
        purpose: 'raise',
        muted: arriveMuted,
        go: async ({ microphone: opened, muted }) => {
          arriveMuted = muted
          opened?.stop()
          if (await attempt(room.raiseHand())) announce(words.said.handUp)
        },
      })
    },

    chooseMicrophone() {
      greenRoom({ purpose: 'use', go: ({ microphone: opened }) => room.me.onStage ? use(opened) : opened?.stop() })
    },

    stepDown: () => attempt(room.stepDown()),

    leave() {
      const go = () => {
        track?.stop()
        room.leave()
      }
      if (room.me.onStage) confirm(words.confirm.leaveStage, '', words.dock.leave, go)
      else go()
    },
  }
}
