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

/** @param {GreenRoom} options @returns {HTMLDialogElement} */
export function greenRoom({ purpose, go, cancelled, muted = true }) {
  const text = TEXTS[purpose]
  let done = false
  const meter = levelBar()
  const microphone = Dais.chooseMicrophone(() => show())
  const hint = h('p', { class: 'note', role: 'status' }, words.green.asking)
  const choice = h('select', { id: 'microphone', disabled: true, onchange: () => open(choice.value) })
  const arriveMuted = h('input', { type: 'checkbox', id: 'arrive-muted', role: 'switch', checked: muted })
  const button = h('button', { type: 'button', class: 'primary', disabled: true }, text.go)
  const retry = h('button', { type: 'button', hidden: true, onclick: () => open(memory.microphone) }, words.tryAgain)

  const box = dialog(text.title, close => {
    button.addEventListener('click', () => {
      if (done) return
      done = true
      const track = microphone.take()
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
    microphone.close()
    if (!done) cancelled?.()
  })

  /** @param {string | undefined} deviceId */
  function open(deviceId) {
    microphone.choose(() => openOrDefault(deviceId))
  }

  function show() {
    const { track, error } = microphone
    hint.classList.toggle('bad', error !== undefined)
    retry.hidden = error === undefined
    // One may listen, and host, without one.
    const without = error !== undefined && purpose === 'enter'
    button.disabled = !track && !without
    button.textContent = without ? words.green.enterWithout : text.go
    fill(hint, error ? inWords(error) : track ? words.green.speakNow : words.green.asking)
    meter.watch(track, () => fill(hint, words.green.heard))
    if (track) listMicrophones(track)
  }

  /** @param {MediaStreamTrack} track */
  async function listMicrophones(track) {
    const all = await Dais.microphones()
    if (track !== microphone.track) return
    const current = track.getSettings().deviceId
    fill(choice, ...all.map(({ deviceId, label }, index) =>
      h('option', { value: deviceId, selected: deviceId === current }, label || words.green.unnamed(index + 1))))
    choice.disabled = all.length < 2
    memory.microphone = current
  }

  open(memory.microphone)
  return box
}

/** The one that was chosen last. */
export const openRemembered = () => openOrDefault(memory.microphone)

/** It may not be plugged in today. @param {string | undefined} deviceId */
async function openOrDefault(deviceId) {
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
