// Every word the page says. To translate it, translate this file and set `language` and `direction`.

export const language = 'en'
/** @type {'ltr' | 'rtl'} */
export const direction = 'ltr'

const number = new Intl.NumberFormat(language)
const count = (/** @type {number} */ n, /** @type {string} */ one, /** @type {string} */ many) =>
  `${number.format(n)} ${n === 1 ? one : many}`

export const words = {
  brand: 'Dais',
  close: 'Close',
  cancel: 'Cancel',
  tryAgain: 'Try again',

  join: {
    invited: 'You are invited to',
    name: 'Your name',
    namePlaceholder: 'How others will see you',
    listen: 'Join and listen',
    speak: 'Continue',
    joining: 'Joining…',
    listenNote: 'You join as a listener. Nobody asks for your microphone.',
    hostNote: 'You are a host. Next you choose your microphone.',
    speakerNote: 'You are a speaker. Next you choose your microphone.',
    nextTry: (/** @type {number} */ s) => `Next try in ${s} s`,
    noTokenTitle: 'This page opens with a link',
    noToken: 'Ask whoever invited you for the link to the event. It ends in “#token=…”.',
  },

  tap: { title: 'Tap to listen', note: 'Your browser waits for a touch before it plays sound.' },

  room: {
    live: 'Live',
    backstage: 'Backstage',
    listening: (/** @type {number} */ n) => count(n, 'listening', 'listening'),
    stage: 'On stage',
    stageEmpty: 'Nobody is on stage yet',
    audience: 'Audience',
    audienceEmpty: 'The audience will appear here',
    andMore: (/** @type {number} */ n) => `and ${number.format(n)} more`,
    showAll: 'Show everybody',
    more: 'Show more',
    host: 'Host',
    muted: 'Muted',
    you: 'You',
    handsTitle: 'Hands',
    handsEmpty: 'No hands are up. People can raise one at any time.',
    waiting: (/** @type {string} */ time) => `waiting ${time}`,
    justNow: 'just now',
    bring: 'Bring on stage',
    lowerTheirs: 'Lower hand',
    lowerAll: 'Lower all hands',
    options: (/** @type {string} */ name) => `Options for ${name}`,
    goLive: 'Go live',
    end: 'End event',
  },

  dock: {
    label: 'Your controls',
    mute: 'Mute',
    unmute: 'Unmute',
    raise: 'Raise hand',
    lower: 'Lower hand',
    stepDown: 'Step down',
    settings: 'Settings',
    leave: 'Leave',
  },

  air: {
    live: 'You are live',
    muted: 'You are on stage, muted',
    waiting: 'Bringing you on stage…',
    interrupted: 'You are not heard at this moment',
    noMicrophone: 'You are on stage without a microphone',
    hand: 'Your hand is up. The host sees it.',
    chooseMicrophone: 'Choose one',
  },

  status: {
    joining: 'Connecting…',
    backstageListener: 'The host has not begun yet. Stay here, it starts by itself.',
    backstageSpeaker: 'Backstage: only those on stage hear each other.',
    signaling: 'The connection is interrupted. You go on hearing the stage, we are reconnecting.',
    lost: 'The connection is lost. We are reconnecting.',
    offline: 'You are offline. We reconnect as soon as your network is back.',
    sound: 'The sound stopped. We are repairing it.',
    udp: 'This network blocks UDP, which live sound needs. Try another network, or ask your IT department to allow it.',
    media: 'Your browser could not open the sound. We keep trying.',
    server: 'The server has no room for the moment.',
    crowd: 'Many people are coming in.',
    full: 'Every place is taken for the moment.',
    hearIn: (/** @type {number} */ s) => s > 0 ? `You will hear in about ${s} s.` : 'You will hear in a moment.',
    since: (/** @type {string} */ time) => `for ${time}`,
    nextTry: (/** @type {number} */ s) => `next try in ${s} s`,
    pending: (/** @type {string} */ names) => `${names} may still be heard: an audio server does not answer. We keep trying.`,
    repaired: 'The sound is back.',
    moved: 'Moved to another server.',
    back: 'Connected again.',
  },

  green: {
    raiseTitle: 'Raise your hand',
    raiseNote: 'When the host brings you on stage, this is how you arrive.',
    acceptTitle: 'Go on stage',
    acceptNote: 'Check your microphone. Everybody will hear you.',
    enterTitle: 'Check your microphone',
    enterNote: 'You go on stage as soon as you join.',
    changeTitle: 'Choose a microphone',
    microphone: 'Microphone',
    unnamed: (/** @type {number} */ n) => `Microphone ${n}`,
    level: 'Microphone level',
    speakNow: 'Say something: the bar should move.',
    heard: 'We can hear you.',
    asking: 'Your browser asks for the microphone. Please allow it.',
    startMuted: 'Arrive muted',
    startMutedNote: 'You unmute yourself when you are ready.',
    raise: 'Raise hand',
    accept: 'Go on stage',
    enter: 'Join the event',
    enterWithout: 'Join without a microphone',
    use: 'Use this microphone',
  },

  invitation: {
    title: 'You are invited on stage',
    by: (/** @type {string} */ name) => `${name} would like you to speak.`,
    note: (/** @type {number} */ s) => `The seat is yours for ${s} s.`,
    accept: 'Accept',
    decline: 'No, thank you',
    over: 'The invitation is no longer open.',
  },

  person: {
    promote: 'Bring on stage',
    invite: 'Invite to speak',
    mute: 'Mute',
    demote: 'Move to the audience',
    kick: 'Remove from the event',
    ban: 'Remove for good',
    kickSure: (/** @type {string} */ name) => `Remove ${name}? They may come back.`,
    banSure: (/** @type {string} */ name) => `Remove ${name} for good?`,
    sure: 'Remove',
  },

  confirm: {
    leaveStage: 'You are on stage. Leave the event?',
    end: 'End the event for everybody?',
    endNote: 'Everybody is sent home. This cannot be undone.',
    endSure: 'End for everybody',
  },

  settings: {
    title: 'Settings',
    microphone: 'Change microphone',
    stats: 'Connection details',
    shortcuts: 'Keyboard shortcuts',
    volume: 'Volume',
  },

  help: {
    title: 'Keyboard shortcuts',
    keys: /** @type {[string, string][]} */ ([
      ['M', 'Mute or unmute yourself'],
      ['Space', 'Hold to talk while muted'],
      ['H', 'Raise or lower your hand'],
      ['?', 'Show this sheet'],
      ['Esc', 'Close what is open'],
    ]),
  },

  stats: {
    title: 'Connection details',
    grades: { good: 'Good', fair: 'Fair', poor: 'Poor' },
    lost: (/** @type {string} */ share) => `${share} lost`,
    concealed: (/** @type {string} */ share) => `${share} patched over`,
    buffered: (/** @type {number} */ ms) => `${ms} ms buffered`,
    jitter: (/** @type {number} */ ms) => `${ms} ms jitter`,
    framing: (/** @type {number} */ ms) => `${ms} ms framing`,
    rate: (/** @type {string} */ rate) => `${rate} kbit/s`,
    nothing: 'No session yet',
    copy: 'Copy for a bug report',
    copied: 'Copied',
  },

  gone: {
    left: ['You have left', 'Thank you for listening.'],
    ended: ['The event has ended', 'Thank you for being here.'],
    kicked: ['A host removed you', 'You may join again if you are welcome.'],
    banned: ['A host removed you', 'You cannot join this event again.'],
    replaced: ['You joined from somewhere else', 'This page has made way for the other one.'],
    other: ['You are no longer in the room', ''],
    again: 'Join again',
  },

  said: {
    onStage: 'You are on stage.',
    unmutedOnStage: 'You are on stage and everybody hears you.',
    offStage: 'You are back in the audience.',
    mutedBy: 'A host muted you.',
    muted: 'Muted.',
    unmuted: 'Everybody hears you.',
    handUp: 'Your hand is up.',
    handLowered: 'Your hand was lowered.',
    handDown: 'Your hand is down.',
    allHandsDown: 'All hands are down.',
    joinedStage: (/** @type {string} */ names) => `${names} joined the stage.`,
    leftStage: (/** @type {string} */ names) => `${names} left the stage.`,
    handsUp: (/** @type {string} */ name) => `${name} raised a hand.`,
    wentLive: 'The event is live.',
    invited: (/** @type {string} */ name) => `${name} has been invited.`,
    declined: {
      declined: (/** @type {string} */ name) => `${name} does not want to speak now.`,
      no_answer: (/** @type {string} */ name) => `${name} did not answer.`,
      left: (/** @type {string} */ name) => `${name} has left.`,
    },
    microphoneGone: 'Your microphone was unplugged.',
    keepListening: 'Live sound',
  },

  /** By error code, the server's and the SDK's. @type {Record<string, string>} */
  errors: {
    unauthorized: 'This link is not valid or has expired. Ask for a new one.',
    forbidden: 'You are not allowed to do that.',
    banned: 'A host has removed you from this event for good.',
    kicked: 'A host has removed you from this event.',
    not_found: 'That is no longer here.',
    ended: 'This event has ended.',
    conflict: 'That does not fit any more: something changed in the meantime.',
    stage_full: 'Every seat on stage is taken.',
    hands_full: 'Very many hands are up. Try again in a while.',
    room_full: 'The room is full.',
    rate_limited: 'That was a little too often. Wait a moment.',
    unavailable: 'The servers have no room for the moment.',
    busy: 'Many people are coming in. Wait a moment.',
    full: 'Every place is taken for the moment.',
    unreachable: 'The server cannot be reached. Check your connection.',
    timeout: 'The server did not answer.',
    not_connected: 'The connection is interrupted. Try again in a moment.',
    microphone_needs_https: 'Browsers give the microphone only to secure pages. Open this page over https:// or on localhost.',
    microphone_denied: 'The microphone is not allowed. Allow it in your browser’s address bar, then try again.',
    microphone_missing: 'No microphone was found. Plug one in, then try again.',
    microphone_busy: 'The microphone cannot be opened. Another program may be using it.',
  },
  errorOther: (/** @type {string} */ message) => `Something went wrong: ${message}`,
}

/** An error in words. @param {unknown} error */
export function inWords(error) {
  const { code = '', message = String(error) } = /** @type {{ code?: string, message?: string }} */ (error)
  return words.errors[code] ?? words.errorOther(message)
}

/** A list of names: “Anna, Ben and Carl”. @param {string[]} names */
export function list(names) {
  return new Intl.ListFormat(language).format(names)
}

/** How long in a few characters: `45 s`, `3 min`, `1 h 20 min`. @param {number} ms */
export function roughly(ms) {
  const s = Math.max(0, Math.floor(ms / 1000))
  if (s < 60) return `${s} s`
  const minutes = Math.floor(s / 60)
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** A running clock: `4:05`, `1:02:33`. @param {number} ms */
export function clock(ms) {
  const s = Math.max(0, Math.floor(ms / 1000))
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0')
  const hours = Math.floor(s / 3600)
  const rest = `${hours ? two(Math.floor(s / 60) % 60) : Math.floor(s / 60)}:${two(s % 60)}`
  return hours ? `${hours}:${rest}` : rest
}
