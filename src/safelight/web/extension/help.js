// Safelight's extension of the web UI: "About" names this server and its pages.

import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'

const page = (path) => new URL(`../../${path}`, import.meta.url).href

async function version() {
  const response = await api.fetchApi('/system_stats')
  return response.ok ? ((await response.json()).system.cloud_version ?? 'safelight') : 'safelight'
}

app.registerExtension({
  name: 'Safelight.Help',
  aboutPageBadges: [
    { label: (await version()).replace('safelight', 'Safelight'), url: page('help'), icon: 'pi pi-server' },
    { label: 'Help', url: page('help#help'), icon: 'pi pi-question-circle' },
    { label: 'My account', url: page('account'), icon: 'pi pi-user' },
    { label: 'API', url: page('openapi.json'), icon: 'pi pi-code' }
  ],
  commands: [
    { id: 'Safelight.Help', label: 'Help', icon: 'pi pi-question-circle', function: () => void window.open(page('help'), '_blank', 'noopener') }
  ],
  menuCommands: [{ path: ['Safelight'], commands: ['Safelight.Help'] }]
})
