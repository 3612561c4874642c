// What the page remembers: the name and the microphone for good, that one was inside for this tab only.

/** @param {Storage} storage @param {string} key */
function read(storage, key) {
  try { return storage.getItem(key) ?? undefined } catch { return undefined }
}

/** @param {Storage} storage @param {string} key @param {string | undefined} value */
function write(storage, key, value) {
  try {
    if (value === undefined) storage.removeItem(key)
    else storage.setItem(key, value)
  } catch { /* private windows may forbid it */ }
}

export const memory = {
  get name() { return read(localStorage, 'dais.name') ?? '' },
  set name(value) { write(localStorage, 'dais.name', value) },

  get microphone() { return read(localStorage, 'dais.microphone') },
  set microphone(id) { write(localStorage, 'dais.microphone', id) },

  /** The token one is in with: a reload goes straight back. */
  get inside() { return read(sessionStorage, 'dais.inside') },
  set inside(token) { write(sessionStorage, 'dais.inside', token) },
}
