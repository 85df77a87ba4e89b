// What no client should send. All of it gets an answer with a status, nothing hangs, and the daemon goes on.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { after, before, describe, test } from 'node:test'

import context from '@textile/context'
import crypto from '@textile/crypto'
import threads from '@textile/threads-client'
import pb from '@textile/threads-client-grpc/threads_pb.js'
import service from '@textile/threads-client-grpc/threads_pb_service.js'
import threadsId from '@textile/threads-id'

import { Daemon } from '../support/daemon.js'
import { adam, person } from '../support/people.js'
import { END, answer, call, frame, open, random, unary } from '../support/raw.js'

const { ThreadID } = threadsId

const UNKNOWN = 2
const INVALID = 3
const NOT_FOUND = 5
const EXHAUSTED = 8
const OUT_OF_RANGE = 11
const INTERNAL = 13
const UNAUTHENTICATED = 16

const METHODS = Object.values(service.API).filter((method) => method?.methodName).map((method) => method.methodName)

let daemon
let client
let thread

before(async () => {
  daemon = await Daemon.start()
  client = new threads.Client(new context.Context(daemon.host))
  thread = await client.newDB()
  await client.newCollection(thread, { name: 'Person', schema: person })
  await client.newCollection(thread, { name: 'Any' })
})

after(async () => {
  assert.equal(await daemon.stop(), 0)
})

// A request with these fields.
function request(kind, fields) {
  const message = new pb[`${kind}Request`]()
  for (const [name, value] of Object.entries(fields)) message[`set${name}`](value)
  return message
}

const inPeople = (fields = {}) => ({ Dbid: thread.toBytes(), Collectionname: 'Person', ...fields })
const bytes = (text) => new Uint8Array(Buffer.from(text))

async function refused(calling, status, text, what) {
  const answered = await calling
  assert.equal(answered.status, status, `${what}: ${JSON.stringify(answered)}`)
  assert.match(answered.text, text, what)
}

describe('frames', () => {
  test('that are cut off, wrong or missing are refused', async () => {
    const has = request('Has', inPeople({ InstanceidsList: ['x'] }))
    const length = has.serializeBinary().length
    for (const [what, messages, status, text] of [
      ['half a prefix', [Buffer.of(0, 0, 0, 0), END], INTERNAL, /EOF/],
      ['half a message', [frame(has, { length: length + 7 }), END], INTERNAL, /EOF/],
      ['a length of 4 GiB', [frame(has, { length: 0xffffffff }), END], OUT_OF_RANGE, /too large/],
      ['a length that is too short', [frame(has, { length: length - 2 }), END], INTERNAL, /decode/],
      ['a flag for compression', [frame(has, { flag: 1 }), END], INTERNAL, /compress/],
      ['another flag', [frame(has, { flag: 7 }), END], INTERNAL, /compression flag/],
      ['no request', [END], INTERNAL, /[Mm]issing request message/],
      ['what is no message', [frame(Buffer.from('ffffffffffffff', 'hex')), END], INTERNAL, /decode/],
      ['text that is not UTF-8', [frame(Buffer.from('1202fffe', 'hex')), END], INTERNAL, /decode/],
      ['a byte that says nothing', [Buffer.of(9, 1, 2)], INVALID, /a message begins with 0/],
      ['nothing at all in a message', [Buffer.alloc(0)], INVALID, /a message begins with 0/],
      ['text', ['hello'], INVALID, /binary/],
    ]) {
      await refused(call(daemon, 'Has', messages), status, text, what)
    }
  })

  test('may be cut into single bytes', async () => {
    const has = frame(request('Has', inPeople({ InstanceidsList: ['x'] }))).subarray(1)
    const messages = [...has].map((byte) => Buffer.of(0, byte))
    const answered = await call(daemon, 'Has', [...messages, END])
    assert.deepEqual([answered.status, answered.messages.length], [0, 1])
  })

  test('larger than 4 MiB are refused by name', async () => {
    const large = Buffer.alloc(4 * 2 ** 20 + 1)
    await refused(call(daemon, 'Create', [frame(large)]), EXHAUSTED, /a message has more than 4194310 bytes/, 'in one piece')
    // In pieces it is the frame that is too large.
    const prefix = frame(Buffer.alloc(0), { length: large.length })
    await refused(call(daemon, 'Create', [prefix, Buffer.alloc(2 ** 20), Buffer.alloc(2 ** 20)]), OUT_OF_RANGE, /too large/, 'in pieces')
  })
})

describe('metadata', () => {
  test('that is none is refused', async () => {
    const list = [frame(new pb.ListDBsRequest()), END]
    for (const [what, metadata, text] of [
      ['a request in its place', frame(Buffer.alloc(0)), /line 1 of the metadata/],
      ['no colon', 'x-grpc-web\r\n', /line 1 of the metadata/],
      ['a control character', 'a: b\r\nc: \u0001\r\n', /line 2 of the metadata/],
      ['too much', `a: ${'b'.repeat(20_000)}\r\n`, /the metadata has more than 16384 bytes/],
      ['too many', 'a: b\r\n'.repeat(100), /the metadata has more than 64 entries/],
    ]) {
      await refused(call(daemon, 'ListDBs', list, { metadata }), INVALID, text, what)
    }
    const socket = await open(daemon, 'ListDBs')
    const answered = answer(socket)
    socket.send('text')
    assert.equal((await answered).status, INVALID)
  })

  test('with what is no token is refused', async () => {
    const own = new threads.Client(new context.Context(daemon.host))
    const token = await own.getToken(crypto.PrivateKey.fromRandom())
    const [header, claims, signature] = token.split('.')
    const changed = Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(claims, 'base64url')), sub: 'x' })).toString('base64url')
    for (const [what, authorization, status, text] of [
      ['one word', 'bearer', UNAUTHENTICATED, /^Bad authorization string$/],
      ['another scheme', `basic ${token}`, UNAUTHENTICATED, /^Request unauthenticated with bearer$/],
      ['garbage', 'bearer garbage', UNKNOWN, /^thread token not found$/],
      ['dots', 'bearer ...', UNKNOWN, /^thread token not found$/],
      ['far too much', `bearer ${'a'.repeat(8_000)}.b.c`, UNKNOWN, /^thread token not found$/],
      ['not base64', `bearer ${header}.!.${signature}`, UNKNOWN, /^thread token not found$/],
      ['without signature', `bearer ${header}.${claims}.`, UNKNOWN, /^invalid thread token$/],
      ['with other claims', `bearer ${header}.${changed}.${signature}`, UNKNOWN, /^invalid thread token$/],
      ['with another header', `bearer e30.${claims}.${signature}`, UNKNOWN, /^invalid thread token$/],
    ]) {
      const metadata = `authorization: ${authorization}\r\n`
      for (const method of ['ListDBs', 'ReadTransaction']) {
        await refused(unary(daemon, method, new pb.ListDBsRequest(), { metadata }), status, text, `${what}, ${method}`)
      }
    }
    assert.equal((await unary(daemon, 'ListDBs', new pb.ListDBsRequest(), { metadata: `authorization: Bearer ${token}\r\n` })).status, 0)
  })
})

describe('the opening', () => {
  // The status of an opening that is not accepted.
  async function declined(options, method = 'ListDBs') {
    const error = await open(daemon, method, options).then(() => assert.fail('it is accepted'), (error) => error)
    return Number(error.message.match(/Unexpected server response: (\d+)/)?.[1])
  }

  test('of what is no method is declined', async () => {
    assert.equal(await declined({}, 'Nothing'), 403)
    assert.equal(await declined({ service: 'threads.pb.Nothing' }), 403)
    assert.equal(await declined({}, '../../spool.v1.Spool/'), 403)
    assert.equal(await declined({ protocol: 'chat' }), 200, 'with another protocol it is no call')
    assert.equal(await declined({ protocolVersion: 8 }), 426)
  })

  test('that breaks off, or is no HTTP, leaves the daemon as it was', async () => {
    for (const text of ['', 'GET', '\u0000\u0001\u0002\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n', `GET /${'a'.repeat(100_000)} HTTP/1.1\r\n\r\n`]) {
      const [host, port] = daemon.greeting.web.split(':')
      const socket = connectTcp(Number(port), host)
      await once(socket, 'connect')
      socket.on('error', () => {})
      socket.resume()
      socket.end(text)
      await new Promise((resolve) => socket.once('close', resolve))
    }
    await client.listDBs()
  })
})

describe('fields', () => {
  test('that are no id, key, address or name are refused', async () => {
    const id = ThreadID.fromRandom().toBytes()
    const acl = ThreadID.fromRandom(0x70).toBytes()
    for (const [kind, fields, status, text] of [
      ['GetDBInfo', {}, INVALID, /./],
      ['GetDBInfo', { Dbid: new Uint8Array([2, 0x55, 1]) }, INVALID, /version/],
      ['GetDBInfo', { Dbid: new Uint8Array(100_000).fill(255) }, INVALID, /./],
      ['GetDBInfo', { Dbid: id }, NOT_FOUND, /^thread not found$/],
      ['DeleteDB', { Dbid: id }, NOT_FOUND, /^thread not found$/],
      ['NewDB', { Dbid: id, Key: new Uint8Array(31) }, INVALID, /^invalid key$/],
      ['NewDB', { Dbid: id, Key: new Uint8Array(32) }, UNKNOWN, /^thread read key is required$/],
      ['NewDB', { Dbid: id, Logkey: new Uint8Array(36) }, INVALID, /^invalid log-key/],
      ['NewDB', { Dbid: id, Name: 'a--b' }, UNKNOWN, /^name may only contain/],
      ['NewDB', { Dbid: id, Name: 'n'.repeat(10_000) }, UNKNOWN, /^name may only contain/],
      ['NewDB', { Dbid: acl }, INVALID, /access/],
      ['NewDBFromAddr', { Addr: bytes('garbage') }, INVALID, /./],
      ['NewDBFromAddr', {}, INVALID, /./],
      ['NewCollection', { Dbid: thread.toBytes() }, UNKNOWN, /^name may only contain/],
      ['ListCollections', { Dbid: id }, NOT_FOUND, /^thread not found$/],
      ['GetCollectionInfo', { Dbid: thread.toBytes(), Name: '_collections' }, NOT_FOUND, /^collection not found$/],
      ['Find', inPeople(), UNKNOWN, /^unexpected end of JSON input$/],
      ['Find', inPeople({ Queryjson: bytes('{') }), UNKNOWN, /^unexpected end of JSON input$/],
      ['Find', inPeople({ Queryjson: bytes('[]') }), UNKNOWN, /^invalid query/],
      ['Find', inPeople({ Queryjson: bytes('{"ors":['.repeat(5_000)) }), UNKNOWN, /./],
      ['Find', inPeople({ Queryjson: bytes('{"limit":1e400}') }), UNKNOWN, /./],
      ['FindByID', inPeople({ Instanceid: 'x'.repeat(100_000) }), UNKNOWN, /^instance not found$/],
      ['Create', inPeople({ InstancesList: [bytes('')] }), UNKNOWN, /^unmarshaling json instance: /],
      ['Create', inPeople({ InstancesList: [bytes('{"_id":"a"')] }), UNKNOWN, /^unmarshaling json instance: /],
      ['Create', inPeople({ InstancesList: [bytes('null')] }), UNKNOWN, /^unmarshaling json instance: /],
      ['Create', inPeople({ InstancesList: [bytes('[{}]')] }), UNKNOWN, /^unmarshaling json instance: /],
      ['Create', inPeople({ InstancesList: [new Uint8Array([0x22, 0xff, 0x22])] }), UNKNOWN, /^unmarshaling json instance: /],
      ['Create', inPeople({ InstancesList: [bytes(`{"a":${'['.repeat(50_000)}`)] }), UNKNOWN, /^unmarshaling json instance: /],
      ['Create', inPeople({ InstancesList: [bytes('{"_id":"a\\u0000b"}')] }), UNKNOWN, /./],
      ['Save', inPeople({ InstancesList: [bytes('{"_id":7}')] }), UNKNOWN, /missing _id/],
      ['Listen', { Dbid: new Uint8Array(3) }, INVALID, /./],
    ]) {
      await refused(unary(daemon, kind, request(kind, fields)), status, text, `${kind} ${Object.keys(fields)}`)
    }
    const filter = new pb.ListenRequest.Filter()
    filter.setAction(9)
    await refused(unary(daemon, 'Listen', request('Listen', { Dbid: thread.toBytes(), FiltersList: [filter] })), INVALID, /^invalid filter action$/, 'an action')
  })

  test('that are large are not repeated in full', async () => {
    const large = 'x'.repeat(3 * 2 ** 20)
    const { status, text } = await unary(daemon, 'Create', request('Create', inPeople({ InstancesList: [bytes(JSON.stringify({ _id: large }))] })))
    assert.equal(status, UNKNOWN)
    assert.ok(text.length < 4_096, `${text.length} characters`)
  })

  test('of schemas are refused in the words of Go', async () => {
    const define = (schema, kind = 'NewCollection') => {
      const config = new pb.CollectionConfig()
      config.setName('Bad')
      config.setSchema(bytes(schema))
      return unary(daemon, kind, request(kind, kind === 'NewDB' ? { Dbid: ThreadID.fromRandom().toBytes(), CollectionsList: [config] } : { Dbid: thread.toBytes(), Config: config }))
    }
    const id = '"_id":{"type":"string"}'
    for (const [schema, text] of [
      ['{', /EOF|end of/],
      ['[]', /cannot unmarshal array/],
      ['"x"', /cannot unmarshal string/],
      ['{}', /_id property must be a string/],
      [`{"properties":{${id},"a":{"type":["string","null"]}}}`, /cannot unmarshal array into Go struct field Type.type/],
      [`{"properties":{${id},"a":{"minimum":0.5}}}`, /cannot unmarshal number/],
      [`{"properties":{${id},"a":{"type":"nothing"}}}`, /./],
      [`{"properties":{${id},"a":{"pattern":"("}}}`, /./],
      [`{"properties":{${id},"a":{"$ref":"https://127.0.0.1:1/elsewhere"}}}`, /./],
      ['{"not":'.repeat(10_000), /./],
    ]) {
      await refused(define(schema), UNKNOWN, text, schema.slice(0, 80))
      await refused(define(schema, 'NewDB'), INVALID, text, schema.slice(0, 80))
    }
  })
})

describe('login', () => {
  const ask = (...requests) => call(daemon, 'GetToken', [...requests.map((fields) => frame(request('GetToken', fields))), END])
  const key = crypto.PrivateKey.fromRandom().public.toString()

  test('in another order, or with something else, is refused', async () => {
    for (const [what, requests, status, text] of [
      ['nothing', [], INVALID, /^Key is required$/],
      ['an empty key', [{ Key: '' }], INVALID, /^Key is required$/],
      ['a signature first', [{ Signature: new Uint8Array(64) }], INVALID, /^Key is required$/],
      ['no key', [{ Key: 'garbage' }], INVALID, /./],
      ['a long key', [{ Key: 'b'.repeat(10_000) }], INVALID, /longer/],
      ['a key and nothing', [{ Key: key }], INVALID, /^Signature is required$/],
      ['two keys', [{ Key: key }, { Key: key }], INVALID, /^Signature is required$/],
      ['a short signature', [{ Key: key }, { Signature: new Uint8Array(3) }], UNKNOWN, /^bad signature$/],
      ['another signature', [{ Key: key }, { Signature: new Uint8Array(64) }], UNKNOWN, /^bad signature$/],
    ]) {
      await refused(ask(...requests), status, text, what)
    }
  })
})

describe('transactions', () => {
  const start = (kind, fields = inPeople()) => {
    const message = new pb[`${kind}TransactionRequest`]()
    message.setStarttransactionrequest(request('StartTransaction', fields))
    return frame(message)
  }
  const create = (id) => {
    const message = new pb.WriteTransactionRequest()
    message.setCreaterequest(request('Create', { InstancesList: [bytes(JSON.stringify({ ...adam(), _id: id }))] }))
    return frame(message)
  }

  test('that begin or go on with something else are refused', async () => {
    for (const kind of ['Read', 'Write']) {
      const method = `${kind}Transaction`
      const has = new pb[`${kind}TransactionRequest`]()
      has.setHasrequest(request('Has', inPeople()))
      for (const [what, messages, status, text] of [
        ['a question first', [frame(has), END], UNKNOWN, /has unexpected type/],
        ['an empty request first', [frame(Buffer.alloc(0)), END], UNKNOWN, /type set$/],
        ['a start twice', [start(kind), start(kind), END], UNKNOWN, /has unexpected type/],
        ['an empty request', [start(kind), frame(Buffer.alloc(0)), END], UNKNOWN, /type set$/],
        ['garbage', [start(kind), frame(Buffer.of(255, 255)), END], INTERNAL, /decode/],
        ['half a frame', [start(kind), frame(has).subarray(0, 4), END], INTERNAL, /EOF/],
        ['no database', [start(kind, { Dbid: ThreadID.fromRandom().toBytes() }), frame(has), END], NOT_FOUND, /^thread not found$/],
        ['no id', [start(kind, {}), frame(has), END], INVALID, /./],
      ]) {
        await refused(call(daemon, method, messages), status, text, `${kind}: ${what}`)
      }
      assert.equal((await call(daemon, method, [END])).status, 0, 'nothing is nothing')
    }
  })

  test('that break off in the middle leave nothing, and hold up nobody', async () => {
    const ways = {
      close: (socket) => socket.close(),
      cut: (socket) => socket.terminate(),
      garbage: (socket) => socket._socket.write(Buffer.alloc(64, 0xff)),
      rule: (socket) => socket.send(Buffer.of(9)),
      frame: (socket) => [frame(Buffer.of(255, 255)), END].forEach((message) => socket.send(message)),
      half: (socket) => [create('half').subarray(0, 20), END].forEach((message) => socket.send(message)),
    }
    for (const [way, leave] of Object.entries(ways)) {
      const socket = await open(daemon, 'WriteTransaction')
      const answered = answer(socket)
      const replied = new Promise((resolve) => socket.on('message', (data) => data.byteLength > 5 && Buffer.from(data)[0] === 0 && resolve()))
      for (const message of [Buffer.from('x-grpc-web: 1\r\n'), start('Write'), create(way)]) socket.send(message)
      await replied
      leave(socket)
      await answered
      const begun = Date.now()
      await client.create(thread, 'Person', [{ ...adam(), _id: `after-${way}` }])
      assert.ok(Date.now() - begun < 5_000, `${way}: the next one waits`)
      assert.equal(await client.has(thread, 'Person', [way]), false, `${way}: it is written all the same`)
    }
  })
})

describe('anything', () => {
  test('gets an answer, whatever the method', async (t) => {
    const chance = random(process.env.SPOOL_SEED && Number(process.env.SPOOL_SEED))
    t.diagnostic(`SPOOL_SEED=${chance.seed}`)
    assert.equal(METHODS.length, 22)
    for (let round = 0; round < 20; round++) {
      // Some of it may well be a call that deletes it.
      const victim = await client.newDB()
      const sent = request('Create', { Dbid: victim.toBytes(), Collectionname: 'Person', InstancesList: [bytes('{"_id":"x"}')] }).serializeBinary()
      await Promise.all(METHODS.map(async (method) => {
        // Garbage, a garbled request, or a request of another call.
        const garbled = Buffer.from(sent)
        for (let at = 0; at < 3; at++) garbled[chance.below(garbled.length)] = chance.below(256)
        const messages = [chance.bytes(chance.below(64)), frame(chance.bytes(chance.below(64))), frame(garbled), frame(sent)]
        const chosen = Array.from({ length: 1 + chance.below(3) }, () => messages[chance.below(messages.length)])
        const socket = await open(daemon, method)
        const answered = answer(socket)
        for (const message of [Buffer.from('x-grpc-web: 1\r\n'), ...chosen, END]) socket.send(message)
        // Who listens is told nothing and does not end.
        if (method === 'Listen') setTimeout(() => socket.close(), 200)
        const { status } = await answered
        assert.ok(status !== undefined || method === 'Listen', `${method} with ${chosen.map((message) => message.toString('hex'))}`)
      }))
    }
    const [id] = await client.create(thread, 'Person', [adam()])
    assert.ok(await client.has(thread, 'Person', [id]), 'it goes on')
  })
})
