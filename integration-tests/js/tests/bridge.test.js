// The published client reaches the services: what nobody implements is refused with its text, and nothing hangs.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import crypto from '@textile/crypto'
import context from '@textile/context'
import threads from '@textile/threads-client'
import id from '@textile/threads-id'

import { Daemon } from '../support/daemon.js'

const { Client, Where } = threads
const refused = { message: 'Not yet implemented' }
const thread = id.ThreadID.fromRandom()

let daemon
let client

before(async () => {
  daemon = await Daemon.start()
  client = new Client(new context.Context(daemon.host))
})

after(async () => {
  assert.equal(await daemon.stop(), 0)
})

// The calls that send one request and get one reply.
const unary = {
  newDB: () => client.newDB(thread, 'mydb'),
  listDBs: () => client.listDBs(),
  getDBInfo: () => client.getDBInfo(thread),
  deleteDB: () => client.deleteDB(thread),
  newCollection: () => client.newCollection(thread, { name: 'Person', schema: {} }),
  updateCollection: () => client.updateCollection(thread, { name: 'Person', schema: {} }),
  deleteCollection: () => client.deleteCollection(thread, 'Person'),
  getCollectionInfo: () => client.getCollectionInfo(thread, 'Person'),
  getCollectionIndexes: () => client.getCollectionIndexes(thread, 'Person'),
  listCollections: () => client.listCollections(thread),
  create: () => client.create(thread, 'Person', [{ _id: '', name: 'Lucas' }]),
  verify: () => client.verify(thread, 'Person', [{ _id: '', name: 'Lucas' }]),
  save: () => client.save(thread, 'Person', [{ _id: '1', name: 'Lucas' }]),
  delete: () => client.delete(thread, 'Person', ['1']),
  has: () => client.has(thread, 'Person', ['1']),
  find: () => client.find(thread, 'Person', new Where('name').eq('Lucas')),
  findByID: () => client.findByID(thread, 'Person', '1'),
}

for (const [name, call] of Object.entries(unary)) {
  test(`${name} is refused with the text of the service`, async () => {
    await assert.rejects(call, refused)
  })
}

test('getToken, where both sides stream, is refused', async () => {
  await assert.rejects(client.getToken(crypto.PrivateKey.fromRandom()), refused)
})

for (const kind of ['readTransaction', 'writeTransaction']) {
  test(`the first operation of a ${kind} is refused`, async () => {
    const transaction = client[kind](thread, 'Person')
    await transaction.start()
    await assert.rejects(transaction.has(['1']), refused)
  })
}

test('listen tells its callback', async () => {
  const told = await new Promise((resolve) => {
    client.listen(thread, [{ collectionName: 'Person' }], (reply, error) => resolve(error))
  })
  assert.equal(told.message, refused.message)
})

test('two hundred calls at once are all answered', async () => {
  const calls = Array.from({ length: 200 }, () => client.has(thread, 'Person', ['1']))
  const answers = await Promise.allSettled(calls)
  assert.deepEqual([...new Set(answers.map((answer) => answer.reason?.message))], [refused.message])
})
