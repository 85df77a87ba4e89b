// Two people with their browsers, each on a daemon of their own, and the list of films that they keep together.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { FilmClub, launch, missing } from '../support/browser.js'
import { Daemon } from '../support/daemon.js'
import { until } from '../support/people.js'

describe('film club', { skip: missing }, () => {
  let daemons
  let served
  let browser
  let errors

  before(async () => {
    ;[browser, served, ...daemons] = await Promise.all([launch(), FilmClub.start(), Daemon.start(), Daemon.start()])
  })

  after(async () => {
    await browser?.close()
    served?.stop()
    for (const daemon of daemons ?? []) assert.equal(await daemon.stop(), 0)
  })

  // Somebody's browser, with the page for a daemon.
  async function person(name, daemon) {
    const context = await browser.newContext()
    const page = await context.newPage()
    page.setDefaultTimeout(20_000)
    page.on('pageerror', (error) => errors.push(`${name}: ${error}`))
    page.on('console', (message) => message.type() === 'error' && errors.push(`${name}: ${message.text()}`))
    await page.goto(`${served.url}/?node=${daemon.greeting.web}`)
    await page.getByLabel('Your name').fill(name)
    return page
  }

  // Two people in one club.
  async function club() {
    errors = []
    const ada = await person('Ada', daemons[0])
    await ada.getByLabel('Its name').fill('Thursday night')
    await ada.getByRole('button', { name: 'Create' }).click()
    const invitation = ada.getByLabel('Send them this text')
    await invitation.waitFor()
    const bob = await person('Bob', daemons[1])
    await bob.getByLabel('The invitation').fill(await invitation.inputValue())
    await bob.getByRole('button', { name: 'Join' }).click()
    await bob.getByRole('heading', { name: 'Thursday night' }).waitFor()
    return [ada, bob]
  }

  async function add(page, title, year) {
    const form = page.getByRole('form', { name: 'Add a film' })
    await form.getByLabel('Film').fill(title)
    await form.getByLabel('Year').fill(year)
    await form.getByRole('button').click()
    await film(page, title).waitFor()
  }

  const film = (page, title) => page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: title }) })
  const films = (page) => page.locator('#films > li').evaluateAll((rows) => rows.map((row) => row.innerText.replace(/\s+/g, ' ')))

  test('a film is seen by both, rated by both at once, changed and deleted', async () => {
    const [ada, bob] = await club()
    await add(ada, 'Clue', '1985')
    await film(bob, 'Clue').waitFor()
    await add(bob, 'Brazil', '1985')
    await film(ada, 'Brazil').waitFor()

    const rate = (page, title, stars) => film(page, title).getByLabel(`${stars} stars`).check({ force: true })
    await Promise.all([rate(ada, 'Clue', 5), rate(bob, 'Clue', 2)])
    for (const page of [ada, bob]) await film(page, 'Clue').getByText('3.5 of 5 from 2').waitFor()

    await film(bob, 'Brazil').getByRole('button', { name: 'Edit' }).click()
    await bob.getByRole('dialog').getByLabel('Note').fill('the long version')
    await bob.keyboard.press('Tab')
    await bob.keyboard.press('Enter')
    await film(ada, 'Brazil').getByText('the long version').waitFor()

    await film(ada, 'Clue').getByRole('button', { name: 'Delete' }).click()
    await film(bob, 'Clue').waitFor({ state: 'detached' })
    await ada.getByRole('button', { name: 'Undo' }).click()
    await film(bob, 'Clue').getByText('3.5 of 5 from 2').waitFor()
    for (const page of [ada, bob]) assert.equal(await page.locator('#people li.here').count(), 2)
    assert.deepEqual(errors, [])
  })

  test('what both add and rate at the same time is the same for both', async () => {
    const pages = await club()
    const titles = ['Alien', 'Big', 'Crash', 'Diva', 'Enigma']
    await Promise.all(pages.map(async (page, at) => {
      for (const title of titles) await add(page, `${title} ${at}`, `198${at}`)
    }))
    for (const page of pages) await until(async () => (await films(page)).length === 10, 'all films are here')
    await Promise.all(pages.map(async (page, at) => {
      for (const row of await page.locator('#films > li').all()) await row.getByLabel(`${at + 3} stars`).check({ force: true })
    }))
    const [ada, bob] = await until(async () => {
      const both = await Promise.all(pages.map(films))
      return both.every((list) => list.every((text) => text.includes('3.5 of 5 from 2'))) && both
    }, 'all ratings are here')
    assert.deepEqual(ada, bob)
    assert.deepEqual(errors, [])
  })

  test('a reload keeps the identity and the club', async () => {
    const [ada] = await club()
    await add(ada, 'Clue', '1985')
    const identity = () => ada.locator('#me').textContent()
    const before = await identity()
    await ada.reload()
    await film(ada, 'Clue').waitFor()
    assert.equal(await identity(), before)
    await ada.getByRole('link', { name: 'All clubs' }).click()
    await ada.getByRole('link', { name: 'Thursday night' }).first().click()
    await film(ada, 'Clue').waitFor()
    assert.deepEqual(errors, [])
  })

  test('a page whose node goes away says so, and goes on when it is back', async () => {
    const [ada, bob] = await club()
    await daemons[0].restart('SIGKILL')
    await ada.getByText('Connected to your node').waitFor()
    await add(ada, 'Clue', '1985')
    await film(bob, 'Clue').waitFor()
    await daemons[0].end()
    await ada.getByText('Not connected.').waitFor()
    await daemons[0].again()
    await ada.getByText('Connected to your node').waitFor()
    await add(bob, 'Brazil', '1985')
    await film(ada, 'Brazil').waitFor()
  })

  test('what does not work is said in words', async () => {
    errors = []
    const ada = await person('Ada', daemons[0])
    await ada.getByLabel('The invitation').fill('nothing of the kind')
    await ada.getByRole('button', { name: 'Join' }).click()
    await ada.getByRole('alert').filter({ hasText: 'This is no invitation' }).waitFor()
    await ada.getByLabel('Your name').fill(' ')
    await ada.getByLabel('Its name').fill('Club')
    await ada.keyboard.press('Enter')
    await ada.getByRole('alert').filter({ hasText: 'Say first who you are' }).waitFor()
    await ada.goto(`${served.url}/?node=127.0.0.1:1`)
    await ada.getByText('The node at http://127.0.0.1:1 does not answer').waitFor()
  })
})
