// An invitation: where the club is and its key, as the node says it, in one line of text to copy and paste. Whoever has it can read and write.

import { ThreadID } from '@textile/threads-id'

// What `getDBInfo` says, as text.
export function write({ addrs, key }) {
  return [...addrs, key].join(' ')
}

// Reads what somebody has pasted.
export function read(text) {
  const words = text.trim().split(/\s+/)
  const addrs = words.filter((word) => word.startsWith('/'))
  const [key, ...more] = words.filter((word) => /^b[a-z2-7]{103}$/.test(word))
  const thread = addrs[0]?.match(/\/thread\/(\w+)$/)?.[1]
  if (!thread || !key || more.length > 0 || words.length !== addrs.length + 1) {
    throw new Error('This is no invitation: it has addresses that begin with / and one key, with spaces in between.')
  }
  // The client takes the first address: one that leads to another machine is of use on this one as well, and not the other way round.
  const isLocal = (address) => /^\/(ip4\/127\.|ip6\/::1\/)/.test(address)
  addrs.sort((one, other) => isLocal(one) - isLocal(other))
  return { thread: ThreadID.fromString(thread), info: { addrs, key } }
}

// The id of the node behind these addresses.
export function peer({ addrs }) {
  return addrs[0]?.match(/\/p2p\/(\w+)/)?.[1]
}
