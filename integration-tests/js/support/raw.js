// Calls without the client: whatever bytes over a websocket, and what comes back.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'

import WebSocket from 'ws'

const METADATA = 'content-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\n'
const PATIENCE = 20_000

export const END = Buffer.of(1)

// A gRPC frame as it goes over the websocket. The length may be said to be another one, and the flag.
export function frame(message, { length, flag = 0 } = {}) {
  const body = Buffer.from(message?.serializeBinary?.() ?? message)
  const prefix = Buffer.from([0, flag, 0, 0, 0, 0])
  prefix.writeUInt32BE(length ?? body.length, 2)
  return Buffer.concat([prefix, body])
}

// Opens the websocket of a call.
export async function open(daemon, method, { protocol = 'grpc-websockets', service = 'threads.pb.API', ...options } = {}) {
  const socket = new WebSocket(`ws://${daemon.greeting.web}/${service}/${method}`, protocol, options)
  await once(socket, 'open')
  return socket
}

// Everything that comes until the connection ends: the messages, and the status.
export function answer(socket) {
  return new Promise((resolve, reject) => {
    const pieces = []
    const overdue = setTimeout(() => reject(new Error('the call hangs')), PATIENCE)
    socket.on('message', (data) => pieces.push(Buffer.from(data)))
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(overdue)
      resolve(parse(Buffer.concat(pieces)))
    })
  })
}

function parse(bytes) {
  const found = { messages: [], status: undefined, text: undefined }
  while (bytes.length > 0) {
    const end = 5 + bytes.readUInt32BE(1)
    const body = bytes.subarray(5, end)
    if (bytes[0] === 0) found.messages.push(body)
    else {
      const entries = new Map(body.toString('latin1').split('\r\n').filter(Boolean).map((line) => line.split(/: (.*)/s)))
      if (entries.has('grpc-status')) found.status = Number(entries.get('grpc-status'))
      if (entries.has('grpc-message')) found.text = decodeURIComponent(entries.get('grpc-message'))
    }
    bytes = bytes.subarray(end)
  }
  return found
}

// A whole call: the metadata, messages as they are, and what comes back.
export async function call(daemon, method, messages, { metadata = METADATA, ...options } = {}) {
  const socket = await open(daemon, method, options)
  const answered = answer(socket)
  if (metadata !== undefined) socket.send(typeof metadata === 'string' ? Buffer.from(metadata) : metadata)
  for (const message of messages) socket.send(message)
  return answered
}

// A call with one request.
export function unary(daemon, method, message, options) {
  return call(daemon, method, [frame(message), END], options)
}

// Pseudorandom numbers from a seed, so that what fails can be had again.
export function random(seed = randomBytes(4).readUInt32LE()) {
  let state = seed
  // Mulberry32.
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  const below = (bound) => next() % bound
  return { seed, below, bytes: (length) => Buffer.from(Array.from({ length }, () => below(256))) }
}
