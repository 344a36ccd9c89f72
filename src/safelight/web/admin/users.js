// The users: their use and limits, inviting, renaming and deleting them.

import { button, bytes, cell, field, form, h, request, seconds, table } from './server.js'

export async function users() {
  const { users: found } = await request('GET', 'api/admin/users')
  const links = h('div', {})
  const invite = async (fields) => {
    const names = fields.names.split(/[\s,;]+/).filter(Boolean)
    const limits = readLimits(fields)
    const { users: made } = await request('POST', 'api/admin/users', { names, limits, is_admin: fields.is_admin === 'on' })
    links.replaceChildren(linkTable(made))
    if (!found.length) return 'The server has accounts now, and requires to sign in. Open your link and choose a password.'
    await refresh()
    return `${made.length} invited. Send each user their link; it is shown only this once and is valid for 14 days.`
  }
  const list = h('div', {})
  const refresh = async () => list.replaceChildren(userTable((await request('GET', 'api/admin/users')).users, links, refresh))
  list.replaceChildren(userTable(found, links, refresh))
  return [
    h('section', {}, h('h2', {}, 'Users'), found.length ? list : h('p', { class: 'quiet' }, 'This server has no accounts: everybody who reaches it is its one local user. Inviting a user turns accounts on.'), links),
    h('section', {}, h('h2', {}, 'Invite users'),
      form(invite,
        field('Names, one per line or separated by commas', { name: 'names', rows: 4, required: true }),
        h('div', { class: 'row' }, ...LIMITS.map(([name, text]) => field(text, { name, inputmode: 'decimal', size: 10, placeholder: 'no limit' }))),
        h('label', {}, h('span', {}, h('input', { type: 'checkbox', name: 'is_admin' }), ' They are administrators')),
        h('p', {}, h('button', { class: 'main' }, 'Invite'))))
  ]
}

const LIMITS = [
  ['stored_bytes', 'Stored GB'],
  ['queued_jobs', 'Waiting jobs'],
  ['running_jobs', 'Running jobs'],
  ['device_s', 'Device hours'],
  ['run_limit_s', 'Minutes per job']
]
const UNITS = { stored_bytes: 1e9, queued_jobs: 1, running_jobs: 1, device_s: 3600, run_limit_s: 60 }

function readLimits(fields) {
  return Object.fromEntries(LIMITS.map(([name, text]) => {
    const value = String(fields[name] ?? '').trim()
    if (!value) return [name, null]
    const number = Number(value) * UNITS[name]
    if (!Number.isFinite(number) || number < 0) throw new Error(`${text}: '${value}' is not a number`)
    return [name, Math.round(number)]
  }))
}

function linkTable(made) {
  const copy = (text) => () => navigator.clipboard.writeText(text).then(() => 'Copied.')
  const address = (link) => new URL(link.startsWith('http') ? link : `.${link}`, document.baseURI).href
  return table(['Invited', 'Link', ''], made.map((user) =>
    h('tr', {}, cell(user.name), h('td', { class: 'wrap' }, h('code', {}, address(user.link))), cell(button('Copy', copy(address(user.link)))))))
}

function userTable(found, links, refresh) {
  return table(['Name', 'Stored', 'Jobs', 'Device time', 'Weight', 'State', ''], found.map((user) => userRow(user, links, refresh)))
}

function userRow(user, links, refresh) {
  const path = `api/admin/users/${encodeURIComponent(user.id)}`
  const change = (body, text) => () => request('PATCH', path, body).then(refresh).then(() => text)
  const of = (used, limit) => (limit == null ? used : `${used} of ${limit}`)
  const invite = async () => {
    links.replaceChildren(linkTable([await request('POST', `${path}/invitation`, {})]))
    return `A new link for ${user.name}: with it they choose a new password.`
  }
  const state = user.is_disabled ? h('span', { class: 'bad' }, 'disabled') : user.is_admin ? 'administrator' : user.has_password ? '' : 'no password yet'
  const saveLimits = async (fields) => {
    const days = Number(fields.renew_days || 0)
    if (!Number.isFinite(days) || days < 0) throw new Error(`'${fields.renew_days}' is not a number of days`)
    await request('PATCH', path, { limits: readLimits(fields), weight: Number(fields.weight), renew_every_s: Math.round(days * 86400) || null })
    await refresh()
    return `The limits of ${user.name} are changed.`
  }
  const limits = h('details', {}, h('summary', {}, 'Limits'),
    form(saveLimits,
      ...LIMITS.map(([name, text]) => field(text, { name, value: user.limits[name] == null ? '' : user.limits[name] / UNITS[name], size: 8 })),
      field('Weight', { name: 'weight', value: user.weight, size: 8, required: true }),
      field('Days until device hours renew', { name: 'renew_days', value: user.renew_every_s ? user.renew_every_s / 86400 : '', size: 8, placeholder: 'never' }),
      h('button', {}, 'Save')))
  const rename = async (fields) => {
    await request('PATCH', path, { name: fields.name })
    await refresh()
    return `${user.name} is ${fields.name} now.`
  }
  const remove = async () => {
    await request('DELETE', path)
    await refresh()
    return `${user.name} is deleted, with all their data.`
  }
  const more = h('details', {}, h('summary', {}, 'More'),
    form(rename, field('New name', { name: 'name', size: 12, required: true }), h('button', {}, 'Rename')),
    h('p', { class: 'quiet' }, 'Deleting ends their jobs and deletes their files, workflows, jobs and keys. It cannot be undone.'),
    button(`Delete ${user.name} with all data`, remove, { class: 'danger' }))
  const actions = user.is_disabled
    ? [button('Enable', change({ is_disabled: false }, `${user.name} may sign in again.`))]
    : [button('New link', invite),
       button(user.is_admin ? 'Take rights' : 'Make administrator', change({ is_admin: !user.is_admin }, 'The rights are changed.')),
       user.limits.device_s == null ? null : button('Reset device time', change({ reset_used: true }, 'The used device time is reset.')),
       button('Disable', change({ is_disabled: true }, `${user.name} is disabled: sessions, keys and jobs have ended; files are kept.`))]
  return h('tr', {}, cell(user.name), cell(of(bytes(user.used.stored_bytes), user.limits.stored_bytes == null ? null : bytes(user.limits.stored_bytes))),
    cell(`${user.used.running_jobs} run, ${user.used.queued_jobs} wait`), cell(of(seconds(user.used.device_s), user.limits.device_s == null ? null : seconds(user.limits.device_s))),
    cell(String(user.weight)), cell(state), h('td', {}, h('div', { class: 'actions' }, actions), limits, more))
}
