// Safelight's extension of the web UI: which node packs could not be loaded, in a sidebar tab, and once in a message.

import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'

const SEEN = 'Safelight.FailedPacks'

async function failedPacks() {
  const response = await api.fetchApi('/account/packs')
  if (!response.ok) return []
  const { packs } = await response.json()
  return packs.filter((pack) => pack.failures.length > 0)
}

function render(container, packs) {
  container.replaceChildren()
  container.style.padding = '1rem'
  for (const pack of packs) {
    const name = document.createElement('h3')
    name.textContent = `${pack.name}: ${pack.nodes} nodes`
    const reasons = document.createElement('ul')
    for (const failure of pack.failures) {
      const reason = document.createElement('li')
      reason.textContent =
        failure.subject === pack.name ? failure.reason : `${failure.subject}: ${failure.reason}`
      reasons.append(reason)
    }
    container.append(name, reasons)
  }
}

/** Show the message once in a browser session, and again when other packs fail. */
function tell(packs) {
  const names = packs.map((pack) => pack.name).join(', ')
  if (sessionStorage.getItem(SEEN) === names) return
  sessionStorage.setItem(SEEN, names)
  app.extensionManager.toast.add({
    severity: 'warn',
    summary: 'Node packs with errors',
    detail: `${names}. The reasons are in the sidebar, under "Packs".`,
    life: 10000
  })
}

app.registerExtension({
  name: 'Safelight.Packs',
  async setup() {
    const packs = await failedPacks()
    if (packs.length === 0) return
    app.extensionManager.registerSidebarTab({
      id: 'safelight-packs',
      icon: 'pi pi-box',
      title: 'Packs',
      tooltip: 'Node packs with errors',
      type: 'custom',
      render: (container) => render(container, packs)
    })
    tell(packs)
  }
})
