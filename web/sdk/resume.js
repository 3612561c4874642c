// What opens the door again after a cut or a reload, kept for this tab only.

const VALID_MS = 60_000

/** @typedef {{ resume: string, at: number }} Kept */

/** Keys in use on this page: two joins with one guest pass are two people. @type {Set<string>} */
const taken = new Set()

export class ResumeToken {
  #key
  /** @type {string | undefined} */
  #value

  /** @param {string} url @param {string} token whose room and identity the resume token belongs to */
  constructor(url, token) {
    const { room, sub = '' } = readClaims(token)
    let key = `dais.resume ${url} ${room} ${sub}`
    while (taken.has(key)) key += '+'
    taken.add(key)
    this.#key = key
    this.#value = this.#unpack()
    addEventListener('pagehide', this.#pack)
    addEventListener('pageshow', this.#unpack)
  }

  /** It works once, so taking it forgets it. */
  take() {
    const value = this.#value
    this.#value = undefined
    return value
  }

  set(/** @type {string | undefined} */ value) {
    this.#value = value
  }

  /** For good. */
  forget() {
    this.#value = undefined
    taken.delete(this.#key)
    removeEventListener('pagehide', this.#pack)
    removeEventListener('pageshow', this.#unpack)
  }

  /** Kept only between two pages: a tab that is duplicated meanwhile must not become the same person. */
  #pack = () => {
    if (!this.#value) return
    try {
      sessionStorage.setItem(this.#key, JSON.stringify({ resume: this.#value, at: Date.now() }))
    } catch { /* storage is forbidden: a reload then joins anew */ }
  }

  #unpack = () => {
    try {
      const kept = /** @type {Kept | null} */ (JSON.parse(sessionStorage.getItem(this.#key) ?? 'null'))
      sessionStorage.removeItem(this.#key)
      return kept && Date.now() - kept.at < VALID_MS ? kept.resume : undefined
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
