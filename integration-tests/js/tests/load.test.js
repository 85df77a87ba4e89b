// Much at once, for long, and in large pieces; and a daemon that goes away in the middle of it.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import context from '@textile/context'
import crypto from '@textile/crypto'
import threads from '@textile/threads-client'

import { Daemon } from '../support/daemon.js'
import { adam, listening, person, until } from '../support/people.js'

const { Client, Where } = threads

// Where there is no /proc nobody knows what a daemon holds.
const LINUX = process.platform === 'linux'

function connect(daemon) {
  return new Client(new context.Context(daemon.host))
}

async function people(client) {
  const thread = await client.newDB(undefined, 'people')
  await client.newCollection(thread, { name: 'Person', schema: person })
  return thread
}

// Does `work` for 0, 1, .. up to `count`, so many at once.
async function each(count, atOnce, work) {
  let next = 0
  const worker = async () => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
}

// A listener that leaves out how others were found to listen.
async function listen(client, thread, filters = []) {
  const { told, close } = await listening(client, thread, filters)
  return { told, heard: () => told.filter((reply) => reply.instance?.firstName !== 'Probe'), close }
}

describe('one daemon', () => {
  let daemon
  let client

  before(async () => {
    daemon = await Daemon.start()
    client = connect(daemon)
  })

  after(async () => {
    assert.equal(await daemon.stop(), 0)
  })

  test('every listener is told of 1,000 writes, each once and in order', async () => {
    const thread = await people(client)
    const listeners = []
    for (const filters of [[], [], [{ collectionName: 'Person' }], [{ actionTypes: ['CREATE'] }]]) {
      listeners.push(await listen(client, thread, filters))
    }
    const [writers, writes] = [10, 100]
    await Promise.all(Array.from({ length: writers }, async (_, writer) => {
      for (let age = 0; age < writes; age++) await client.create(thread, 'Person', [{ ...adam(), lastName: `w${writer}`, age }])
    }))
    for (const [at, listener] of listeners.entries()) {
      await until(() => listener.heard().length >= writers * writes, `listener ${at} is told of all`)
      assert.equal(listener.heard().length, writers * writes, 'of none twice')
      for (let writer = 0; writer < writers; writer++) {
        const ages = listener.heard().map(({ instance }) => instance).filter(({ lastName }) => lastName === `w${writer}`).map(({ age }) => age)
        assert.deepEqual(ages, Array.from({ length: writes }, (_, age) => age), `of those of one writer in their order`)
      }
    }
    const orders = listeners.map((listener) => listener.heard().map(({ instanceID }) => instanceID).join())
    assert.equal(new Set(orders).size, 1, 'all are told in one order')
    for (const listener of listeners) listener.close()
  })

  test('20 people write to one database at once', async () => {
    const thread = await people(client)
    const each = 10
    const clients = await Promise.all(Array.from({ length: 20 }, async () => {
      const own = connect(daemon)
      await own.getToken(crypto.PrivateKey.fromRandom())
      return own
    }))
    const ids = await Promise.all(clients.map(async (own, at) => {
      const ids = []
      for (let age = 0; age < each; age++) {
        const [id] = await own.create(thread, 'Person', [{ ...adam(), lastName: `p${at}`, age }])
        const found = await own.findByID(thread, 'Person', id)
        await own.save(thread, 'Person', [{ ...found, age: age + 100 }])
        ids.push(id)
      }
      return ids
    }))
    const found = await client.find(thread, 'Person', {})
    assert.deepEqual(found.map(({ _id }) => _id).sort(), ids.flat().sort())
    assert.ok(found.every(({ age }) => age >= 100 && age < 100 + each))
    const [shown] = daemon.command('thread', 'show', thread.toString())
    // Each in a log of their own, and the one of who made the database.
    assert.equal(new Set(shown.logs.map((log) => log.author.identity)).size, clients.length + 1)
  })

  test('10,000 calls leave nothing behind', { skip: !LINUX && 'left out: needs /proc' }, async () => {
    const thread = await people(client)
    const ids = await client.create(thread, 'Person', Array.from({ length: 50 }, (_, at) => ({ ...adam(), _id: `p${at}`, age: at })))
    const open = async (kind, id) => {
      const transaction = client[kind](thread, 'Person')
      await transaction.start()
      await transaction.has([id])
      return transaction
    }
    const calls = [
      (id) => client.has(thread, 'Person', [id]),
      (id) => client.findByID(thread, 'Person', id),
      () => client.find(thread, 'Person', new Where('age').lt(10)),
      (id, at) => client.save(thread, 'Person', [{ ...adam(), _id: id, age: at }]),
      (id) => client.verify(thread, 'Person', [{ ...adam(), _id: id }]),
      () => client.listCollections(thread),
      async () => client.delete(thread, 'Person', await client.create(thread, 'Person', [adam()])),
      () => assert.rejects(client.findByID(thread, 'Person', 'nobody'), { message: 'instance not found' }),
      async (id) => (await open('readTransaction', id)).end(),
      // Left alone in the middle.
      async (id) => (await open('readTransaction', id)).client.close(),
      async (id) => (await open('writeTransaction', id)).client.close(),
      async () => {
        const listener = client.listen(thread, [], () => {})
        // The client begins the call a moment later.
        await new Promise(setImmediate)
        listener.close()
      },
    ]
    const call = (at) => calls[at % calls.length](ids[at % ids.length], at)
    const settled = async () => {
      await until(() => daemon.descriptors() <= before, 'all descriptors are closed again')
      await until(async () => (await daemon.tasks()) <= tasks, 'all tasks have ended')
    }
    await each(1_000, 8, call)
    // Files of the store come and go.
    const before = daemon.descriptors() + 10
    const tasks = (await daemon.tasks()) + 10
    await settled()
    const memory = daemon.memory()
    await each(9_000, 8, call)
    await settled()
    const grown = (daemon.memory() - memory) / 2 ** 20
    assert.ok(grown < 32, `${grown} MiB more than after the first tenth of the calls`)
    const begun = Date.now()
    const transaction = client.writeTransaction(thread, 'Person')
    await transaction.start()
    await transaction.create([{ ...adam(), _id: 'last' }])
    await transaction.end()
    assert.ok(Date.now() - begun < 20_000, 'no transaction is left open')
    assert.ok(await client.has(thread, 'Person', ['last']))
  })

  test('a message just below the limit of 4 MiB arrives whole', async () => {
    const thread = await people(client)
    const large = Array.from({ length: 19 }, (_, at) => ({ ...adam(), _id: `l${at}`, firstName: String.fromCharCode(97 + at).repeat(205 * 1024) }))
    assert.ok(JSON.stringify(large).length > 3.75 * 2 ** 20)
    await client.create(thread, 'Person', large)
    const found = await client.find(thread, 'Person', new Where('_id').ge('l'))
    assert.deepEqual(found.map(({ _mod, ...rest }) => rest), large.toSorted((one, other) => (one._id < other._id ? -1 : 1)))
  })

  test('a message far above the limit is refused, and the daemon goes on', async () => {
    const thread = await people(client)
    for (const mebibytes of [5, 100]) {
      const huge = { ...adam(), firstName: 'x'.repeat(mebibytes * 2 ** 20) }
      await assert.rejects(client.create(thread, 'Person', [huge]), /a message has more than \d+ bytes/, `${mebibytes} MiB`)
    }
    await client.create(thread, 'Person', [adam()])
    assert.equal((await client.find(thread, 'Person', {})).length, 1)
  })
})

for (const signal of ['SIGTERM', 'SIGKILL']) {
  test(`clients go on after a daemon that was ended by ${signal} is back`, async () => {
    const daemon = await Daemon.start()
    const client = connect(daemon)
    await client.getToken(crypto.PrivateKey.fromRandom())
    const thread = await people(client)
    const listener = await listen(client, thread)
    const transaction = client.writeTransaction(thread, 'Person')
    await transaction.start()
    await transaction.create([{ ...adam(), _id: 'unfinished' }])
    // The open transaction holds up single writes of this database, so they go to another one.
    const other = await people(client)
    const acknowledged = []
    let [failed, goOn] = [0, true]
    const writing = Promise.all(Array.from({ length: 4 }, async () => {
      while (goOn) {
        try {
          acknowledged.push(...(await client.create(other, 'Person', [adam()])))
        } catch {
          failed++
          await new Promise((resolve) => setTimeout(resolve, 20))
        }
      }
    }))
    await until(() => acknowledged.length >= 50, 'something is written')
    await daemon.restart(signal)
    const written = acknowledged.length
    await until(() => acknowledged.length >= written + 50, 'writing goes on')
    goOn = false
    await writing
    assert.ok(failed > 0, 'it was away')
    const found = new Set((await client.find(other, 'Person', {})).map(({ _id }) => _id))
    assert.deepEqual(acknowledged.filter((id) => !found.has(id)), [], 'what was acknowledged is there')
    assert.ok(listener.told.some((told) => told === 'ended' || told instanceof Error), 'the listener is told')
    assert.equal(await client.has(thread, 'Person', ['unfinished']), false)
    await client.create(thread, 'Person', [{ ...adam(), _id: 'after' }])
    // The token holds: it is still the same person who writes, in the same log.
    const [shown] = daemon.command('thread', 'show', thread.toString())
    assert.equal(new Set(shown.logs.map((log) => log.author.identity)).size, 1)
    assert.equal(await daemon.stop(), 0)
  })
}
