// Errors: the server's codes, and the SDK's own, in one type. Programs read `code`, people `message`.

/** @import { ErrorMessage } from './protocol' */

const OWN = {
  unreachable: 'the server cannot be reached',
  timeout: 'the server did not answer in time',
  not_connected: 'the connection to the server is interrupted',
  left: 'the room has been left',
  udp_blocked: 'this network lets no UDP through to the media server',
  media_failed: 'the browser could not open the media session',
  no_audio: 'nothing arrives from the media server',
  microphone_needs_https: 'browsers give the microphone only to pages on https:// or localhost',
  microphone_denied: 'the microphone was not allowed',
  microphone_missing: 'no microphone was found',
  microphone_busy: 'the microphone cannot be opened, another program may be using it',
}

/** @typedef {keyof typeof OWN} OwnCode */

export class DaisError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {number} [retryAfterMs] when another try may work
   */
  constructor(code, message, retryAfterMs) {
    super(message)
    this.name = 'DaisError'
    this.code = code
    this.retryAfterMs = retryAfterMs
  }
}

/** An error of the SDK's own. @param {OwnCode} code */
export const own = code => new DaisError(code, OWN[code])

/** @param {ErrorMessage} said */
export const fromServer = said => new DaisError(said.code, said.message, said.retry_after_ms)
