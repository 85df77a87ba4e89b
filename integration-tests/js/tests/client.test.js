// Every method of the published client, against one daemon.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import context from '@textile/context'
import crypto from '@textile/crypto'
import threads from '@textile/threads-client'
import id from '@textile/threads-id'

import { Daemon } from '../support/daemon.js'
import { adam, listening, person, until } from '../support/people.js'

const { Client, Where, Query } = threads

let daemon
let client

before(async () => {
  daemon = await Daemon.start()
  client = new Client(new context.Context(daemon.host))
})

after(async () => {
  assert.equal(await daemon.stop(), 0)
})

// A new database with people, and who calls it.
async function people(config = {}) {
  const thread = id.ThreadID.fromRandom()
  await client.newDB(thread, 'people')
  await client.newCollection(thread, { name: 'Person', schema: person, ...config })
  return thread
}

describe('login', () => {
  test('an identity gets a token and acts with it', async () => {
    const own = new Client(new context.Context(daemon.host))
    const identity = crypto.PrivateKey.fromRandom()
    const token = await own.getToken(identity)
    assert.equal(token.split('.').length, 3)
    assert.equal(own.context.toJSON().authorization, `bearer ${token}`)
    const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'))
    assert.equal(claims.sub, identity.public.toString())
    const thread = await own.newDB(id.ThreadID.fromRandom(), 'mine')
    await own.newCollection(thread, { name: 'Person', schema: person })
    await own.create(thread, 'Person', [adam()])
    // What it wrote is shown as its own through this node.
    const [shown] = daemon.command('thread', 'show', thread.toString())
    const author = shown.logs.map((log) => log.author)
    assert.deepEqual(author, [{ identity: identity.public.toString(), via: daemon.greeting.peer_id }])
  })

  test('the challenge can be signed elsewhere', async () => {
    const own = new Client(new context.Context(daemon.host))
    const identity = crypto.PrivateKey.fromRandom()
    const token = await own.getTokenChallenge(identity.public.toString(), (challenge) => identity.sign(challenge))
    assert.ok(token)
    await own.listDBs()
  })

  test('a signature by somebody else is refused', async () => {
    const own = new Client(new context.Context(daemon.host))
    const [one, other] = [crypto.PrivateKey.fromRandom(), crypto.PrivateKey.fromRandom()]
    const login = own.getTokenChallenge(one.public.toString(), (challenge) => other.sign(challenge))
    await assert.rejects(login, { message: 'bad signature' })
  })

  test('what is no token is refused', async () => {
    for (const [authorization, message] of [
      ['bearer', 'Bad authorization string'],
      ['basic abc', 'Request unauthenticated with bearer'],
      ['bearer abc', 'thread token not found'],
      ['bearer eyJhbGciOiJFZDI1NTE5IiwidHlwIjoiSldUIn0.e30.AAAA', 'thread token not found'],
    ]) {
      const own = new Client(new context.Context(daemon.host).set('authorization', authorization))
      await assert.rejects(own.listDBs(), { message }, authorization)
    }
  })

  test('a token that was changed, or is of another daemon, is refused', async () => {
    const other = await Daemon.start()
    const there = new Client(new context.Context(other.host))
    const token = await there.getToken(crypto.PrivateKey.fromRandom())
    const own = new Client(new context.Context(daemon.host).withToken(token))
    await assert.rejects(own.listDBs(), { message: 'invalid thread token' })
    await there.listDBs()
    assert.equal(await other.stop(), 0)
  })
})

describe('databases', () => {
  test('a database is made, listed, shown and deleted', async () => {
    const thread = await client.newDB(undefined, 'films')
    assert.ok(thread.isDefined())
    const info = await client.getDBInfo(thread)
    assert.equal(info.key.length, 104)
    assert.ok(info.addrs.length > 0)
    for (const address of info.addrs) assert.match(address, new RegExp(`/p2p/${daemon.greeting.peer_id}/thread/${thread}$`))
    const listed = await client.listDBs()
    assert.ok(listed.some((db) => db.id === thread.toString() && db.name === 'films'), JSON.stringify(listed))
    await client.deleteDB(thread)
    await assert.rejects(client.getDBInfo(thread), { message: 'thread not found' })
    await assert.rejects(client.deleteDB(thread), { message: 'thread not found' })
    await assert.rejects(client.find(thread, 'Person', {}), { message: 'thread not found' })
  })

  test('a database is not made twice', async () => {
    const thread = await client.newDB()
    await assert.rejects(client.newDB(thread), /already exists/)
    await assert.rejects(client.open(thread), /already exists/)
  })

  test('open makes what is not there', async () => {
    const thread = id.ThreadID.fromRandom()
    await client.open(thread, 'opened')
    await client.listCollections(thread)
  })

  test('names are checked', async () => {
    await assert.rejects(client.newDB(undefined, 'no spaces'), /name may only contain alphanumeric/)
  })
})

describe('collections', () => {
  test('the schema comes back as the reference keeps it', async () => {
    const thread = await people({ indexes: [{ path: 'firstName', unique: false }] })
    const info = await client.getCollectionInfo(thread, 'Person')
    assert.equal(info.name, 'Person')
    // Without `$id` and without `minimum: 0`.
    const { $id, ...kept } = structuredClone(person)
    delete kept.properties.age.minimum
    assert.deepEqual(info.schema, kept)
    assert.deepEqual(info.indexes ?? info.indexesList, [{ path: 'firstName', unique: false }])
    assert.deepEqual(await client.getCollectionIndexes(thread, 'Person'), [{ path: 'firstName', unique: false }])
    const all = await client.listCollections(thread)
    assert.deepEqual(all.map((collection) => collection.name), ['Person'])
  })

  test('what the reference refuses is refused in its words', async () => {
    const thread = await people()
    const define = (name, config) => client.newCollection(thread, { name, ...config })
    await assert.rejects(define('Person', { schema: person }), { message: 'collection already registered' })
    await assert.rejects(define('two words', {}), /name may only contain alphanumeric/)
    await assert.rejects(define('A', { schema: { properties: { _id: { type: 'number' } } } }), /_id property must be a string/)
    await assert.rejects(define('B', { schema: { properties: { _id: { type: ['string'] } } } }), /cannot unmarshal array/)
    const index = (path) => define('C', { schema: person, indexes: [{ path, unique: false }] })
    await assert.rejects(index('_id'), { message: 'cannot create custom index on _id' })
    await assert.rejects(index('missing'), { message: 'collection schema does not contain path' })
    for (const call of ['getCollectionInfo', 'getCollectionIndexes', 'deleteCollection']) {
      await assert.rejects(client[call](thread, 'Nobody'), { message: 'collection not found' }, call)
    }
    await assert.rejects(client.updateCollection(thread, { name: 'Nobody', schema: person }), { message: 'collection not found' })
  })

  test('a collection is redefined, and its indexes with it', async () => {
    const thread = await people({ indexes: [{ path: 'firstName', unique: false }] })
    await client.create(thread, 'Person', [adam()])
    const schema = { ...person, properties: { ...person.properties, nickname: { type: 'string' } } }
    await client.updateCollection(thread, { name: 'Person', schema, indexes: [{ path: 'nickname', unique: true }] })
    assert.deepEqual(await client.getCollectionIndexes(thread, 'Person'), [{ path: 'nickname', unique: true }])
    await client.create(thread, 'Person', [{ ...adam(), nickname: 'A' }])
    await assert.rejects(client.create(thread, 'Person', [{ ...adam(), nickname: 'A' }]), { message: 'unique constraint violation' })
    assert.equal((await client.find(thread, 'Person', {})).length, 2)
  })

  test('a deleted collection is not found, and its instances are back when it is', async () => {
    const thread = await people()
    await client.create(thread, 'Person', [adam()])
    await client.deleteCollection(thread, 'Person')
    await assert.rejects(client.find(thread, 'Person', {}), { message: 'collection not found' })
    await client.newCollection(thread, { name: 'Person', schema: person })
    assert.equal((await client.find(thread, 'Person', {})).length, 1)
  })

  test('a collection is made from an object', async () => {
    const thread = await client.newDB()
    await client.newCollectionFromObject(thread, { _id: '', name: 'Toy', parts: 3 }, { name: 'Toy' })
    await client.create(thread, 'Toy', [{ _id: '', name: 'Woody', parts: 7 }])
    await assert.rejects(client.create(thread, 'Toy', [{ _id: '', name: 7, parts: 7 }]), /^Error: instance doesn't correspond to schema: name: /)
  })
})

describe('instances', () => {
  test('are created with ids and a time, found, changed and deleted', async () => {
    const thread = await people()
    const ids = await client.create(thread, 'Person', [adam(), { ...adam(), _id: 'eve', firstName: 'Eve' }])
    assert.match(ids[0], /^[0-9a-z]{26}$/)
    assert.equal(ids[1], 'eve')
    const found = await client.findByID(thread, 'Person', ids[0])
    const { _mod, ...rest } = found
    assert.deepEqual(rest, { ...adam(), _id: ids[0] })
    assert.ok(_mod > 1.7e18)
    assert.equal(await client.has(thread, 'Person', ids), true)
    assert.equal(await client.has(thread, 'Person', [...ids, 'nobody']), false)

    found.age = 22
    delete found.lastName
    await client.verify(thread, 'Person', [found])
    assert.equal((await client.findByID(thread, 'Person', ids[0])).age, 21, 'nothing was saved')
    await client.save(thread, 'Person', [found])
    const saved = await client.findByID(thread, 'Person', ids[0])
    assert.equal(saved.age, 22)
    assert.equal('lastName' in saved, false)
    assert.ok(saved._mod >= _mod)

    // One that is not there is passed over.
    await client.delete(thread, 'Person', ['nobody', ...ids])
    assert.equal(await client.has(thread, 'Person', [ids[0]]), false)
    await assert.rejects(client.findByID(thread, 'Person', ids[0]), { message: 'instance not found' })
    await client.delete(thread, 'Person', ids)
  })

  test('what cannot be is refused in the words of the reference', async () => {
    const thread = await people()
    const [one] = await client.create(thread, 'Person', [adam()])
    const create = (...instances) => client.create(thread, 'Person', instances)
    await assert.rejects(create({ ...adam(), _id: one }), { message: "can't create already existing instance" })
    await assert.rejects(create({ ...adam(), _id: 'x' }, { ...adam(), _id: 'x' }), /already existent instance/)
    await assert.rejects(create({ ...adam(), age: 'old' }), /^Error: instance doesn't correspond to schema: age: /)
    await assert.rejects(create({ ...adam(), age: -1.5 }), /instance doesn't correspond to schema/)
    await assert.rejects(create(null), /unmarshaling json instance/)
    await assert.rejects(create({ _id: 7 }), /unmarshaling json instance/)
    await assert.rejects(client.save(thread, 'Person', [{ firstName: 'X' }]), { message: 'invalid instance: missing _id attribute' })
    await assert.rejects(client.verify(thread, 'Person', [{ _id: one, age: 'old' }]), /instance doesn't correspond to schema/)
    assert.equal((await client.find(thread, 'Person', {})).length, 1, 'none of it left anything')
  })

  test('save makes what is not there, and takes away what is null', async () => {
    const thread = await people()
    await client.save(thread, 'Person', [{ _id: 'new', firstName: 'New', lastName: 'One' }])
    await client.save(thread, 'Person', [{ _id: 'new', firstName: 'New', lastName: 'Two', age: 3 }])
    assert.equal((await client.findByID(thread, 'Person', 'new')).lastName, 'Two')
    const open = await client.newDB()
    await client.newCollection(open, { name: 'Any' })
    await client.create(open, 'Any', [{ _id: 'x', here: null, there: 1 }])
    assert.equal((await client.findByID(open, 'Any', 'x')).here, null)
    await client.save(open, 'Any', [{ _id: 'x', here: null, there: null }])
    assert.deepEqual(Object.keys(await client.findByID(open, 'Any', 'x')).sort(), ['_id', '_mod'])
  })

  test('any text survives', async () => {
    const thread = await people()
    const names = ['Ångström', '名前', '🦀🧵', "O'Neil \\ \"quoted\"", '\u0000\u001f\u007f', 'e\u0301', '{{}}', '</script>']
    const ids = await client.create(thread, 'Person', names.map((firstName) => ({ ...adam(), firstName })))
    for (const [at, name] of names.entries()) {
      assert.equal((await client.findByID(thread, 'Person', ids[at])).firstName, name)
      const found = await client.find(thread, 'Person', new Where('firstName').eq(name))
      assert.deepEqual(found.map((found) => found._id), [ids[at]])
    }
    await client.create(thread, 'Person', [{ ...adam(), _id: 'ß/ø:ü 🦀' }])
    assert.ok(await client.has(thread, 'Person', ['ß/ø:ü 🦀']))
  })
})

describe('queries', () => {
  let thread
  const ages = (found) => found.map((person) => person.age)
  const find = (query) => client.find(thread, 'Person', query)

  before(async () => {
    thread = await people({ indexes: [{ path: 'age', unique: false }] })
    const people_ = Array.from({ length: 20 }, (_, at) => ({ ...adam(), _id: `p${String(at).padStart(2, '0')}`, age: (at * 7) % 20, firstName: at % 2 ? 'Odd' : 'Even' }))
    await client.create(thread, 'Person', people_)
    await client.create(thread, 'Person', [{ _id: 'unaged', firstName: 'Unaged' }])
  })

  test('compare', async () => {
    assert.deepEqual(ages(await find(new Where('age').eq(3))), [3])
    assert.deepEqual(ages(await find(new Where('age').ge(18))).sort((a, b) => a - b), [18, 19])
    assert.deepEqual(ages(await find(new Where('age').lt(2))).sort((a, b) => a - b), [0, 1])
    assert.deepEqual(ages(await find(new Where('age').le(1))).sort((a, b) => a - b), [0, 1])
    // What the client calls gt() says "not equal" on the wire, and always has.
    assert.equal((await find(new Where('age').gt(18))).length, 19)
    assert.equal((await find(new Where('age').ne(3))).length, 19, 'and not of who has none')
    assert.equal((await find({})).length, 21)
  })

  test('and, or', async () => {
    const young = await find(new Where('firstName').eq('Even').and('age').lt(5))
    assert.ok(young.every((person) => person.firstName === 'Even' && person.age < 5))
    assert.ok(young.length > 0)
    const either = await find(new Where('age').eq(1).or(new Where('age').eq(2)))
    assert.deepEqual(ages(either).sort(), [1, 2])
  })

  test('sort before skip and limit', async () => {
    assert.deepEqual(ages(await find(new Where('age').ge(0).orderByDesc('age').limitTo(3))), [19, 18, 17])
    assert.deepEqual(ages(await find(new Where('age').ge(0).orderBy('age').skipNum(2).limitTo(2))), [2, 3])
    assert.equal((await find(new Query().skipNum(20))).length, 1)
    const last = await find(new Where('age').ge(0).orderByIDDesc().limitTo(1))
    assert.equal(last[0]._id, 'p19')
  })

  test('seek begins at an id', async () => {
    const found = await find(new Query().seekID('p18'))
    assert.deepEqual(found.map((person) => person._id), ['p18', 'p19', 'unaged'])
  })

  test('an index may be named', async () => {
    assert.deepEqual(ages(await find(new Where('age').eq(7).useIndex('age'))), [7])
  })

  test('what is no query is refused', async () => {
    await assert.rejects(find({ ands: [{ fieldPath: 'age', operation: 0, value: {} }] }), /invalid query: value type should describe exactly one type/)
    await assert.rejects(client.find(thread, 'Nobody', {}), { message: 'collection not found' })
  })
})

describe('transactions', () => {
  test('read one state', async () => {
    const thread = await people()
    const [one] = await client.create(thread, 'Person', [adam()])
    const transaction = client.readTransaction(thread, 'Person')
    await transaction.start()
    assert.equal(await transaction.has([one]), true)
    await client.delete(thread, 'Person', [one])
    assert.equal(await transaction.has([one]), true, 'as it was when the transaction began')
    assert.equal((await transaction.findByID(one)).firstName, 'Adam')
    assert.equal((await transaction.find(new Where('firstName').eq('Adam'))).length, 1)
    await assert.rejects(transaction.findByID('nobody'), { message: 'instance not found' })
    assert.equal(await transaction.has([one]), true, 'it goes on')
    await transaction.end()
    assert.equal(await client.has(thread, 'Person', [one]), false)
  })

  test('write at the end, all at once', async () => {
    const thread = await people()
    const [one, two] = await client.create(thread, 'Person', [adam(), adam()])
    const transaction = client.writeTransaction(thread, 'Person')
    await transaction.start()
    const [three] = await transaction.create([{ ...adam(), firstName: 'Three' }])
    await transaction.verify([{ _id: one, age: 30 }])
    await transaction.save([{ ...adam(), _id: one, age: 30 }])
    await transaction.delete([two])
    // Reads are of what is committed.
    assert.equal(await transaction.has([three]), false)
    assert.equal(await transaction.has([two]), true)
    assert.equal((await transaction.findByID(one)).age, 21)
    assert.equal((await transaction.find({})).length, 2)
    assert.equal((await client.find(thread, 'Person', {})).length, 2, 'nothing shows yet')
    await transaction.end()
    assert.equal((await client.findByID(thread, 'Person', one)).age, 30)
    assert.equal(await client.has(thread, 'Person', [two]), false)
    assert.equal(await client.has(thread, 'Person', [three]), true)
  })

  test('an error of one step leaves the others', async () => {
    const thread = await people()
    const [one] = await client.create(thread, 'Person', [adam()])
    const transaction = client.writeTransaction(thread, 'Person')
    await transaction.start()
    await assert.rejects(transaction.create([{ ...adam(), _id: one }]), /existing instance/)
    await assert.rejects(transaction.save([{ _id: one, age: 'old' }]), /instance doesn't correspond to schema/)
    await transaction.create([{ ...adam(), _id: 'two' }])
    await transaction.end()
    assert.deepEqual((await client.find(thread, 'Person', {})).length, 2)
  })

  test('discard leaves no trace', async () => {
    const thread = await people()
    const transaction = client.writeTransaction(thread, 'Person')
    await transaction.start()
    await transaction.create([adam()])
    await transaction.discard()
    await assert.rejects(transaction.end(), /discarded\/committed txn/)
    assert.equal((await client.find(thread, 'Person', {})).length, 0)
  })

  test('of a collection that is not there the first step is refused', async () => {
    const thread = await people()
    for (const kind of ['readTransaction', 'writeTransaction']) {
      const transaction = client[kind](thread, 'Nobody')
      await transaction.start()
      await new Promise((resolve) => setTimeout(resolve, 100))
      await assert.rejects(transaction.has(['x']), { message: 'collection not found' }, kind)
    }
  })

  test('writers take turns', async () => {
    const thread = await people()
    const [one] = await client.create(thread, 'Person', [{ ...adam(), age: 0 }])
    const add = async () => {
      const transaction = client.writeTransaction(thread, 'Person')
      await transaction.start()
      const found = await transaction.findByID(one)
      await transaction.save([{ ...found, age: found.age + 1 }])
      await transaction.end()
    }
    await Promise.all(Array.from({ length: 10 }, add))
    assert.equal((await client.findByID(thread, 'Person', one)).age, 10)
  })

  test('one whose client is gone holds up nobody', async () => {
    const thread = await people()
    const transaction = client.writeTransaction(thread, 'Person')
    await transaction.start()
    await transaction.create([{ ...adam(), _id: 'gone' }])
    transaction.client.close()
    await client.create(thread, 'Person', [{ ...adam(), _id: 'here' }])
    assert.equal(await client.has(thread, 'Person', ['gone']), false)
  })
})

describe('listening', () => {
  test('tells what was created, saved and deleted', async () => {
    const thread = await people()
    const deletions = await listening(client, thread, [{ collectionName: 'Person', actionTypes: ['DELETE'] }], async () => {
      const [id] = await client.create(thread, 'Person', [adam()])
      await client.delete(thread, 'Person', [id])
      return (reply) => reply.instanceID === id
    })
    await client.create(thread, 'Person', [{ ...adam(), _id: 'eve' }])
    const eve = await listening(client, thread, [{ instanceID: 'eve' }], async (client, thread, number) => {
      await client.save(thread, 'Person', [{ ...adam(), _id: 'eve', age: number }])
      return (reply) => reply.instance.age === number
    })
    const all = await listening(client, thread)
    const [one] = await client.create(thread, 'Person', [adam()])
    await client.save(thread, 'Person', [{ ...adam(), _id: 'eve' }])
    await client.save(thread, 'Person', [{ ...adam(), _id: one, age: 50 }])
    await client.delete(thread, 'Person', [one])
    await until(() => all.told.length >= 4 && deletions.told.length >= 1 && eve.told.length >= 1, 'all are told')
    assert.deepEqual(all.told.map(({ action, instanceID }) => [action, instanceID]), [['CREATE', one], ['SAVE', 'eve'], ['SAVE', one], ['DELETE', one]])
    assert.equal(all.told[2].instance.age, 50)
    assert.equal(all.told[0].collectionName, 'Person')
    assert.deepEqual(deletions.told.map(({ action, instanceID }) => [action, instanceID]), [['DELETE', one]])
    assert.deepEqual(eve.told.map(({ instanceID }) => instanceID), ['eve'])
    for (const listener of [all, deletions, eve]) listener.close()
  })

  test('a database that is not there cannot be listened to', async () => {
    const told = []
    client.listen(id.ThreadID.fromRandom(), [], (reply, error) => told.push(error ?? reply))
    await until(() => told.length > 0, 'an error')
    assert.equal(told[0].message, 'thread not found')
  })
})
