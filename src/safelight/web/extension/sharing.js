// Safelight's extension of the web UI: share a workflow by a link, see who made a shared one, and (administrators) give a
// workflow to everybody. The frontend opens links with `?share=` by itself.

import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'

const json = { 'content-type': 'application/json' }

function tell(severity, summary, detail) {
  app.extensionManager.toast.add({ severity, summary, detail, life: 10000 })
}

async function answerOf(response) {
  const answer = await response.json().catch(() => ({}))
  if (!response.ok) throw new Error(answer.message ?? answer.error?.message ?? `the server returned the status ${response.status}`)
  return answer
}

const reported = (summary, action) => async () => {
  try {
    await action()
  } catch (error) {
    tell('error', summary, error.message)
  }
}

/** The path of the current workflow's file, saved first if it has changed. */
async function savedPath() {
  const workflow = () => app.extensionManager.workflow.activeWorkflow
  if (!workflow()?.isPersisted || workflow().isModified) await app.extensionManager.command.execute('Comfy.SaveWorkflow')
  if (!workflow()?.isPersisted) throw new Error('save the workflow first')
  return workflow().path
}

async function share() {
  const path = await savedPath()
  const response = await api.fetchApi(`/userdata/${encodeURIComponent(path)}/publish`, {
    method: 'POST',
    headers: json,
    body: JSON.stringify({ asset_ids: [] })
  })
  const { share_id: id } = await answerOf(response)
  const link = new URL(`../../?share=${encodeURIComponent(id)}`, import.meta.url).href
  await app.extensionManager.dialog.prompt({
    title: 'Share this workflow',
    message: 'Everybody with an account on this server who has this link can open a copy of the workflow, as it is now.',
    defaultValue: link
  })
}

async function give() {
  const current = app.extensionManager.workflow.activeWorkflow?.filename ?? ''
  const name = await app.extensionManager.dialog.prompt({
    title: 'Give this workflow to everybody',
    message: 'All users find it among the templates, under "For everybody". Name:',
    defaultValue: current.replace(/\.json$/, '')
  })
  if (!name) return
  const response = await api.fetchApi(`/admin/workflows/${encodeURIComponent(name)}`, {
    method: 'PUT',
    headers: json,
    body: JSON.stringify(app.graph.serialize())
  })
  await answerOf(response)
  tell('success', 'The workflow is given to everybody', `${name}: in the templates, under "For everybody".`)
}

const fetchApi = api.fetchApi.bind(api)
api.fetchApi = async (path, options) => {
  const response = await fetchApi(path, options)
  if (/^\/workflows\/published\/[^/]+$/.test(path) && response.ok) {
    const { name, author } = await response.clone().json()
    if (author) tell('info', `Shared by ${author}`, `The workflow "${name}" was made by ${author}.`)
  }
  return response
}

async function mayGive() {
  const response = await fetchApi('/auth/session')
  const { accounts, user } = response.ok ? await response.json() : {}
  return accounts === false || user?.is_admin
}

const commands = [
  { id: 'Safelight.Share', label: 'Share this workflow', icon: 'pi pi-share-alt', function: reported('The workflow was not shared', share) }
]
if (await mayGive()) {
  commands.push({ id: 'Safelight.Give', label: 'Give this workflow to everybody', icon: 'pi pi-users', function: reported('The workflow was not given', give) })
}
app.registerExtension({
  name: 'Safelight.Sharing',
  commands,
  menuCommands: [{ path: ['Safelight'], commands: commands.map((command) => command.id) }]
})
