// The microphone, and the words for why there is none.

import { Device } from './device.js'
import { DaisError, own } from './errors.js'

/**
 * Opens a microphone. Ask only when somebody is about to speak.
 * @param {string} [deviceId]
 * @returns {Promise<MediaStreamTrack>}
 */
export async function openMicrophone(deviceId) {
  if (!navigator.mediaDevices?.getUserMedia) throw own('microphone_needs_https')
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 }
  const wish = deviceId ? { ...audio, deviceId: { exact: deviceId } } : audio
  const stream = await navigator.mediaDevices.getUserMedia({ audio: wish }).catch(error => {
    throw reason(error)
  })
  const [track] = stream.getAudioTracks()
  if (!track) throw own('microphone_missing')
  return track
}

/** Names are empty until a microphone has been allowed. */
export async function microphones() {
  const devices = await navigator.mediaDevices?.enumerateDevices() ?? []
  return devices.filter(device => device.kind === 'audioinput')
}

/** A microphone while it is chosen: one at most is open, and it is the newest choice. */
export class MicrophoneChoice {
  #device = new Device()
  #onChange
  /** Why it could not be opened. @type {DaisError | undefined} */
  error

  /** @param {() => void} onChange `track` or `error` changed */
  constructor(onChange) {
    this.#onChange = onChange
    this.#device.need(true)
  }

  get track() { return this.#device.track }

  /** @param {() => Promise<MediaStreamTrack>} open */
  choose(open) {
    this.#device.use({ open })
    this.#changed()
  }

  /** Yours to stop, from now on. */
  take() { return this.#device.take() }

  close() {
    this.#device.need(false)
    this.#go()
  }

  /** @param {DaisError} [error] */
  #changed(error) {
    this.error = error
    this.#go()
    this.#onChange()
  }

  #go() {
    for (const step of this.#device.next()) {
      if (step.do === 'stop') step.track.stop()
      else this.#open(step.open, step.wish)
    }
  }

  /** @param {() => Promise<MediaStreamTrack>} open @param {number} wish */
  #open(open, wish) {
    open().then(track => {
      track.addEventListener('ended', () => this.#device.ended(track) && this.#changed(own('microphone_missing')))
      if (this.#device.opened(wish, track)) this.#changed()
      else this.#go()
    }, error => this.#device.failed(wish) && this.#changed(error))
  }
}

/** @param {Error} error */
function reason(error) {
  if (error.name === 'NotAllowedError' || error.name === 'SecurityError') return own('microphone_denied')
  if (error.name === 'NotFoundError' || error.name === 'OverconstrainedError') return own('microphone_missing')
  if (error.name === 'NotReadableError' || error.name === 'AbortError') return own('microphone_busy')
  return new DaisError('microphone_denied', error.message)
}
