// What is on the page: films and people, kept in place while they change, so that whoever works with the keyboard does not lose their place.

const STARS = [1, 2, 3, 4, 5]

export const find = (selector, within = document) => within.querySelector(selector)

function average({ ratings }) {
  const stars = Object.values(ratings)
  return stars.length === 0 ? 0 : stars.reduce((sum, each) => sum + each, 0) / stars.length
}

const ORDERS = {
  added: (one, other) => (other.added ?? 0) - (one.added ?? 0),
  title: (one, other) => one.title.localeCompare(other.title),
  rating: (one, other) => average(other) - average(one),
}

// The films: `act` has what can be done with one.
export class Films {
  constructor(act) {
    this.act = act
    this.rows = new Map()
    this.list = find('#films')
  }

  show(films, me, order) {
    const sorted = films.toSorted((one, other) => ORDERS[order](one, other) || (one._id < other._id ? -1 : 1))
    const gone = new Set(this.rows.keys())
    const focused = document.activeElement
    let before = this.list.firstElementChild
    for (const film of sorted) {
      const row = this.rows.get(film._id) ?? this.row(film._id)
      gone.delete(film._id)
      fill(row, film, me)
      if (row === before) before = before.nextElementSibling
      else this.list.insertBefore(row, before)
    }
    for (const id of gone) {
      this.rows.get(id).remove()
      this.rows.delete(id)
    }
    // An element that is moved loses it.
    if (focused !== document.activeElement && this.list.contains(focused)) focused.focus()
    find('#empty').hidden = films.length > 0
  }

  row(id) {
    const row = find('#film').content.firstElementChild.cloneNode(true)
    const stars = find('.stars', row)
    for (const count of STARS) {
      const label = document.createElement('label')
      const input = Object.assign(document.createElement('input'), { type: 'radio', name: `stars-${id}`, value: count })
      input.setAttribute('aria-label', count === 1 ? '1 star' : `${count} stars`)
      input.addEventListener('change', () => this.act.rate(id, count))
      label.append(input, '★')
      stars.append(label)
    }
    find('.edit', row).addEventListener('click', () => this.act.edit(id))
    find('.delete', row).addEventListener('click', () => this.act.remove(id))
    this.rows.set(id, row)
    return row
  }
}

function fill(row, film, me) {
  find('.title', row).textContent = film.title
  find('.year', row).textContent = film.year ?? ''
  find('.note', row).textContent = film.note ?? ''
  for (const button of row.querySelectorAll('button')) button.setAttribute('aria-label', `${button.textContent} ${film.title}`)
  const own = film.ratings[me] ?? 0
  for (const input of row.querySelectorAll('.stars input')) {
    input.checked = Number(input.value) === own
    input.parentElement.classList.toggle('lit', Number(input.value) <= own)
  }
  const count = Object.keys(film.ratings).length
  find('.average', row).textContent = count === 0 ? 'not rated' : `${average(film).toFixed(1)} of 5 from ${count}`
}

const MINUTE = 60_000
const UNITS = [['day', 1440], ['hour', 60], ['minute', 1]]

function ago(time) {
  const minutes = Math.round((Date.now() - time) / MINUTE)
  const [unit, length] = UNITS.find(([, length]) => minutes >= length) ?? UNITS.at(-1)
  return new Intl.RelativeTimeFormat('en').format(-Math.max(1, Math.floor(minutes / length)), unit)
}

// Who is in the club, who is here, and on which node.
export function showPeople(people) {
  const sorted = people.toSorted((one, other) => other.isHere - one.isHere || one.name.localeCompare(other.name))
  const rows = sorted.map(({ name, node, seen, isHere, isMe }) => {
    const row = document.createElement('li')
    row.className = isHere ? 'here' : ''
    const strong = document.createElement('strong')
    strong.textContent = name || 'Somebody'
    const rest = document.createElement('small')
    const when = isHere ? 'online' : `seen ${ago(seen)}`
    rest.textContent = `${isMe ? 'you, ' : ''}${when}, on node ${node ? `…${node.slice(-8)}` : 'unknown'}`
    row.append(strong, ' ', rest)
    return row
  })
  find('#people').replaceChildren(...rows)
}

// The clubs that this page knows.
export function showClubs(clubs) {
  find('#clubs').hidden = clubs.length === 0
  const rows = clubs.map(({ thread, title }) => {
    const link = Object.assign(document.createElement('a'), { href: `#${thread}`, textContent: title })
    const row = document.createElement('li')
    row.append(link)
    return row
  })
  find('#clubs ul').replaceChildren(...rows)
}
