// The administrator's page: what runs and waits, all jobs, users, node packs, and housekeeping.

import { button, bytes, cell, field, form, h, request, say, seconds, table, when } from './server.js'

const views = { now, jobs, users, packs, housekeeping }
const view = document.querySelector('#view')
const REFRESH_MS = 3000
let shown = 0

async function show() {
  const name = location.hash.slice(1) in views ? location.hash.slice(1) : 'now'
  for (const link of document.querySelectorAll('nav a')) {
    if (link.hash === `#${name}`) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  const turn = ++shown
  try {
    const content = await views[name]()
    if (turn === shown) view.replaceChildren(...content)
  } catch (error) {
    say(error.message, true)
  }
}

// -- now --

async function now() {
  const [schedule, ended, housekeeper] = await Promise.all([
    request('GET', 'api/admin/schedule'),
    request('GET', 'api/admin/jobs?status=ended&limit=5'),
    request('GET', 'api/admin/packs')
  ])
  const waiting = Object.values(schedule.queue.waiting).reduce((sum, count) => sum + count, 0)
  const failed = housekeeper.slots.flatMap((slot) => slot.packs.filter((pack) => pack.error).map((pack) => pack.name))
  return [
    h('section', { class: 'cards' },
      h('div', { class: 'card' }, h('p', { class: 'number' }, String(waiting)), h('p', {}, 'jobs wait'), queueActions(schedule.queue.mode)),
      h('div', { class: 'card' }, h('p', { class: 'number' }, String(schedule.slots.filter((slot) => slot.state === 'running').length)), h('p', {}, `of ${schedule.slots.length} slots run a job`)),
      failed.length ? h('div', { class: 'card bad' }, h('p', {}, 'Node packs that could not be loaded:'), h('p', {}, [...new Set(failed)].join(', '))) : null
    ),
    h('section', {}, h('h2', {}, 'Slots'),
      table(['Slot', 'State', 'User', 'Device', 'Models', ''], schedule.slots.map(slotRow))),
    h('section', {}, h('h2', {}, 'Ended last'), jobTable(ended.jobs))
  ]
}

function queueActions(mode) {
  const set = (to) => () => request('PUT', 'api/admin/schedule/queue', { mode: to }).then(show)
  const actions = mode === 'open' ? button('Pause the queue', set('paused')) : button('Open the queue', set('open'))
  return h('p', { class: 'actions' }, mode === 'open' ? null : h('span', { class: 'bad' }, `The queue is ${mode}.`), actions)
}

function slotRow(slot) {
  const set = (mode) => () => request('PUT', `api/admin/schedule/slots/${encodeURIComponent(slot.id)}`, { mode }).then(show)
  const actions = slot.mode === 'open' ? [button('Pause', set('paused')), button('Drain', set('drained'))] : [button('Open', set('open'))]
  const state = slot.reason ? h('span', { class: 'bad' }, `${slot.state}: ${slot.reason}`) : slot.state
  const host = slot.host ? ` (${slot.host})` : ''
  return h('tr', {}, cell(slot.id), h('td', { class: 'wrap' }, state, slot.mode === 'open' ? '' : ` (${slot.mode})`), cell(slot.user ?? ''),
    cell(slot.devices.join(', ') + host), h('td', { class: 'wrap' }, slot.warm_models.join(', ')), h('td', {}, h('div', { class: 'actions' }, actions)))
}

// -- jobs --

let jobKind = 'running'

async function jobs() {
  const { jobs: found, pagination } = await request('GET', `api/admin/jobs?status=${jobKind}&limit=100`)
  const kinds = ['running', 'queued', 'ended'].map((kind) =>
    h('option', { value: kind, selected: kind === jobKind }, { running: 'Running', queued: 'Waiting', ended: 'Ended' }[kind]))
  const choose = (event) => {
    jobKind = event.target.value
    show()
  }
  return [
    h('section', {}, h('h2', {}, 'Jobs of all users'),
      h('p', {}, h('label', {}, 'Show', h('select', { onchange: choose }, kinds))),
      jobTable(found),
      pagination.has_more ? h('p', { class: 'quiet' }, 'The first 100 are shown.') : null)
  ]
}

function jobTable(found) {
  return table(['Job', 'User', 'Status', 'Began', 'Took', 'Error', ''], found.map(jobRow))
}

function jobRow(job) {
  const path = `api/admin/jobs/${encodeURIComponent(job.user)}/${encodeURIComponent(job.id)}`
  const isOver = job.execution_end_time != null || ['completed', 'failed', 'cancelled'].includes(job.status)
  const took = job.execution_start_time ? ((job.execution_end_time ?? Date.now()) - job.execution_start_time) / 1000 : null
  const error = job.error
    ? h('details', {}, h('summary', { class: 'bad' }, `${job.error.type}: ${job.error.message}`.slice(0, 120)),
        h('p', { class: 'quiet' }, `Node ${job.error.node_id} (${job.error.node_type})`), h('pre', {}, (job.error.traceback ?? []).join('')))
    : ''
  const action = isOver
    ? button('Delete', () => request('DELETE', path).then(show))
    : button('Cancel', () => request('POST', `${path}/cancel`, {}).then(show).then(() => 'The job is being cancelled.'))
  return h('tr', {}, h('td', { title: job.id }, job.id.slice(0, 8)), cell(job.user_name || job.user),
    cell(job.cancel_requested && !isOver ? 'being cancelled' : job.status), cell(when(job.execution_start_time)), cell(seconds(took)),
    h('td', { class: 'wrap' }, error), cell(action))
}

// -- users --

async function users() {
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
    await request('PATCH', path, { limits: readLimits(fields), weight: Number(fields.weight) })
    await refresh()
    return `The limits of ${user.name} are changed.`
  }
  const limits = h('details', {}, h('summary', {}, 'Limits'),
    form(saveLimits,
      ...LIMITS.map(([name, text]) => field(text, { name, value: user.limits[name] == null ? '' : user.limits[name] / UNITS[name], size: 8 })),
      field('Weight', { name: 'weight', value: user.weight, size: 8, required: true }),
      h('button', {}, 'Save')))
  const actions = user.is_disabled
    ? [button('Enable', change({ is_disabled: false }, `${user.name} may sign in again.`))]
    : [button('New link', invite),
       button(user.is_admin ? 'Take rights' : 'Make administrator', change({ is_admin: !user.is_admin }, 'The rights are changed.')),
       user.limits.device_s == null ? null : button('Reset device time', change({ reset_used: true }, 'The used device time is reset.')),
       button('Disable', change({ is_disabled: true }, `${user.name} is disabled: sessions, keys and jobs have ended; files are kept.`))]
  return h('tr', {}, cell(user.name), cell(of(bytes(user.used.stored_bytes), user.limits.stored_bytes == null ? null : bytes(user.limits.stored_bytes))),
    cell(`${user.used.running_jobs} run, ${user.used.queued_jobs} wait`), cell(of(seconds(user.used.device_s), user.limits.device_s == null ? null : seconds(user.limits.device_s))),
    cell(String(user.weight)), cell(state), h('td', {}, h('div', { class: 'actions' }, actions), limits))
}

// -- node packs --

async function packs() {
  const { slots } = await request('GET', 'api/admin/packs')
  const rows = slots.flatMap((slot) => slot.packs.map((pack) =>
    h('tr', {}, cell(slot.id), cell(pack.name), cell(String(pack.nodes ?? '')),
      h('td', { class: 'wrap' }, pack.error ? h('span', { class: 'bad' }, pack.error) : h('span', { class: 'good' }, 'loaded')))))
  return [h('section', {}, h('h2', {}, 'Node packs'), table(['Slot', 'Pack', 'Nodes', 'State'], rows))]
}

// -- housekeeping --

async function housekeeping() {
  return housekeepingContent(await request('GET', 'api/admin/housekeeping'))
}

function housekeepingContent(state) {
  const amount = ({ count, bytes: size }) => (size ? `${count} (${bytes(size)})` : String(count))
  const runNow = async () => {
    const after = await request('POST', 'api/admin/housekeeping/run', {})
    view.replaceChildren(...housekeepingContent(after))
    return 'Housekeeping has run.'
  }
  const names = { previews: 'Previews', outputs: 'Outputs', history: 'Jobs in the history', logs: 'Logs of jobs' }
  const last = state.last
  return [
    h('section', {}, h('h2', {}, 'What the server removes by itself'),
      table(['What', 'Removed after', 'Due now', 'Removed by the last run'], state.rules.map((rule) =>
        h('tr', {}, cell(names[rule.kind]), cell(rule.age_s ? `${(rule.age_s / 86400).toFixed(1)} days` : 'never'), cell(amount(rule.due)),
          cell(last?.removed[rule.kind] ? amount(last.removed[rule.kind]) : ''))))),
    h('section', {},
      h('p', {}, state.every_s ? `It runs every ${state.every_s / 3600} hours.` : 'It runs on request only.',
        last ? ` Last run: ${when(Date.parse(last.at))}; ${last.freed ? `${bytes(last.freed.bytes)} freed` : 'unused bytes were not collected'}.` : ''),
      last?.error ? h('p', { class: 'bad' }, last.error) : null,
      button('Run it now', runNow, { class: 'main' }))
  ]
}

// -- start --

addEventListener('hashchange', () => {
  say('')
  show()
})
setInterval(() => {
  if ((location.hash.slice(1) || 'now') === 'now' && !document.hidden) show()
}, REFRESH_MS)
show()
