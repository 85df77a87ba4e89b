// A daemon of its own for each test file: on free ports of loopback, in a temporary directory, gone when the tests are.

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const program = process.env.SPOOL_BIN
assert.ok(program, 'SPOOL_BIN names the program to test; scripts/test-javascript sets it')

const FLAGS = [
  '--json',
  ...['--mdns', 'false'],
  ...['--dht', 'off'],
  ...['--log', 'warn'],
]

export class Daemon {
  // Starts one and waits until it answers.
  static async start(flags = []) {
    const directory = mkdtempSync(join(tmpdir(), 'spool-'))
    const daemon = new Daemon(directory, flags)
    const made = spawnSync(program, ['init', '--name', 'test'], { env: daemon.env, encoding: 'utf8' })
    assert.equal(made.status, 0, made.stderr)
    await daemon.run({ api: '127.0.0.1:0', http: '127.0.0.1:0', web: '127.0.0.1:0', listen: '/ip4/127.0.0.1/tcp/0' })
    return daemon
  }

  constructor(directory, flags) {
    this.directory = directory
    this.flags = flags
    this.env = { HOME: directory, SPOOL_REPO: join(directory, 'repo') }
  }

  async run(addresses) {
    const where = Object.entries(addresses).flatMap(([name, address]) => [`--${name}`, address])
    const flags = ['daemon', ...FLAGS, ...where, ...this.flags]
    this.child = spawn(program, flags, { env: this.env, stdio: ['ignore', 'pipe', 'pipe'] })
    this.child.stderr.on('data', (text) => {
      process.stderr.write(text)
      this.panicked ||= text.includes('panicked at')
    })
    const ended = once(this.child, 'exit').then(([code]) => assert.fail(`the daemon ended with code ${code} before it was ready`))
    const [line] = await Promise.race([once(createInterface(this.child.stdout), 'line'), ended])
    ended.catch(() => {})
    this.greeting = JSON.parse(line)
    // What a client is given.
    this.host = `http://${this.greeting.web}`
  }

  // Runs a command against it and returns what it printed.
  command(...words) {
    const run = spawnSync(program, [...words, '--json'], { env: this.env, encoding: 'utf8' })
    assert.equal(run.status, 0, run.stderr)
    return run.stdout.trim().split('\n').map((line) => JSON.parse(line))
  }

  // What callers of its own interface show.
  token() {
    return readFileSync(join(this.directory, 'repo', 'api-token'), 'utf8').trim()
  }

  // How many tasks it has under way.
  async tasks() {
    const metrics = await (await fetch(`http://${this.greeting.http}/metrics`)).text()
    return Number(metrics.match(/^spool_tasks (\d+)$/m)[1])
  }

  // How many file descriptors it has open.
  descriptors() {
    return readdirSync(`/proc/${this.child.pid}/fd`).length
  }

  // Bytes of memory that it holds.
  memory() {
    const status = readFileSync(`/proc/${this.child.pid}/status`, 'utf8')
    return Number(status.match(/^VmRSS:\s*(\d+) kB$/m)[1]) * 1024
  }

  // Ends it as a user would, and says with which code it ended.
  async end(signal = 'SIGTERM') {
    this.child.kill(signal)
    const [code] = await once(this.child, 'exit')
    return code
  }

  // Starts it again, after its end, at the same addresses; all of them, or the system may give one to another.
  async again() {
    const { api, http, web, listen } = this.greeting
    await this.run({ api, http, web, listen: listen[0].replace(/\/p2p\/.*/, '') })
  }

  async restart(signal) {
    await this.end(signal)
    await this.again()
  }

  async stop() {
    const code = await this.end()
    rmSync(this.directory, { recursive: true })
    assert.ok(!this.panicked, 'the daemon panicked, see above')
    return code
  }
}
