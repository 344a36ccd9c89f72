// Requests to the server, and elements of a page.

export async function request(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: body === undefined ? {} : { 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body)
  })
  if (response.status === 401) {
    location.replace('login')
    throw new Error('You are signed out')
  }
  const answer = response.status === 204 ? {} : await response.json().catch(() => ({}))
  if (!response.ok) throw new Error(answer.message ?? answer.error?.message ?? `The server returned the status ${response.status}`)
  return answer
}

/** An element: h('td', { class: 'wrap' }, 'text', otherElement). Handlers are given as functions: { onclick: ... }. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(key.slice(2), value)
    else if (value === true) element.setAttribute(key, '')
    else if (value !== false && value != null) element.setAttribute(key, value)
  }
  element.append(...children.flat().filter((child) => child != null))
  return element
}

export function table(heads, rows) {
  if (!rows.length) return h('p', { class: 'quiet' }, 'None.')
  const head = h('tr', {}, heads.map((text) => h('th', { scope: 'col' }, text)))
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': heads[0] }, h('table', {}, h('thead', {}, head), h('tbody', {}, rows)))
}

export const cell = (...children) => h('td', {}, ...children)

/** A button that is disabled while its action runs. Errors and results go to the page's message. */
export function button(text, action, attributes = {}) {
  return h('button', { type: 'button', ...attributes, onclick: (event) => run(event.currentTarget, action) }, text)
}

export async function run(control, action) {
  control.disabled = true
  try {
    say((await action()) ?? '')
  } catch (error) {
    say(error.message, true)
  } finally {
    control.disabled = false
  }
}

export function say(text, isBad = false) {
  const message = document.querySelector('.message')
  message.textContent = text
  message.className = isBad ? 'message bad' : 'message'
}

/** Submit a form with its fields as an object. */
export function form(action, ...children) {
  return h(
    'form',
    {
      onsubmit: (event) => {
        event.preventDefault()
        const fields = Object.fromEntries(new FormData(event.currentTarget))
        run(event.submitter ?? event.currentTarget.querySelector('button'), () => action(fields))
      }
    },
    ...children
  )
}

export function field(text, attributes) {
  return h('label', {}, text, h(attributes.rows ? 'textarea' : 'input', attributes))
}

export function bytes(count) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let unit = 0
  while (count >= 1000 && unit < units.length - 1) [count, unit] = [count / 1000, unit + 1]
  return `${unit ? count.toFixed(1) : count} ${units[unit]}`
}

export function seconds(count) {
  if (count == null) return ''
  if (count < 60) return `${count.toFixed(count < 10 ? 1 : 0)} s`
  return count < 3600 ? `${Math.round(count / 60)} min` : `${(count / 3600).toFixed(1)} h`
}

export const when = (ms) => (ms ? new Date(ms).toLocaleString() : '')
