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
