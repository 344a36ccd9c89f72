// Safelight's extension of the web UI: missing models are downloaded to the server by those who may, with progress.
//
// The frontend's "Download" of a missing model calls a host program if there is one, and else the browser. The server is
// that host here. Sizes are asked of the server too: the page sends no requests to the sites of models.

import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'
import { answerForeign } from './own_origin.js'

const POLL_MS = 1000
const PANEL = 'safelight-imports'
const SITES = ['huggingface.co', 'civitai.com']
const following = new Map()

window.__comfyDesktop2 = { isRemote: () => false, downloadModel: (url, name, folder) => offer({ url, name, folder }) }

answerForeign(async (url, { method = 'GET' }) => {
  if (method !== 'HEAD' || !SITES.includes(url.host) || mayNotImport()) return undefined
  const source = await sourceOf(url.href)
  return source ? new Response(null, { headers: source.size ? { 'content-length': String(source.size) } : {} }) : undefined
})

const mayNotImport = () => document.documentElement.classList.contains('safelight-may-not-import')

const sources = new Map()
/** What the file's site says about it; each file is asked for once. */
function sourceOf(url) {
  if (!sources.has(url)) {
    sources.set(url, api.fetchApi(`/admin/models/source?url=${encodeURIComponent(url)}`).then((response) => (response.ok ? response.json() : null)))
  }
  return sources.get(url)
}

async function offer({ url, name, folder }) {
  const source = (await sourceOf(url)) ?? {}
  const lines = [
    `File: ${folder}/${name}`,
    `Size: ${source.size ? inUnits(source.size) : 'unknown'}`,
    `License: ${[source.license].flat().filter(Boolean).join(', ') || 'not stated; see its page'}`,
    `Source: ${url}`
  ]
  const agreed = await app.extensionManager.dialog.confirm({ title: 'Download to the server', message: lines.join('\n') })
  if (!agreed) return false
  const response = await api.fetchApi('/admin/models/imports', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ url, name, folder })
  })
  const answer = await response.json()
  if (!response.ok) {
    tell('error', 'The download was not started', answer.message)
    return false
  }
  follow(answer)
  return true
}

function follow(started) {
  const isFirst = following.size === 0
  following.set(started.id, started)
  draw()
  if (isFirst) poll()
}

async function poll() {
  const response = await api.fetchApi('/admin/models/imports')
  const { imports } = response.ok ? await response.json() : { imports: [] }
  for (const found of imports.filter((each) => following.has(each.id))) {
    following.set(found.id, found)
    if (found.status === 'completed') await ended(found, 'success', 'The model is on the server')
    if (found.status === 'failed') await ended(found, 'error', 'The download failed')
  }
  draw()
  if (following.size) setTimeout(poll, POLL_MS)
}

async function ended(found, severity, summary) {
  following.delete(found.id)
  tell(severity, summary, found.error ?? `${found.folder}/${found.name}`)
  // The combos get the file's name, and the panel of issues looks again.
  if (severity === 'success') await app.extensionManager.command.execute('Comfy.RefreshNodeDefinitions')
}

function draw() {
  document.getElementById(PANEL)?.remove()
  if (!following.size) return
  const panel = document.createElement('div')
  panel.id = PANEL
  panel.setAttribute('role', 'status')
  for (const { name, bytes_downloaded: done, bytes_total: total } of following.values()) {
    const label = document.createElement('label')
    const bar = document.createElement('progress')
    bar.max = total || 1
    if (total) bar.value = done
    label.append(`${name}: ${inUnits(done)}${total ? ` of ${inUnits(total)}` : ''}`, bar)
    panel.append(label)
  }
  document.body.append(panel)
}

function inUnits(count) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const power = count ? Math.min(units.length - 1, Math.floor(Math.log10(count) / 3)) : 0
  return `${(count / 1000 ** power).toFixed(power ? 1 : 0)} ${units[power]}`
}

function tell(severity, summary, detail) {
  app.extensionManager.toast.add({ severity, summary, detail, life: 10000 })
}
