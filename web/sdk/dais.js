// The Dais SDK: join a room, hear it, speak in it.
//
//   import { Dais } from '/sdk/v1/dais.js'
//   const room = await Dais.join({ token, name })
//   audio.srcObject = room.stream
//   room.addEventListener('stage', () => show(room.stage))
//
// Everything else in this folder is not public and may change.

import { DaisError } from './errors.js'
import { MicrophoneChoice, microphones, openMicrophone } from './microphone.js'
import { Meter } from './mixer.js'
import { readClaims } from './resume.js'
import { Room } from './room.js'

/** @import { JoinOptions } from './room.js' */

export const Dais = {
  /**
   * Enters a room; resolves once one is in, audio follows. Call it from a click, so that the browser lets
   * it sound.
   * @param {JoinOptions} options
   * @returns {Promise<Room>}
   */
  join: options => new Room(options).enter(),

  /** Opens a microphone; rejects with `microphone_needs_https`, `microphone_denied`, `_missing` or `_busy`. */
  openMicrophone,

  /** Which microphones there are; their names are known once one has been allowed. */
  microphones,

  /**
   * For a place where one chooses a microphone: `choose(open)` as often as one likes, `track` and `error`, then
   * `take()` it or `close()`. However fast one chooses, none stays open but the last.
   * @param {() => void} onChange
   */
  chooseMicrophone: onChange => new MicrophoneChoice(onChange),

  /** A meter for a track: `level` is 0 to 1. Close it. @param {MediaStreamTrack} track */
  meter: track => new Meter(track),

  /** What a token says of itself, unchecked: for showing a name or a room before joining. */
  readClaims,
}

export { DaisError, Room }
