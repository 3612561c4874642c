// Opens a town hall for tests in other languages: says where it is in one line of JSON, and ends it once nothing
// more can be read from its input.

import { Town } from './town.js'

const town = await Town.start()
console.log(JSON.stringify({ url: town.url }))
process.stdin.on('end', () => town.stop()).resume()
