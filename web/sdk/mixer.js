// Playback: the voices of whichever session sounds, mixed into one track that stays.
//
// Whoever plays, records or analyses `stream` notices nothing of a promotion or of a change of node: the
// new session is faded in while the old one is faded out, on the audio thread's clock.
//
//   session ─▶ 3 tracks ─▶ gain ┐
//   session ─▶ 3 tracks ─▶ gain ┴▶ destination ─▶ stream

/** Long enough not to click, short enough that two phases of one tone do not cancel out for long. */
const FADE_S = 0.012

export class Mixer {
  #context = new AudioContext({ latencyHint: 'interactive' })
  #out = this.#context.createMediaStreamDestination()

  /** @param {() => void} onChange `blocked` may have changed */
  constructor(onChange) {
    this.#out.channelCount = 1
    this.#context.onstatechange = onChange
  }

  get stream() {
    return this.#out.stream
  }

  /** The browser lets nothing sound before the person touches the page (or a phone call is over). */
  get blocked() {
    return this.#context.state !== 'running'
  }

  /** Best called from a click. */
  async resume() {
    if (this.#context.state !== 'closed') await this.#context.resume()
  }

  /** A channel that is silent at first. @param {MediaStreamTrack[]} tracks */
  channel(tracks) {
    return new Channel(this.#context, this.#out, tracks)
  }

  /** A meter for the level of a track. @param {MediaStreamTrack} track */
  meter(track) {
    return new Meter(track, this.#context)
  }

  close() {
    this.#context.onstatechange = null
    this.#context.close().catch(() => {})
  }
}

export class Channel {
  #context
  #gain
  #sources
  #pump

  /** @param {AudioContext} context @param {AudioNode} out @param {MediaStreamTrack[]} tracks */
  constructor(context, out, tracks) {
    this.#context = context
    this.#gain = new GainNode(context, { gain: 0 })
    this.#gain.connect(out)
    // A source node takes only the first track of its stream.
    this.#sources = tracks.map(track => context.createMediaStreamSource(new MediaStream([track])))
    this.#sources.forEach(source => source.connect(this.#gain))
    // Chromium decodes nothing that no media element plays; muted is enough.
    this.#pump = new Audio()
    this.#pump.muted = true
    this.#pump.srcObject = new MediaStream(tracks)
    this.#pump.play().catch(() => {})
  }

  /** @param {boolean} heard */
  fade(heard) {
    const { gain } = this.#gain
    const now = this.#context.currentTime
    gain.cancelScheduledValues(now)
    gain.setValueAtTime(gain.value, now)
    gain.linearRampToValueAtTime(heard ? 1 : 0, now + FADE_S)
  }

  close() {
    this.#sources.forEach(source => source.disconnect())
    this.#gain.disconnect()
    this.#pump.srcObject = null
  }
}

/** The level of a track, 0 to 1 (the root of the mean square). */
export class Meter {
  #source
  #analyser
  #samples
  #owned

  /** @param {MediaStreamTrack} track @param {AudioContext} [context] its own where none is given */
  constructor(track, context) {
    this.#owned = context ? undefined : new AudioContext()
    const on = context ?? this.#owned ?? new AudioContext()
    this.#source = on.createMediaStreamSource(new MediaStream([track]))
    this.#analyser = new AnalyserNode(on, { fftSize: 1024 })
    this.#samples = new Float32Array(1024)
    this.#source.connect(this.#analyser)
  }

  get level() {
    this.#analyser.getFloatTimeDomainData(this.#samples)
    return Math.sqrt(this.#samples.reduce((sum, x) => sum + x * x, 0) / this.#samples.length)
  }

  close() {
    this.#source.disconnect()
    this.#owned?.close().catch(() => {})
  }
}
