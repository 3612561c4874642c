// Runs inside each page, behind inside.js: what becomes of microphones there, and of what is heard through them.

(() => {
  const { mediaDevices } = navigator
  const open = mediaDevices?.getUserMedia.bind(mediaDevices)
  const { replaceTrack } = RTCRtpSender.prototype
  const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

  const microphones = window.microphones = {
    /** Every track that was ever opened. */
    opened: [],
    /** How long the next ones take to open, each; the last holds for those behind it. */
    openMs: [0],
    /** How long the browser takes to change a track. */
    replaceMs: 0,
    get open() {
      return this.opened.filter(track => track.readyState === 'live')
    },
    /** Something leaves. */
    get hot() {
      const senders = window.probe.peers.filter(peer => peer.connectionState !== 'closed').flatMap(peer => peer.getSenders())
      return senders.some(({ track }) => track?.enabled && track.readyState === 'live')
    },
    /** When something last left. */
    hotAt: 0,
  }

  if (mediaDevices) {
    mediaDevices.getUserMedia = async wish => {
      const { openMs } = microphones
      await sleep(openMs.length > 1 ? openMs.shift() : openMs[0])
      const stream = await open(wish)
      microphones.opened.push(...stream.getTracks())
      return stream
    }
  }
  RTCRtpSender.prototype.replaceTrack = async function (track) {
    await sleep(microphones.replaceMs)
    return await replaceTrack.call(this, track)
  }
  setInterval(() => { if (microphones.hot) microphones.hotAt = performance.now() }, 2)
})()
