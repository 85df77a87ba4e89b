// A daemon of its own for each test file: on free ports of loopback, in a temporary directory, gone when the tests are.

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const program = process.env.SPOOL_BIN
assert.ok(program, 'SPOOL_BIN names the program to test; scripts/test-javascript sets it')

const FLAGS = [
  '--json',
  ...['--api', '127.0.0.1:0'],
  ...['--web', '127.0.0.1:0'],
  ...['--listen', '/ip4/127.0.0.1/tcp/0'],
  ...['--mdns', 'false'],
  ...['--dht', 'off'],
  ...['--log', 'warn'],
]

export class Daemon {
  // Starts one and waits until it answers.
  static async start() {
    const directory = mkdtempSync(join(tmpdir(), 'spool-'))
    const env = { HOME: directory, SPOOL_REPO: join(directory, 'repo') }
    const made = spawnSync(program, ['init', '--name', 'test'], { env, encoding: 'utf8' })
    assert.equal(made.status, 0, made.stderr)
    const child = spawn(program, ['daemon', ...FLAGS], { env, stdio: ['ignore', 'pipe', 'inherit'] })
    const [line] = await once(createInterface(child.stdout), 'line')
    return new Daemon(child, directory, JSON.parse(line))
  }

  constructor(child, directory, greeting) {
    this.child = child
    this.directory = directory
    this.greeting = greeting
    // What a client is given.
    this.host = `http://${greeting.web}`
  }

  // Ends it as a user would, and says with which code it ended.
  async stop() {
    this.child.kill('SIGTERM')
    const [code] = await once(this.child, 'exit')
    rmSync(this.directory, { recursive: true })
    return code
  }
}
