// The node that this page works with, and who works with it.

import { Context } from '@textile/context'
import { PrivateKey } from '@textile/crypto'
import { Client } from '@textile/threads-client'

const DEFAULT = 'http://127.0.0.1:6007'

// The address of the node: `?node=127.0.0.1:6107` in the page's own, else the usual one.
export function address() {
  const given = new URLSearchParams(location.search).get('node')?.trim().replace(/\/+$/, '')
  if (!given) return DEFAULT
  return /^https?:\/\//.test(given) ? given : `http://${given}`
}

// What the page remembers, for each node by itself: so two pages can be two people on one machine.
export class Memory {
  constructor(node) {
    this.prefix = `film-club ${node} `
  }

  get(name) {
    return JSON.parse(localStorage.getItem(this.prefix + name))
  }

  set(name, value) {
    localStorage.setItem(this.prefix + name, JSON.stringify(value))
  }
}

// A client that is logged in with this page's own identity, which is made the first time.
export async function login(node, memory) {
  const known = memory.get('identity')
  const identity = known ? PrivateKey.fromString(known) : PrivateKey.fromRandom()
  if (!known) memory.set('identity', identity.toString())
  const client = new Client(new Context(node))
  await client.getToken(identity)
  return { client, me: identity.public.toString() }
}

// An error as text for people.
export function explain(error, node) {
  const text = error?.message ?? String(error)
  // All that a browser says of a websocket that fails.
  if (text.startsWith('Response closed without')) return `The node at ${node} does not answer. Is it running?`
  return text
}
