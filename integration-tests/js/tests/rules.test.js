// Rules in code: write validators and read filters, as clients of the reference write them.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import context from '@textile/context'
import crypto from '@textile/crypto'
import threads from '@textile/threads-client'

import { Daemon } from '../support/daemon.js'
import { adam, listening, until } from '../support/people.js'

const { Client } = threads

let daemons
const people = {}

// Who creates an instance owns it; only owners change theirs; nobody may be a hundred.
const owned = {
  name: 'Person',
  schema: { properties: { _id: { type: 'string' } } },
  writeValidator: (writer, event, instance) => {
    var patch = event.patch.json_patch
    if (patch && patch.age >= 100) return 'nobody is that old'
    switch (event.patch.type) {
      case 'create':
        return patch.owner === writer
      case 'save':
      case 'delete':
        return instance.owner === writer
      default:
        return false
    }
  },
  // Ages are for owners; what is hidden is for nobody.
  readFilter: (reader, instance) => {
    if (instance.hidden) return null
    if (instance.owner !== reader) delete instance.age
    return instance
  },
}

before(async () => {
  daemons = await Promise.all([Daemon.start(), Daemon.start()])
  for (const [name, daemon] of [['ann', daemons[0]], ['bob', daemons[0]], ['cleo', daemons[1]]]) {
    const identity = crypto.PrivateKey.fromRandom()
    const client = new Client(new context.Context(daemon.host))
    await client.getToken(identity)
    people[name] = { client, id: identity.public.toString() }
  }
})

after(async () => {
  for (const daemon of daemons) assert.equal(await daemon.stop(), 0)
})

async function database() {
  const { ann } = people
  const thread = await ann.client.newDB(undefined, 'people')
  await ann.client.newCollection(thread, owned)
  return thread
}

test('a validator decides who may write what', async () => {
  const { ann, bob } = people
  const thread = await database()
  const [id] = await ann.client.create(thread, 'Person', [{ ...adam(), owner: ann.id }])
  const denied = /app denied net record body/
  await assert.rejects(bob.client.create(thread, 'Person', [{ ...adam(), owner: ann.id }]), denied)
  const found = await ann.client.findByID(thread, 'Person', id)
  await assert.rejects(bob.client.save(thread, 'Person', [{ ...found, firstName: 'Bob' }]), denied)
  await assert.rejects(bob.client.delete(thread, 'Person', [id]), denied)
  await assert.rejects(ann.client.save(thread, 'Person', [{ ...found, age: 100 }]), /app denied net record body: nobody is that old/)
  await ann.client.verify(thread, 'Person', [{ ...found, age: 22 }])
  await assert.rejects(bob.client.verify(thread, 'Person', [{ ...found, age: 22 }]), denied)
  await ann.client.save(thread, 'Person', [{ ...found, age: 22 }])
  assert.equal((await ann.client.findByID(thread, 'Person', id)).age, 22)

  const transaction = bob.client.writeTransaction(thread, 'Person')
  await transaction.start()
  await transaction.create([{ _id: 'mine', owner: bob.id }])
  await transaction.delete([id])
  await assert.rejects(transaction.end(), denied)
  assert.equal(await ann.client.has(thread, 'Person', ['mine']), false, 'all of it or nothing')
  await ann.client.delete(thread, 'Person', [id])
})

test('a filter decides what readers see, in every way of reading', async () => {
  const { ann, bob } = people
  const thread = await database()
  const filter = { collectionName: 'Person', actionTypes: ['CREATE'] }
  const { told, close } = await listening(bob.client, thread, [filter], async () => {
    const [id] = await ann.client.create(thread, 'Person', [{ ...adam(), owner: ann.id }])
    await ann.client.delete(thread, 'Person', [id])
    return (reply) => reply.instanceID === id
  })
  await ann.client.create(thread, 'Person', [{ ...adam(), _id: 'hidden', owner: ann.id, hidden: true }])
  await ann.client.create(thread, 'Person', [{ ...adam(), _id: 'shown', owner: ann.id }])
  assert.equal((await ann.client.findByID(thread, 'Person', 'shown')).age, 21)
  assert.equal('age' in (await bob.client.findByID(thread, 'Person', 'shown')), false)
  assert.deepEqual((await bob.client.find(thread, 'Person', {})).map((found) => found._id), ['shown'])
  assert.equal(await bob.client.has(thread, 'Person', ['hidden']), false)
  await assert.rejects(bob.client.findByID(thread, 'Person', 'hidden'), { message: 'instance not found' })
  await until(() => told.length > 0, 'the listener is told')
  assert.deepEqual([told[0].instanceID, 'age' in told[0].instance], ['shown', false])
  close()

  // What a filter hides is not lost by saving what it shows.
  const open = { ...owned, writeValidator: undefined }
  await ann.client.updateCollection(thread, open)
  const seen = await bob.client.findByID(thread, 'Person', 'shown')
  await bob.client.save(thread, 'Person', [{ ...seen, firstName: 'Changed' }])
  const whole = await ann.client.findByID(thread, 'Person', 'shown')
  assert.deepEqual([whole.firstName, whole.age], ['Changed', 21])
})

test('rules hold on every node, whoever joins without them', async () => {
  const { ann, cleo } = people
  const thread = await database()
  await ann.client.create(thread, 'Person', [{ ...adam(), _id: 'anns', owner: ann.id }])
  const schema = owned.schema
  await cleo.client.joinFromInfo(await ann.client.getDBInfo(thread), true, [{ name: 'Person', schema }])
  const info = await cleo.client.getCollectionInfo(thread, 'Person')
  assert.match(info.writeValidator, /nobody is that old/)
  const found = await cleo.client.findByID(thread, 'Person', 'anns')
  assert.equal('age' in found, false)
  await assert.rejects(cleo.client.save(thread, 'Person', [{ ...found, firstName: 'X' }]), /app denied net record body/)
  await cleo.client.create(thread, 'Person', [{ _id: 'cleos', owner: cleo.id, age: 5 }])
  await until(() => ann.client.has(thread, 'Person', ['cleos']), 'it arrives')
  assert.equal('age' in (await ann.client.findByID(thread, 'Person', 'cleos')), false)
})

test('rules that never end, take all memory or are no code cost the caller an error and the node nothing', async () => {
  const { ann } = people
  const thread = await ann.client.newDB()
  for (const [name, body, message] of [
    ['loop', 'while (true) {}', /too many steps/],
    ['memory', 'var all = []; while (true) all.push(new Array(100000).join("x"))', /app denied net record body: /],
    ['depth', 'function f() { return f() + 1 } return f()', /app denied net record body: /],
    ['throws', 'throw new Error("no")', /app denied net record body: .*no/],
    ['nothing', 'return undefined', /app denied net record body$/],
    ['clock', 'return new Date().getTime() > 0', /there is no clock/],
    ['apostrophe', 'return event.patch.json_patch.text === "it\'s \\\\ fine"', null],
  ]) {
    await ann.client.newCollection(thread, { name, writeValidator: `{${body}}` })
    const create = ann.client.create(thread, name, [{ _id: '', text: "it's \\ fine" }])
    if (message) await assert.rejects(create, (error) => message.test(error.message), name)
    else await create
  }
  await assert.rejects(ann.client.newCollection(thread, { name: 'nocode', writeValidator: '{ this is not code }' }), /compiling js func/)
  await ann.client.listDBs()
})
