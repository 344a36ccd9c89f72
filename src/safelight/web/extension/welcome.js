// Safelight's extension of the web UI: what a user sees on their first visit.
//
// The frontend's default workflow needs three model files that a new server does not have, so it opens with red nodes
// and a list of problems. This extension replaces it with a workflow that runs immediately, with the bundled model.
// For a new user it also turns off the frontend's check for updates, because a self-hosted server should not make its
// users' browsers contact other servers. The user can turn it on again.
//
// A server whose only engine is a ComfyUI does not offer the bundled model; there, the workflow changes the example picture.

import { app } from '../../scripts/app.js'

async function welcome() {
  const setting = app.extensionManager.setting
  if (setting.get('Comfy.TutorialCompleted')) return
  await setting.set('Comfy.Notification.ShowVersionUpdates', false)
  // The order in which templates that run on this server come first.
  await setting.set('Comfy.Templates.SortBy', 'recommended')
  // The frontend's mark of a user who is not new. Without it, the template dialog opens over the canvas.
  await setting.set('Comfy.TutorialCompleted', true)
}

/**
 * Without a graph, `loadGraphData` loads the default workflow. "Load default" and closing the last tab pass the
 * frontend's default graph instead.
 */
function replaceDefaultWorkflow() {
  const load = app.loadGraphData.bind(app)
  app.loadGraphData = async (graph, ...rest) => {
    const isDefault = !graph || graph === window.comfyAPI?.defaultGraph?.defaultGraph
    return load(isDefault ? ((await starter()) ?? graph) : graph, ...rest)
  }
}

async function starter() {
  const file = (await offersBundledModel()) ? 'starter.json' : 'starter_without_model.json'
  const response = await fetch(new URL(file, import.meta.url))
  return response.ok ? response.json() : undefined
}

async function offersBundledModel() {
  const response = await app.api.fetchApi('/models/checkpoints')
  return response.ok && (await response.json()).includes('safelight-miniature.safetensors')
}

app.registerExtension({
  name: 'Safelight.Welcome',
  async init() {
    replaceDefaultWorkflow()
    await welcome()
  }
})
