// The green room: where people see their microphone before anybody hears it.

import { Dais } from '/sdk/v1/dais.js'

import { dialog, fill, h } from './dom.js'
import { memory } from './memory.js'
import { inWords, words } from './words.js'

/**
 * @typedef {object} GreenRoom
 * @property {'raise' | 'accept' | 'enter' | 'use'} purpose
 * @property {(ready: { microphone?: MediaStreamTrack, muted: boolean }) => unknown} go
 * @property {() => void} [cancelled]
 * @property {boolean} [muted] how one arrives unless one chooses otherwise
 */

const TEXTS = {
  raise: { title: words.green.raiseTitle, note: words.green.raiseNote, go: words.green.raise },
  accept: { title: words.green.acceptTitle, note: words.green.acceptNote, go: words.green.accept },
  enter: { title: words.green.enterTitle, note: words.green.enterNote, go: words.green.enter },
  use: { title: words.green.changeTitle, note: '', go: words.green.use },
}
/** Louder than a quiet room. */
const HEARD = 0.02

/** @param {GreenRoom} options */
export function greenRoom({ purpose, go, cancelled, muted = true }) {
  const text = TEXTS[purpose]
  /** @type {MediaStreamTrack | undefined} */
  let track
  let done = false
  const meter = levelBar()
  const hint = h('p', { class: 'note', role: 'status' }, words.green.asking)
  const choice = h('select', { id: 'microphone', disabled: true, onchange: () => open(choice.value) })
  const arriveMuted = h('input', { type: 'checkbox', id: 'arrive-muted', role: 'switch', checked: muted })
  const button = h('button', { type: 'button', class: 'primary', disabled: true }, text.go)
  const retry = h('button', { type: 'button', hidden: true, onclick: () => open(memory.microphone) }, words.tryAgain)

  const box = dialog(text.title, close => {
    button.addEventListener('click', () => {
      done = true
      close()
      go({ muted: arriveMuted.checked, ...(track && { microphone: track }) })
    })
    return [
      text.note && h('p', {}, text.note),
      h('div', { class: 'field' }, h('label', { htmlFor: 'microphone' }, words.green.microphone), choice),
      meter.element, hint,
      purpose !== 'use' && h('label', { class: 'switch', htmlFor: 'arrive-muted' },
        h('span', {}, words.green.startMuted, h('small', {}, words.green.startMutedNote)), arriveMuted),
      h('div', { class: 'actions' }, retry, h('button', { type: 'button', onclick: close }, words.cancel), button),
    ]
  }, () => {
    meter.watch(undefined)
    if (done) return
    track?.stop()
    cancelled?.()
  })

  /** @param {string} [deviceId] */
  async function open(deviceId) {
    track?.stop()
    track = undefined
    meter.watch(undefined)
    try {
      track = await openOrDefault(deviceId)
    } catch (error) {
      hint.classList.add('bad')
      fill(hint, inWords(error))
      retry.hidden = false
      withoutMicrophone()
      return
    }
    if (!box.isConnected) return track.stop()
    hint.classList.remove('bad')
    retry.hidden = true
    button.disabled = false
    button.textContent = text.go
    fill(hint, words.green.speakNow)
    meter.watch(track, () => fill(hint, words.green.heard))
    await listMicrophones(track.getSettings().deviceId)
  }

  /** One may listen, and host, without one. */
  function withoutMicrophone() {
    if (purpose !== 'enter') return
    button.disabled = false
    button.textContent = words.green.enterWithout
  }

  /** @param {string | undefined} current */
  async function listMicrophones(current) {
    const all = await Dais.microphones()
    fill(choice, ...all.map(({ deviceId, label }, index) =>
      h('option', { value: deviceId, selected: deviceId === current }, label || words.green.unnamed(index + 1))))
    choice.disabled = all.length < 2
    memory.microphone = current
  }

  open(memory.microphone)
}

/** The remembered microphone may not be plugged in today. @param {string | undefined} deviceId */
export async function openOrDefault(deviceId) {
  if (!deviceId) return await Dais.openMicrophone()
  return await Dais.openMicrophone(deviceId).catch(error => {
    if (error.code !== 'microphone_missing') throw error
    return Dais.openMicrophone()
  })
}

function levelBar() {
  const bar = h('div', { class: 'level', role: 'img', 'aria-label': words.green.level }, h('i'))
  /** @type {ReturnType<typeof Dais.meter> | undefined} */
  let meter
  let frame = 0
  return {
    element: bar,
    /** @param {MediaStreamTrack | undefined} track @param {() => void} [onHeard] */
    watch(track, onHeard) {
      cancelAnimationFrame(frame)
      meter?.close()
      meter = track && Dais.meter(track)
      let level = 0
      const draw = () => {
        const now = meter?.level ?? 0
        if (now > HEARD) { onHeard?.(); onHeard = undefined }
        level = Math.max(now, level * 0.9)
        bar.style.setProperty('--level', String(Math.min(1, Math.sqrt(level) * 1.6)))
        frame = requestAnimationFrame(draw)
      }
      if (meter) draw()
      else bar.style.setProperty('--level', '0')
    },
  }
}
