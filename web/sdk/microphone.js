// The microphone, and the words for why there is none.

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

/** @param {Error} error */
function reason(error) {
  if (error.name === 'NotAllowedError' || error.name === 'SecurityError') return own('microphone_denied')
  if (error.name === 'NotFoundError' || error.name === 'OverconstrainedError') return own('microphone_missing')
  if (error.name === 'NotReadableError' || error.name === 'AbortError') return own('microphone_busy')
  return new DaisError('microphone_denied', error.message)
}
