// The room: everything on the screen, put together and kept up to date from the room's events.

import { actions } from './actions.js'
import { dock } from './dock.js'
import { announce, h, icon, toast } from './dom.js'
import { handsPanel, hostControls } from './host.js'
import { keys } from './keys.js'
import { audience, headline, stageGrid } from './people.js'
import { statusLine } from './status.js'
import { clock, list, words } from './words.js'

/** @import { Room } from '/sdk/v1/dais.js' */

/** A browser that may play needs a moment to say so. */
const BLOCKED_MS = 800

/** @param {Room} room @param {MediaStreamTrack | null | undefined} microphone with which one came in */
export function stagePage(room, microphone) {
  const act = actions(room, microphone)
  const audio = h('audio', { autoplay: true, srcObject: room.stream })
  const sheets = () => import('./sheets.js')
  const settings = async () => (await sheets()).settingsSheet(room, act, audio)

  const head = headline(room)
  const host = room.me.host ? hostControls(room, act) : undefined
  const hands = room.me.host ? handsPanel(room, act) : undefined
  const stage = stageGrid(room, act)
  const around = audience(room, act)
  const status = statusLine(room)
  const controls = dock(room, act, settings)
  const page = h('div', { class: `room ${hands ? 'hosting' : ''}` },
    h('header', { class: 'top' }, head.title, head.facts, host?.box), status.box,
    h('main', {}, stage.box, hands?.panel, around.box), controls.box, audio)

  const updateHead = () => { head.update(clock); host?.update() }
  const everything = () => {
    updateHead(); stage.update(); around.update(); hands?.update(); status.update(); controls.update()
  }
  /** @type {Record<string, (detail: any) => void>} */
  const on = {
    state: () => { status.update(); controls.update() },
    me: () => { controls.update(); around.update(); status.update() },
    room: () => { updateHead(); status.update(); onAir(room) },
    stage: change => { stage.update(); around.update(); tellStage(room, change) },
    presence: () => { updateHead(); around.update() },
    hands: change => { hands?.update(); around.update(); tellHands(change) },
    pending: () => status.update(),
    speaking: () => stage.speaking(),
    declined: ({ identity, why }) => toast(declined(room, identity, why)),
    playback: () => setTimeout(() => tapToListen(room, audio), BLOCKED_MS),
  }
  for (const [type, then] of Object.entries(on)) {
    room.addEventListener(type, event => then(/** @type {CustomEvent} */ (event).detail ?? {}))
  }
  const onReturn = () => {
    // Paused on the lock screen: whoever looks at the page again must see why it is quiet.
    if (document.visibilityState !== 'visible') return
    delete audio.dataset.paused
    tapToListen(room, audio)
  }
  document.addEventListener('visibilitychange', onReturn)
  const silenceKeys = keys(room, act, async () => (await sheets()).helpSheet())
  const second = setInterval(() => { updateHead(); hands?.update(); status.update() }, 1000)
  room.addEventListener('state', () => {
    if (room.state !== 'left') return
    clearInterval(second)
    silenceKeys()
    document.removeEventListener('visibilitychange', onReturn)
    document.documentElement.classList.remove('on-air')
  })

  everything()
  tellStage(room, {})
  listenOnLockScreen(room, audio)
  audio.play().catch(() => {})
  setTimeout(() => tapToListen(room, audio), BLOCKED_MS)
  return page
}

/** One large button and nothing else. @param {Room} room @param {HTMLAudioElement} audio */
function tapToListen(room, audio) {
  const there = document.querySelector('.tap')
  const blocked = room.state !== 'left' && (room.playbackBlocked || (audio.paused && !audio.dataset.paused))
  if (!blocked) return there?.remove()
  if (there) return undefined
  const button = h('button', { type: 'button', onclick: async () => {
    await Promise.allSettled([room.resumePlayback(), audio.play()])
    tapToListen(room, audio)
  } }, icon('sound'), h('b', {}, words.tap.title), h('small', {}, words.tap.note))
  document.body.append(h('div', { class: 'tap' }, button))
  return button.focus()
}

/** @param {Room} room @param {HTMLAudioElement} audio */
function listenOnLockScreen(room, audio) {
  if (!('mediaSession' in navigator)) return
  const { title, room: id } = room.info
  navigator.mediaSession.metadata = new MediaMetadata({ title: title || id, artist: words.said.keepListening, album: words.brand })
  navigator.mediaSession.setActionHandler('pause', () => {
    audio.dataset.paused = 'yes'
    audio.pause()
  })
  navigator.mediaSession.setActionHandler('play', () => {
    delete audio.dataset.paused
    audio.play().catch(() => {})
  })
}

/** Who came and went, politely and in one sentence each. @param {Room} room @param {{ set?: { identity: string, name: string }[], gone?: string[] }} change */
function tellStage(room, { set = [], gone = [] }) {
  const names = known.get(room) ?? new Map()
  const came = set.filter(member => !names.has(member.identity) && member.identity !== room.me.identity)
  const went = gone.map(identity => names.get(identity)).filter(Boolean)
  if (came.length) announce(words.said.joinedStage(list(came.map(member => member.name))))
  if (went.length) announce(words.said.leftStage(list(went)))
  known.set(room, new Map(room.stage.map(member => [member.identity, member.name])))
}
/** @type {WeakMap<Room, Map<string, string>>} */
const known = new WeakMap()

/** @param {{ up?: { name: string }[] }} change */
function tellHands({ up = [] }) {
  if (up.length) announce(words.said.handsUp(list(up.map(hand => hand.name))))
}

/** @param {Room} room */
function onAir(room) {
  const before = document.documentElement.dataset.room
  document.documentElement.dataset.room = room.info.state
  document.title = `${room.info.title || room.info.room} · ${words.brand}`
  if (before === 'backstage' && room.info.state === 'live') toast(words.said.wentLive)
}

/** @param {Room} room @param {string} identity @param {keyof typeof words.said.declined} why */
function declined(room, identity, why) {
  const person = room.people.find(one => one.identity === identity)
  return words.said.declined[why](person?.name ?? identity)
}
