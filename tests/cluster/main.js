// `make cluster`: the cluster of docker-compose.yml on this machine, for somebody to look at, until they press Ctrl-C.

import { execFileSync } from 'node:child_process'

import { PROGRAM } from '../browser/forms.js'
import { Cluster } from './cluster.js'

const cluster = await Cluster.start(says => console.log(`${says}; waiting until they are ready`))
const token = (role, ...more) =>
  execFileSync(PROGRAM, ['token', '--room', 'all-hands', '--role', role, ...more], { env: { ...process.env, ...cluster.environment }, encoding: 'utf8' }).trim()
const [page, prometheus] = await Promise.all(['nginx', 'prometheus'].map(name => cluster.open(name)))
const { begin, from } = cluster.addPeople()
const wide = Math.max(...cluster.services.map(({ name }) => name.length))

console.log(`
The cluster is up.

  For the host    ${page}/#token=${token('host', '--identity', 'host', '--name', 'Host')}
  For listeners   ${page}/#token=${token('listener')}
  Prometheus      ${prometheus}

Each on a host of its own:

${cluster.services.filter(({ address }) => address).map(({ name, address }) => `  ${name.padEnd(wide)}  ${address}`).join('\n')}

What else one may want to do, in another shell:

  export ${Object.entries(cluster.environment).map(pair => pair.join('=')).join(' ')}
  dais nodes
  dais drain edge-a2
  ip netns exec dais-edge-a3 ip link set eth0 down
  ${begin.join(' ')} dais load --from ${from} --url http://${cluster.address('nginx')}:8080 --listeners 500 --speakers 4

Ctrl-C ends it, and leaves nothing behind.`)

await new Promise(resolve => ['SIGINT', 'SIGTERM'].forEach(signal => process.once(signal, resolve)))
await cluster.stop()
