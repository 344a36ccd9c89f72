// Safelight's own part of the web UI: what a person sees on the first visit.
//
// The frontend's default workflow needs three model files that a new server has not, so it opens with red nodes and a
// list of problems. Here it is a workflow that runs at once, from a prompt to a picture by the bundled model.
// A new user also has the frontend's check for its own updates switched off, because a server at home should not make
// its users' browsers call elsewhere; the setting is the user's from then on.

import { app } from '../../scripts/app.js'

async function welcome() {
  const setting = app.extensionManager.setting
  if (setting.get('Comfy.TutorialCompleted')) return
  await setting.set('Comfy.Notification.ShowVersionUpdates', false)
  // The frontend's own mark of a user who is not new: it would open its dialog of templates over the canvas otherwise.
  await setting.set('Comfy.TutorialCompleted', true)
}

/**
 * Called without a graph, `loadGraphData` means "the default workflow". "Load default" and the closing of the last tab
 * pass the frontend's own default graph instead.
 */
function replaceDefaultWorkflow() {
  const load = app.loadGraphData.bind(app)
  app.loadGraphData = async (graph, ...rest) => {
    const isDefault = !graph || graph === window.comfyAPI?.defaultGraph?.defaultGraph
    return load(isDefault ? ((await starter()) ?? graph) : graph, ...rest)
  }
}

async function starter() {
  const answer = await fetch(new URL('starter.json', import.meta.url))
  return answer.ok ? answer.json() : undefined
}

app.registerExtension({
  name: 'Safelight.Welcome',
  async init() {
    replaceDefaultWorkflow()
    await welcome()
  }
})
