// The page: what people do on it, and what it shows.

import { ThreadID } from '@textile/threads-id'

import { Club, create, join } from './club.js'
import { read } from './invitation.js'
import { Memory, address, explain, login } from './node.js'
import { Films, find, showClubs, showPeople } from './view.js'

const node = address()
const memory = new Memory(node)
let session
let club

const films = new Films({
  rate: (id, stars) => attempt(() => club.rate(id, stars)),
  edit: (id) => edit(club.collections.Film.get(id)),
  remove: (id) => attempt(() => remove(club.collections.Film.get(id))),
})

// Does something, and says so if it did not work.
async function attempt(action) {
  find('#error').hidden = true
  try {
    return await action()
  } catch (error) {
    complain(error)
  }
}

function complain(error) {
  console.error(error)
  const place = find('#error')
  place.textContent = explain(error, node)
  place.hidden = false
}

function connection(state, error) {
  const place = find('#connection')
  place.className = state
  place.textContent = state === 'connected' ? `Connected to your node at ${node}` : `Not connected. ${explain(error, node)} Trying again …`
}

// What a form says, without what was left empty.
function values(form) {
  const filled = [...new FormData(form)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value !== '')
  const fields = Object.fromEntries(filled)
  if (fields.year) fields.year = Number(fields.year)
  return fields
}

function onSubmit(selector, action) {
  const form = find(selector)
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    const button = find('button', form)
    button.disabled = true
    await attempt(() => action(values(form), form))
    button.disabled = false
  })
}

function name() {
  const name = find('#name').value.trim()
  if (!name) {
    find('#name').focus()
    throw new Error('Say first who you are: the others want to know.')
  }
  memory.set('name', name)
  return name
}

// The clubs of this page, with one more or under another title.
function remember(thread, title) {
  const others = (memory.get('clubs') ?? []).filter((club) => club.thread !== thread)
  memory.set('clubs', [...others, { thread, title }])
}

async function enter(thread) {
  remember(thread.toString(), club?.title ?? 'Film club')
  location.hash = thread.toString()
}

function show() {
  find('#title').textContent = club.title
  document.title = club.title
  remember(club.thread.toString(), club.title)
  films.show(club.films, session.me, find('#order').value)
  showPeople(club.people)
}

function edit(film) {
  const dialog = find('#edit')
  const form = find('form', dialog)
  for (const field of ['title', 'year', 'note']) form.elements[field].value = film[field] ?? ''
  dialog.returnValue = ''
  dialog.onclose = () => {
    if (dialog.returnValue === 'save') attempt(() => club.edit(film._id, values(form)))
  }
  dialog.showModal()
}

async function remove(film) {
  const undo = await club.remove(film._id)
  const place = find('#undo')
  find('span', place).textContent = `“${film.title}” is off the list.`
  place.hidden = false
  const button = find('button', place)
  button.onclick = () => {
    place.hidden = true
    attempt(undo)
  }
  button.focus()
}

async function start() {
  const thread = location.hash.slice(1)
  find('#address').value = node
  find('#name').value = memory.get('name') ?? ''
  session ??= await login(node, memory)
  find('#me').textContent = session.me
  if (!thread) {
    showClubs(memory.get('clubs') ?? [])
    find('#start').hidden = false
    find('#connection').className = 'connected'
    find('#connection').textContent = `Connected to your node at ${node}`
    return
  }
  club = new Club({ ...session, name: memory.get('name') ?? '', thread: ThreadID.fromString(thread), changed: show, told: connection })
  await club.open()
  find('#peer').textContent = club.node ?? '–'
  find('#invitation').value = club.invitation
  find('#club').hidden = false
}

// Until the node answers.
async function begin() {
  for (;;) {
    try {
      return await start()
    } catch (error) {
      connection('away', error)
      await new Promise((resolve) => setTimeout(resolve, 2_000))
    }
  }
}

onSubmit('#create', async ({ title }) => {
  name()
  await enter(await create(session.client, title))
})
onSubmit('#join', async ({ invitation }) => {
  name()
  await enter(await join(session.client, read(invitation)))
})
onSubmit('#add', async (film, form) => {
  await club.add(film)
  form.reset()
  form.elements.title.focus()
})
onSubmit('#node', ({ node }) => {
  location.href = `?node=${encodeURIComponent(node)}`
})
find('#order').addEventListener('change', show)
find('#copy').addEventListener('click', () =>
  attempt(async () => {
    find('#invitation').select()
    await navigator.clipboard.writeText(find('#invitation').value)
    find('#copy').textContent = 'Copied'
  }),
)
// Another club is another page: nothing of the last one is left over.
addEventListener('hashchange', () => location.reload())
begin()
