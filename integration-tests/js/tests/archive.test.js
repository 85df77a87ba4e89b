// `spool thread export` writes what others read: the reference implementation of CAR files, which knows nothing of Spool.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'

import { CarReader, CarWriter } from '@ipld/car'
import * as cbor from '@ipld/dag-cbor'

import { Daemon } from '../support/daemon.js'

const RAW = 0x55
const SHA2_256 = 0x12
const EVENTS = 300

describe('a thread as a CAR file', () => {
  let daemon, thread, bytes

  // Runs a command of the same program.
  const spool = (args, input) => {
    const ended = spawnSync(process.env.SPOOL_BIN, args, { env: daemon.env, input, maxBuffer: 1 << 28 })
    assert.equal(ended.status, 0, ended.stderr.toString())
    return ended.stdout.toString().trim()
  }

  before(async () => {
    daemon = await Daemon.start()
    thread = spool(['thread', 'create', 'notes'])
    const events = Array.from({ length: EVENTS }, (_, number) => JSON.stringify({ number }) + '\n')
    spool(['append', 'notes', '--stdin'], events.join(''))
    spool(['append', 'notes', 'a body of its own '.repeat(2_000)])
    const file = join(daemon.directory, 'notes.car')
    spool(['thread', 'export', 'notes', file])
    bytes = readFileSync(file)
  })

  after(() => daemon.stop())

  test('its roots are the index and the heads, and every block is what its CID says', async () => {
    const car = await CarReader.fromBytes(bytes)
    assert.equal(car.version, 1)
    const [index, ...heads] = await car.getRoots()
    assert.equal(index.code, cbor.code)
    const shown = JSON.parse(spool(['thread', 'show', 'notes', '--json']))
    assert.deepEqual(heads.map(String), shown.logs.map((log) => log.head))

    const cids = new Set()
    for await (const { cid, bytes } of car.blocks()) {
      assert.equal(cid.multihash.code, SHA2_256)
      assert.deepEqual(Buffer.from(cid.multihash.digest), createHash('sha256').update(bytes).digest())
      assert.ok(cid.equals(index) || cid.code === RAW)
      assert.ok(!cids.has(String(cid)), 'no block comes twice')
      cids.add(String(cid))
    }
    // The index, the records, and the body that is a block.
    assert.equal(cids.size, 1 + (EVENTS + 1) + 1)
    for (const entry of spool(['log', 'notes', '--json']).split('\n').map((line) => JSON.parse(line))) {
      assert.ok(cids.has(entry.cid), entry.cid)
    }
    const [version, , logs, blocks] = cbor.decode((await car.get(index)).bytes)
    assert.deepEqual([version, logs.length, blocks], [1, 1, 1])
    const [, runs, fork, inert] = logs[0]
    assert.deepEqual([runs.length, runs[0][0], fork, inert], [1, EVENTS + 1, 0, []])
  })

  test('it is byte for byte what another program would have written', async () => {
    const car = await CarReader.fromBytes(bytes)
    const { writer, out } = CarWriter.create(await car.getRoots())
    const pieces = []
    const collecting = (async () => {
      for await (const piece of out) pieces.push(piece)
    })()
    for await (const block of car.blocks()) await writer.put(block)
    await writer.close()
    await collecting
    assert.ok(Buffer.concat(pieces).equals(bytes))
  })

  test('no key and nothing that was said is in it', () => {
    const text = bytes.toString('latin1')
    assert.ok(!text.includes('a body of its own') && !text.includes('number'))
    assert.ok(!text.includes(thread) && !text.includes('notes'))
  })
})
