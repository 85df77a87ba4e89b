// What the tests keep in their databases.

export const person = {
  $id: 'https://example.com/person.schema.json',
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Person',
  type: 'object',
  required: ['_id'],
  properties: {
    _id: { type: 'string', description: 'The instance id.' },
    firstName: { type: 'string', description: 'The first name.' },
    lastName: { type: 'string', description: 'The last name.' },
    age: { description: 'Age in years.', type: 'integer', minimum: 0 },
  },
}

export const adam = () => ({ _id: '', firstName: 'Adam', lastName: 'Doe', age: 21 })

// A listener that has begun to listen, which nothing says: it has heard of something that was written to find out. `probe` writes something
// that the filters let through, told apart by a number, and gives back which reply tells of it.
export async function listening(client, thread, filters = [], probe = created) {
  const told = []
  const listener = client.listen(thread, filters, (reply, error) => told.push(error ?? reply ?? 'ended'))
  for (let number = 1, begun = false; !begun; number++) {
    const isOfProbe = await probe(client, thread, number)
    for (let waited = 0; waited < 100 && !begun; waited++) {
      begun = told.some(isOfProbe)
      if (!begun) await new Promise((resolve) => setTimeout(resolve, 20))
    }
    if (number === 10) throw new Error('the listener hears nothing')
  }
  // They are told in order: nothing of a probe comes any more.
  told.length = 0
  return { told, close: () => listener.close() }
}

const created = async (client, thread) => {
  const [id] = await client.create(thread, 'Person', [{ ...adam(), firstName: 'Probe' }])
  return (reply) => reply.instanceID === id
}

// Waits until something holds, and fails with what it was if it never does.
export async function until(check, what, patience = 20_000) {
  const end = Date.now() + patience
  for (;;) {
    const found = await check()
    if (found) return found
    if (Date.now() > end) throw new Error(`not within ${patience} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
