// What crosses the WebSocket, as crates/protocol/src/{message,session,error}.rs say it.
// Types only: browsers never load this file.

export interface Offer {
  ufrag: string
  pwd: string
  /** SHA-256 of the certificate, unpadded base64url. */
  fingerprint: string
  opus: number
  red?: number
  level_ext?: number
  nack?: boolean
  lines: number
  framing?: 20 | 60
}

export interface Answer {
  ufrag: string
  pwd: string
  fingerprint: string
  candidates: { protocol: string; ip: string; port: number }[]
  ssrcs: number[]
  red?: boolean
}

export type Purpose = 'listen' | 'speak'
export type RoomState = 'backstage' | 'live' | 'ended'
export type Role = 'host' | 'speaker' | 'listener'

export interface Person { identity: string; name: string }
export interface StageMember extends Person { number: number; host: boolean; muted: boolean }
/** Hands stand in the order of `turn`. */
export interface Hand extends Person { since: number; turn: [number, number] }
export interface Counts { listeners: number; speakers: number; hands: number }
export interface RoomInfo { room: string; title: string; state: RoomState; since: number; seats: number }
export interface You { identity: string; name: string; role: Role; number?: number | undefined; muted: boolean; hand: boolean; invitation?: { by?: string; expires_ms: number } }
export interface Quality { loss: number; concealed: number; jitter_ms: number; delay_ms: number; framing_ms: number }

export interface Welcome {
  type: 'welcome'
  you: You
  room: RoomInfo
  stage_version: number
  stage: StageMember[]
  presence_version: number
  counts: Counts
  people: Person[]
  hands?: Hand[]
  resume: string
  resumed: boolean
  media: { voices: number; ice_servers: RTCIceServer[] }
  now: number
}

export interface MediaAnswer { type: 'media'; purpose: Purpose; node: string; answer: Answer }
export interface ErrorMessage { type: 'error'; code: string; message: string; retry_after_ms?: number }

export interface StageChange { version: number; set: StageMember[]; gone: string[] }
export interface HandsChange { version: number; up: Hand[]; down: string[] }
export interface PresenceChange { version: number; since: number; counts: Counts; joined?: Person[]; left?: string[] }

/** What the server says of its own accord. */
export type Notice =
  | { type: 'room'; state: RoomState; since: number }
  | { type: 'invited'; by?: string; expires_ms: number }
  | { type: 'promoted'; by: string | null; number: number; muted: boolean }
  | { type: 'demoted'; by: string | null }
  | { type: 'muted'; by: string | null }
  | { type: 'pending'; identities: string[] }
  | { type: 'declined'; identity: string; why: 'declined' | 'no_answer' | 'left' }
  | ({ type: 'stage' } & StageChange)
  | ({ type: 'hands' } & HandsChange)
  | ({ type: 'presence' } & PresenceChange)
  | { type: 'moved'; purpose: Purpose; why: string }
  | { type: 'removed'; reason: string }
