// The model files of the server, and importing others by URL.

import { button, bytes, cell, field, form, h, request, say, table, when } from './server.js'

const POLL_MS = 1000
let chosen = ''

export async function models() {
  const list = h('div', {})
  const { folders } = await refresh(list)
  return [h('section', {}, h('h2', {}, 'Import a model'), importForm(folders, () => refresh(list))), list]
}

/** Read imports and models again, now and while an import runs. */
async function refresh(list) {
  const [answer, { imports }] = await Promise.all([request('GET', 'api/admin/models'), request('GET', 'api/admin/models/imports')])
  const unfinished = imports.filter((each) => ['created', 'running'].includes(each.status))
  const failed = imports.filter((each) => each.status === 'failed').slice(0, 3)
  const parts = [modelSection(answer, () => refresh(list))]
  if (unfinished.length || failed.length) parts.unshift(h('section', {}, h('h2', {}, 'Imports'), unfinished.map(progress), failed.map(failure)))
  list.replaceChildren(...parts)
  if (unfinished.length) setTimeout(() => list.isConnected && refresh(list).catch((error) => say(error.message, true)), POLL_MS)
  return answer
}

function modelSection({ models: found, folders }, again) {
  const inFolder = found.filter((model) => !chosen || model.folder === chosen)
  const choose = (event) => {
    chosen = event.target.value
    again()
  }
  return h('section', {}, h('h2', {}, `Models (${bytes(found.reduce((sum, model) => sum + model.size, 0))})`),
    h('p', {}, h('label', {}, 'Folder', h('select', { onchange: choose },
      h('option', { value: '' }, 'All'), folders.map((name) => h('option', { value: name, selected: name === chosen }, name))))),
    table(['File', 'Folder', 'Family', 'Size', 'Last used', 'License', 'Source'], inFolder.map(row)))
}

function importForm(folders, again) {
  const facts = h('p', { class: 'quiet' })
  const url = h('input', { name: 'url', type: 'url', required: true })
  const look = async () => {
    const source = await request('GET', `api/admin/models/source?url=${encodeURIComponent(url.value)}`)
    const license = [source.license].flat().filter(Boolean).join(', ') || 'not stated'
    facts.textContent = `Size: ${source.size ? bytes(source.size) : 'unknown'}. License: ${license}. By: ${source.author ?? 'unknown'}.`
  }
  const start = async ({ folder, name }) => {
    const file = name || decodeURIComponent(new URL(url.value).pathname.split('/').at(-1))
    const started = await request('POST', 'api/admin/models/imports', { url: url.value, folder, name: file })
    await again()
    return `${started.name} is being downloaded to ${started.folder}.`
  }
  return form(start,
    h('label', {}, 'URL of the file', url),
    h('div', { class: 'row' },
      h('label', {}, 'Into the folder', h('select', { name: 'folder' }, folders.map((name) => h('option', { value: name }, name)))),
      field('File name', { name: 'name', placeholder: 'as in the URL' })),
    facts,
    h('p', { class: 'actions' }, button('Size and license', look), h('button', { class: 'main' }, 'Import')))
}

function progress({ folder, name, bytes_downloaded: done, bytes_total: total }) {
  const bar = total ? h('progress', { max: total, value: done }) : h('progress', {})
  return h('label', {}, `${folder}/${name}: ${bytes(done)}${total ? ` of ${bytes(total)}` : ''}`, bar)
}

const failure = ({ folder, name, error }) => h('p', { class: 'bad' }, `${folder}/${name}: ${error}`)

function row(model) {
  const { url, license } = model.source
  const source = url ? h('a', { href: url, rel: 'noreferrer' }, new URL(url).host) : ''
  return h('tr', {}, h('td', { class: 'wrap' }, model.name), cell(model.folder), cell(model.architecture), cell(bytes(model.size)),
    cell(when(model.last_used_at) || 'never'), cell([license].flat().filter(Boolean).join(', ')), cell(source))
}
