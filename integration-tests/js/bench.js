// What calls cost through the published client, one at a time: a websocket is opened and closed for each. The second row is a websocket alone, with nothing behind it: what remains is
// the client's and ours.

import { once } from 'node:events'
import { performance } from 'node:perf_hooks'

import context from '@textile/context'
import threads from '@textile/threads-client'
import WebSocket from 'ws'

import { Daemon } from './support/daemon.js'
import { adam, person } from './support/people.js'

const CALLS = 2_000
const WARM_UP = 200

async function median(call) {
  const times = []
  for (let number = -WARM_UP; number < CALLS; number++) {
    const start = performance.now()
    await call(number)
    if (number >= 0) times.push(performance.now() - start)
  }
  return times.sort((a, b) => a - b)[times.length >> 1]
}

function show(what, milliseconds) {
  console.log(`${what.padEnd(24)} ${milliseconds.toFixed(2).padStart(6)} ms`)
}

async function websocketAlone() {
  const server = new WebSocket.Server({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  server.on('connection', (socket) => socket.on('message', () => socket.close()))
  const url = `ws://127.0.0.1:${server.address().port}`
  const call = async () => {
    const socket = new WebSocket(url)
    await once(socket, 'open')
    socket.send('x')
    await once(socket, 'close')
  }
  const time = await median(call)
  server.close()
  return time
}

const daemon = await Daemon.start()
try {
  const client = new threads.Client(new context.Context(daemon.host))
  const thread = await client.newDB(undefined, 'people')
  await client.newCollection(thread, { name: 'Person', schema: person })
  const [id] = await client.create(thread, 'Person', [adam()])
  show('has', await median(() => client.has(thread, 'Person', [id])))
  show('websocket, empty', await websocketAlone())
  show('find by id', await median(() => client.findByID(thread, 'Person', id)))
  show('create', await median(() => client.create(thread, 'Person', [adam()])))
} finally {
  await daemon.stop()
}
