// The jobs of all users.

import { button, cell, h, request, seconds, table, when } from './server.js'

let jobKind = 'running'

export async function jobs(show) {
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
      jobTable(found, show),
      pagination.has_more ? h('p', { class: 'quiet' }, 'The first 100 are shown.') : null)
  ]
}

export function jobTable(found, show) {
  return table(['Job', 'User', 'Status', 'Began', 'Took', 'Error', ''], found.map((job) => jobRow(job, show)))
}

function jobRow(job, show) {
  const path = `api/admin/jobs/${encodeURIComponent(job.user)}/${encodeURIComponent(job.id)}`
  const isOver = job.execution_end_time != null || ['completed', 'failed', 'cancelled'].includes(job.status)
  const took = job.execution_start_time ? ((job.execution_end_time ?? Date.now()) - job.execution_start_time) / 1000 : null
  const error = job.error
    ? h('details', {}, h('summary', { class: 'bad' }, `${job.error.type}: ${job.error.message}`.slice(0, 120)),
        h('p', { class: 'quiet' }, `Node ${job.error.node_id} (${job.error.node_type})`), h('pre', {}, (job.error.traceback ?? []).join('')))
    : ''
  const post = (verb, text) => button(text.name, () => request('POST', `${path}/${verb}`, {}).then(show).then(() => text.done))
  const actions = isOver
    ? [post('retry', { name: 'Retry', done: 'The job is queued again, for its owner.' }), button('Delete', () => request('DELETE', path).then(show))]
    : [job.status === 'pending' ? post('front', { name: 'To the front', done: 'The job runs before the other jobs of its owner.' }) : null,
       post('cancel', { name: 'Cancel', done: 'The job is being cancelled.' })]
  return h('tr', {}, h('td', { title: job.id }, job.id.slice(0, 8)), cell(job.user_name || job.user),
    cell(job.cancel_requested && !isOver ? 'being cancelled' : job.status), cell(when(job.execution_start_time)), cell(seconds(took)),
    h('td', { class: 'wrap' }, error), h('td', {}, h('div', { class: 'actions' }, actions)))
}
