// Takes away what a cluster has left that was killed: its namespaces, what runs in them, and its bridge.
import { clear } from './network.js'

clear()
