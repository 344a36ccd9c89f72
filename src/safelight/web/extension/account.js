// Safelight's extension of the web UI: commands that open the account's and the administrator's page and sign out, and a
// redirect to the login page when the session has ended. The frontend's person icon signs in at comfy.org; here it opens
// the account's page.

import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'

const SIGN_OUT = 'Safelight.SignOut'
const ACCOUNT = 'Safelight.Account'
const ADMIN = 'Safelight.Administration'
const LOGIN = new URL('../../login', import.meta.url)

async function signOut() {
  // The response also clears the page's browser storage: drafts belong to the user, not to the browser.
  const response = await api.fetchApi('/auth/session', { method: 'DELETE' })
  if (!response.ok) return
  const answer = response.status === 200 ? await response.json() : {}
  location.replace(answer.sign_out_url ?? LOGIN)
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

/** The icon's own handlers open a foreign sign-in dialog on a click, and a link to foreign pages under the pointer. */
function openAccountByIcon() {
  for (const type of ['click', 'mouseenter', 'mouseover', 'pointerenter', 'pointerover']) {
    const handle = (event) => {
      if (!(event.target instanceof Element) || !event.target.closest('[data-testid="login-button"]')) return
      event.stopImmediatePropagation()
      if (type === 'click') open('account')()
    }
    window.addEventListener(type, handle, true)
  }
}

const open = (page) => () => window.open(new URL(`../../${page}`, import.meta.url), '_blank', 'noopener')

const { accounts, user } = await session()
const commands = []
openAccountByIcon()
document.documentElement.classList.toggle('safelight-may-not-import', accounts && !user?.is_admin)
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
