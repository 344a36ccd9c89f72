// Safelight's extension of the web UI: commands that open the account's and the administrator's page and sign out, and a
// redirect to the login page when the session has ended. The frontend's own "Login" is for comfy.org, not for this
// server's accounts.

import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'

const SIGN_OUT = 'Safelight.SignOut'
const ACCOUNT = 'Safelight.Account'
const ADMIN = 'Safelight.Administration'
const LOGIN = new URL('../../login', import.meta.url)

async function signOut() {
  // The response also clears the page's browser storage: drafts belong to the user, not to the browser.
  const response = await api.fetchApi('/auth/session', { method: 'DELETE' })
  if (response.ok) location.replace(LOGIN)
}

function redirectOn401() {
  const fetchApi = api.fetchApi.bind(api)
  api.fetchApi = async (...request) => {
    const response = await fetchApi(...request)
    if (response.status === 401) location.replace(LOGIN)
    return response
  }
}

async function session() {
  const response = await api.fetchApi('/auth/session')
  return response.ok ? response.json() : { accounts: false, user: null }
}

const open = (page) => () => window.open(new URL(`../../${page}`, import.meta.url), '_blank', 'noopener')

const { accounts, user } = await session()
const commands = []
if (accounts) {
  redirectOn401()
  commands.push({ id: ACCOUNT, label: 'My account', icon: 'pi pi-user', function: open('account') })
}
if (!accounts || user?.is_admin) {
  commands.push({ id: ADMIN, label: 'Administration', icon: 'pi pi-cog', function: open('admin') })
}
if (accounts) {
  const label = user ? `Sign out (${user.name})` : 'Sign out'
  commands.push({ id: SIGN_OUT, label, icon: 'pi pi-sign-out', function: signOut })
}
app.registerExtension({
  name: 'Safelight.Account',
  commands,
  menuCommands: [{ path: ['Safelight'], commands: commands.map((command) => command.id) }]
})
