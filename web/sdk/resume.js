// What opens the door again after a cut or a reload, kept for this tab only.

const VALID_MS = 60_000

/** @typedef {{ resume: string, at: number }} Kept */

export class ResumeToken {
  #key
  /** @type {string | undefined} */
  #value

  /** @param {string} url @param {string} token whose room and identity the resume token belongs to */
  constructor(url, token) {
    const claims = readClaims(token)
    this.#key = `dais.resume ${url} ${claims.room} ${claims.sub ?? ''}`
    this.#value = this.#stored()
    addEventListener('pagehide', this.#touch)
  }

  /** The 60 s run from the cut. */
  #touch = () => this.set(this.#value)

  /** For good. */
  forget() {
    removeEventListener('pagehide', this.#touch)
    this.set(undefined)
  }

  /** It works once, so taking it forgets it. */
  take() {
    const value = this.#value
    this.set(undefined)
    return value
  }

  set(/** @type {string | undefined} */ value) {
    this.#value = value
    try {
      if (value) sessionStorage.setItem(this.#key, JSON.stringify({ resume: value, at: Date.now() }))
      else sessionStorage.removeItem(this.#key)
    } catch { /* storage is forbidden: a reload then joins anew */ }
  }

  #stored() {
    try {
      const kept = /** @type {Kept | null} */ (JSON.parse(sessionStorage.getItem(this.#key) ?? 'null'))
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
