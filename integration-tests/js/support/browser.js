// A browser, where there is one, and the page of examples/film-club in it.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { chromium } from 'playwright-core'

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome']
const program = process.env.CHROMIUM ?? PLACES.find((place) => existsSync(place))

// Why tests in a browser are left out, if they are. In CI scripts/setup installs one where it can.
export const missing = !program && 'left out: needs Chromium, in CHROMIUM or where Debian has it'

export function launch() {
  assert.ok(program, 'there is no Chromium')
  // Only root needs that, and only pages of ours are shown.
  return chromium.launch({ executablePath: program, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] })
}

// Starts the film club as README.md says.
export class FilmClub {
  static async start() {
    const directory = fileURLToPath(new URL('../../../examples/film-club', import.meta.url))
    // A process group of its own: npm starts a shell, and that the server.
    const child = spawn('npm', ['--prefix', directory, 'start'], { env: { ...process.env, PORT: '0' }, stdio: ['ignore', 'pipe', 'inherit'], detached: true })
    for await (const line of createInterface(child.stdout)) {
      const url = line.match(/^The film club is at (\S+)$/)?.[1]
      if (url) return Object.assign(new FilmClub(), { child, url })
    }
    throw new Error('the film club did not start')
  }

  stop() {
    process.kill(-this.child.pid)
  }
}
