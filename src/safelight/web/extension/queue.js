// Safelight's extension of the web UI: the place of each waiting job, when it is likely to begin and how long it will
// take, in a tab of the sidebar. The frontend's own lists get no rows for jobs that never began.

import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'

const REFRESH_MS = 3000
const MOST_SHOWN = 20

const fetchApi = api.fetchApi.bind(api)
api.fetchApi = async (path, options) => {
  const response = await fetchApi(path, options)
  if (!response.ok || !/^\/jobs\?.*status=[^&]*cancelled/.test(path)) return response
  const list = await response.json()
  const jobs = list.jobs.filter((job) => job.status !== 'cancelled' || job.execution_start_time)
  return Response.json({ ...list, jobs })
}

async function read(path) {
  const response = await fetchApi(path)
  return response.ok ? response.json() : null
}

async function waitingJobs() {
  const listed = await read(`/jobs?status=in_progress,pending&limit=${MOST_SHOWN}&sort_order=asc`)
  const jobs = await Promise.all((listed?.jobs ?? []).map((job) => read(`/v2/jobs/${encodeURIComponent(job.id)}`)))
  return jobs.filter(Boolean)
}

function sentence({ status, queue_position: ahead, metrics }) {
  const took = metrics.estimated_run_p50_ms
  const lasts = took == null ? 'How long it takes is not known yet.' : `It takes about ${duration(took)}.`
  if (status !== 'queued') return `Runs now. ${lasts}`
  const place = ahead ? `${ahead} of your jobs ${ahead === 1 ? 'runs' : 'run'} before it.` : 'Next of your jobs.'
  const begins = metrics.estimated_start_ms
  const start = begins == null ? '' : begins < 1000 ? ' Begins at once.' : ` Begins in about ${duration(begins)}.`
  return `${place}${start} ${lasts}`
}

function duration(ms) {
  if (ms < 60_000) return `${Math.max(1, Math.round(ms / 1000))} s`
  return ms < 3_600_000 ? `${Math.round(ms / 60_000)} min` : `${(ms / 3_600_000).toFixed(1)} h`
}

async function draw(container) {
  const jobs = await waitingJobs()
  const rows = jobs.map((job) => {
    const item = document.createElement('li')
    const name = document.createElement('b')
    name.textContent = `Job ${job.id.slice(0, 8)}`
    item.append(name, ` ${sentence(job)}`)
    return item
  })
  const list = document.createElement('ol')
  list.className = 'safelight-queue'
  list.append(...rows)
  container.replaceChildren(rows.length ? list : 'None of your jobs waits or runs.')
}

let timer
app.registerExtension({
  name: 'Safelight.Queue',
  setup() {
    app.extensionManager.registerSidebarTab({
      id: 'safelight-queue',
      icon: 'pi pi-list',
      title: 'Queue',
      tooltip: 'My jobs that wait and run',
      type: 'custom',
      render(container) {
        container.style.padding = '1rem'
        clearInterval(timer)
        draw(container)
        timer = setInterval(() => (container.isConnected ? draw(container) : clearInterval(timer)), REFRESH_MS)
      },
      destroy: () => clearInterval(timer)
    })
  }
})
