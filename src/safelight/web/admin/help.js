// The help page: the server's versions, and a message to its administrators.

import { field, form, h, request, say } from './server.js'

async function show() {
  const { system } = await request('GET', 'api/system_stats')
  document.querySelector('#versions').textContent =
    `${system.cloud_version.replace('safelight', 'Safelight')}, with the API of ComfyUI ${system.comfyui_version} and the web UI ${system.comfyui_frontend_version || '(not installed)'}.`
  const send = async ({ content }) => {
    await request('POST', 'api/feedback', { type: 'general', content })
    document.querySelector('textarea').value = ''
    return 'Your message is sent.'
  }
  document.querySelector('#feedback').replaceChildren(
    form(send, field('Message', { name: 'content', rows: 5, required: true, maxlength: 10_000 }), h('p', {}, h('button', { class: 'main' }, 'Send'))))
}

show().catch((error) => say(error.message, true))
