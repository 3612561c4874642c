// The cluster of docker-compose.yml as a form of a town hall, for drills: each part on a host of its own.

import { Cluster } from './cluster.js'
import { Detour } from './detour.js'

/** @import { Form } from '../browser/forms.js' */
/** @import { Service } from './topology.js' */

/**
 * @typedef {object} Change
 * @property {(service: Service) => Record<string, string>} [more] variables of a service beside those that the file gives it
 * @property {number} [linkMs] how long links take, each way
 */

/** @param {Change} [change] @returns {() => Promise<Form>} */
export const compose = ({ more = () => ({}), linkMs } = {}) => async () => {
  /** @type {Detour[]} */
  const detours = []
  const around = linkMs === undefined ? () => ({}) : viaDetours
  const cluster = await Cluster.start(() => {}, service => ({ ...more(service), ...around(service) }))
  const nodes = cluster.services.filter(({ environment }) => environment.DAIS_NODE)
  if (linkMs !== undefined) {
    for (const { address } of nodes.filter(hasLinks)) {
      const via = detourOf(address)
      cluster.network.addAddress(via)
      detours.push(await Detour.to(address, via, linkMs))
    }
  }
  const { programs } = cluster
  for (const { name, environment, address } of nodes) if (environment.DAIS_LISTEN) programs[name].url = `http://${address}:7000`
  const url = programs.nginx.url = `http://${cluster.address('nginx')}:8080`
  const { DAIS_API_KEY: name, DAIS_API_SECRET: secret, ...environment } = cluster.environment
  const { begin, from } = cluster.addPeople()
  return {
    url, programs, environment, cables: {}, key: { name, secret }, cluster,
    regions: Object.fromEntries(nodes.map(({ name, environment }) => [name, environment.DAIS_REGION])),
    where: command => [...begin, ...command, ...command[1] === 'load' ? ['--from', from] : []],
    async clear() {
      detours.forEach(detour => detour.close())
      await cluster.stop()
    },
  }
}

/** @param {Service} service */
const hasLinks = ({ environment }) => 'DAIS_LINK_IP' in environment

/** Nodes tell each other the address of the detour. @param {Service} service */
const viaDetours = service => hasLinks(service) ? { DAIS_LINK_IP: detourOf(/** @type {string} */ (service.address)) } : {}

/** 10.88.1.12 is reached by 10.88.101.12. @param {string} address */
const detourOf = address => address.replace(/^(\d+\.\d+\.)(\d+)/, (_, begin, third) => `${begin}${100 + Number(third)}`)
