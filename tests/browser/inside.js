// Runs inside each page before anything else: counts what peer connections negotiate, and gives the tests
// a voice and ears.

(() => {
  /** How much of an FFT is looked at around a tone, in bins. */
  const NEAR = 3
  const FFT = 16_384

  let context
  const audio = () => context ??= new AudioContext({ sampleRate: 48_000 })

  /** Each peer connection that was ever made here, with how often it was given a description. */
  const peers = []
  const Native = window.RTCPeerConnection
  window.RTCPeerConnection = class extends Native {
    descriptions = 0

    constructor(...args) {
      super(...args)
      peers.push(this)
    }

    setLocalDescription(...args) {
      this.descriptions++
      return super.setLocalDescription(...args)
    }

    setRemoteDescription({ type, sdp }) {
      this.descriptions++
      return super.setRemoteDescription({ type, sdp: rerouted(sdp) })
    }
  }

  /** Leads the candidates of an answer through other ports, where a test has laid wires. */
  function rerouted(sdp) {
    const ports = window.probe.reroute ?? {}
    return sdp.replace(/ (\d+) typ host/g, (whole, port) => (ports[port] ? ` ${ports[port]} typ host` : whole))
  }

  /** A microphone into which somebody whistles: `hz`, a little louder and softer, as no fan does. */
  function whistle(hz) {
    const out = audio().createMediaStreamDestination()
    const volume = new GainNode(audio(), { gain: 0.25 })
    const slow = new OscillatorNode(audio(), { frequency: 4 })
    slow.connect(new GainNode(audio(), { gain: 0.08 })).connect(volume.gain)
    const voice = new OscillatorNode(audio(), { frequency: hz })
    voice.connect(volume).connect(out)
    slow.start()
    voice.start()
    return out.stream.getAudioTracks()[0]
  }

  /** Which of these frequencies sound in a stream. */
  class Ear {
    #analyser = new AnalyserNode(audio(), { fftSize: FFT, smoothingTimeConstant: 0 })
    #decibels = new Float32Array(FFT / 2)

    constructor(stream) {
      audio().createMediaStreamSource(stream).connect(this.#analyser)
    }

    loudness(hz) {
      const bin = Math.round(hz * FFT / audio().sampleRate)
      return Math.max(...this.#decibels.slice(bin - NEAR, bin + NEAR + 1))
    }

    /** The strongest frequency, and which of `tones` are there at all. */
    hears(tones) {
      this.#analyser.getFloatFrequencyData(this.#decibels)
      const loudest = this.#decibels.reduce((best, db, bin) => (db > this.#decibels[best] ? bin : best), 0)
      return {
        strongest: loudest * audio().sampleRate / FFT,
        decibels: this.#decibels[loudest],
        tones: tones.filter(hz => this.loudness(hz) > -60 && this.loudness(hz) > this.#decibels[loudest] - 30),
      }
    }
  }

  /** Records streams side by side, sample by sample on one clock; `seconds` says how far it is. */
  async function record(streams) {
    const source = `registerProcessor('tape', class extends AudioWorkletProcessor {
      process(inputs) {
        const quiet = new Float32Array(128)
        this.port.postMessage(inputs.map(input => Float32Array.from(input[0] ?? quiet)))
        return true
      }
    })`
    await audio().audioWorklet.addModule(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })))
    const tape = new AudioWorkletNode(audio(), 'tape', { numberOfInputs: streams.length, channelCount: 1, channelCountMode: 'explicit' })
    const blocks = []
    tape.port.onmessage = ({ data }) => blocks.push(data)
    streams.forEach((stream, input) => audio().createMediaStreamSource(stream).connect(tape, 0, input))
    tape.connect(audio().destination)
    const stop = () => {
      tape.disconnect()
      return streams.map((_, input) => {
        const samples = new Float32Array(blocks.length * 128)
        blocks.forEach((block, at) => samples.set(block[input], at * 128))
        return samples
      })
    }
    return { stop, seconds: () => blocks.length * 128 / audio().sampleRate }
  }

  /** How loud a frequency is in a stretch of samples (Goertzel), 1 for a full sine. */
  function share(samples, from, length, hz) {
    const turn = 2 * Math.cos(2 * Math.PI * hz / audio().sampleRate)
    let [last, before] = [0, 0]
    for (let i = from; i < from + length; i++) [last, before] = [samples[i] + turn * last - before, last]
    return 2 * Math.sqrt(Math.max(0, last * last + before * before - turn * last * before)) / length
  }

  /** `share` of each 10 ms. */
  function envelope(samples, hz, length = 480) {
    return Array.from({ length: Math.floor(samples.length / length) }, (_, i) => share(samples, i * length, length, hz))
  }

  /** The longest time for which a tone that should always sound, once it has begun, does not. */
  function longestGapMs(samples, hz) {
    const whole = envelope(samples, hz)
    const loudness = whole.slice(whole.findIndex(level => level > 0.1))
    const usual = loudness.toSorted((a, b) => a - b)[Math.floor(loudness.length / 2)]
    let [longest, run] = [0, 0]
    for (const level of loudness) {
      run = level < usual / 5 ? run + 10 : 0
      longest = Math.max(longest, run)
    }
    return longest
  }

  /** Where a tone is loudest, over 100 ms: neighbours in frequency stay out of it. */
  function loudest(samples, hz) {
    return Math.max(...envelope(samples, hz, 4800))
  }

  /** A mouth that clicks once a second, and hums so softly between that the voice stays open. */
  function clicks(count) {
    const out = audio().createMediaStreamDestination()
    const hum = new OscillatorNode(audio(), { frequency: 200 })
    hum.connect(new GainNode(audio(), { gain: 0.02 })).connect(out)
    hum.start()
    const click = new AudioBuffer({ length: 240, sampleRate: 48_000 })
    click.getChannelData(0).set(Array.from({ length: 240 }, (_, i) => 0.9 * Math.sin(2 * Math.PI * 1000 * i / 48_000)))
    const play = () => new Promise(resolve => {
      const first = audio().currentTime + 3
      for (let i = 0; i < count; i++) {
        const source = new AudioBufferSourceNode(audio(), { buffer: click })
        source.connect(out)
        source.start(first + i)
      }
      const end = new ConstantSourceNode(audio(), { offset: 0 })
      end.onended = () => resolve()
      end.connect(out)
      end.start(first)
      end.stop(first + count)
    })
    return { stream: out.stream, play }
  }

  /** From each click in `mouth` to the next onset in `ear`. */
  function delaysMs(mouth, ear) {
    const onset = (samples, from, loud) => samples.findIndex((x, i) => i >= from && Math.abs(x) > loud)
    const delays = []
    for (let at = onset(mouth, 0, 0.2); at >= 0; at = onset(mouth, at + 24_000, 0.2)) {
      const heard = onset(ear, at, 0.15)
      if (heard >= 0 && heard < at + 36_000) delays.push(Math.round((heard - at) / 48))
    }
    return delays
  }

  window.probe = { audio, peers, whistle, Ear, record, longestGapMs, loudest, clicks, delaysMs }
})()
