// Safelight's extension of the web UI: a full quota says what is full, and where to make room.
//
// The frontend words a refused upload by its status alone: 413 is "the file is too large". So a response that refuses
// bytes for the user's quota gets the status 507 ("insufficient storage") and the reason as its status text, which the
// frontend shows.

import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'

const WHERE = 'To make room, delete files in the panel "Assets" or jobs in the queue. What you use is on the page "My account".'
const CODES = ['storage_quota_reached', 'quota_reached']

const fetchApi = api.fetchApi.bind(api)
api.fetchApi = async (...request) => {
  const response = await fetchApi(...request)
  if (![400, 402, 413, 429].includes(response.status)) return response
  const answer = await response.clone().json().catch(() => null)
  const code = answer?.code ?? answer?.error?.type
  const message = answer?.message ?? answer?.error?.message
  if (code === 'budget_spent') tell('Your device time is used up', `${message}. Ask an administrator for more.`)
  if (!CODES.includes(code)) return response
  const text = /store/.test(message) ? `Your storage is full. ${inUnits(message)}. ${WHERE}` : message
  tell('A limit of your account is reached', text)
  if (code === 'quota_reached') return response
  return new Response(JSON.stringify(answer), { status: 507, statusText: 'your storage is full', headers: { 'content-type': 'application/json' } })
}

const inUnits = (message) =>
  message.replace(/(\d{4,})( bytes)?/g, (_, count) => {
    const units = ['B', 'kB', 'MB', 'GB', 'TB']
    const power = Math.min(units.length - 1, Math.floor(Math.log10(Number(count)) / 3))
    return `${(Number(count) / 1000 ** power).toFixed(1)} ${units[power]}`
  })

function tell(summary, detail) {
  app.extensionManager.toast.add({ severity: 'warn', summary, detail, life: 15000 })
}
