// The administrator's page: what runs and waits, node packs and housekeeping; the other views have files of their own.

import { jobs, jobTable } from './jobs.js'
import { models } from './models.js'
import { audit, keys, log, messages } from './records.js'
import { button, bytes, cell, h, request, say, table, when } from './server.js'
import { usage } from './usage.js'
import { users } from './users.js'
import { workflows } from './workflows.js'

const views = { now, jobs, users, usage, models, workflows, packs, keys, messages, audit, log, housekeeping }
const live = { now: 3000, log: 3000 }
const view = document.querySelector('#view')
let shown = 0

async function show() {
  const name = location.hash.slice(1) in views ? location.hash.slice(1) : 'now'
  for (const link of document.querySelectorAll('nav a')) {
    if (link.hash === `#${name}`) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  const turn = ++shown
  try {
    const content = await views[name](show)
    if (turn !== shown) return
    view.replaceChildren(...content)
    view.dataset.view = name
  } catch (error) {
    say(error.message, true)
  }
}

// -- now --

async function now() {
  const [schedule, ended, queued, packs, machine] = await Promise.all([
    request('GET', 'api/admin/schedule'),
    request('GET', 'api/admin/jobs?status=ended&limit=5'),
    request('GET', 'api/admin/jobs?status=queued&limit=10'),
    request('GET', 'api/admin/packs'),
    request('GET', 'api/admin/machine')
  ])
  const waiting = Object.values(schedule.queue.waiting).reduce((sum, count) => sum + count, 0)
  return [
    h('section', { class: 'cards' },
      h('div', { class: 'card' }, h('p', { class: 'number' }, String(waiting)), h('p', {}, 'jobs wait'), queueActions(schedule.queue.mode)),
      h('div', { class: 'card' }, h('p', { class: 'number' }, String(schedule.slots.filter((slot) => slot.state === 'running').length)), h('p', {}, `of ${schedule.slots.length} slots run a job`)),
      machine.devices.map((device) => room(`memory of ${device.name}`, device)),
      machine.disks.map((disk) => room(`on the disk of ${disk.name}`, disk)),
      warnings(schedule, packs, machine)
    ),
    h('section', {}, h('h2', {}, 'Slots'),
      table(['Slot', 'State', 'User', 'Device', 'Models', ''], schedule.slots.map(slotRow))),
    queued.jobs.length ? h('section', {}, h('h2', {}, 'Waiting'), jobTable(queued.jobs, show)) : null,
    h('section', {}, h('h2', {}, 'Ended last'), jobTable(ended.jobs, show))
  ].filter(Boolean)
}

const room = (text, { total, free }) => h('div', { class: 'card' }, h('p', { class: 'number' }, bytes(free)), h('p', {}, `free ${text}`), h('p', { class: 'quiet' }, `of ${bytes(total)}`))

function warnings({ slots, queue }, packs, { disks }) {
  const failed = packs.slots.flatMap((slot) => slot.packs.filter((pack) => pack.failures.length).map((pack) => pack.name))
  const found = [
    ...disks.filter(({ total, free }) => free < total / 20).map(({ name, free }) => `The disk of ${name} is almost full: ${bytes(free)} are free.`),
    ...slots.filter((slot) => slot.reason).map((slot) => `The slot ${slot.id} is shut: ${slot.reason}`),
    ...(failed.length ? [`Node packs that could not be loaded completely: ${[...new Set(failed)].join(', ')}`] : []),
    ...(queue.mode === 'open' ? [] : [`The queue is ${queue.mode}.`])
  ]
  return found.length ? h('div', { class: 'card bad' }, found.map((text) => h('p', {}, text))) : null
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

// -- node packs --

async function packs() {
  const { slots } = await request('GET', 'api/admin/packs')
  const rows = slots.flatMap((slot) => slot.packs.map((pack) =>
    h('tr', {}, cell(slot.id), cell(pack.name), cell(String(pack.nodes ?? '')),
      h('td', { class: 'wrap' }, pack.failures.length ? h('span', { class: 'bad' }, pack.failures.map(({ subject, reason }) => `${subject}: ${reason}`).join('; ')) : h('span', { class: 'good' }, 'loaded')))))
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
let refreshedAt = 0
/** Views of what changes by itself are read again, unless somebody types in them or reads a detail. */
setInterval(() => {
  const period = live[location.hash.slice(1) || 'now']
  const isInUse = view.contains(document.activeElement) && document.activeElement.matches('input, select, textarea, button')
  if (!period || document.hidden || isInUse || view.querySelector('details[open]') || Date.now() - refreshedAt < period) return
  refreshedAt = Date.now()
  show()
}, 500)
show()
