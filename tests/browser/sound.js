// A sound card that plays to nobody: Firefox runs no AudioContext on a machine without one.

import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { eventually } from './town.js'

/** @returns {Promise<{ env: Record<string, string>, close: () => void }>} what a browser needs to find it */
export async function openSoundCard() {
  const home = mkdtempSync(join(tmpdir(), 'dais-sound-'))
  const socket = join(home, 'socket')
  const server = spawn('pulseaudio', [
    '-n', '--daemonize=no', '--exit-idle-time=-1', '--use-pid-file=no',
    '-L', 'module-null-sink', '-L', `module-native-protocol-unix socket=${socket} auth-anonymous=1`,
  ], { stdio: 'ignore', env: { ...process.env, HOME: home, XDG_RUNTIME_DIR: home } })
  let failed
  server.on('error', error => { failed = error })
  await eventually('pulseaudio runs', () => {
    if (failed) throw new Error(`Firefox needs pulseaudio to be installed: ${failed.message}`)
    return existsSync(socket)
  })
  return {
    env: { PULSE_SERVER: `unix:${socket}` },
    close: () => {
      server.kill()
      rmSync(home, { recursive: true, force: true })
    },
  }
}
