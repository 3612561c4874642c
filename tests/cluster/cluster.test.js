// The cluster of docker-compose.yml: people in both regions hear, everybody is watched, one more edge comes with one
// command, and one that dies is told of. Each part is a real process on a host of its own. Needs root.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { eventually } from '../browser/program.js'
import { Cluster } from './cluster.js'
import { inSource, metrics, panels } from './panels.js'

const LISTENERS = 120
/** How long a run of the load goes on: until everything was scraped a few times. */
const DURATION_S = 60

/** @type {Cluster} */
let cluster
/** The report of `dais load`, which runs meanwhile. @type {Promise<any>} */
let load
before(async () => {
  cluster = await Cluster.start()
  const { begin, from } = cluster.addPeople()
  const nodes = cluster.services.filter(({ environment }) => environment.DAIS_MEDIA).flatMap(({ address }) => ['--metrics', `http://${address}:7001`])
  const people = ['--listeners', `${LISTENERS}`, '--speakers', '3', '--talk', 'all', '--ramp', '60', '--hands', '5', '--promote', '6']
  const url = `http://${cluster.address('nginx')}:8080`
  load = cluster.run(...begin, cluster.bin, 'load', '--json', '--from', from, '--url', url, ...people, '--duration', `${DURATION_S}s`, ...nodes).then(JSON.parse)
  load.catch(() => {})
})
after(() => cluster?.stop())

const prometheus = async path => (await fetch(`http://${cluster.address('prometheus')}:9090/api/v1/${path}`)).json()
const ask = async query => {
  const answer = await prometheus(`query?query=${encodeURIComponent(query)}`)
  assert.equal(answer.status, 'success', `${query}: ${answer.error}`)
  return answer.data.result
}
const sum = async query => (await ask(query)).reduce((total, { value }) => total + Number(value[1]), 0)
const firing = async () => {
  const { data } = await prometheus('alerts')
  return data.alerts.filter(({ state }) => state === 'firing').map(({ labels }) => labels.alertname)
}

test('every node is there, in its region', async () => {
  const nodes = JSON.parse(await cluster.run(cluster.bin, 'nodes', '--json'))
  const seen = nodes.map(({ node, region }) => `${node} ${region}`).sort()
  const deployed = cluster.services.flatMap(({ environment: { DAIS_NODE, DAIS_REGION } }) => DAIS_NODE ? [`${DAIS_NODE} ${DAIS_REGION}`] : [])
  assert.deepEqual(seen, deployed.sort())
})

test('Prometheus scrapes every part, and people of both regions are at edges of theirs', async () => {
  await eventually('Prometheus is ready', () => fetch(`http://${cluster.address('prometheus')}:9090/-/ready`).then(({ ok }) => ok, () => false), 60_000)
  await eventually('all are scraped', async () => await sum('count(up == 1)') === 10, 60_000)
  await eventually('everybody is in', async () => await sum('sum(dais_edge_listeners)') === LISTENERS, 60_000)
  for (const region of ['a', 'b']) assert.ok(await sum(`sum(dais_edge_listeners{region="${region}"})`) > 0, region)
})

test('every panel of every dashboard shows something', async () => {
  const known = inSource()
  for (const { dashboard, title, queries } of panels()) {
    for (const { text, isRare } of queries) {
      const where = `${dashboard}, ${title}: ${text}`
      if (!isRare) await eventually(where, async () => (await ask(text)).length > 0, 45_000)
      else if (!(await ask(text)).length) assert.deepEqual(metrics(text).filter(name => !known.has(name)), [], `${where}: there is no such metric`)
    }
  }
})

test('an edge more is one command on another host, and takes people', async () => {
  const edge = await cluster.addEdge('edge-b3', '10.88.2.14')
  await eventually('it is known', async () => (await cluster.run(cluster.bin, 'nodes')).includes('edge-b3'), 30_000)
  edge.process.kill('SIGTERM')
  assert.equal(await edge.ended, 0)
})

test('everybody has heard everything', async () => {
  const { listeners, audio, by_region } = await load
  assert.deepEqual([listeners.joined, listeners.failed, listeners.dropped], [LISTENERS, 0, 0])
  assert.deepEqual([audio.undecryptable, audio.duplicates], [0, 0])
  assert.ok(audio.loss_ratio < 0.001, `${audio.loss_ratio}`)
  assert.deepEqual(Object.keys(by_region).sort(), ['a', 'b'])
})

test('nothing is wrong, and nobody is woken', async () => {
  assert.deepEqual(await firing(), [])
})

test('an edge that dies is told of, and nothing else', async () => {
  await cluster.program('edge-b2').kill()
  await eventually('the alert', async () => (await firing()).length > 0, 180_000)
  assert.deepEqual([...new Set(await firing())], ['NodeGone'])
})
