// A page that publishes over WHIP and does nothing else: it hears nobody, and is told nothing.

/**
 * @param {{ person: (town: import('./town.js').Town) => Promise<import('./person.js').Person> }} browser
 * @param {import('./town.js').Town} town @param {string} url of the signaling node @param {string} token
 * @param {number} hz its tone, once it is `loud(true)`: before that it sends digital silence
 */
export async function publish(browser, town, url, token, hz) {
  const { page } = await browser.person(town)
  await page.goto(`${url}/sdk/v1/dais.js`)
  const location = await page.evaluate(async ([token, hz]) => {
    const { audio } = window.probe
    const out = audio().createMediaStreamDestination()
    const volume = new GainNode(audio(), { gain: 0 })
    const voice = new OscillatorNode(audio(), { frequency: hz })
    voice.connect(volume).connect(out)
    voice.start()
    window.loud = loud => { volume.gain.value = loud ? 0.3 : 0 }
    const peer = new RTCPeerConnection()
    peer.addTransceiver(out.stream.getAudioTracks()[0], { direction: 'sendonly' })
    await peer.setLocalDescription()
    const answer = await fetch('/whip/hall', {
      method: 'POST', body: peer.localDescription.sdp,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/sdp' },
    })
    if (!answer.ok) throw new Error(await answer.text())
    await peer.setRemoteDescription({ type: 'answer', sdp: await answer.text() })
    while (peer.connectionState !== 'connected') await new Promise(resolve => peer.addEventListener('connectionstatechange', resolve, { once: true }))
    return answer.headers.get('location')
  }, [token, hz])
  return { location, loud: loud => page.evaluate(on => window.loud(on), loud) }
}
