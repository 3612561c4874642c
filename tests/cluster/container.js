// A service as an engine would run it: in a network namespace and with a root of its own, which is this machine's with
// the service's files in it. What it writes is gone with it, but for its volumes.

import { mkdirSync, mkdtempSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { PROGRAM } from '../browser/forms.js'
import { Program } from '../browser/program.js'
import { namespace } from './network.js'

/** @import { Mount, Service } from './topology.js' */

/** Where images have the program. */
const INSIDE = '/usr/local/bin/dais'
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * @param {Service} service
 * @param {{ project: string, volumes: string, hosts: string }} here where the compose file is, where volumes are kept, and a file of all names
 */
export function container(service, { project, volumes, hosts }) {
  const root = mkdtempSync(join(tmpdir(), 'dais-root-'))
  const mounts = [...service.mounts, { target: INSIDE, source: PROGRAM }, { target: '/etc/hosts', source: hosts }]
  const steps = [
    `mount -t tmpfs tmpfs ${root}`,
    `mkdir ${root}/upper ${root}/work ${root}/root`,
    `mount -t overlay overlay -o lowerdir=/,upperdir=${root}/upper,workdir=${root}/work ${root}/root`,
    ...['proc', 'sys', 'dev'].map(name => `mount --rbind /${name} ${root}/root/${name}`),
    ...service.tmpfs.map(target => `mkdir -p ${root}/root${target}`),
    ...mounts.flatMap(one => bind(`${root}/root${one.target}`, from(one, project, volumes))),
    `exec chroot ${root}/root env -i ${[`PATH=${PATH}`, ...Object.entries(service.environment).map(pair => pair.join('='))].map(quoted).join(' ')} `
      + programOf(service).map(quoted).join(' '),
  ]
  const isolated = ['unshare', '--mount', '--propagation', 'private', 'sh', '-ec', steps.join('\n')]
  const program = service.address ? new Program('ip', 'netns', 'exec', namespace(service.name), ...isolated) : new Program(isolated[0], ...isolated.slice(1))
  program.name = service.name
  return program
}

/** nginx looks for its file where it was built to, which is another place in Debian. @param {Service} service */
function programOf({ command }) {
  return command[0] === 'nginx' ? [...command, '-c', '/etc/nginx/nginx.conf', '-e', 'stderr'] : command
}

/** Where a mount is on this machine. @param {Mount} mount */
function from({ source, volume, subpath }, project, volumes) {
  if (source) return resolve(project, source)
  const path = join(volumes, volume, subpath ?? '')
  mkdirSync(path, { recursive: true })
  return path
}

function bind(target, source) {
  const isDirectory = statSync(source).isDirectory()
  const made = isDirectory ? `mkdir -p ${target}` : `mkdir -p $(dirname ${target}) && touch ${target}`
  return [made, `mount --bind ${quoted(source)} ${target}`]
}

/** For a shell. @param {string} text */
const quoted = text => `'${text.replaceAll("'", `'\\''`)}'`
