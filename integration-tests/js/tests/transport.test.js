// The transport of the published client with a service that answers.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import grpcWeb from '@improbable-eng/grpc-web'
import transport from '@textile/grpc-transport'

import { Daemon } from '../support/daemon.js'

const { grpc } = grpcWeb

let daemon

before(async () => {
  daemon = await Daemon.start()
})

after(async () => {
  assert.equal(await daemon.stop(), 0)
})

// A method whose messages are bytes.
function method(methodName, responseStream) {
  return {
    methodName,
    service: { serviceName: 'spool.v1.Spool' },
    requestStream: false,
    responseStream,
    requestType: Object,
    responseType: { deserializeBinary: (bytes) => bytes },
  }
}

function shows(token) {
  return new grpc.Metadata({ authorization: `bearer ${token}` })
}

function message(bytes) {
  return { serializeBinary: () => bytes, toObject: () => ({}) }
}

test('a unary call is answered with its message', async () => {
  const { output, messages } = await new Promise((resolve) => {
    const messages = []
    grpc.invoke(method('GetNode', false), {
      host: daemon.host,
      metadata: shows(daemon.token()),
      request: message(new Uint8Array()),
      transport: transport.WebsocketTransport(),
      onMessage: (bytes) => messages.push(bytes),
      onEnd: (code, text) => resolve({ output: { code, text }, messages }),
    })
  })
  assert.deepEqual(output, { code: grpc.Code.OK, text: '' })
  assert.equal(messages.length, 1)
  assert.ok(Buffer.from(messages[0]).includes(daemon.greeting.peer_id))
})

test('a failure has its code and its text, in any language', async () => {
  // Field 1, `thread`: "ß".
  const request = message(Uint8Array.of(0x0a, 2, 0xc3, 0x9f))
  const { code, text } = await new Promise((resolve) => {
    grpc.invoke(method('GetThread', false), {
      host: daemon.host,
      metadata: shows(daemon.token()),
      request,
      transport: transport.WebsocketTransport(),
      onMessage: () => {},
      onEnd: (code, text) => resolve({ code, text }),
    })
  })
  assert.equal(code, grpc.Code.InvalidArgument)
  assert.match(text, /thread/)
})

test('without the token of the node its own interface is closed', async () => {
  for (const metadata of [undefined, shows('not it')]) {
    const { code, text } = await new Promise((resolve) => {
      grpc.invoke(method('GetNode', false), {
        host: daemon.host,
        metadata,
        request: message(new Uint8Array()),
        transport: transport.WebsocketTransport(),
        onMessage: () => {},
        onEnd: (code, text) => resolve({ code, text }),
      })
    })
    assert.equal(code, grpc.Code.Unauthenticated)
    assert.match(text, /token/)
  }
})
