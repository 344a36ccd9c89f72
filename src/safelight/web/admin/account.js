// The account's page: usage and limits, keys, sessions, webhooks, password, signing out, and deleting everything.

import { button, bytes, cell, field, form, h, request, say, seconds, table, when } from './server.js'
import { showWebhooks } from './webhooks.js'

const view = document.querySelector('#view')

async function show() {
  const session = await request('GET', 'api/auth/session')
  if (!session.accounts) {
    view.replaceChildren(h('p', {}, 'This server has no accounts: everybody who reaches it is its one local user. ', h('a', { href: 'admin' }, 'Administration')))
    return
  }
  if (!session.user) {
    location.replace('login')
    return
  }
  const account = await request('GET', 'api/account')
  if (account.is_admin) document.querySelector('#links').replaceChildren(h('a', { href: 'admin' }, 'Administration'))
  const keys = h('div', {})
  const sessions = h('div', {})
  const webhooks = h('div', {})
  view.replaceChildren(
    h('section', {}, h('h2', {}, account.name), h('div', { class: 'cards' }, ...usage(account))),
    h('section', {}, h('h2', {}, 'API keys'), h('p', { class: 'quiet' }, 'Programs send a key as X-API-Key or as a bearer token, and act for you.'), keys),
    h('section', {}, h('h2', {}, 'Webhooks'), webhooks),
    h('section', {}, h('h2', {}, 'Where I am signed in'), sessions, h('p', {}, button('Sign out', signOut))),
    ...(account.has_password ? [passwordSection()] : []),
    deletionSection(account)
  )
  await Promise.all([showKeys(keys), showSessions(sessions), showWebhooks(webhooks)])
}

function usage({ used, limits }) {
  const card = (text, value, limit) =>
    h('div', { class: 'card' }, h('p', { class: 'number' }, value), h('p', {}, text), h('p', { class: 'quiet' }, limit == null ? 'no limit' : `of ${limit}`))
  return [
    card('stored', bytes(used.stored_bytes), limits.stored_bytes == null ? null : bytes(limits.stored_bytes)),
    card('jobs wait', String(used.queued_jobs), limits.queued_jobs),
    card('jobs run', String(used.running_jobs), limits.running_jobs),
    card('device time used', seconds(used.device_s), limits.device_s == null ? null : seconds(limits.device_s))
  ]
}

async function showKeys(place, made) {
  const { keys } = await request('GET', 'api/account/keys')
  const revoke = (key) => async () => {
    await request('DELETE', `api/account/keys/${key.id}`)
    await showKeys(place)
    return `The key ${key.label || key.id} is revoked.`
  }
  const create = async ({ label }) => {
    await showKeys(place, await request('POST', 'api/account/keys', { label }))
    return 'The key is shown only this once.'
  }
  place.replaceChildren(
    ...(made ? [h('p', {}, 'New key: ', h('code', {}, made.key))] : []),
    table(['Key', 'For', 'Created', ''], keys.map((key) => h('tr', {}, cell(key.id), cell(key.label), cell(when(key.created_at)), cell(button('Revoke', revoke(key)))))),
    form(create, h('div', { class: 'row' }, field('What it is for', { name: 'label', maxlength: 255 })), h('p', {}, h('button', {}, 'Create a key')))
  )
}

async function showSessions(place) {
  const { sessions } = await request('GET', 'api/account/sessions')
  const end = ({ id }) => async () => {
    await request('DELETE', `api/account/sessions/${id}`)
    await showSessions(place)
    return 'That session has ended.'
  }
  place.replaceChildren(table(['Since', 'Until', ''], sessions.map((session) =>
    h('tr', {}, cell(when(session.created_at)), cell(when(session.expires_at)), cell(session.is_this ? 'this browser' : button('End', end(session)))))))
}

function deletionSection({ name, has_password: hasPassword }) {
  const remove = async (fields) => {
    await request('DELETE', 'api/account', fields)
    location.replace('login')
  }
  const proof = hasPassword
    ? field('Current password, to delete everything', { name: 'password', type: 'password', autocomplete: 'current-password', required: true })
    : field(`Type ${name} to delete everything`, { name: 'name', required: true })
  return h('section', {}, h('h2', {}, 'Delete my data'),
    h('details', {}, h('summary', {}, 'Delete my account with all data'),
      h('p', {}, 'Your jobs end; your files, workflows, links to shared workflows, settings and keys are deleted. This cannot be undone.'),
      form(remove, proof, h('p', {}, h('button', { class: 'danger' }, 'Delete everything')))))
}

function passwordSection() {
  const change = async ({ old, new: password, again }) => {
    if (password !== again) throw new Error('The passwords do not match')
    await request('POST', 'api/account/password', { old, new: password })
    return 'The password is changed; your other sessions have ended.'
  }
  return h('section', {}, h('h2', {}, 'Password'),
    form(change,
      field('Current password', { name: 'old', type: 'password', autocomplete: 'current-password', required: true }),
      field('New password', { name: 'new', type: 'password', autocomplete: 'new-password', required: true }),
      field('New password, again', { name: 'again', type: 'password', autocomplete: 'new-password', required: true }),
      h('p', {}, h('button', {}, 'Change the password'))))
}

async function signOut() {
  const response = await fetch('api/auth/session', { method: 'DELETE' })
  const answer = response.status === 200 ? await response.json() : {}
  location.replace(answer.sign_out_url ?? 'login')
}

show().catch((error) => say(error.message, true))
