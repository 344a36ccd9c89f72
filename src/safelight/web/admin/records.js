// What was done, written and logged: the audit, API keys, messages of users, and the server's log.

import { button, cell, h, request, table, when } from './server.js'

export async function audit() {
  const { entries } = await request('GET', 'api/admin/audit?limit=200')
  const details = (entry) => (Object.keys(entry.details).length ? JSON.stringify(entry.details) : '')
  return [h('section', {}, h('h2', {}, 'Who did what'), table(['When', 'Who', 'Did', 'To', 'Details'], entries.map((entry) =>
    h('tr', {}, cell(when(entry.at)), cell(entry.user_name), cell(entry.action), h('td', { class: 'wrap' }, entry.subject), h('td', { class: 'wrap' }, details(entry))))))]
}

export async function keys(show) {
  const { keys: found } = await request('GET', 'api/admin/keys')
  const revoke = (key) => () => request('DELETE', `api/admin/keys/${encodeURIComponent(key.id)}`).then(show).then(() => `The key ${key.id} of ${key.user} is revoked.`)
  return [h('section', {}, h('h2', {}, 'API keys of all users'), table(['Key', 'User', 'For', 'Created', ''], found.map((key) =>
    h('tr', {}, cell(key.id), cell(key.user), cell(key.label), cell(when(key.created_at)), cell(button('Revoke', revoke(key)))))))]
}

export async function messages() {
  const { messages: found } = await request('GET', 'api/admin/feedback')
  return [h('section', {}, h('h2', {}, 'Messages of users'), table(['When', 'User', 'About', 'Message'], found.map((message) =>
    h('tr', {}, cell(when(message.at)), cell(message.user), cell(message.type.replace('_', ' ')), h('td', { class: 'wrap' }, message.content)))))]
}

export async function log() {
  const { lines } = await request('GET', 'api/admin/log')
  const text = lines.map((line) => `${new Date(line.at).toLocaleTimeString()} ${line.text.trimEnd()}`).join('\n')
  const place = h('pre', { class: 'log', tabindex: '0', 'aria-label': 'Log' }, text || 'Nothing was logged yet.')
  queueMicrotask(() => place.scrollTo(0, place.scrollHeight))
  return [h('section', {}, h('h2', {}, 'Log of the server and its workers'), place)]
}
