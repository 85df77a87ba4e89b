// Two daemons, joined by what the client knows of the database on the first.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import context from '@textile/context'
import crypto from '@textile/crypto'
import threads from '@textile/threads-client'

import { Daemon } from '../support/daemon.js'
import { adam, listening, person, until } from '../support/people.js'

const { Client, Where } = threads

let daemons
let clients

before(async () => {
  daemons = await Promise.all([Daemon.start(), Daemon.start()])
  clients = daemons.map((daemon) => new Client(new context.Context(daemon.host)))
  for (const client of clients) await client.getToken(crypto.PrivateKey.fromRandom())
})

after(async () => {
  for (const daemon of daemons) assert.equal(await daemon.stop(), 0)
})

// A database of the first client that the second has joined.
async function shared(collections) {
  const [one, two] = clients
  const thread = await one.newDB(undefined, 'people')
  await one.newCollection(thread, { name: 'Person', schema: person })
  const info = await one.getDBInfo(thread)
  // All addresses are loopback, which the client leaves out unless it is told not to.
  assert.deepEqual(await two.joinFromInfo(info, true, collections), thread)
  return thread
}

// The instances of each client, once they are the same.
async function equal(thread) {
  const all = () => Promise.all(clients.map((client) => client.find(thread, 'Person', {})))
  return until(async () => {
    const [one, two] = await all()
    return JSON.stringify(one) === JSON.stringify(two) && one
  }, 'both have the same')
}

test('who joins has the collections and the instances', async () => {
  const [one, two] = clients
  const thread = await one.newDB(undefined, 'people')
  await one.newCollection(thread, { name: 'Person', schema: person })
  await one.create(thread, 'Person', [{ ...adam(), _id: 'adam' }])
  await two.joinFromInfo(await one.getDBInfo(thread), true)
  assert.equal((await two.findByID(thread, 'Person', 'adam')).firstName, 'Adam')
  assert.deepEqual((await two.getCollectionInfo(thread, 'Person')).schema, (await one.getCollectionInfo(thread, 'Person')).schema)
  await two.create(thread, 'Person', [{ ...adam(), _id: 'eve', firstName: 'Eve' }])
  await until(() => one.has(thread, 'Person', ['eve']), 'the first has what the second wrote')
  await assert.rejects(two.joinFromInfo(await one.getDBInfo(thread), true), /already exists/)
})

test('the definition of a joiner never overrides one that exists', async () => {
  const [one, two] = clients
  const schema = { properties: { _id: { type: 'string' }, anything: { type: 'number' } } }
  const thread = await shared([{ name: 'Person', schema }, { name: 'Extra', schema }])
  assert.deepEqual((await two.getCollectionInfo(thread, 'Person')).schema.required, ['_id'])
  await assert.rejects(two.create(thread, 'Person', [{ ...adam(), age: 'old' }]), /instance doesn't correspond to schema/)
  // What nobody has defined is defined by the joiner, for all.
  await until(async () => (await one.listCollections(thread)).length === 2, 'the first has the other collection')
  await one.create(thread, 'Extra', [{ _id: '', anything: 7 }])
})

test('an equal definition may be made once more, another may not', async () => {
  const [, two] = clients
  const thread = await shared()
  await two.newCollection(thread, { name: 'Person', schema: person })
  await assert.rejects(two.newCollection(thread, { name: 'Person', schema: { properties: { _id: { type: 'string' } } } }), { message: 'collection already registered' })
})

// Apart for certain: a save takes with it whatever else the client has not seen yet, as with the reference, so edits that meet half way may lose.
test('edits made apart come together', async () => {
  const [one, two] = clients
  const thread = await shared()
  const ids = await one.create(thread, 'Person', Array.from({ length: 20 }, adam))
  await equal(thread)
  const edit = (client, change) => Promise.all(ids.map(async (id) => {
    const found = await client.findByID(thread, 'Person', id)
    await client.save(thread, 'Person', [{ ...found, ...change }])
  }))
  await daemons[0].end()
  await edit(two, { lastName: 'Smith' })
  await daemons[1].end()
  await daemons[0].again()
  await edit(one, { age: 30 })
  await daemons[1].again()
  const people = await until(async () => {
    const [first, second] = await Promise.all(clients.map((client) => client.find(thread, 'Person', {})))
    const merged = first.every((person) => person.age === 30 && person.lastName === 'Smith')
    return merged && JSON.stringify(first) === JSON.stringify(second) && first
  }, 'each has what both have changed')
  assert.equal(people.length, 20)
})

test('a listener hears what is written elsewhere', async () => {
  const [one, two] = clients
  const thread = await shared()
  const { told, close } = await listening(two, thread, [{ collectionName: 'Person' }])
  const [id] = await one.create(thread, 'Person', [adam()])
  await until(() => told.length > 0, 'the listener is told')
  assert.deepEqual([told[0].action, told[0].instanceID], ['CREATE', id])
  close()
})

test('collections are provisional until the peers have been heard', async () => {
  const [one, two] = clients
  const thread = await one.newDB(undefined, 'people')
  await one.newCollection(thread, { name: 'Person', schema: person })
  const info = await one.getDBInfo(thread)
  await daemons[0].end('SIGKILL')
  const schema = { properties: { _id: { type: 'string' } } }
  await two.joinFromInfo(info, true, [{ name: 'Person', schema }])
  const [id] = await two.create(thread, 'Person', [{ _id: '', apart: true }])
  assert.equal((await two.find(thread, 'Person', new Where('apart').eq(true))).length, 1)
  await daemons[1].restart()
  assert.equal((await two.getCollectionInfo(thread, 'Person')).name, 'Person', 'after a restart, too')
  await daemons[0].again()
  await until(() => one.has(thread, 'Person', [id]), 'the first has what was written apart')
  await until(async () => (await two.getCollectionInfo(thread, 'Person')).schema.required?.length === 1, 'the definition that existed holds')
  assert.equal((await one.getCollectionInfo(thread, 'Person')).schema.required.length, 1)
})
