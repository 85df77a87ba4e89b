// A club: its films and its people, the same on every node, and how they change.

import { peer, write } from './invitation.js'

const text = { type: 'string' }

// A number of stars of each person who has rated, by identity: so ratings given at the same time stand side by side.
const FILMS = {
  name: 'Film',
  schema: {
    type: 'object',
    required: ['_id', 'title', 'ratings'],
    properties: {
      _id: text,
      title: { type: 'string', minLength: 1, maxLength: 200 },
      year: { type: 'integer', minimum: 1870, maximum: 2200 },
      note: { type: 'string', maxLength: 2000 },
      added: { type: 'integer' },
      ratings: { type: 'object', additionalProperties: { type: 'integer', minimum: 1, maximum: 5 } },
    },
  },
}

const PEOPLE = {
  name: 'Person',
  schema: {
    type: 'object',
    required: ['_id', 'name', 'seen'],
    properties: { _id: text, name: { type: 'string', maxLength: 60 }, node: text, seen: { type: 'integer' } },
  },
}

const ABOUT = {
  name: 'About',
  schema: { type: 'object', required: ['_id', 'title'], properties: { _id: text, title: { type: 'string', maxLength: 80 } } },
}

const COLLECTIONS = [FILMS, PEOPLE, ABOUT]

// How often a person who is here says so. Each time is one more record in the club's history, so not often.
const BEAT = 60_000
// Who has not said so for this long has gone.
const AWAY = 2.5 * BEAT
// How long the listener may take to begin to listen before it is asked again.
const ECHO = 1_000
// How long to wait before a listener that ended is started again.
const AGAIN = 2_000

export async function create(client, title) {
  const thread = await client.newDB(undefined, 'film-club')
  for (const collection of COLLECTIONS) await client.newCollection(thread, collection)
  await client.create(thread, ABOUT.name, [{ _id: 'club', title }])
  return thread
}

// Adds a club that is on another node. What its collections are is said here too, in case that node is away just now.
export async function join(client, { thread, info }) {
  const known = await client.listDBs()
  if (known.some(({ id }) => id === thread.toString())) return thread
  return client.joinFromInfo(info, true, COLLECTIONS)
}

export class Club {
  // `changed` is called with each change, `told` with how the connection is.
  constructor({ client, me, name, thread, changed, told }) {
    Object.assign(this, { client, me, name, thread, changed, told })
    this.collections = { Film: new Map(), Person: new Map(), About: new Map() }
    // Stars that were given and that the node has not told us yet: what else it tells of the film meanwhile must not take them back.
    this.given = new Map()
    this.changes = Promise.resolve()
  }

  get title() {
    return this.collections.About.get('club')?.title ?? 'Film club'
  }

  get films() {
    return [...this.collections.Film.values()].map((film) => {
      const stars = this.given.get(film._id)
      return stars ? { ...film, ratings: { ...film.ratings, [this.me]: stars } } : film
    })
  }

  get people() {
    const here = Date.now() - AWAY
    return [...this.collections.Person.values()].map((person) => ({ ...person, isHere: person.seen > here, isMe: person._id === this.me }))
  }

  async open() {
    const info = await this.client.getDBInfo(this.thread)
    this.invitation = write(info)
    this.node = peer(info)
    await this.listen()
    setInterval(() => document.hidden || this.greet().catch(() => {}), BEAT)
    document.addEventListener('visibilitychange', () => document.hidden || this.greet().catch(() => {}))
  }

  // Follows the club. Nothing says when a listener has begun to listen; so this says that we are here until the listener has heard that, and
  // reads everything then: what changes after that is told.
  async listen() {
    let echo
    const heard = new Promise((resolve) => (echo = resolve))
    let ended
    const gone = new Promise((_, reject) => (ended = reject))
    // Handled below, but perhaps not yet when it happens.
    gone.catch(() => {})
    this.listener = this.client.listen(this.thread, [], (change, error) => {
      if (!change) return ended(error ?? new Error('The node has ended the connection.'))
      if (change.collectionName === PEOPLE.name && change.instanceID === this.me) echo(true)
      this.take(change)
    })
    try {
      do {
        await this.greet()
      } while (!(await Promise.race([heard, gone, pause(ECHO)])))
      await this.load()
      this.told('connected')
    } catch (error) {
      this.listener.close()
      throw error
    }
    gone.catch((error) => this.reconnect(error))
  }

  async reconnect(error) {
    for (;;) {
      this.told('away', error)
      await pause(AGAIN)
      try {
        return await this.listen()
      } catch (again) {
        error = again
      }
    }
  }

  take(change) {
    // What is told while everything is being read may be newer than what was read.
    if (this.early) return this.early.push(change)
    const { collectionName, instanceID, instance } = change
    const collection = this.collections[collectionName]
    if (!collection) return
    if (instance?.ratings?.[this.me] === this.given.get(instanceID)) this.given.delete(instanceID)
    if (instance) collection.set(instanceID, instance)
    else collection.delete(instanceID)
    this.changed()
  }

  async load() {
    const early = []
    this.early = early
    try {
      for (const name of Object.keys(this.collections)) {
        const found = await this.client.find(this.thread, name, {})
        this.collections[name] = new Map(found.map((instance) => [instance._id, instance]))
      }
    } finally {
      this.early = undefined
    }
    early.forEach((change) => this.take(change))
    this.changed()
  }

  // Says that this person is here, and where.
  greet() {
    const person = { _id: this.me, name: this.name, node: this.node, seen: Date.now() }
    return this.client.save(this.thread, PEOPLE.name, [person])
  }

  add(film) {
    return this.client.create(this.thread, FILMS.name, [{ ...film, _id: '', added: Date.now(), ratings: {} }])
  }

  // Changes a film as it is now, one change after the other.
  change(id, change) {
    this.changes = this.changes.catch(() => {}).then(() => this.transact(id, change))
    return this.changes
  }

  // In a transaction, so that nobody else on this node comes in between; what other nodes change in other fields stays anyway.
  async transact(id, change) {
    const transaction = this.client.writeTransaction(this.thread, FILMS.name)
    await transaction.start()
    try {
      const film = await transaction.findByID(id)
      await transaction.save([change(film)])
    } finally {
      await transaction.end()
    }
  }

  edit(id, fields) {
    return this.change(id, (film) => ({ ...film, year: undefined, note: undefined, ...fields }))
  }

  async rate(id, stars) {
    this.given.set(id, stars)
    this.changed()
    try {
      await this.change(id, (film) => ({ ...film, ratings: { ...film.ratings, [this.me]: stars } }))
    } catch (error) {
      this.given.delete(id)
      this.changed()
      throw error
    }
  }

  async remove(id) {
    const film = this.collections.Film.get(id)
    await this.client.delete(this.thread, FILMS.name, [id])
    return () => this.client.save(this.thread, FILMS.name, [film])
  }
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
