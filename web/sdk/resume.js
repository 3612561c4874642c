// What opens the door again after a cut or a reload, kept for this tab only.

const VALID_MS = 60_000

/** @typedef {{ resume: string, muted: boolean, at: number }} Kept */

/** Keys in use on this page: two joins with one guest pass are two people. @type {Set<string>} */
const taken = new Set()

export class ResumeToken {
  #key
  #isMuted
  /** The last one that a `welcome` brought: good until its successor is shown. @type {string | undefined} */
  value
  /** Whether one was muted when the page went. */
  wasMuted = false

  /**
   * @param {string} url
   * @param {string} token whose room and identity the resume token belongs to
   * @param {() => boolean} isMuted asked when the page goes: a mute that has not reached the server must not be lost
   */
  constructor(url, token, isMuted) {
    const { room, sub = '' } = readClaims(token)
    let key = `dais.resume ${url} ${room} ${sub}`
    while (taken.has(key)) key += '+'
    taken.add(key)
    this.#key = key
    this.#isMuted = isMuted
    const kept = this.#unpack()
    this.value = kept?.resume
    this.wasMuted = kept?.muted ?? false
    addEventListener('pagehide', this.#pack)
    addEventListener('pageshow', this.#unpack)
  }

  /** For whoever joins next on this page. */
  keep() {
    this.#pack()
    this.forget()
  }

  /** For good. */
  forget() {
    this.value = undefined
    taken.delete(this.#key)
    removeEventListener('pagehide', this.#pack)
    removeEventListener('pageshow', this.#unpack)
  }

  /** Kept only between two pages: a tab that is duplicated meanwhile must not become the same person. */
  #pack = () => {
    if (!this.value) return
    try {
      sessionStorage.setItem(this.#key, JSON.stringify({ resume: this.value, muted: this.#isMuted(), at: Date.now() }))
    } catch { /* storage is forbidden: a reload then joins anew */ }
  }

  #unpack = () => {
    try {
      const kept = /** @type {Kept | null} */ (JSON.parse(sessionStorage.getItem(this.#key) ?? 'null'))
      sessionStorage.removeItem(this.#key)
      return kept && Date.now() - kept.at < VALID_MS ? kept : undefined
    } catch {
      return undefined
    }
  }
}

/**
 * The claims of a JWT, unchecked: only the server can check them.
 * @param {string} token
 * @returns {{ room?: string, sub?: string, name?: string, role?: string }}
 */
export function readClaims(token) {
  try {
    const part = (token.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/')
    const bytes = Uint8Array.from(atob(part), char => char.charCodeAt(0))
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return {}
  }
}
